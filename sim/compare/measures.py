"""What is measured of a run, each measure with its estimand, and how each round moves it.

Most measures are a ratio of two sums over rounds, scaled: a mean, a share, a cost for each thousand
requests. A ratio has an influence for each round, so that an error clustered by session can be given.
Quantiles have none here and are compared over seeds alone. Pure: a run goes in, numbers come out.

Source: the linearised ratio is Cochran, Sampling Techniques (1977), section 6.4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Final, Literal

import numpy as np

from sim.compare.rounds import Bool, Float, Run

Form = Literal["count", "score", "share", "usd", "ms"]
"""How its numbers are written."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of a comparison.

    Attributes
    ----------
    name
        Of the column.
    label
        For people.
    estimand
        What it is, in words.
    better
        Whether less or more of it is better.
    form
        How its numbers are written.
    """

    name: str
    label: str
    estimand: str
    better: Literal["lower", "higher"]
    form: Form


@dataclass(frozen=True, slots=True)
class Ratio(Measure):
    """`scale * sum(above) / sum(below)` over a run's rounds.

    Attributes
    ----------
    parts
        (n,) above and (n,) below, both 0 for a round that does not count.
    scale
        Factor, such as 1,000 for figures of a thousand requests.
    total
        Whether it is the sum itself, for the whole run; such a measure is not compared, as the same
        measure of a thousand requests is.
    """

    parts: Callable[[Run], tuple[Float, Float]]
    scale: float = 1.0
    total: bool = False


@dataclass(frozen=True, slots=True)
class Quantile(Measure):
    """A quantile over a run's answered rounds.

    Attributes
    ----------
    values
        (n,), nan for a round that does not count.
    probability
        Which quantile, in (0, 1).
    """

    values: Callable[[Run], Float]
    probability: float


def _each(run: Run) -> Float:
    return np.ones(len(run), dtype=np.float64)


def _taken(run: Run) -> Float:
    return (~run.refused).astype(np.float64)


def _regret(run: Run) -> tuple[Float, Float]:
    return run.regret, _each(run)


def _value(run: Run) -> tuple[Float, Float]:
    chosen = ~(run.refused | run.cached)
    return np.where(chosen, run.value, 0.0), chosen.astype(np.float64)


def _quality(run: Run) -> tuple[Float, Float]:
    known = np.isfinite(run.quality) & ~run.refused
    return np.where(known, run.quality, 0.0), known.astype(np.float64)


def _cost(run: Run) -> tuple[Float, Float]:
    return run.cost_usd, _taken(run)


def _saving(run: Run) -> tuple[Float, Float]:
    known = np.isfinite(run.direct_usd) & ~run.refused
    direct = np.where(known, run.direct_usd, 0.0)
    return np.where(known, direct - run.cost_usd, 0.0), direct


def _failed(run: Run) -> tuple[Float, Float]:
    return run.failed.astype(np.float64), _taken(run)


def _refused(run: Run) -> tuple[Float, Float]:
    return run.refused.astype(np.float64), _each(run)


def _hits(run: Run) -> tuple[Float, Float]:
    return run.cached.astype(np.float64), _taken(run)


def _wrong(run: Run) -> tuple[Float, Float]:
    return run.wrong.astype(np.float64), _taken(run)


def _kept_saving(run: Run) -> tuple[Float, Float]:
    known = np.isfinite(run.direct_usd) & ~run.refused
    direct = np.where(known, run.direct_usd, 0.0)
    return np.where(run.cached, direct, 0.0), direct


def _latency(run: Run) -> Float:
    return np.where(run.ok, run.latency_ms, nan)


REGRET: Final = Ratio(
    "regret", "Regret / 1k", "expected utility lost to the best eligible arm, for each 1,000 requests; the "
    "first choice's, by the world's declared truth at that moment; a refusal loses 0, and so does a hit",
    "lower", "count", _regret, 1_000.0,
)  # fmt: skip
VALUE: Final = Ratio(
    "value", "Value", "mean expected utility of the first choice, by the world's declared truth at that "
    "moment, over requests for which something was chosen: neither refused nor answered from the cache",
    "higher", "score", _value,
)  # fmt: skip
QUALITY: Final = Ratio(
    "quality", "Quality", "mean quality that the answer realised, 0 for a failure, over requests that were "
    "not refused; after failover that of the arm that served; of a kept answer its own, and 0 where that was "
    "made for another question", "higher", "score", _quality,
)  # fmt: skip
COST: Final = Ratio(
    "cost_usd_per_1k", "Cost / 1k", "USD billed for all attempts, for each 1,000 requests that were not "
    "refused, platform fees left out",
    "lower", "usd", _cost, 1_000.0,
)  # fmt: skip
SAVING: Final = Ratio(
    "saving", "Saving", "share of the direct cost (the same exchanges at the baseline model) that was not "
    "spent, over requests whose direct cost is known: those that were answered", "higher", "share", _saving,
)  # fmt: skip
FAILED: Final = Ratio(
    "failed", "Failed", "share of requests without an answer after all attempts, of those not refused",
    "lower", "share", _failed,
)  # fmt: skip
REFUSED: Final = Ratio(
    "refused", "Refused", "share of all requests that the guard or eligibility turned away", "lower", "share",
    _refused,
)  # fmt: skip
HITS: Final = Ratio(
    "hits", "Cached", "share of requests that were answered from the cache, of those not refused", "higher",
    "share", _hits,
)  # fmt: skip
WRONG_HITS: Final = Ratio(
    "wrong_hits", "Wrong hit", "share of requests that were given a kept answer to another question, of "
    "those not refused", "lower", "share", _wrong,
)  # fmt: skip
HITS_SAVING: Final = Ratio(
    "hits_saving", "Saved by cache", "share of the direct cost that was not spent since the answer was kept: "
    "part of the saving", "higher", "share", _kept_saving,
)  # fmt: skip
P50: Final = Quantile(
    "latency_p50_ms", "p50 ms", "median time from request to last byte, failed attempts included, over "
    "answered requests", "lower", "ms", _latency, 0.5,
)  # fmt: skip
P95: Final = Quantile(
    "latency_p95_ms", "p95 ms", "95th percentile of the same", "lower", "ms", _latency, 0.95
)  # fmt: skip
REGRET_TOTAL: Final = Ratio(
    "regret_total", "Regret", "regret summed over the whole run", "lower", "count", _regret, total=True
)
COST_TOTAL: Final = Ratio(
    "cost_usd_total", "Cost", "USD billed in the whole run", "lower", "usd", _cost, total=True
)

COMPARED: Final[tuple[Measure, ...]] = (REGRET, VALUE, QUALITY, COST, SAVING, FAILED, REFUSED, P50, P95)
"""Measures whose differences are shown, in the order of columns."""

OF_CACHE: Final[tuple[Measure, ...]] = (HITS, WRONG_HITS, HITS_SAVING)
"""The same of worlds in which something was answered from a cache, beside the others."""

ALL: Final[tuple[Measure, ...]] = (*COMPARED, REGRET_TOTAL, COST_TOTAL)

BY_GROUP: Final[tuple[Ratio, ...]] = (REGRET, QUALITY, COST)
"""Measures that are broken down by task and tenant."""


def measured(measure: Measure, run: Run, mask: Bool | None = None) -> float:
    """The measure over a run's rounds, or those of a mask; nan where no round counts."""
    match measure:
        case Quantile():
            values = _kept(measure.values(run), mask)
            values = values[np.isfinite(values)]
            return float(np.quantile(values, measure.probability)) if len(values) else nan
        case Ratio():
            above, below = (_kept(part, mask) for part in measure.parts(run))
            if measure.total:
                return float(np.add.reduce(above)) * measure.scale
            weight = float(np.add.reduce(below))
            return measure.scale * float(np.add.reduce(above)) / weight if weight > 0.0 else nan
    raise TypeError(f"found {type(measure).__name__}; expected a Ratio or a Quantile")


def influence(measure: Ratio, run: Run, mask: Bool | None = None) -> Float:
    """How far each round moves a ratio from its value, (n,) or (rows of the mask,), summing to 0.

    u_i = scale * (above_i - r * below_i) / mean(below), with r = sum(above) / sum(below); the standard error
    of the ratio is that of the mean of u. All 0 where no round counts.
    """
    above, below = (_kept(part, mask) for part in measure.parts(run))
    weight = float(np.add.reduce(below))
    if weight <= 0.0:
        return np.zeros(len(above), dtype=np.float64)
    ratio = float(np.add.reduce(above)) / weight
    return measure.scale * (above - ratio * below) / (weight / len(below))


def _kept(values: Float, mask: Bool | None) -> Float:
    return values if mask is None else values[mask]
