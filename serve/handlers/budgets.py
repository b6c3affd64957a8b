"""`GET /v1/budgets/explain`: why the caller's tenant is refused, from the ledger, or what it has left."""

import orjson

from p402.guard.daily import DAY_MS
from p402.guard.explain import Layer, Standing, layers, past
from p402.guard.lease import PREFIX
from p402.limits import Limits
from p402.units import nano_to_usd
from serve.handlers.front import Front
from serve.http import HttpReply, HttpRequest, json_reply


async def explain(front: Front, request: HttpRequest) -> HttpReply:
    """Every layer with state: used, left, whether it refuses and until when; calls under way; leases."""
    tenant = front.tenant(request)
    standing = await front.flow.ports.guard.standing(tenant.name)
    return json_reply(200, orjson.dumps(told(tenant.name, standing, tenant.limits)))


def told(tenant: str, standing: Standing, limits: Limits) -> dict[str, object]:
    """The answer: money in USD, times in ms."""
    found = layers(standing, limits)
    refusing = [layer.code for layer in found if layer.refuses]
    return {
        "tenant": tenant,
        "would_refuse": refusing[0] if refusing else None,
        "resets_in_ms": DAY_MS - standing.now_ms % DAY_MS,
        "layers": [_layer(layer) for layer in found],
        "anomalies": past(standing.account.history, limits),
        "calls": [
            {
                "request_id": name,
                "held_usd": nano_to_usd(entry.amount_nano),
                "expires_in_ms": entry.expires_ms - standing.now_ms,
                "in_flight": name in standing.slots,
            }
            for name, entry in standing.calls
            if not name.startswith(PREFIX)
        ],
        "leases": [
            {
                "host": name.removeprefix(PREFIX),
                "held_usd": nano_to_usd(entry.amount_nano),
                "expires_in_ms": entry.expires_ms - standing.now_ms,
            }
            for name, entry in standing.calls
            if name.startswith(PREFIX)
        ],
    }


def _layer(layer: Layer) -> dict[str, object]:
    money = layer.unit == "nano-USD"
    used, limit, left = (
        nano_to_usd(value) if money else value for value in (layer.used, layer.limit, layer.left)
    )
    return {
        "layer": layer.layer,
        "code": layer.code,
        "unit": "USD" if money else layer.unit,
        "used": used,
        "limit": limit,
        "left": left,
        "refuses": layer.refuses,
        "retry_after_ms": layer.retry_after_ms,
    }
