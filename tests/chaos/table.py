"""What runs have shown, a row for each fault: the worst of its seeds."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from p402.units import nano_to_usd
from tests.chaos.verdict import Measured, breaches


def line(run: Measured) -> str:
    """One run as it ends."""
    broken = list(breaches(run))
    return f"{run.fault:<20} seed {run.seed}  {run.calls:5d} calls  {run.seconds:5.1f} s  " + (
        f"BREACH: {'; '.join(broken)}" if broken else "kept"
    )


def table(runs: Sequence[Measured]) -> Table:
    """All faults."""
    drawn = Table(title="What a shared budget survives", title_justify="left", box=SIMPLE_HEAD)
    drawn.add_column("fault", no_wrap=True, min_width=20)
    for head in ("runs", "calls", "killed", "overspend $", "held $", "books - truth $", "used %",
                 "meanwhile", "longest ms", "starved ms"):  # fmt: skip
        drawn.add_column(head, justify="right", no_wrap=True, min_width=len(head))
    drawn.add_column("verdict", no_wrap=True)
    for fault in dict.fromkeys(run.fault for run in runs):
        drawn.add_row(*row([run for run in runs if run.fault == fault]))
    return drawn


def row(runs: Sequence[Measured]) -> tuple[str, ...]:
    """One fault: sums of calls, the worst of everything else."""
    days = [day for run in runs for day in run.days]
    broken = sum(bool(list(breaches(run))) for run in runs)
    off = [day.off_nano for day in days]
    return (
        runs[0].fault,
        str(len(runs)),
        str(sum(run.calls for run in runs)),
        str(sum(run.killed for run in runs)),
        _usd(max(day.overspend_nano for day in days)),
        _usd(max((held for day in days for held in day.held_nano), default=0)),
        _span(off),
        f"{100 * min((day.used for day in days if day.last), default=0):.2f}",
        str(min(run.during for run in runs)),
        str(max(run.longest_ms for run in runs)),
        str(max(run.longest_raw_ms - run.longest_ms for run in runs)),
        f"BREACH in {broken}" if broken else "kept",
    )


def _usd(nano: int) -> str:
    return f"{nano_to_usd(nano):.6f}" if nano else "0"


def _span(nano: Iterable[int]) -> str:
    least, most = min(nano), max(nano)
    return _usd(least) if least == most else f"{_usd(least)} .. {_usd(most)}"
