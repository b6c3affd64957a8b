"""What a gateway in front of a world's providers begins with, at any instant: arms, prices, published scores.

The product's own assembly makes the snapshot, from settings and benchmarks that say what an operator could
know: list prices of that second, published scores, who may be called. What the world hides (true quality,
drifts, failures, speeds) is not in it.
"""

from decimal import Decimal
from typing import Any, Final

from p402.assemble import START_WEIGHTS, Assembly, assemble
from p402.catalog.benchmarks import Benchmark
from p402.catalog.model import Catalog
from p402.settings import read_settings
from sim.world.spec import ModelSpec, ProviderSpec, TenantSpec, WorldSpec

NOTHING: Final = Catalog(version="", built_on="2026-11-26", sources={}, aliases={}, deployments=())
"""A world's models are its own: no catalogue has them."""

DECIMALS: Final = 9
"""Of USD per million tokens: a thousandth of a pico-USD per token is nothing."""


def price_factor(provider: ProviderSpec, model: str, at_h: float) -> float:
    """A provider's prices of a model over its list prices, `at_h` hours after the start."""
    factor = provider.price_factor
    for change in provider.prices:
        if change.at_h <= at_h and change.model in (None, model):
            factor *= change.factor
    return factor


def offered(model: ModelSpec, at_h: float) -> bool:
    """Whether a model can be called."""
    return model.appears_h <= at_h and (model.retires_h is None or at_h < model.retires_h)


def offer_changes_h(spec: WorldSpec) -> list[float]:
    """Hours at which prices or arms change, ascending, without the start."""
    moments = {change.at_h for provider in spec.providers for change in provider.prices}
    moments |= {model.appears_h for model in spec.models}
    moments |= {model.retires_h for model in spec.models if model.retires_h is not None}
    return sorted(moment for moment in moments if moment > 0)


def offer_at(spec: WorldSpec, at_h: float) -> Assembly:
    """The operator's assembly `at_h` hours after the start.

    Every arm that ever is has its column, so that arms keep their numbers; those that cannot be called then
    are denied to every tenant.

    Raises
    ------
    ConfigError
        A name or price that the product's settings refuse.
    """
    known = {model.id: model for model in spec.models}
    away = [
        f"{provider.name}/{name}"
        for provider in spec.providers
        for name in provider.models
        if not offered(known[name], at_h)
    ]
    settings = read_settings(
        {
            "server": {"salt": spec.salt, "exploration_loss": _decimal(spec.exploration_loss)},
            "providers": {p.name: _provider(p, known, at_h) for p in spec.providers},
            "tenants": {tenant.name: _tenant(tenant, away) for tenant in spec.tenants},
        },
        {},
    )
    day = spec.start.date().isoformat()
    scores = [
        Benchmark(model.id, task, score, model.benchmark_n, "world", day, None)
        for model in spec.models
        for task, score in model.benchmark.items()
    ]
    now_ms = spec.start_ms + round(at_h * 3_600_000)
    return assemble(NOTHING, settings, scores, START_WEIGHTS, now_ms)


def _provider(provider: ProviderSpec, known: dict[str, ModelSpec], at_h: float) -> dict[str, Any]:
    return {
        "base_url": "http://127.0.0.1:1/v1",
        "api_key": "none",
        "simulated": True,
        "models": [_model(provider, known[name], at_h) for name in provider.models],
    }


def _model(provider: ProviderSpec, model: ModelSpec, at_h: float) -> dict[str, Any]:
    factor = price_factor(provider, model.id, at_h)
    paid = model.input_usd_per_mtok * factor
    made: dict[str, Any] = {
        "id": model.id,
        "model_family": model.id,
        "family": model.family,
        "context_window": model.context_window,
        "output_limit": model.output_limit,
        "capabilities": list(model.capabilities),
        "input_usd_per_mtok": _decimal(paid),
        "output_usd_per_mtok": _decimal(model.output_usd_per_mtok * factor),
    }
    if provider.cache_read_factor is not None:
        made["cache_read_usd_per_mtok"] = _decimal(paid * provider.cache_read_factor)
    return made


def _tenant(tenant: TenantSpec, away: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "daily_cap_usd": _decimal(tenant.daily_cap_usd),
        "max_request_usd": _decimal(tenant.max_request_usd),
        "requests_per_hour": tenant.requests_per_hour,
        "max_in_flight": tenant.max_in_flight,
        "hold": tenant.hold,
        "exploration": tenant.explores,
        "fee_bps": tenant.fee_bps,
        "deny_models": away,
        "cache_in_cost_mode": tenant.cache.in_cost_mode,
        "cache_ttl_s": tenant.cache.ttl_s,
        "cache_similarity": _decimal(tenant.cache.similarity),
    }
    if tenant.session_cap_usd is not None:
        made["session_cap_usd"] = _decimal(tenant.session_cap_usd)
    if tenant.baseline_model is not None:
        made["baseline_model"] = tenant.baseline_model
    return made


def _decimal(x: float) -> Decimal:
    return round(Decimal(repr(x)), DECIMALS).normalize() + 0
