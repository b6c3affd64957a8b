"""The tables of the page: what each strategy came to, differences, break-downs and the steps of the order."""

from collections.abc import Iterator, Sequence
from html import escape
from math import isfinite
from typing import Final

from sim.compare.cells import (
    brief,
    count,
    difference,
    figure,
    heading,
    keys_of,
    measure_heading,
    strategy_heading,
    table,
    text,
    whisker,
)
from sim.compare.comparison import Comparison
from sim.compare.look import NAMES, looks
from sim.compare.measures import BY_GROUP, COST_TOTAL, REGRET, REGRET_TOTAL
from sim.compare.numbers import interval, p_value, written
from sim.compare.paired import ALPHA

MOST_GROUPS: Final = 20
"""Tasks or tenants in a table; the files have all of them."""


def figures(result: Comparison) -> Iterator[str]:
    """Every measure of every strategy."""
    order = tuple(reversed(result.ranking.order))
    yield "<h2>What each strategy came to</h2>"
    yield from table(
        f"Mean over {_seeds(result)} of each run's figure, with its 95 % interval (Student's over seeds); "
        f"{result.requests:,} requests in all for each strategy. Best first by regret.",
        ("", *order),
        (
            (measure_heading(m), *(figure(result.figure(name, m).at, m.form) for name in order))
            for m in (REGRET_TOTAL, *result.compared, COST_TOTAL)
        ),
        keys_of(result),
    )


def differences(result: Comparison) -> Iterator[str]:
    """Every other strategy less the reference."""
    others = _others(result)
    if not others:
        return
    ours = result.reference
    yield f"<h2>Differences to {escape(ours)}, on the same requests</h2>"
    yield from _forest(result, others)
    yield (
        f"<p>Below, a number is the strategy's less that of {escape(ours)}. The first interval is over "
        "seeds and speaks about another run; the second is within these runs, clustered by session, and "
        f"takes as given what each strategy happened to learn. Bold: the p-value stays below {ALPHA:g} "
        f"after Holm's adjustment over the table's {result.difference(others[0], REGRET).tests} "
        "differences.</p>"
    )
    yield from table(
        f"Paired differences to {ours}, over {_seeds(result)} and {result.requests:,} requests: mean, "
        f"interval over seeds; interval within runs; Holm's p.",
        ("", *others),
        (
            (measure_heading(m), *(difference(result.difference(name, m)) for name in others))
            for m in result.compared
        ),
        keys_of(result),
    )


def _forest(result: Comparison, others: Sequence[str]) -> Iterator[str]:
    """Regret beyond the reference's as dots and bars on one scale."""
    gaps = {name: result.difference(name, REGRET) for name in others}
    bounds = [b for d in gaps.values() for b in (d.over_seeds.lower, d.over_seeds.upper) if isfinite(b)]
    bounds += [d.over_seeds.value for d in gaps.values()]
    low, high = min(0.0, *bounds), max(0.0, *bounds)
    colours = {name: NAMES[look.colour] for name, look in looks(result.strategies, result.reference).items()}
    yield from table(
        f"Regret beyond that of {result.reference}, for each 1,000 requests, paired over {_seeds(result)}; "
        f"right of the dashed line is worse.",
        ("strategy", "on one scale", "difference", "95 % interval", "p", "p, Holm"),
        (
            (
                strategy_heading(result, name),
                whisker(gap.over_seeds, low, high, colours[name]),
                text(written(gap.over_seeds.value, "count", signed=True)),
                text(interval(gap.over_seeds, "count", signed=True)),
                text(p_value(gap.over_seeds.p)),
                text(p_value(gap.p_holm)),
            )
            for name, gap in gaps.items()
        ),
    )


def by_group(result: Comparison, kind: str) -> Iterator[str]:
    """Differences by task or tenant; nothing where there is only one."""
    groups, others = result.groups(kind), _others(result)
    if len(groups) < 2 or not others:
        return
    ours = result.reference
    at = {(d.group, d.strategy, d.measure.name): d for d in result.differences if d.kind == kind}
    own = {(f.group, f.measure.name): f for f in result.figures if (f.kind, f.strategy) == (kind, ours)}
    left = f" The {MOST_GROUPS} with most requests of {len(groups)}." if len(groups) > MOST_GROUPS else ""
    yield f"<h2>By {kind}</h2>"
    for measure in BY_GROUP:
        tests = at[groups[0], others[0], measure.name].tests
        yield from table(
            f"{measure.label}: that of {ours}, then the others' less {ours}'s; over {_seeds(result)}. "
            f"Bold: Holm's p below {ALPHA:g} over {tests} differences.{left}",
            (kind, "requests", ours, *(f"{name} less {ours}" for name in others)),
            (
                (
                    heading(group),
                    text(f"{own[group, measure.name].rounds:,}"),
                    figure(own[group, measure.name].at, measure.form),
                    *(brief(at[group, name, measure.name]) for name in others),
                )
                for group in groups[:MOST_GROUPS]
            ),
        )


def steps(result: Comparison) -> Iterator[str]:
    """Each strategy against its neighbour in the order."""
    ranking = result.ranking
    if not ranking.steps:
        return
    how = (
        "The order is the one that was named, so each step is judged by its own interval."
        if ranking.named
        else f"The order was read off the data: a step must also survive Holm over all {ranking.pairs} pairs."
    )
    yield from table(
        f"The steps of the order, worst first: regret for each 1,000 requests, paired over {_seeds(result)}. "
        f"{how}",
        ("step", "difference", "95 % interval", "less by", "95 % interval", "p", "p, Holm", "holds"),
        (
            (
                heading(f"{step.worse} → {step.better}"),
                text(written(step.gap.value, "count", signed=True)),
                text(interval(step.gap, "count", signed=True)),
                text(written(step.less.value, "share")),
                text(interval(step.less, "share")),
                text(p_value(step.gap.p)),
                text(p_value(step.p_holm)),
                text("yes" if step.shown else "no"),
            )
            for step in ranking.steps
        ),
    )


def _others(result: Comparison) -> list[str]:
    return [name for name in reversed(result.ranking.order) if name != result.reference]


def _seeds(result: Comparison) -> str:
    return count(len(result.seeds), "seed", "seeds")
