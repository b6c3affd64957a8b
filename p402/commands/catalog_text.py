"""How a deployment reads: as plain JSON values, and as lines for a person.

Prices are in USD per million tokens; None, `unknown` to a person, is what no source says.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from p402.catalog.model import Capabilities, Catalog, Deployment, Mark
from p402.catalog.price import PricePeriod, TokenPrices, prices_at
from p402.units import PICO_PER_USD_PER_MTOK

CAPABILITY_NAMES = Capabilities.__struct_fields__


def describe(deployment: Deployment, catalog: Catalog, when_ms: int) -> dict[str, Any]:
    """All that is known of a deployment as plain JSON values; None is unknown, prices in USD/Mtok."""
    now = prices_at(deployment, when_ms)
    marks = deployment.sources
    return {
        "id": deployment.id,
        "name": deployment.name,
        "model": deployment.model_family,
        "family": deployment.family,
        "status": deployment.status,
        "released": deployment.released,
        "open_weights": deployment.open_weights,
        "context_window": deployment.context_window,
        "output_limit": deployment.output_limit,
        "capabilities": {name: getattr(deployment.capabilities, name) for name in CAPABILITY_NAMES},
        "price_usd_per_mtok": None if now is None else _usd(now.base),
        "periods": [_period(p) for p in deployment.prices],
        "price_rounded": deployment.price_rounded,
        "sources": {name: _origin(getattr(marks, name), catalog) for name in marks.__struct_fields__},
    }


def _period(period: PricePeriod) -> dict[str, Any]:
    start = period.from_ms
    return {
        "from": None if start is None else datetime.fromtimestamp(start / 1000, UTC).date().isoformat(),
        "utc_hours": None if period.window is None else [_clock(edge) for edge in period.window],
        "prices": _usd(period.prices.base),
        "tiers": [
            {"prompt_tokens_above": t.threshold, "prices": _usd(t.prices)} for t in period.prices.tiers
        ],
    }


def _clock(ms: int) -> str:
    minutes = ms // 60_000
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _origin(mark: Mark | None, catalog: Catalog) -> dict[str, Any] | None:
    if mark is None:
        return None
    source = catalog.sources[mark.source]
    return {"source": source.name, "date": source.date, "inherited_from": mark.inherited_from}


def _usd(prices: TokenPrices) -> dict[str, float | None]:
    known = {name: getattr(prices, name) for name in TokenPrices.__struct_fields__}
    return {name: None if pico is None else pico / PICO_PER_USD_PER_MTOK for name, pico in known.items()}


def lines(described: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Heading and text of each line that shows what `describe` gave."""
    for key, value in described.items():
        heading = key.replace("_", " ").replace("usd per mtok", "$/Mtok")
        match key:
            case "capabilities":
                yield heading, ", ".join(f"{_words(k)}: {_scalar(v)}" for k, v in value.items())
            case "price_usd_per_mtok":
                yield heading, "unknown" if value is None else _prices(value)
            case "periods":
                yield heading, "\n".join(map(_when, value)) or "none"
            case "sources":
                yield heading, "\n".join(f"{_words(k)}: {_source(v)}" for k, v in value.items())
            case _:
                yield heading, _scalar(value)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _prices(prices: Mapping[str, float | None]) -> str:
    return ", ".join(f"{_words(name)} {usd:g}" for name, usd in prices.items() if usd is not None)


def _when(period: Mapping[str, Any]) -> str:
    parts = []
    if period["from"]:
        parts.append(f"from {period['from']}")
    if period["utc_hours"]:
        parts.append("daily {} to {} UTC".format(*period["utc_hours"]))
    tiers = [
        f"; above {t['prompt_tokens_above']:,} prompt tokens {_prices(t['prices'])}" for t in period["tiers"]
    ]
    return f"{', '.join(parts) or 'otherwise'}: {_prices(period['prices'])}{''.join(tiers)}"


def _source(origin: Mapping[str, Any] | None) -> str:
    if origin is None:
        return "none"
    inherited = f", inherited from {origin['inherited_from']}" if origin["inherited_from"] else ""
    return f"{origin['source']} ({origin['date']}{inherited})"
