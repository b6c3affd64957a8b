"""Price, failure, latency and prompt cache of one simulated provider: functions of its spec.

Uniform draws in [0, 1), counts and seconds are arguments.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist

from p402.units import PicoUsd, pico_per_token
from sim.providers.spec import Failure, SimModel, SimProvider

_NORMAL = NormalDist()
_CACHE_BLOCK = 16  # tokens; real prompt caches also count in blocks
_CACHE_LEAST = 64  # tokens; shorter prefixes are not cached


@dataclass(frozen=True, slots=True)
class Prices:
    """What a provider takes for a model, in 1e-12 USD per token of each class."""

    input: PicoUsd
    output: PicoUsd
    cache_read: PicoUsd | None


def prices_of(provider: SimProvider, model: SimModel, *, drifted: bool) -> Prices:
    """Prices per token of a model at a provider, before or after its drift."""
    factor = provider.price_factor
    if drifted and provider.drift is not None:
        factor *= provider.drift.price_factor
    paid = model.input_usd_per_mtok * factor
    reuse = provider.cache_read_factor
    return Prices(
        pico_per_token(paid),
        pico_per_token(model.output_usd_per_mtok * factor),
        None if reuse is None else pico_per_token(paid * reuse),
    )


def list_price(usd_per_mtok: Decimal, provider: SimProvider) -> Decimal:
    """USD per million tokens that a provider asks, before any drift, for what lists at `usd_per_mtok`."""
    return (usd_per_mtok * provider.price_factor).normalize()


def drifted_of(provider: SimProvider, served: int) -> bool:
    """Whether the provider has changed by the time it has taken `served` requests."""
    return provider.drift is not None and served >= provider.drift.after_requests


def failure_of(provider: SimProvider, elapsed_s: float, u: float) -> Failure | None:
    """How a request ends badly, or None: an outage goes before the draw `u`."""
    if any(o.start_s <= elapsed_s < o.end_s for o in provider.outages):
        return Failure.UNAVAILABLE
    for kind, rate in provider.failures.items():
        if u < rate:
            return kind
        u -= rate
    return None


def ttft_ms_of(provider: SimProvider, u_ttft: float, u_tail: float) -> float:
    """Milliseconds to the first token, without any thinking."""
    law = provider.latency
    deviation = _NORMAL.inv_cdf(min(max(u_ttft, 1e-9), 1 - 1e-9))
    factor = law.tail_factor if u_tail < law.tail_rate else 1.0
    return law.ttft_ms * math.exp(law.spread * deviation) * factor


def cached_of(provider: SimProvider, warm_bytes: int, prompt_tokens: int) -> int:
    """Prompt tokens served from the provider's prompt cache: whole blocks, never all of them."""
    if provider.cache_read_factor is None:
        return 0
    warm = min(warm_bytes // 4, prompt_tokens - 1) // _CACHE_BLOCK * _CACHE_BLOCK
    return warm if warm >= _CACHE_LEAST else 0
