"""`GET /v1/models`: what may be named in `model`, in OpenAI's form."""

from collections.abc import Iterable
from typing import Any, Final

import orjson

from p402.errors import ModelNotFound, nearest
from p402.routing.spec import MODES
from serve.handlers.front import Front, ModelView
from serve.http import HttpReply, HttpRequest, json_reply

ROUTERS: Final = ("p402/auto", *(f"p402/{mode}" for mode in MODES))
_PATH: Final = "/models/"


async def models(front: Front, request: HttpRequest) -> HttpReply:
    """All routers and models."""
    front.tenant(request)
    return json_reply(
        200, orjson.dumps({"object": "list", "data": list(_listing(front.flow.models).values())})
    )


async def model(front: Front, request: HttpRequest) -> HttpReply:
    """One of them, by model name or by arm."""
    front.tenant(request)
    name = request.path.partition(_PATH)[2]
    views = front.flow.models
    listing = _listing(views)
    found = listing.get(name)
    if found is None:
        arm = next((view for view in views if view.arm == name), None)
        if arm is None:
            known = (*listing, *(view.arm for view in views))
            raise ModelNotFound(
                f"model: there is no `{name[:200]}`{nearest(name[:200], known)}; `GET /v1/models` lists all",
                param="model",
            )
        found = _entry(name, arm.family, [arm])
    return json_reply(200, orjson.dumps(found))


def _listing(views: Iterable[ModelView]) -> dict[str, dict[str, Any]]:
    by_model: dict[str, list[ModelView]] = {}
    for view in views:
        by_model.setdefault(view.model, []).append(view)
    entries = {name: _entry(name, "p402", []) for name in ROUTERS}
    return entries | {name: _entry(name, arms[0].family, arms) for name, arms in by_model.items()}


def _entry(name: str, owner: str, arms: list[ModelView]) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": owner}
    if arms:
        entry["deployments"] = [
            {
                "arm": arm.arm,
                "provider": arm.provider,
                "context_window": arm.context_window,
                "output_limit": arm.output_limit,
                "capabilities": list(arm.capabilities),
                "simulated": arm.simulated,
            }
            for arm in arms
        ]
    return entry
