"""How observed rounds look: tables for people, plain values for programs. It computes nothing."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from sim.observe.value import Line, Observed
from sim.shown import minute_of


def tables(result: Observed) -> Iterator[RenderableType]:
    """Each mode beside what was paid, by task where asked for, then what speaks against believing it."""
    yield _modes(result)
    if result.by_task:
        yield _by_task(result.by_task)
    mostly = (f"{line.mode} {model} {share:.0%}" for line in result.lines for model, share in _first(line))
    yield escape(f"Mostly answered by: {', '.join(mostly)}.")
    yield "Bounds are at 95 %: which requests came, and how long other models' answers would have been."
    sources = ", ".join(dict.fromkeys(line.quality_source for line in result.lines))
    yield escape(f"Quality is model-based, not of these answers; quality_source: {sources}.")
    for warning in result.warnings:
        yield f"[bold yellow]{escape(warning)}[/]"
    for warning, modes in _warnings(result.lines).items():
        yield f"[yellow]{', '.join(modes)}[/]: {escape(warning)}"


def _first(line: Line) -> list[tuple[str, float]]:
    """The model that would answer most requests."""
    return list(line.models.items())[:1]


def _modes(result: Observed) -> Table:
    whose = "" if result.tenant is None else f" of tenant {result.tenant}"
    what = "imported calls" if result.imported else "observed rounds"
    title = f"{result.valued:,} {what}{whose}, {minute_of(result.first_ms)} to {minute_of(result.last_ms)}"
    table = Table("mode", title=escape(title), title_justify="left")
    _columns(table)
    for line in result.lines:
        table.add_row(line.mode, *_cells(line))
    called = ", ".join(f"{name} {count:,}" for name, count in list(result.called.items())[:3])
    excluded = ", ".join(f"{count:,} {why}" for why, count in result.excluded.items()) or "none"
    table.caption = escape(
        f"paid ${result.lines[0].paid_usd:,.4f} in {result.sessions:,} sessions; called {called}; "
        f"excluded: {excluded}"
    )
    return table


def _by_task(lines: Sequence[Line]) -> Table:
    table = Table(title="by task", title_justify="left")
    for name in ("mode", "task"):
        table.add_column(name, no_wrap=True)
    table.add_column("rounds", justify="right")
    table.add_column("paid $", justify="right", no_wrap=True)
    _columns(table)
    for line in lines:
        table.add_row(line.mode, line.task, f"{line.rounds:,}", f"{line.paid_usd:,.4f}", *_cells(line))
    return table


def _columns(table: Table) -> None:
    for name in ("cost $", "saving $ (95 %)", "saving (95 %)", "other model", "quality"):
        table.add_column(name, justify="right", no_wrap=True)


def _cells(line: Line) -> tuple[str, ...]:
    return (
        f"{line.cost_usd:,.4f}",
        _bounded(line.saving_usd, line.saving_lower_usd, line.saving_upper_usd, ",.4f"),
        _bounded(line.saving, line.saving_lower, line.saving_upper, ".1%"),
        f"{line.changed:.0%}",
        f"{line.quality_difference:+.3f}",
    )


def _bounded(value: float, lower: float | None, upper: float | None, form: str) -> str:
    if lower is None or upper is None:
        return rf"{value:{form}} \[unknown]"
    return rf"{value:{form}} \[{lower:{form}}, {upper:{form}}]"


def _warnings(lines: Sequence[Line]) -> dict[str, list[str]]:
    """Each warning once, with the modes that it is of."""
    found: dict[str, list[str]] = {}
    for line in lines:
        for warning in line.warnings:
            found.setdefault(warning, []).append(line.mode)
    return found
