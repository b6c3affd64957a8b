"""What runs have shown, a row for each fault: the worst of its seeds."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from p402.units import nano_to_usd
from tests.chaos.verdict import Account, Measured, breaches


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
    for head in ("runs", "calls", "killed", "overspend $", "of scopes $", "held $", "books - truth $",
                 "used %", "of scopes %", "meanwhile", "longest ms", "starved ms"):  # fmt: skip
        drawn.add_column(head, justify="right", no_wrap=True, min_width=len(head))
    drawn.add_column("verdict", no_wrap=True)
    for fault in dict.fromkeys(run.fault for run in runs):
        drawn.add_row(*row([run for run in runs if run.fault == fault]))
    return drawn


def row(runs: Sequence[Measured]) -> tuple[str, ...]:
    """One fault: sums of calls, the worst of everything else."""
    days, scopes = [day for run in runs for day in run.days], [of for run in runs for of in run.scopes]
    broken = sum(bool(list(breaches(run))) for run in runs)
    return (
        runs[0].fault,
        str(len(runs)),
        str(sum(run.calls for run in runs)),
        str(sum(run.killed for run in runs)),
        _usd(max(day.overspend_nano for day in days)),
        _usd(max((scope.overspend_nano for scope in scopes), default=0)),
        _usd(max(of.most_held_nano for of in (*days, *scopes))),
        _span([of.off_nano for of in (*days, *scopes)]),
        _used(days),
        _used(scopes),
        str(min(run.during for run in runs)),
        str(max(run.longest_ms for run in runs)),
        str(max(run.longest_raw_ms - run.longest_ms for run in runs)),
        f"BREACH in {broken}" if broken else "kept",
    )


def _used(accounts: Iterable[Account]) -> str:
    return f"{100 * min((of.used for of in accounts if of.binds), default=0):.2f}"


def _usd(nano: int) -> str:
    return f"{nano_to_usd(nano):.6f}" if nano else "0"


def _span(nano: Sequence[int]) -> str:
    least, most = min(nano), max(nano)
    return _usd(least) if least == most else f"{_usd(least)} .. {_usd(most)}"
