"""A whole comparison: every figure and difference, from finished runs, one pass.

Two runs are in memory at once, the reference's and another's of one seed, whatever the number of runs.
What is computed depends on the rounds and on nothing else: not on time, processes or the order of seeds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from sim.compare.curves import Clock, Curve, curve_of
from sim.compare.measures import (
    ALL,
    BY_GROUP,
    COMPARED,
    HITS,
    OF_CACHE,
    REGRET,
    Measure,
    Ratio,
    influence,
    measured,
)
from sim.compare.paired import Bounded, OneRun, difference, one_run, over_seeds, reduction, within_runs
from sim.compare.ranking import Ranking, rank
from sim.compare.rounds import NOBODY, Bool, Labels, Run, same_traffic
from sim.compare.student import holm

ARM_SHARE: Final = Measure(
    "arm_share", "Share", "share of first choices that went to the arm, of all requests for which something "
    "was chosen", "higher", "share",
)  # fmt: skip

Load = Callable[[str, int], Run]
"""Gives the run of a strategy and a seed."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one strategy came to.

    Attributes
    ----------
    kind, group
        `all` of everything, or a `task`, a `tenant`, an `arm` and which.
    at
        Mean over seeds with its interval.
    rounds
        Requests it is of, all seeds together.
    """

    strategy: str
    kind: str
    group: str
    measure: Measure
    at: Bounded
    rounds: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A strategy less the reference, on the same requests.

    Attributes
    ----------
    over_seeds
        The seed is the unit.
    p_holm
        Of that, adjusted over all `tests` of its `family`: the differences that are shown together.
    within
        Given these runs, clustered by session; None for a quantile.
    """

    strategy: str
    reference: str
    kind: str
    group: str
    measure: Measure
    over_seeds: Bounded
    family: str
    tests: int
    p_holm: float
    within: Bounded | None
    rounds: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that is shown.

    Attributes
    ----------
    strategies, seeds
        As they were asked for.
    reference
        Whom the differences are to.
    requests
        Of all seeds together.
    compared
        Measures whose differences are shown; those of a cache only where it answered anything.
    less
        By what share the reference's regret is less than another's, over seeds.
    """

    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    reference: str
    requests: int
    compared: tuple[Measure, ...]
    figures: tuple[Figure, ...]
    differences: tuple[Difference, ...]
    less: dict[str, Bounded]
    ranking: Ranking
    clock: Clock
    curves: dict[str, tuple[Curve, ...]]

    def figure(self, strategy: str, measure: Measure) -> Figure:
        """The figure of a strategy over everything."""
        return next(f for f in self.figures if (f.strategy, f.kind, f.measure) == (strategy, "all", measure))

    def difference(self, strategy: str, measure: Measure) -> Difference:
        """The difference of a strategy over everything."""
        return next(
            d for d in self.differences if (d.strategy, d.kind, d.measure) == (strategy, "all", measure)
        )

    def groups(self, kind: str) -> tuple[str, ...]:
        """Tasks or tenants, most requests first."""
        sizes = {f.group: f.rounds for f in self.figures if f.kind == kind}
        return tuple(sorted(sizes, key=lambda group: (-sizes[group], group)))


@dataclass(slots=True)
class _Cell:
    """One measure of one group: values by strategy and seed, and differences within runs."""

    measure: Measure
    rounds: int = 0
    values: dict[str, list[float]] = field(default_factory=dict)
    within: dict[str, list[OneRun]] = field(default_factory=dict)

    def take(self, run: Run, reference: Run, mask: Bool | None) -> None:
        """Take in one run; the reference's own first."""
        ours = measured(self.measure, run, mask)
        self.values.setdefault(run.strategy, []).append(ours)
        if run is reference:
            self.rounds += len(run) if mask is None else int(np.count_nonzero(mask))
        elif isinstance(self.measure, Ratio) and not self.measure.total:
            theirs = self.values[reference.strategy][-1]
            moved = influence(self.measure, run, mask), influence(self.measure, reference, mask)
            session = run.session if mask is None else run.session[mask]
            self.within.setdefault(run.strategy, []).append(one_run(ours, theirs, moved, session))


def compare(
    load: Load,
    strategies: Sequence[str],
    seeds: Sequence[int],
    reference: str,
    clock: Clock,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> Comparison:
    """Compare strategies on the same seeds.

    Raises
    ------
    BadRounds
        A run's rounds are no good, or two runs of a seed differ in their traffic.
    """
    cells: dict[tuple[str, str, str], _Cell] = {}
    curves: dict[str, list[Curve]] = {name: [] for name in strategies}
    arms: dict[str, list[dict[str, float]]] = {name: [] for name in strategies}
    others = [name for name in strategies if name != reference]
    requests = 0
    for number, seed in enumerate(seeds):
        base = load(reference, seed)
        requests += len(base)
        groups = _groups(base)
        for position, name in enumerate((reference, *others)):
            run = base if name == reference else load(name, seed)
            same_traffic(base, run)
            for measure in (*ALL, *OF_CACHE):
                cells.setdefault(("all", "", measure.name), _Cell(measure)).take(run, base, None)
            for kind, group, mask in groups:
                for measure in BY_GROUP:
                    cells.setdefault((kind, group, measure.name), _Cell(measure)).take(run, base, mask)
            curves[name].append(curve_of(run, clock))
            arms[name].append(_arm_shares(run))
            advance(number * len(strategies) + position + 1, len(seeds) * len(strategies))
    compared = COMPARED
    if any(share > 0.0 for shares in cells["all", "", HITS.name].values.values() for share in shares):
        compared = (*COMPARED, *OF_CACHE)
    else:
        cells = {key: cell for key, cell in cells.items() if cell.measure not in OF_CACHE}
    regrets = {name: cells["all", "", REGRET.name].values[name] for name in strategies}
    figures = [
        Figure(name, kind, group, cell.measure, over_seeds(cell.values[name]), cell.rounds)
        for (kind, group, _), cell in cells.items()
        for name in strategies
    ]
    figures += [figure for name in strategies for figure in _arm_figures(name, arms[name], requests)]
    return Comparison(
        strategies=tuple(strategies),
        seeds=tuple(seeds),
        reference=reference,
        requests=requests,
        compared=compared,
        figures=tuple(figures),
        differences=_differences(cells, compared, others, reference),
        less={name: reduction(regrets[reference], regrets[name]) for name in others},
        ranking=rank(regrets),
        clock=clock,
        curves={name: tuple(curves[name]) for name in strategies},
    )


def _groups(run: Run) -> list[tuple[str, str, Bool]]:
    def parts(kind: str, labels: Labels) -> list[tuple[str, str, Bool]]:
        return [(kind, name, labels.codes == code) for code, name in enumerate(labels.names)]

    return [*parts("task", run.task), *parts("tenant", run.tenant)]


def _differences(
    cells: dict[tuple[str, str, str], _Cell],
    compared: Sequence[Measure],
    others: Sequence[str],
    reference: str,
) -> tuple[Difference, ...]:
    """All differences; those of one family are adjusted together: a table, or one measure of a break-down."""
    families: dict[str, list[tuple[str, str, str, _Cell, Bounded]]] = {}
    for (kind, group, measure), cell in cells.items():
        if cell.measure not in compared:
            continue
        family = kind if kind == "all" else f"{kind}: {measure}"
        for name in others:
            gap = difference(cell.values[name], cell.values[reference])
            families.setdefault(family, []).append((name, kind, group, cell, gap))
    made = []
    for family, members in families.items():
        adjusted = holm([gap.p for *_, gap in members])
        for (name, kind, group, cell, gap), p_holm in zip(members, adjusted, strict=True):
            runs = cell.within.get(name)
            within = None if runs is None else within_runs(runs)
            made.append(
                Difference(
                    name,
                    reference,
                    kind,
                    group,
                    cell.measure,
                    gap,
                    family,
                    len(members),
                    p_holm,
                    within,
                    cell.rounds,
                )
            )
    return tuple(made)


def _arm_shares(run: Run) -> dict[str, float]:
    counts = np.bincount(run.arm.codes, minlength=len(run.arm.names))
    chosen = {name: int(count) for name, count in zip(run.arm.names, counts, strict=True) if name != NOBODY}
    total = sum(chosen.values())
    return {name: count / total for name, count in chosen.items()}


def _arm_figures(strategy: str, seeds: Sequence[dict[str, float]], rounds: int) -> list[Figure]:
    """Shares of arms; an arm that a seed never chose has share 0 there."""
    names = sorted({name for shares in seeds for name in shares})
    made = [
        Figure(strategy, "arm", name, ARM_SHARE, over_seeds([s.get(name, 0.0) for s in seeds]), rounds)
        for name in names
    ]
    return sorted(made, key=lambda figure: (-figure.at.value, figure.group))
