"""Strategies played over the same orders of a table's prompts, and how much they differ.

Every strategy sees, for a seed, the same prompts in the same order under the same request ids, so that
differences are taken in pairs. Intervals are over seeds: orders, draws and which answers are judged. The
prompts are the table's; other prompts may be otherwise. It knows no table in particular.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import sqrt
from typing import Final

import numpy as np

from p402.errors import P402Error
from p402.evaluation.intervals import student_quantile
from sim.strategies.baselines import OneArm
from sim.strategies.drawn import Batched
from sim.strategies.policy import PolicyStrategy
from sim.table.courses import Feedback, Field, course_of
from sim.table.curve import GRID, Curve, Point, curve_of, singles_of
from sim.table.play import play
from sim.table.regret import Worth, Yardsticks, cumulative, worth_of

MODE: Final = "full information: measured outcomes of every arm"
"""What every report of a table says of itself; a log's says off-policy."""

HINDSIGHT: Final = "best-single-hindsight"
"""The one arm that is best over the prompts played: known only afterwards."""

FEW_SEEDS: Final = 6


class BadTableQuestion(P402Error):
    """The options do not say a comparison that can be made."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds with its 95 % interval (Student's t)."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Standing:
    """One strategy.

    Attributes
    ----------
    worth
        Means of `Worth`'s figures, by name.
    behind
        Utility of the first strategy less this one's, paired by seed; None for the first itself.
    regret_over_time
        Rounds, and mean regret summed up to there.
    curve
        None where no sweep was asked for.
    """

    name: str
    worth: Mapping[str, Mean]
    behind: Mean | None
    regret_over_time: tuple[tuple[int, float], ...]
    curve: Curve | None


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of it.

    Attributes
    ----------
    mode
        `MODE`.
    dropped
        Prompts of the file left out for an outcome they lack.
    weights
        Quality and cost weight.
    singles, zero_router
        Every single model's point, and the curve of mixing them.
    """

    mode: str
    table: str
    source: str
    licence: str
    prompts: int
    dropped: int
    arms: tuple[str, ...]
    seeds: int
    weights: tuple[float, float]
    feedback: Feedback
    cold: bool
    standings: tuple[Standing, ...]
    singles: tuple[Point, ...]
    zero_router: Curve
    warnings: tuple[str, ...]


def compare(
    field: Field,
    factories: Mapping[str, Callable[[], Batched]],
    *,
    seeds: int = 10,
    weights: tuple[float, float] = (0.5, 0.5),
    feedback: Feedback | None = None,
    rounds: int | None = None,
    sweep: bool = True,
    cold: bool = False,
    prompts: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Compared:
    """Play every strategy, the first being what the others are compared with.

    Parameters
    ----------
    sweep
        Whether to draw quality-cost curves, at nine cost weights of one seed each.

    Raises
    ------
    BadTableQuestion
        No strategy, or fewer than two seeds.
    sim.strategies.policy.BadPolicy
        A policy gave what is no probability.
    """
    if not factories or seeds < 2:
        raise BadTableQuestion(
            f"found {len(factories)} policies and {seeds} seeds; expected 1 policy and 2 seeds at least"
        )
    feedback = feedback or Feedback()
    per_sweep = len(GRID) if sweep else 0
    total, done = len(factories) * (seeds + per_sweep), 0
    worths: dict[str, list[Worth]] = {name: [] for name in [*factories, HINDSIGHT]}
    over_time: dict[str, list[list[tuple[int, float]]]] = {name: [] for name in worths}
    for seed in range(seeds):
        seeded = course_of(field, seed, weights, feedback, rounds, prompts=prompts)
        yardsticks = Yardsticks.of(field.utility(weights)[seeded.row])
        best = field.arms[yardsticks.single]
        runs: dict[str, Batched] = {name: make() for name, make in factories.items()}
        runs[HINDSIGHT] = PolicyStrategy(HINDSIGHT, OneArm(best))
        for name, strategy in runs.items():
            played = play(strategy, seeded.course, progress=_within(progress, done, total))
            course = seeded.course
            worths[name].append(worth_of(played.probabilities, course.quality, course.cost_usd, yardsticks))
            over_time[name].append(cumulative(played.probabilities, yardsticks))
            done += name in factories
            progress(done, total)
    curves: dict[str, Curve] = {}
    used = course_of(field, 0, weights, feedback, rounds).row
    singles = singles_of(field.models, field.quality[used], field.cost_usd[used])
    for name, make in factories.items() if sweep else ():
        points = []
        for share in GRID:
            points.append(_point(field, make(), (1.0 - share, share), feedback, rounds, prompts=prompts))
            done += 1
            progress(done, total)
        curves[name] = curve_of(points, singles)
    first = next(iter(factories))
    return Compared(
        mode=MODE,
        table=field.name,
        source=field.table.source,
        licence=field.table.licence,
        prompts=len(used),
        dropped=field.dropped,
        arms=field.arms,
        seeds=seeds,
        weights=weights,
        feedback=feedback,
        cold=cold,
        standings=tuple(
            Standing(
                name=name,
                worth={f.name: mean_of([getattr(w, f.name) for w in worths[name]]) for f in fields(Worth)},
                behind=None if name == first else _behind(worths[first], worths[name]),
                regret_over_time=_averaged(over_time[name]),
                curve=curves.get(name),
            )
            for name in worths
        ),
        singles=singles,
        zero_router=curve_of(singles, singles),
        warnings=_warnings(seeds, field),
    )


def mean_of(values: Sequence[float], alpha: float = 0.05) -> Mean:
    """Mean of two or more values and its interval by Student's t."""
    n = len(values)
    array = np.array(values, np.float64)
    centre = float(np.add.reduce(array) / n)
    spread = sqrt(float(np.add.reduce((array - centre) ** 2)) / (n - 1) / n)
    reach = student_quantile(1.0 - alpha / 2.0, n - 1) * spread
    return Mean(centre, centre - reach, centre + reach)


def _point(
    field: Field,
    strategy: Batched,
    weights: tuple[float, float],
    feedback: Feedback,
    rounds: int | None,
    *,
    prompts: bool,
) -> Point:
    seeded = course_of(field, 0, weights, feedback, rounds, prompts=prompts)
    yardsticks = Yardsticks.of(field.utility(weights)[seeded.row])
    played = play(strategy, seeded.course)
    worth = worth_of(played.probabilities, seeded.course.quality, seeded.course.cost_usd, yardsticks)
    return Point(f"cost weight {weights[1]:g}", worth.cost_usd, worth.quality)


def _behind(first: Sequence[Worth], other: Sequence[Worth]) -> Mean:
    return mean_of([a.utility - b.utility for a, b in zip(first, other, strict=True)])


def _averaged(runs: Sequence[Sequence[tuple[int, float]]]) -> tuple[tuple[int, float], ...]:
    """Mean over runs of equal length, point by point."""
    values = np.array([[total for _, total in run] for run in runs])
    means = np.add.reduce(values, axis=0) / len(runs)
    return tuple((at, float(m)) for (at, _), m in zip(runs[0], means, strict=True))


def _within(progress: Callable[[int, int], None], done: int, total: int) -> Callable[[int, int], None]:
    """Progress stands still within a run, but the run's end is told by who runs it."""
    return lambda _rows, _of: progress(done, total)


def _warnings(seeds: int, field: Field) -> tuple[str, ...]:
    found = []
    if seeds < FEW_SEEDS:
        found.append(
            f"few_seeds: {seeds}; expected {FEW_SEEDS} or more: the intervals are too short for fewer"
        )
    if field.dropped:
        found.append(f"incomplete: {field.dropped} prompts lacked a model's outcome and were left out")
    return tuple(found)
