"""Offers as the columns of a snapshot: arms, prices of the instant, and what is believed of each.

It knows nothing of tenants or modes.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Final

from p402.assemble.offers import Offer
from p402.catalog.benchmarks import Benchmark, Prior, priors
from p402.catalog.price import prices_at
from p402.routing.features import FEATURES
from p402.routing.scale import FEATURE_ONE, param
from p402.routing.spec import TASKS, Arms, Posterior, Prices

FAST_TTFT_MS: Final = 150
USUAL_TTFT_MS: Final = 600
"""Prior time to first token with and without dedicated inference hardware: an order, no measurement."""

BENCHMARK_SD: Final = 0.05
"""How far a model's worth here may lie from its benchmark, beside the benchmark's sampling error."""

BORROWED_SHARE: Final = 0.5
"""How far a task without a score of its own follows the model's other tasks; the rest is the prior.
Scores of two tasks are related, not the same: a good coder need not be the best at sums."""

BORROWED_SD: Final = 0.15
"""How far its worth may lie from that."""

USUAL_SAMPLES: Final = 100
"""Sample size taken for a benchmark that states none."""


def arms_of(offers: Sequence[Offer]) -> Arms:
    """Who may be chosen."""
    return Arms(
        arm=tuple(o.arm for o in offers),
        provider=tuple(o.provider for o in offers),
        model=tuple(o.model for o in offers),
        family=tuple(o.deployment.family for o in offers),
        capabilities=tuple(o.capabilities for o in offers),
        context_window=tuple(o.deployment.context_window for o in offers),
        output_limit=tuple(o.deployment.output_limit for o in offers),
        simulated=tuple(o.simulated for o in offers),
    )


def prices_of(offers: Sequence[Offer], now_ms: int) -> Prices:
    """Prices in force at an instant."""
    rows = [prices_at(o, now_ms) for o in offers]
    tiers = [None if row is None else row.routing_tier() for row in rows]
    return Prices(
        input=tuple(None if row is None else row.base.input for row in rows),
        cache_read=tuple(None if row is None else row.base.cache_read for row in rows),
        output=tuple(None if row is None else row.base.output for row in rows),
        threshold=tuple(None if t is None else t.threshold for t in tiers),
        input_above=tuple(None if t is None else t.prices.input for t in tiers),
        cache_read_above=tuple(None if t is None else t.prices.cache_read for t in tiers),
        output_above=tuple(None if t is None else t.prices.output for t in tiers),
        cache_write=_any(None if row is None else row.base.cache_write for row in rows),
        cache_write_1h=_any(None if row is None else row.base.cache_write_1h for row in rows),
        cache_write_above=_any(None if t is None else t.prices.cache_write for t in tiers),
        cache_write_1h_above=_any(None if t is None else t.prices.cache_write_1h for t in tiers),
        contract=tuple(o.contract for o in offers) if any(o.contract for o in offers) else (),
    )


def _any(column: Iterable[int | None]) -> tuple[int | None, ...]:
    """A column that may be empty: it is, where nobody has anything in it."""
    found = tuple(column)
    return () if all(value is None for value in found) else found


def posterior_of(offers: Sequence[Offer], benchmarks: Sequence[Benchmark], now_ms: int) -> Posterior:
    """What is believed of each arm: its benchmarks' scores, else its family's wide prior."""
    prior = priors((o.deployment for o in offers), now_ms)
    scores: dict[str, dict[str, Benchmark]] = {}
    for benchmark in benchmarks:
        scores.setdefault(benchmark.model, {})[benchmark.task] = benchmark
    theta, sd, source = [], [], []
    for offer in offers:
        own = scores.get(offer.model, {}) | scores.get(offer.deployment.id, {}) | scores.get(offer.arm, {})
        means, sds, origin = _believed(own, prior[offer.deployment.id])
        bias = sum(means) / len(means)
        row = [param(bias), *(param(m - bias) for m in means)]
        theta.append(tuple(row + [0] * (len(FEATURES) - len(row))))
        sd.append(tuple(param(s) for s in sds))
        source.append(origin)
    return Posterior(
        features=FEATURES,
        tasks=TASKS,
        theta=tuple(theta),
        sd=tuple(sd),
        output_ratio=(FEATURE_ONE,) * len(offers),
        ttft_ms=tuple(FAST_TTFT_MS if o.fast else USUAL_TTFT_MS for o in offers),
        quality_source=tuple(source),
    )


def _believed(own: Mapping[str, Benchmark], prior: Prior) -> tuple[list[float], list[float], str]:
    """Mean and sd of an arm's quality by task, and where they come from."""
    if not own:
        return [prior.mean] * len(TASKS), [prior.sd] * len(TASKS), prior.quality_source
    others = sum(float(b.score) for b in own.values()) / len(own)
    borrowed = BORROWED_SHARE * others + (1 - BORROWED_SHARE) * prior.mean
    means, sds = [], []
    for task in TASKS:
        benchmark = own.get(task)
        if benchmark is None:
            means.append(borrowed)
            sds.append(BORROWED_SD)
            continue
        sampling = benchmark.score * (1 - benchmark.score) / (benchmark.n or USUAL_SAMPLES)
        means.append(benchmark.score)
        sds.append(sqrt(sampling + BENCHMARK_SD**2))
    return means, sds, "; ".join(sorted({b.source for b in own.values()}))
