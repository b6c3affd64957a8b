"""What a token costs at an instant, and when that next changes.

Prices are dated, may follow the time of day (DeepSeek's off-peak hours) and may step up with the
length of the prompt. The rules are those of the source, genai-prices 0.2.3 `types.py`, read
2026-11-22: periods are tried last to first and the first one in force wins; if none is, the first
of all holds. A tier is a cliff: once the prompt is longer than its threshold, every token of the
request pays the tier's price, not only those above.
Time is an argument: whole ms since 1970 UTC. It knows nothing of models or requests.
"""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Annotated, Final, Protocol

import msgspec

DAY_MS: Final = 86_400_000

Pico = Annotated[int, msgspec.Meta(ge=0)]
"""Whole pico-USD per token."""


class TokenPrices(msgspec.Struct, frozen=True, array_like=True):
    """Pico-USD per token of each class; None where the source gives no price, never 0 for that.

    A class without a price of its own is billed by the wider class it belongs to, as the source
    does: cached tokens as input. `billed` applies that.

    Attributes
    ----------
    cache_write
        Of the provider's shortest cache time (Anthropic: 5 minutes).
    cache_write_1h
        Of an hour.
    """

    input: Pico | None = None
    cache_read: Pico | None = None
    cache_write: Pico | None = None
    output: Pico | None = None
    cache_write_1h: Pico | None = None

    def billed(self) -> "TokenPrices":
        """Return these prices with each cache class that has none at its wider class's price."""
        write = self.input if self.cache_write is None else self.cache_write
        return TokenPrices(
            input=self.input,
            cache_read=self.input if self.cache_read is None else self.cache_read,
            cache_write=write,
            output=self.output,
            cache_write_1h=write if self.cache_write_1h is None else self.cache_write_1h,
        )


class Tier(msgspec.Struct, frozen=True, array_like=True):
    """Prices of the whole request once its prompt is longer than `threshold` tokens."""

    threshold: Annotated[int, msgspec.Meta(ge=0)]
    prices: TokenPrices


class PriceRow(msgspec.Struct, frozen=True, array_like=True):
    """Prices of one period: a base and tiers, thresholds ascending."""

    base: TokenPrices
    tiers: tuple[Tier, ...] = ()

    def price_for(self, prompt_tokens: int) -> TokenPrices:
        """Return the prices every token of a request with so long a prompt pays; exact for any tiers.

        `prompt_tokens` counts cached tokens too.
        """
        prices = self.base
        for tier in self.tiers:
            if prompt_tokens > tier.threshold:
                prices = tier.prices
        return prices

    def routing_tier(self) -> Tier | None:
        """Return the one tier that routing works with: the first threshold, the dearest prices above it.

        Exact with one tier; with more it never understates a price. None without tiers.
        """
        if not self.tiers:
            return None
        above = [tier.prices for tier in self.tiers]
        return Tier(
            self.tiers[0].threshold,
            TokenPrices(
                input=_dearest(p.input for p in above),
                cache_read=_dearest(p.cache_read for p in above),
                cache_write=_dearest(p.cache_write for p in above),
                output=_dearest(p.output for p in above),
                cache_write_1h=_dearest(p.cache_write_1h for p in above),
            ),
        )


class PricePeriod(msgspec.Struct, frozen=True, array_like=True):
    """Prices, and when they are in force.

    Attributes
    ----------
    from_ms
        Start, ms since 1970 UTC, inclusive; None when there is none.
    window
        Start (inclusive) and end (exclusive) of a daily interval, ms of the UTC day; an end before
        the start runs over midnight. None for the whole day.
    """

    prices: PriceRow
    from_ms: int | None = None
    window: tuple[int, int] | None = None

    def in_force(self, when_ms: int) -> bool:
        """Whether both constraints hold at this instant."""
        if self.from_ms is not None and when_ms < self.from_ms:
            return False
        if self.window is None:
            return True
        start, end = self.window
        time = when_ms % DAY_MS
        return (time >= start or time < end) if end < start else start <= time < end


class Priced(Protocol):
    """Anything with dated prices."""

    @property
    def prices(self) -> tuple[PricePeriod, ...]:
        """Periods in the source's order; the last in force wins."""
        ...


def prices_at(deployment: Priced, when_ms: int) -> PriceRow | None:
    """Return the prices in force at an instant, or None if the deployment has no price at all."""
    periods = deployment.prices
    if not periods:
        return None
    for period in reversed(periods):
        if period.in_force(when_ms):
            return period.prices
    return periods[0].prices


def discounted(periods: Iterable[PricePeriod], percent: Decimal) -> tuple[PricePeriod, ...]:
    """Return the periods with every known price of every tier less `percent` of it.

    Each price is rounded once, to whole pico-USD per token, half up: half a millionth of a USD per million
    tokens at most, beside what an invoice may say. No tokens are rounded by it.
    """
    share = 1 - Fraction(percent) / 100

    def less(prices: TokenPrices) -> TokenPrices:
        known = {name: getattr(prices, name) for name in TokenPrices.__struct_fields__}
        return TokenPrices(**{name: None if p is None else _half_up(p * share) for name, p in known.items()})

    return tuple(
        msgspec.structs.replace(
            period,
            prices=PriceRow(
                base=less(period.prices.base),
                tiers=tuple(Tier(tier.threshold, less(tier.prices)) for tier in period.prices.tiers),
            ),
        )
        for period in periods
    )


def _half_up(amount: Fraction) -> int:
    return floor(amount + Fraction(1, 2))


def next_price_change(deployments: Iterable[Priced], after_ms: int) -> int | None:
    """Return the first instant after `after_ms` at which some price differs from the ms before, or None.

    Between two start dates the prices repeat daily, so looking at the day after each start is enough.
    """
    changes = (_next_change(d, after_ms) for d in deployments if len(d.prices) > 1)
    return min((change for change in changes if change is not None), default=None)


def _next_change(deployment: Priced, after_ms: int) -> int | None:
    starts = [p.from_ms for p in deployment.prices if p.from_ms is not None and p.from_ms > after_ms]
    edges = [edge for p in deployment.prices if p.window is not None for edge in p.window]
    instants = set(starts)
    for origin in (after_ms, *starts):
        instants.update(origin + 1 + (edge - origin - 1) % DAY_MS for edge in edges)
    for instant in sorted(instants):
        if prices_at(deployment, instant) != prices_at(deployment, instant - 1):
            return instant
    return None


def _dearest(prices: Iterable[int | None]) -> int | None:
    known = [price for price in prices if price is not None]
    return max(known, default=None)
