"""Which handler answers which path: the whole data plane."""

from dataclasses import dataclass
from typing import Final

from serve.handlers.budgets import explain
from serve.handlers.cache import clear, evict, stats
from serve.handlers.chat import chat, route
from serve.handlers.front import Handler
from serve.handlers.health import healthz, readyz
from serve.handlers.models import model, models
from serve.handlers.outcomes import outcomes

BASES: Final = ("/v1", "/api/v2")


@dataclass(frozen=True, slots=True)
class Route:
    """One path under one method; `path` is in the form that werkzeug reads."""

    method: str
    path: str
    handler: Handler


HOT: Final = "/chat/completions"
_UNDER_BASE: Final = (
    Route("POST", HOT, chat),
    Route("POST", "/route", route),
    Route("POST", "/outcomes", outcomes),
    Route("GET", "/models", models),
    Route("GET", "/budgets/explain", explain),
    Route("GET", "/models/<path:name>", model),
    Route("GET", "/cache/stats", stats),
    Route("POST", "/cache/clear", clear),
    Route("DELETE", "/cache/entries/<path:entry>", evict),
)
ROUTES: Final = (
    Route("GET", "/healthz", healthz),
    Route("GET", "/readyz", readyz),
    *(Route(r.method, base + r.path, r.handler) for base in BASES for r in _UNDER_BASE),
)
HOT_PATHS: Final = frozenset(base + HOT for base in BASES)
"""Answered at the ASGI seam."""
