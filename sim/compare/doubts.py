"""What speaks against believing a comparison, in sentences: code, what was seen, what to do."""

from collections.abc import Iterator
from typing import Final

from sim.compare.comparison import Comparison
from sim.compare.measures import FAILED, HITS, REFUSED, WRONG_HITS

FEW_SEEDS: Final = 5
"""Below this Student's quantile is approximate (`p402.evaluation.intervals`) and normality is a guess."""

MANY_FAILED: Final = 0.05

REFUSALS_MATTER: Final = 0.001


def doubts(result: Comparison) -> tuple[str, ...]:
    """Everything that speaks against it; empty when nothing does."""
    return (*_seeds(result), *_refusals(result), *_failures(result), *_kept(result), *_order(result))


def _seeds(result: Comparison) -> Iterator[str]:
    if (seeds := len(result.seeds)) == 1:
        yield "few_seeds: 1 seed; no interval over seeds can be given; run at least 5, better 10"
    elif seeds < FEW_SEEDS:
        yield f"few_seeds: {seeds} seeds; intervals over seeds are too short; run at least 5, better 10"


def _refusals(result: Comparison) -> Iterator[str]:
    shares = {name: result.figure(name, REFUSED).at.value for name in result.strategies}
    most, least = max(shares, key=lambda name: shares[name]), min(shares, key=lambda name: shares[name])
    if shares[most] - shares[least] > REFUSALS_MATTER:
        yield (
            f"refusals_differ: {shares[most]:.2%} of requests were refused under {most}, {shares[least]:.2%} "
            f"under {least}; a refusal has no regret, cost or quality: look at it beside them"
        )


def _failures(result: Comparison) -> Iterator[str]:
    for name in result.strategies:
        share = result.figure(name, FAILED).at.value
        if share > MANY_FAILED:
            yield f"many_failed: {share:.1%} of requests failed under {name}; look at the world's outages"


def _kept(result: Comparison) -> Iterator[str]:
    if HITS not in result.compared:
        return
    hits, wrong = ([result.figure(n, m).at.value for n in result.strategies] for m in (HITS, WRONG_HITS))
    yield (
        f"cached: up to {max(hits):.1%} of requests were answered from the cache, up to {max(wrong):.2%} of "
        f"all with an answer to another question; regret and value know nothing of them, quality and cost do"
    )


def _order(result: Comparison) -> Iterator[str]:
    ranking = result.ranking
    if len(ranking.order) > 1 and not ranking.named:
        yield (
            f"order_found: strategies were named {', '.join(result.strategies)} and came out "
            f"{', '.join(ranking.order)}; an order read off the data must survive Holm over all "
            f"{ranking.pairs} pairs"
        )
