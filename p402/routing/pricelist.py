"""Prices of a snapshot as columns, and the bounds within which every cost is exact.

It knows nothing of requests: `p402.routing.eligibility` multiplies these by tokens.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from p402.errors import ConfigError
from p402.routing.scale import EXACT, FEATURE_ONE
from p402.routing.spec import Prices

Float = NDArray[np.float64]

MAX_PRICE_PICO: Final = 1 << 30
"""Dearest price that keeps every cost exact: about 1,073 USD per million tokens."""


class Tier(NamedTuple):
    """Pico-USD per token, (n_arms,).

    `expected` is the output price times the arm's verbosity, `saved` what a token costs less that
    is read from the provider's prompt cache, `most` what the dearest token of a prompt costs: one that is
    written to that cache, where that has a price above the input's.
    """

    input: Float
    cache_read: Float
    output: Float
    expected: Float
    saved: Float
    most: Float


class PriceList(NamedTuple):
    """What every arm charges.

    Attributes
    ----------
    base, above
        Prices up to `threshold` prompt tokens, and above it; None when no arm has tiers.
    threshold
        2**53 for an arm without tiers.
    known
        Whether input and output price are both known; an unknown price stands as 0 and is never chosen.
    dearest
        Highest price of a prompt's token and of output at any arm in any tier: what a call within them at the
        ceiling need not be checked for.
    least_threshold
        Prompts up to this are in no upper tier.
    """

    base: Tier
    above: Tier | None
    threshold: Float
    known: NDArray[np.bool_]
    dearest: tuple[float, float]
    least_threshold: float


def price_list(prices: Prices, output_ratio: Sequence[int]) -> PriceList:
    """Turn prices into columns.

    Parameters
    ----------
    output_ratio
        Output tokens over the request's expectation, multiples of 2**-12, (n_arms,).

    Raises
    ------
    ConfigError
        A price is negative or too dear for exact arithmetic.
    """
    ratio = np.array(output_ratio, np.float64)
    nothing = np.zeros(len(ratio))
    into, out = _column(prices.input, nothing), _column(prices.output, nothing)
    write, hour = (_filled(column, into) for column in (prices.cache_write, prices.cache_write_1h))
    most = _most(into, write, hour)
    base = _tier("", into, _column(prices.cache_read, into), out, ratio, most)
    above = None
    if any(t is not None for t in prices.threshold):
        into, out = _column(prices.input_above, base.input), _column(prices.output_above, base.output)
        read = _column(prices.cache_read_above, _column(prices.cache_read, into))
        write = _over(_filled(prices.cache_write_above, into), write)
        hour = _over(_filled(prices.cache_write_1h_above, into), hour)
        above = _tier("_above", into, read, out, ratio, _most(into, write, hour))
    threshold = np.array([EXACT if t is None else t for t in prices.threshold], np.float64)
    tiers = (base,) if above is None else (base, above)
    known = [i is not None and o is not None for i, o in zip(prices.input, prices.output, strict=True)]
    return PriceList(
        base=base,
        above=above,
        threshold=threshold,
        known=np.array(known, np.bool_),
        dearest=(max(float(t.most.max()) for t in tiers), max(float(t.output.max()) for t in tiers)),
        least_threshold=float(threshold.min()),
    )


def _column(values: tuple[int | None, ...], default: Float) -> Float:
    """What a tier leaves open is as below it, and a cache read without a price is an input."""
    return np.array(
        [d if v is None else v for v, d in zip(values, default.tolist(), strict=True)], np.float64
    )


def _filled(column: tuple[int | None, ...], like: Float) -> tuple[int | None, ...]:
    """A column that may be empty, with a row for every arm."""
    return column or (None,) * len(like)


def _over(above: tuple[int | None, ...], below: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return tuple(b if a is None else a for a, b in zip(above, below, strict=True))


def _most(into: Float, write: tuple[int | None, ...], hour: tuple[int | None, ...]) -> Float:
    """What the dearest token of a prompt costs; a write without a price of its own is an input."""
    dearest: Float = np.maximum(into, np.maximum(_column(write, into), _column(hour, into)))
    return dearest


def _tier(suffix: str, into: Float, read: Float, out: Float, ratio: Float, most: Float) -> Tier:
    tier = Tier(into, read, out, np.floor(out * ratio / FEATURE_ONE), np.maximum(into - read, 0), most)
    for name, values in zip(Tier._fields, tier, strict=True):
        if values.min() < 0 or values.max() > MAX_PRICE_PICO:
            raise ConfigError(
                f"prices.{name}{suffix} lie in [{values.min():.0f}, {values.max():.0f}] pico-USD per token; "
                f"exact costs need 0 to {MAX_PRICE_PICO}"
            )
    return tier
