"""What an exchange costs at an arm: the bound before it, the bill after it, the direct cost beside it.

Whole pico-USD per token times whole tokens, rounded up once to whole nano-USD; the same
integers give the same bill anywhere. An unknown price gives None, never 0.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from p402.routing.spec import Prices
from p402.units import PICO_PER_NANO, NanoUsd, nano_ceil

_UNBOUNDED: Final = 1 << 21
"""Tokens of output that cost nothing: more than any call may have."""


class TokenPrices(NamedTuple):
    """Pico-USD per token that hold for one call, its prompt's tier applied; logged in this order."""

    input: int
    cache_read: int
    output: int
    cache_write: int
    cache_write_1h: int


def token_prices(prices: Prices, arm: int, prompt_tokens: int) -> TokenPrices | None:
    """Prices of a call with this many prompt tokens at arm number `arm`; None where unknown.

    A class without a price of its own is priced as the wider one: a cache read or write as input, a write
    for an hour as any write.
    """
    into, read, out = prices.input[arm], prices.cache_read[arm], prices.output[arm]
    write, hour = _of(prices.cache_write, arm), _of(prices.cache_write_1h, arm)
    threshold = prices.threshold[arm]
    if threshold is not None and prompt_tokens > threshold:
        into = _or(prices.input_above[arm], into)
        read = _or(prices.cache_read_above[arm], read)
        out = _or(prices.output_above[arm], out)
        write = _or(_of(prices.cache_write_above, arm), write)
        hour = _or(_of(prices.cache_write_1h_above, arm), hour)
    if into is None or out is None:
        return None
    write = into if write is None else write
    return TokenPrices(into, into if read is None else read, out, write, write if hour is None else hour)


def _of(column: tuple[int | None, ...], arm: int) -> int | None:
    """A value of a column that may be empty."""
    return column[arm] if column else None


def _or(value: int | None, fallback: int | None) -> int | None:
    return fallback if value is None else value


def bill(
    prices: Prices, arm: int, prompt: int, cached: int, output: int, write: int = 0, write_1h: int = 0
) -> NanoUsd | None:
    """Cost in nano-USD of tokens used: see `cost_at`."""
    row = token_prices(prices, arm, prompt)
    return None if row is None else cost_at(row, prompt, cached, output, write, write_1h)


def cost_at(
    row: TokenPrices, prompt: int, cached: int, output: int, write: int = 0, write_1h: int = 0
) -> NanoUsd:
    """Cost in nano-USD of tokens used, at the prices that hold for their prompt.

    `cached` (read from the prompt cache) and `write` (written to it) are parts of `prompt`, `write_1h` is
    part of `write`, reasoning is part of `output`.
    """
    return nano_ceil(
        (prompt - cached - write) * row.input
        + cached * row.cache_read
        + (write - write_1h) * row.cache_write
        + write_1h * row.cache_write_1h
        + output * row.output
    )


def bound(prices: Prices, arm: int, prompt_bound: int, output: int) -> NanoUsd | None:
    """Most that a call of at most these tokens can cost, nano-USD; `output` counts all choices.

    No split of the prompt between uncached, cached and written tokens and no shorter prompt costs more.
    """
    row = _dearest(prices, arm, prompt_bound)
    return None if row is None else nano_ceil(prompt_bound * row.input + output * row.output)


def affordable_output(prices: Prices, arm: int, prompt_bound: int, ceiling_nano: int, choices: int) -> int:
    """Most output tokens per choice whose bound stays within the ceiling; 0 where none do."""
    row = _dearest(prices, arm, prompt_bound)
    if row is None:
        return 0
    left = ceiling_nano * PICO_PER_NANO - prompt_bound * row.input
    if left < 0:
        return 0
    return left // (row.output * choices) if row.output else _UNBOUNDED


def _dearest(prices: Prices, arm: int, prompt_bound: int) -> TokenPrices | None:
    """Prices that no prompt up to this length exceeds, whatever of it was read from a cache or written to it.

    Tiers and cache reads are dearer and cheaper, respectively, wherever they were seen; an operator's
    own prices need not be. A write is taken to be possible wherever it has a price: providers write without
    being asked to, so that nothing in a body rules it out.
    """
    below = token_prices(prices, arm, 0)
    at_bound = below if prices.threshold[arm] is None else token_prices(prices, arm, prompt_bound)
    if below is None or at_bound is None:
        return None
    into = max(_input_classes(below) + _input_classes(at_bound))
    return TokenPrices(into, into, max(below.output, at_bound.output), into, into)


def _input_classes(row: TokenPrices) -> tuple[int, ...]:
    return row.input, row.cache_read, row.cache_write, row.cache_write_1h


def dearest_input(price_pico: Sequence[int]) -> int:
    """The dearest class of a prompt's tokens in a logged price row, whose older form has no cache writes."""
    into, read, _, *writes = price_pico
    return max(into, read, *writes)


def with_fee(nano: int, fee_bps: int) -> int:
    """A cost and the platform fee on it, nano-USD."""
    return nano + fee_on(nano, fee_bps)


def fee_on(nano: int, fee_bps: int) -> int:
    """The platform fee on a cost, nano-USD, rounded up; 1 basis point is 1/10,000."""
    return -(-nano * fee_bps // 10_000)


def without_fee(nano: int, fee_bps: int) -> int:
    """Most cost that, with the fee on it, stays within an amount; nano-USD."""
    return nano * 10_000 // (10_000 + fee_bps)
