"""`GET /v1/models`: what the caller may name in `model`, in OpenAI's form."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from p402.answer import Offer
from p402.errors import ModelNotFound, nearest
from p402.request import Tenant
from p402.routing.spec import MODES
from serve.handlers.front import Front
from serve.http import HttpReply, HttpRequest, json_reply

ROUTERS: Final = ("p402/auto", *(f"p402/{mode}" for mode in MODES))
_PATH: Final = "/models/"


async def models(front: Front, request: HttpRequest) -> HttpReply:
    """All routers and models that the caller's tenant may use."""
    listing = _listing(_allowed(front, front.tenant(request)))
    return json_reply(200, orjson.dumps({"object": "list", "data": list(listing.values())}))


async def model(front: Front, request: HttpRequest) -> HttpReply:
    """One of them, by model name or by arm."""
    offers = _allowed(front, front.tenant(request))
    name = request.path.partition(_PATH)[2]
    listing = _listing(offers)
    if name not in listing:
        listing |= {offer.arm: _entry(offer.arm, offer.family, [offer]) for offer in offers}
    if name not in listing:
        raise ModelNotFound(
            f"model: there is no `{name[:100]}`, `GET /v1/models` lists all"
            f"{nearest(name[:100], tuple(listing))}",
            param="model",
        )
    return json_reply(200, orjson.dumps(listing[name]))


def _allowed(front: Front, tenant: Tenant) -> list[Offer]:
    """Arms that the tenant's policy does not deny."""
    policies = front.flow.state.snapshot.spec.tenants.policies
    denied = {arm for policy in policies if policy.name == tenant.policy for arm in policy.denied}
    return [offer for offer in front.flow.models if offer.arm not in denied]


def _listing(offers: Sequence[Offer]) -> dict[str, dict[str, Any]]:
    by_model: dict[str, list[Offer]] = {}
    for offer in offers:
        by_model.setdefault(offer.model, []).append(offer)
    entries = {name: _entry(name, "p402", []) for name in ROUTERS}
    return entries | {name: _entry(name, served[0].family, served) for name, served in by_model.items()}


def _entry(name: str, owner: str, offers: list[Offer]) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": owner}
    if offers:
        entry["deployments"] = [
            {
                "arm": offer.arm,
                "provider": offer.provider,
                "context_window": offer.context_window,
                "output_limit": offer.output_limit,
                "capabilities": list(offer.capabilities),
                "simulated": offer.simulated,
            }
            for offer in offers
        ]
    return entry
