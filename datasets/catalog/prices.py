"""Translate genai-prices' price objects into whole pico-USD periods and tiers, exactly.

Standard prices only: batch, priority and other request-dependent variants are not what a routed
call pays, and are left out.
"""

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices, TimeOfDateConstraint
from msgspec.structs import replace

from p402.catalog.price import PricePeriod, PriceRow, Tier, TokenPrices
from p402.units import PICO_PER_USD_PER_MTOK, pico_per_token

FIELDS = {
    "input": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
}
BEYOND_TOKENS = {
    "requests_kcount",
    "output_reasoning_mtok",
    "output_citation_mtok",
    "output_image_mtok",
    "output_audio_mtok",
    "output_video_mtok",
    "audio_hours",
    "input_mchars",
    "input_text_messages_kcount",
}
"""Units that make a text request's cost more than its tokens, or its answer more than text."""


def values(price: ModelPrice) -> dict[str, Any]:
    """Prices by the source's key, unknown ones left out."""
    return {k: v for k, v in price.__dict__.items() if v is not None and not k.startswith("_")}


def period_prices(model: ModelInfo) -> list[tuple[Any, ModelPrice]]:
    """Constraint and prices of each period, in the source's order."""
    if isinstance(model.prices, list):
        return [(p.constraint, p.prices) for p in model.prices]
    return [(None, model.prices)]


def periods(model: ModelInfo, *, storage: bool = False) -> tuple[tuple[PricePeriod, ...], bool]:
    """All periods of a model, and whether any price had to be rounded to whole pico-USD.

    Parameters
    ----------
    storage
        Whether the source's price of a cache write is what the storing costs beside the input, as for
        OpenRouter's Gemini routes: "input token price + cache storage price * (5 minutes / 60 minutes)"
        (openrouter.ai/docs/features/prompt-caching, read 2026-11-26).
    """
    out: list[PricePeriod] = []
    rounded = False
    for constraint, price in period_prices(model):
        row, inexact = _row(price, storage=storage)
        rounded |= inexact
        if row is not None:
            out.append(PricePeriod(row, *_when(constraint)))
    return tuple(out), rounded


def _row(price: ModelPrice, *, storage: bool) -> tuple[PriceRow | None, bool]:
    known = values(price)
    found = {field: known[key] for field, key in FIELDS.items() if key in known}
    if not found:
        return None, False
    thresholds = sorted({t.start for v in found.values() if isinstance(v, TieredPrices) for t in v.tiers})
    exact = [
        amount * PICO_PER_USD_PER_MTOK % 1 == 0
        for v in found.values()
        for amount in ([v.base, *(t.price for t in v.tiers)] if isinstance(v, TieredPrices) else [v])
    ]
    base, *above = (_tokens(found, threshold) for threshold in (None, *thresholds))
    if storage:
        base, *above = map(_with_input, (base, *above))
    tiers = tuple(Tier(*tier) for tier in zip(thresholds, above, strict=True))
    return PriceRow(base, tiers), not all(exact)


def _with_input(prices: TokenPrices) -> TokenPrices:
    """Prices whose cache write is what is paid for a token in all: its input and its storage.

    One that is above the input holds both already: the source has the route's older form there.
    """
    if prices.input is None or prices.cache_write is None or prices.cache_write > prices.input:
        return prices
    return replace(prices, cache_write=prices.input + prices.cache_write)


def _tokens(found: dict[str, Decimal | TieredPrices], threshold: int | None) -> TokenPrices:
    """Prices of every class above a threshold, or below all of them."""
    amounts: dict[str, int] = {}
    for field, value in found.items():
        amount = value.base if isinstance(value, TieredPrices) else value
        if isinstance(value, TieredPrices) and threshold is not None:
            for tier in value.tiers:
                amount = tier.price if tier.start <= threshold else amount
        amounts[field] = pico_per_token(amount)
    return TokenPrices(**amounts)


def _when(constraint: Any) -> tuple[int | None, tuple[int, int] | None]:
    match constraint:
        case None:
            return None, None
        case StartDateConstraint():
            midnight = datetime.combine(constraint.start_date, time(), UTC)
            return int(midnight.timestamp()) * 1000, None
        case TimeOfDateConstraint():
            return None, (_ms(constraint.start_time), _ms(constraint.end_time))
        case _:
            raise SystemExit(
                f"unknown price constraint {constraint!r}; genai-prices has grown, teach prices.py"
            )


def _ms(value: time) -> int:
    if value.tzinfo is not None:
        value = datetime.combine(datetime(1970, 1, 1, tzinfo=UTC), value).astimezone(UTC).time()
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000 + value.microsecond // 1000
