"""A comparison for the terminal and for programs: tables, one JSON document, two Parquet tables."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from sim.compare.comparison import Comparison, Difference, Figure
from sim.compare.measures import COST, HITS, OF_CACHE, P95, QUALITY, REGRET, SAVING
from sim.compare.numbers import interval, written
from sim.compare.paired import ALPHA, Bounded
from sim.compare.setting import Setting
from sim.shown import json_of


def tables(result: Comparison, setting: Setting, doubts: tuple[str, ...]) -> Iterator[RenderableType]:
    """Each strategy, its difference to the reference, the order, and what speaks against believing it."""
    order = tuple(reversed(result.ranking.order))
    shown = (REGRET, QUALITY, COST, SAVING, P95)
    title = (
        f"world {setting.name}, simulated: {len(result.seeds)} seeds of about "
        f"{result.requests // len(result.seeds):,} requests, {setting.arms} arms"
    )
    table = Table(title=escape(title), title_justify="left")
    table.add_column("strategy", no_wrap=True)
    for measure in shown:
        table.add_column(measure.label, justify="right", no_wrap=True)
    for name in order:
        figures = [result.figure(name, measure) for measure in shown]
        table.add_row(escape(name), *(_two_lines(f.at, f) for f in figures))
    table.caption = f"means over seeds, 95 % intervals; saving against {setting.baseline}"
    yield table
    if len(order) > 1:
        yield _differences(result, order)
    if HITS in result.compared:
        yield _of_cache(result, order)
    yield f"[bold]{escape(result.ranking.said)}[/]"
    for step in result.ranking.steps:
        holds = "[green]holds[/]" if step.shown else "[yellow]not told apart[/]"
        gap = escape(
            f"{written(step.gap.value, 'count', signed=True)} {interval(step.gap, 'count', signed=True)}"
        )
        yield f"{escape(step.worse)} -> {escape(step.better)}: regret / 1k {gap}, {holds}"
    for doubt in doubts:
        yield f"[bold yellow]{escape(doubt)}[/]"


def _of_cache(result: Comparison, order: tuple[str, ...]) -> Table:
    """What was answered from a cache: a table of its own, since the others are as wide as a terminal."""
    table = Table("strategy", title="answered from the cache", title_justify="left")
    for measure in OF_CACHE:
        table.add_column(measure.label, justify="right", no_wrap=True)
    for name in order:
        figures = [result.figure(name, measure) for measure in OF_CACHE]
        table.add_row(escape(name), *(_two_lines(f.at, f) for f in figures))
    table.caption = "of requests not refused; saved: of the direct cost"
    return table


def _differences(result: Comparison, order: tuple[str, ...]) -> Table:
    tests = next(d.tests for d in result.differences if d.kind == "all")
    title = f"less {result.reference}, paired over {len(result.seeds)} seeds"
    table = Table("strategy", title=escape(title), title_justify="left")
    shown = (REGRET, QUALITY, COST, SAVING, P95)
    for measure in shown:
        table.add_column(measure.label, justify="right", no_wrap=True)
    for name in order:
        if name != result.reference:
            table.add_row(escape(name), *(_gap(result.difference(name, measure)) for measure in shown))
    table.caption = f"bold: p below {ALPHA:g} after Holm over {tests} differences"
    return table


def _gap(gap: Difference) -> str:
    form = gap.measure.form
    number = written(gap.over_seeds.value, form, signed=True)
    text = escape(f"{number}\n{interval(gap.over_seeds, form, signed=True)}")
    return f"[bold]{text}[/]" if gap.p_holm < ALPHA else text


def _two_lines(at: Bounded, figure: Figure) -> str:
    form = figure.measure.form
    return escape(f"{written(at.value, form)}\n{interval(at, form)}")


def document(result: Comparison, setting: Setting, doubts: tuple[str, ...], command: str) -> str:
    """One JSON document; what is not finite is null."""
    plain = {
        "simulated": True,
        "world": msgspec.to_builtins(setting),
        "command": command,
        "strategies": list(result.strategies),
        "reference": result.reference,
        "seeds": list(result.seeds),
        "requests": result.requests,
        "ranking": {
            "said": result.ranking.said,
            "all_shown": result.ranking.all_shown,
            "order": list(result.ranking.order),
            "named": result.ranking.named,
            "steps": [
                {
                    "worse": step.worse, "better": step.better, "shown": step.shown,
                    "regret": _bounds(step.gap), "less": _bounds(step.less), "p_holm": step.p_holm,
                }
                for step in result.ranking.steps
            ],
        },
        "measures": {m.name: {"estimand": m.estimand, "better": m.better} for m in result.compared},
        "figures": [_figure(figure) for figure in result.figures],
        "differences": [_difference(gap) for gap in result.differences],
        "less_regret_of_reference": {name: _bounds(at) for name, at in result.less.items()},
        "doubts": list(doubts),
    }  # fmt: skip
    return json_of(plain) + "\n"


def summary_table(result: Comparison) -> pa.Table:
    """A row for each strategy, group and measure."""
    return pa.Table.from_pylist([_figure(figure) for figure in result.figures], schema=_SUMMARY)


def paired_table(result: Comparison) -> pa.Table:
    """A row for each difference."""
    return pa.Table.from_pylist([_difference(gap) for gap in result.differences], schema=_PAIRED)


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "strategy": figure.strategy,
        "kind": figure.kind,
        "group": figure.group,
        "measure": figure.measure.name,
        "estimand": figure.measure.estimand,
        **{name: value for name, value in _bounds(figure.at).items() if name != "p"},
        "seeds": figure.at.units,
        "requests": figure.rounds,
    }


def _difference(gap: Difference) -> dict[str, Any]:
    within = gap.within
    return {
        "strategy": gap.strategy,
        "reference": gap.reference,
        "kind": gap.kind,
        "group": gap.group,
        "measure": gap.measure.name,
        "estimand": f"{gap.measure.estimand}; {gap.strategy} less {gap.reference} on the same requests",
        **_bounds(gap.over_seeds),
        "p_holm": gap.p_holm,
        "family": gap.family,
        "tests": gap.tests,
        "seeds": gap.over_seeds.units,
        "within_lower": None if within is None else within.lower,
        "within_upper": None if within is None else within.upper,
        "sessions": None if within is None else within.units,
        "requests": gap.rounds,
    }


def _bounds(at: Bounded) -> dict[str, float]:
    return {name: getattr(at, name) for name in ("value", "lower", "upper", "p")}


_NAMES = [(name, pa.string()) for name in ("kind", "group", "measure", "estimand")]
_BOUNDS = [(name, pa.float64()) for name in ("value", "lower", "upper")]
_SUMMARY = pa.schema(
    [("strategy", pa.string()), *_NAMES, *_BOUNDS, ("seeds", pa.int64()), ("requests", pa.int64())]
)
_PAIRED = pa.schema(
    [
        ("strategy", pa.string()), ("reference", pa.string()), *_NAMES, *_BOUNDS, ("p", pa.float64()),
        ("p_holm", pa.float64()), ("family", pa.string()), ("tests", pa.int64()), ("seeds", pa.int64()),
        ("within_lower", pa.float64()), ("within_upper", pa.float64()), ("sessions", pa.int64()),
        ("requests", pa.int64()),
    ]
)  # fmt: skip
