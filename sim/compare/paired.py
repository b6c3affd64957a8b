"""The difference of two strategies on the same traffic, and how sure it is, in two ways.

- Over seeds: the seed is the unit. Each seed gives one difference; the interval is Student's over them.
  It speaks about another run of this world, its luck and what the strategy learns from it included.
- Within runs: sessions are the unit, given these seeds. It speaks about which requests came and takes
  as given what each strategy happened to learn, so it is no evidence about another run.

It knows nothing of tables, plots or names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt
from typing import Final

import numpy as np

from p402.evaluation.intervals import clustered_stderr, normal
from sim.compare.rounds import Float, Int
from sim.compare.student import two_sided

ALPHA: Final = 0.05

ROUNDING: Final = 1e-12
"""Two figures whose relative difference is below this are equal: the rest is the order of sums."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """A number with its 95 % interval.

    Attributes
    ----------
    value, lower, upper
        nan and infinite where nothing is known.
    p
        Two-sided p-value of 0; nan where nothing is known.
    units
        Independent units: seeds, or sessions.
    """

    value: float
    lower: float
    upper: float
    p: float
    units: int

    @property
    def negated(self) -> "Bounded":
        """The same of the opposite sign."""
        return Bounded(-self.value, -self.upper, -self.lower, self.p, self.units)


UNKNOWN: Final = Bounded(nan, -inf, inf, nan, 0)


def over_seeds(values: Sequence[float]) -> Bounded:
    """The mean of one number for each seed, with Student's interval; seeds that have nan are left out."""
    given = np.array([v for v in values if isfinite(v)], dtype=np.float64)
    if len(given) == 0:
        return UNKNOWN
    given = np.sort(given)  # so that the order in which seeds were named moves no bit
    mean = float(np.add.reduce(given)) / len(given)
    stderr, units = clustered_stderr(given - mean, np.arange(len(given), dtype=np.int64))
    return _bounded(mean, stderr, units)


def difference(ours: Sequence[float], reference: Sequence[float]) -> Bounded:
    """Ours less the reference's, paired by seed; a seed without either is left out."""
    return over_seeds([_less(a, b) for a, b in zip(ours, reference, strict=True)])


def reduction(ours: Sequence[float], reference: Sequence[float]) -> Bounded:
    """By what share ours is less than the reference's, `1 - ours / reference`, paired by seed."""
    return over_seeds([1.0 - a / b if b > 0.0 else nan for a, b in zip(ours, reference, strict=True)])


@dataclass(frozen=True, slots=True)
class OneRun:
    """A difference within one run.

    Attributes
    ----------
    gap
        Ours less the reference's.
    stderr
        Clustered by session.
    sessions
        How many clusters.
    """

    gap: float
    stderr: float
    sessions: int


def one_run(ours: float, reference: float, influences: tuple[Float, Float], session: Int) -> OneRun:
    """The difference on one seed, from (n,) influences of both on the same requests, round by round."""
    stderr, sessions = clustered_stderr(influences[0] - influences[1], session)
    return OneRun(_less(ours, reference), stderr, sessions)


def within_runs(runs: Sequence[OneRun]) -> Bounded:
    """The mean difference over runs, given these runs; runs without one are left out."""
    known = [run for run in runs if isfinite(run.gap)]
    if not known:
        return UNKNOWN
    mean = float(np.add.reduce(np.sort([run.gap for run in known]))) / len(known)
    square = float(np.add.reduce(np.sort([run.stderr**2 for run in known])))
    units = sum(run.sessions for run in known)
    return _bounded(mean, sqrt(square) / len(known), units, freedom=units - len(known))


def _less(ours: float, reference: float) -> float:
    gap = ours - reference
    return 0.0 if abs(gap) <= ROUNDING * max(abs(ours), abs(reference)) else gap


def _bounded(value: float, stderr: float, units: int, freedom: int | None = None) -> Bounded:
    if units < 2 or not isfinite(stderr):
        return Bounded(value, -inf, inf, nan, units)
    freedom = units - 1 if freedom is None else freedom
    interval = normal(value, stderr, freedom + 1, ALPHA)
    statistic = value / stderr if stderr > 0.0 else 0.0 if value == 0.0 else inf
    return Bounded(value, interval.lower, interval.upper, two_sided(statistic, freedom), units)
