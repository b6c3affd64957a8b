"""What a worker counts of its requests, at a fraction of a microsecond each.

Rounds are counted where they pass anyhow: at the log's door, which sees every decision, end and refusal.
Labels are bounded: tenants and providers are configured, codes and outcomes are words of ours. It knows
nothing of files, ports or Prometheus.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from p402.cache.contract import EXACT, SEMANTIC
from p402.errors import StoreError
from p402.events import AnyEvent, CacheHit, Decision, Outcome, Refused
from p402.guard import anomaly, daily, scopes
from p402.ports import Log
from p402.units import nano_to_usd

Source = Callable[[], Mapping[str, float]]
"""Gives numbers by series: a metric's name, with labels if it has any. What ends in `_total` only grows."""

LAYERS: Final = {
    "RATE_LIMIT_EXCEEDED": 1,
    daily.OVER_CAP: 2,
    scopes.SESSION_OVER: 2,
    scopes.KEY_OVER: 2,
    "CONCURRENCY_LIMIT_EXCEEDED": 3,
    anomaly.CODE: 4,
    "REQUEST_COST_EXCEEDED": 5,
    daily.OVER_HELD: 6,
}
"""Refusals of the spending guard, by code, to the layer that says so."""

CODES: Final = frozenset(
    (
        *LAYERS,
        *("PROVIDER_ERROR", "PROVIDER_AUTH", "PROVIDER_TIMEOUT", "NO_PROVIDER_AVAILABLE", "INTERNAL_ERROR"),
        *("INVALID_INPUT", "MODEL_NOT_ALLOWED", "TASK_TYPE_NOT_ALLOWED", "model_not_found"),
        *("context_length_exceeded", "insufficient_quota", "content_filter"),
    )
)
"""Codes that have a series of their own; any other is counted as `other`."""

REQUEST_MS: Final = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000)
OVERHEAD_MS: Final = (0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000)


class Histogram:
    """How many values lay where; bounds are the most of each bucket, in ms."""

    __slots__ = ("_bounds", "_counts", "_sum_ms")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum_ms = 0.0

    def observe(self, ms: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, ms)] += 1
        self._sum_ms += ms

    def series(self, name: str) -> dict[str, float]:
        """Cumulative counts, in seconds."""
        found: dict[str, float] = {}
        total = 0
        for bound, count in zip((*self._bounds, None), tuple(self._counts), strict=True):
            total += count
            found[f'{name}_bucket{{le="{"+Inf" if bound is None else f"{bound / 1_000:g}"}"}}'] = total
        return found | {f"{name}_sum": self._sum_ms / 1_000, f"{name}_count": total}


class Meter:
    """Counts of one worker since its start. Any thread may `collect` while the event loop counts.

    Parameters
    ----------
    tenants
        Stand at 0 from the start: a rate can only be taken of what was there before.
    """

    def __init__(self, tenants: Iterable[str] = ()) -> None:
        self._sent = self._ended = self._unlogged = self._unpriced = 0
        self._ends: defaultdict[tuple[str, str | None], int] = defaultdict(int, {("ok", None): 0})
        self._refusals: dict[str, int] = dict.fromkeys(LAYERS, 0)
        self._hits: dict[str, int] = dict.fromkeys((EXACT, SEMANTIC), 0)
        self._attempts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._answers: defaultdict[int, int] = defaultdict(int)
        self._anomalies: defaultdict[str, int] = defaultdict(int, dict.fromkeys(tenants, 0))
        self._cost_nano: defaultdict[str, int] = defaultdict(int, dict.fromkeys(tenants, 0))
        self._request = Histogram(REQUEST_MS)
        self._overhead = Histogram(OVERHEAD_MS)

    def answered(self, status: int) -> None:
        """Count an answer on the wire, whatever came before it."""
        self._answers[status] += 1

    def sent(self) -> None:
        """Count a round that has begun."""
        self._sent += 1

    def refused(self, row: Refused) -> None:
        """Count a request that was turned away before anything was sent."""
        code = row.code
        self._ends["refused", code if code in CODES else "other"] += 1
        if code in self._refusals:
            self._refusals[code] += 1

    def hit(self, row: CacheHit) -> None:
        """Count a request that the cache answered."""
        self._ends["cached", None] += 1
        self._hits[row.tier] += 1
        self._request.observe(row.latency_ms)
        self._overhead.observe(row.latency_ms)

    def unlogged(self) -> None:
        """Count a row that the log would not take."""
        self._unlogged += 1

    def ended(self, row: Outcome) -> None:
        """Count the end of a round."""
        self._ended += 1
        code = row.code
        self._ends[row.status, code if code is None or code in CODES else "other"] += 1
        if row.cost_nano is None:
            self._unpriced += 1
        else:
            self._cost_nano[row.tenant] += row.cost_nano
        if row.anomaly_z is not None:
            self._anomalies[row.tenant] += 1
        for attempt in row.attempts:
            self._attempts[attempt.arm.partition("/")[0], attempt.status] += 1
        self._request.observe(row.latency_ms)
        self._overhead.observe(row.overhead_ms)

    def collect(self) -> dict[str, float]:
        """Every number of now. Copies are made in one step each, so no count is torn."""
        found: dict[str, float] = {}
        ended = self._ended
        found["p402_in_flight"] = max(0, self._sent - ended)
        for (status, code), count in dict(self._ends).items():
            found[f'p402_requests_total{{outcome="{status}",code="{code or ""}"}}'] = count
        for code, count in dict(self._refusals).items():
            found[f'p402_guard_refusals_total{{layer="{LAYERS[code]}",code="{code}"}}'] = count
        for tier, count in dict(self._hits).items():
            found[f'p402_cache_hits_total{{tier="{tier}"}}'] = count
        for (provider, status), count in dict(self._attempts).items():
            found[f'p402_attempts_total{{provider="{provider}",status="{status}"}}'] = count
        for http_status, count in dict(self._answers).items():
            found[f'p402_http_answers_total{{status="{http_status}"}}'] = count
        for tenant, count in dict(self._anomalies).items():
            found[f'p402_anomalies_total{{tenant="{tenant}"}}'] = count
        for tenant, cost_nano in dict(self._cost_nano).items():
            found[f'p402_cost_usd_total{{tenant="{tenant}"}}'] = nano_to_usd(cost_nano)
        found["p402_unpriced_total"] = self._unpriced
        found["p402_log_refusals_total"] = self._unlogged
        return (
            found
            | self._request.series("p402_request_seconds")
            | self._overhead.series("p402_overhead_seconds")
        )


class MeteredLog:
    """A log whose rows are counted as they pass."""

    def __init__(self, log: Log, meter: Meter) -> None:
        self._log = log
        self._meter = meter

    def append(self, event: AnyEvent) -> None:
        """Hand one event on, and count it; a round has ended even if the log would not take its end."""
        meter = self._meter
        try:
            self._log.append(event)
        except StoreError:
            meter.unlogged()
            if isinstance(event, Outcome):
                meter.ended(event)
            raise
        match event:
            case Decision():
                meter.sent()
            case Outcome():
                meter.ended(event)
            case Refused():
                meter.refused(event)
            case CacheHit():
                meter.hit(event)
            case _:
                pass
