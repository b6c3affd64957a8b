"""How fast and how reliably each provider answers: its calls as laws of time and shares of failures.

Queues, rate limits and outages are not told apart from slowness and failures at large: what a log shows of
them is in the spreads and shares, and their moments are not repeated. It knows nothing of quality.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.fit.history import Attempts, Bool, Float
from sim.fit.laws import Tail, slope_of, tailed
from sim.world.spec import Spread

FEW: Final = 30
"""Calls below which a provider is taken to be as all are together."""

HANGS: Final = frozenset({"PROVIDER_TIMEOUT"})
BUSY: Final = frozenset({"RATE_LIMIT_EXCEEDED", "insufficient_quota"})

FAILURE_PRIOR: Final = 20.0
"""Calls that the share of all providers is worth beside a provider's own."""


@dataclass(frozen=True, slots=True)
class Service:
    """One provider.

    Attributes
    ----------
    calls
        That it was seen to take.
    ttft_ms, tail, tail_factor, tokens_per_s, failures, hang_ms
        As in `sim.world.spec.ProviderSpec`.
    """

    calls: int
    ttft_ms: Spread
    tail: float
    tail_factor: float
    tokens_per_s: float
    failures: Mapping[str, float]
    hang_ms: float


def services_of(
    attempts: Attempts, providers: Sequence[str], provider_of_arm: Sequence[int]
) -> dict[str, Service]:
    """Every provider's law; of those with few calls, that of all calls together."""
    code = np.asarray(provider_of_arm, np.int64)[attempts.arm]
    everyone = _service(attempts, np.ones(len(code), np.bool_), None)
    return {name: _service(attempts, code == number, everyone) for number, name in enumerate(providers)}


def _service(attempts: Attempts, rows: Bool, all_of: Service | None) -> Service:
    fine = rows & ~attempts.failed & np.isfinite(attempts.latency_ms) & np.isfinite(attempts.output)
    failures, hang_ms = _failures(attempts, rows, all_of)
    calls = int(np.count_nonzero(rows))
    if np.count_nonzero(fine) < FEW and all_of is not None:
        return Service(
            calls, all_of.ttft_ms, all_of.tail, all_of.tail_factor, all_of.tokens_per_s, failures, hang_ms
        )
    per_token, waits = _times(attempts, fine)
    law = tailed(waits) or Tail(Spread(median=400.0), 0.0, 1.0)
    return Service(
        calls=calls,
        ttft_ms=law.body,
        tail=law.share,
        tail_factor=law.factor,
        tokens_per_s=1000.0 / per_token,
        failures=failures,
        hang_ms=hang_ms,
    )


def _times(attempts: Attempts, fine: Bool) -> tuple[float, Float]:
    """Time a token and times to the first one, ms: told by streams, else what is left over."""
    output, latency, first = attempts.output[fine], attempts.latency_ms[fine], attempts.ttfb_ms[fine]
    told = attempts.streamed[fine] & np.isfinite(first) & (first < latency)
    if np.count_nonzero(told) >= FEW:
        per_token = slope_of(output[told], (latency - first)[told])
        return max(per_token, 1e-3), np.maximum(first[told], 1.0)
    per_token = max(slope_of(output, latency), 1e-3)
    return per_token, np.maximum(latency - per_token * output, 1.0)


def _failures(attempts: Attempts, rows: Bool, all_of: Service | None) -> tuple[dict[str, float], float]:
    """Shares by kind, shrunk to everyone's, and how long a call hung."""
    seen: dict[str, list[int]] = {"error": [], "overloaded": [], "hang": [], "cut": []}
    for k in np.flatnonzero(rows & attempts.failed).tolist():
        seen[_kind(attempts.code[k], attempts.cost_nano[k])].append(k)
    calls, prior = int(np.count_nonzero(rows)), 0.0 if all_of is None else FAILURE_PRIOR
    base = {} if all_of is None else all_of.failures
    shares = {
        kind: (len(found) + prior * base.get(kind, 0.0)) / max(calls + prior, 1.0)
        for kind, found in seen.items()
    }
    hung = attempts.latency_ms[seen["hang"]]
    usual = 60_000.0 if all_of is None else all_of.hang_ms
    return (
        {kind: share for kind, share in shares.items() if share > 0.0},
        float(np.median(hung)) if hung.size else usual,
    )


def _kind(code: str, cost_nano: float) -> str:
    if code in HANGS:
        return "hang"
    if code in BUSY:
        return "overloaded"
    return "cut" if cost_nano > 0 else "error"
