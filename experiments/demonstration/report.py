"""How a run of the demonstration is shown: one table, as text for a terminal and as markdown.

Both are made from the same cells. It computes nothing.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from experiments.demonstration.figures import ModeFigures
from experiments.demonstration.result import Result, Switch, Valued, Weights

COLUMNS: Final = (
    "mode",
    "requests",
    "failed",
    "cost $",
    "direct $",
    "saving (95 %)",
    "quality (n)",
    "overhead p50 / p99 ms",
)
WIDTH: Final = 118


def show(result: Result, console: Console) -> None:
    """Print the table, what led to it, and where to look."""
    if not console.is_terminal:
        console.width = WIDTH
    console.print(Group(*_parts(result)))
    for name, text in _places(result):  # never wrapped, so that it can be copied
        console.print(f"[bold]{name:<16}[/] {escape(text)}", soft_wrap=True)
    for verdict in _checks(result):
        console.print(verdict, soft_wrap=True)


def markdown(result: Result) -> str:
    """The same as markdown."""
    title = (
        f"`p402 demo` of {result.at}, p402 {result.version}, seed {result.seed}: simulated providers, "
        f"real prompts, judge scores, tokens and prices; direct cost is that of {result.baseline}."
    )
    lines = [
        title,
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
        *(f"| {' | '.join(_cells(figures))} |" for figures in result.modes),
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {text} |" for name, text in _facts(result)),
    ]
    return "\n".join(lines) + "\n"


def _parts(result: Result) -> Iterator[RenderableType]:
    table = Table(title=f"P402 demo: direct cost is {result.baseline}'s", title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "mode" else "right")
    for figures in result.modes:
        table.add_row(*_cells(figures))
    yield table
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    for name, text in _facts(result):
        facts.add_row(name, escape(text))
    yield facts


def _checks(result: Result) -> Iterator[str]:
    for check in result.checks:
        if not check.passed:
            found = f"{check.name}: {check.seen}; expected {check.expected}"
            yield f"[bold red]failed:[/] {escape(found)}"
    if result.passed:
        yield f"[bold green]all {len(result.checks)} checks hold[/]"


def _cells(figures: ModeFigures) -> tuple[str, ...]:
    return (
        figures.mode,
        f"{figures.requests:,}",
        f"{figures.failed:,}",
        f"{figures.cost_usd:.4f}",
        f"{figures.direct_usd:.4f}",
        _share(figures.savings, figures.savings_lower, figures.savings_upper),
        f"{_number(figures.quality)} ({figures.judged:,})",
        f"{figures.overhead_p50_ms:.2f} / {figures.overhead_p99_ms:.2f}",
    )


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    first, last, books = result.replayed, result.replayed_at_end, result.books
    replayed = (
        f"{first.mismatched + first.unverified} of {first.rows:,} choices after the traffic, "
        f"{last.mismatched + last.unverified} of {last.rows:,} over everything ({last.snapshots} snapshots)"
    )
    kept = (
        f"{books.rounds + books.probes:,} rounds, one decision and one outcome each; "
        f"{books.hits:,} answers from the cache; {books.rewards:,} outcomes posted; "
        f"{books.differing} answers differ from the log"
    )
    yield "mismatches", replayed
    for valued in result.valued:
        yield f"policy {valued.policy}", _valued(valued)
    yield "weights before", _weights(result.weights_before)
    yield "learning", _learned(result)
    for switch in result.switches:
        yield switch.what, _switch(switch)
    yield "weights after", _weights(result.weights_after)
    again = result.repeated
    how = "answered from the cache" if again.cached else "sent on"
    cost = "cost unknown" if again.cost_usd is None else f"${again.cost_usd:.4f}"
    yield "a repeat", f"{how}: {again.second_ms:.2f} ms and {cost}, after {again.first_ms:.0f} ms"
    yield "books", kept
    yield "time", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.seconds.items())


def _places(result: Result) -> Iterator[tuple[str, str]]:
    places = result.places
    log, run = Path(places["log"]).resolve(), Path(places["markdown"]).resolve().parent
    yield "MLflow", f"{_command('mlflow')} ui --backend-store-uri {places['mlflow']}"
    yield "log", f"{_command('p402')} log stats --log {places['log']}"
    yield "replay", f"{_command('p402')} replay --verify --log {places['log']} --store {places['store']}"
    execute = f"{_command('jupyter-execute')} --output={run}/{{notebook_name}} notebooks/*.ipynb"
    yield "notebooks", f"P402_DEMO_LOG={log} {execute}"
    yield "this table", f"{places['markdown']}, {places['json']}"


def _command(name: str) -> str:
    """What runs a command of this environment from here: its name, or its path where `PATH` has it not."""
    path = Path(sys.executable).parent / name
    if shutil.which(name) == str(path):
        return name
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _valued(valued: Valued) -> str:
    dr = next(e for e in valued.estimators if e.name == "dr")
    text = (
        f"{_number(dr.value)} {_interval(dr.lower, dr.upper)} a round by DR over {valued.rounds:,} "
        f"{valued.behaviour} rounds, {_number(dr.difference, '+.4f')} "
        f"{_interval(dr.difference_lower, dr.difference_upper, '+.4f')} beside what they earned"
    )
    codes = sorted({warning.partition(":")[0] for e in valued.estimators for warning in e.warnings})
    return f"{text}; not to be believed: {', '.join(codes)}" if codes else text


def _learned(result: Result) -> str:
    learned = result.learned
    text = f"{learned.verdict}: {', '.join(learned.reasons)}"
    if learned.candidate is not None:
        quality, cost, speed = learned.candidate
        text += f"; candidate quality {quality:.2f}, cost {cost:.2f}, speed {speed:.2f}"
    if learned.difference is not None:
        least = "no lower bound" if learned.pessimistic is None else f"at least {learned.pessimistic:+.4f}"
        text += f" earns {learned.difference:+.4f} a round ({least})"
    return "; ".join((text, *learned.failed))


def _switch(switch: Switch) -> str:
    seen = "not seen in time" if switch.seconds is None else f"seen {switch.seconds:.2f} s after the command"
    return (
        f"{_weights(switch.weights)}; answers cite {switch.snapshot_after[:12]} "
        f"(before {switch.snapshot_before[:12]}), {seen}"
    )


def _weights(weights: Weights) -> str:
    forced = ", forced by an operator" if weights.forced else ""
    return (
        f"quality {weights.quality:.2f}, cost {weights.cost:.2f}, speed {weights.speed:.2f} "
        f"(version {weights.version}{forced})"
    )


def _share(value: float | None, lower: float | None, upper: float | None) -> str:
    if value is None:
        return "-"
    if lower is None or upper is None:
        return f"{value:.1%}"
    return f"{value:.1%} [{lower:.1%}, {upper:.1%}]"


def _interval(lower: float | None, upper: float | None, form: str = ".3f") -> str:
    return f"[{_number(lower, form)}, {_number(upper, form)}]"


def _number(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None else format(value, form)
