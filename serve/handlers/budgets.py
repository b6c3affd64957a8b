"""`GET /v1/budgets/explain`: why the caller is refused, from the ledger, or what it has left.

Told are its tenant's layers and the budgets of the key that asks; with `?session_id=` that session's, too.
"""

from typing import Final

import orjson

from p402.flow.plan import scopes_of
from p402.guard.daily import DAY_MS
from p402.guard.explain import Budget, Layer, Standing, budgets, layers, past, would_refuse
from p402.guard.lease import PREFIX
from p402.limits import Kind, Limits, Period
from p402.units import nano_to_usd
from serve.handlers.front import Front
from serve.http import HttpReply, HttpRequest, json_reply
from serve.wire.options import session_id
from serve.wire.query import parse_query

PERIODS: Final = {Period.DAY: "day", Period.MONTH: "month", Period.LIFE: "session"}
"""Words for how long an account lives."""


async def explain(front: Front, request: HttpRequest) -> HttpReply:
    """Every layer with state, every budget: used, left, whether it refuses and until when; calls; leases."""
    tenant = front.tenant(request)
    asked = parse_query(request.query, ("session_id",)).get("session_id")
    session = None if asked is None else session_id(asked, "session_id")
    standing = await front.flow.ports.guard.standing(tenant.name, scopes_of(session, tenant))
    return json_reply(200, orjson.dumps(told(tenant.name, standing, tenant.limits)))


def told(tenant: str, standing: Standing, limits: Limits) -> dict[str, object]:
    """The answer: money in USD, times in ms."""
    found, scoped = layers(standing, limits), budgets(standing)
    return {
        "tenant": tenant,
        "would_refuse": would_refuse(found, scoped),
        "resets_in_ms": DAY_MS - standing.now_ms % DAY_MS,
        "layers": [_layer(layer) for layer in found],
        "scopes": [_scope(budget) for budget in scoped],
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


def _scope(budget: Budget) -> dict[str, object]:
    scope, totals = budget.scope, budget.totals
    return {
        "scope": scope.kind.value,
        "name": None if scope.kind is Kind.SESSION else scope.name,
        "period": PERIODS[scope.period],
        "code": budget.code,
        "spent_usd": nano_to_usd(totals.spent_nano),
        "held_usd": nano_to_usd(totals.held_nano),
        "aside_usd": nano_to_usd(totals.aside_nano),
        "cap_usd": nano_to_usd(scope.cap_nano),
        "left_usd": nano_to_usd(budget.left_nano),
        "refuses": budget.refuses,
        "retry_after_ms": budget.retry_after_ms,
        "resets_in_ms": budget.resets_in_ms,
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
