"""How an import of another system's log looks: tables for people, plain values for programs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console, RenderableType
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from p402.store.imported.values import usd
from p402.store.imported.write import Imports
from p402.units import nano_to_usd

SHOWN = 10
"""Models in the table; all are in the JSON."""

WIDEST = 80
"""Letters of a name that are shown."""

EVERY = 500
"""Rows between two looks at the clock of the progress line."""


@contextmanager
def counting() -> Iterator[Callable[[int], None]]:
    """A line on stderr that says how many rows were read, where that is a terminal."""
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.completed:,.0f} rows read")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=None)

        def advance(rows: int) -> None:
            if rows % EVERY == 0:
                progress.update(task, completed=rows)

        yield advance


def as_json(found: Imports) -> str:
    """One JSON document; money in whole nano-USD, and in USD beside it."""
    plain = msgspec.to_builtins(found) | {"cost_usd": nano_to_usd(found.cost_nano)}
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()


def tables(found: Imports, log: Path) -> Iterator[RenderableType]:
    """What became of the rows, and which models the new calls name."""
    where = f"would go into {log}" if found.dry_run else f"into {log}"
    table = Table(title=Text(f"{found.source} for tenant {found.tenant}, {where}"), title_justify="left")
    table.add_column("rows")
    table.add_column("count", justify="right", no_wrap=True)
    rows = {
        "read": found.rows,
        "new calls": found.imported,
        "calls that the log had": found.known,
        "calls that the files repeat": found.repeated,
        "new scores": found.rewards,
        "scores that the log had": found.rewards_known,
        "scores of no call that is known": found.unplaced,
        **{f"skipped: {what}": count for what, count in found.skipped.most_common()},
        "damaged": found.damaged,
    }
    for name, count in rows.items():
        if count or name in {"read", "new calls", "damaged"}:
            table.add_row(Text(_name(name)), f"{count:,}")
    yield table
    if found.imported:
        yield _models(found)
        yield Text(
            "Propensity is null: no estimator takes these calls. `p402 observe --imported` re-prices them; "
            "`p402 plan` says what a causal answer needs."
        )


def _models(found: Imports) -> Table:
    table = Table(title="models of the new calls", title_justify="left")
    table.add_column("model", overflow="fold")
    table.add_column("calls", justify="right")
    table.add_column("without a price", justify="right")
    for model, count in found.models.most_common(SHOWN):
        table.add_row(Text(_name(model)), f"{count:,}", f"{found.unpriced_models[model]:,}")
    more = len(found.models) - SHOWN
    rest = f"; and {more:,} more models" if more > 0 else ""
    table.caption = f"together ${usd(found.cost_nano)}, {found.unpriced:,} calls without a price{rest}"
    return table


def _name(said: str) -> str:
    """A name from a stranger's file, short and without what a terminal would obey."""
    plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in said)
    return plain if len(plain) <= WIDEST else f"{plain[: WIDEST - 3]}..."
