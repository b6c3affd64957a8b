"""What the log holds, what it weighs, how to hand it on, and how to take others' in: `p402 log`.

It only asks `p402.store` and prints; it decides nothing.
"""

import sys
import time
from pathlib import Path
from typing import Annotated

import duckdb
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from p402.commands import import_text
from p402.errors import P402Error, StoreError
from p402.store import manifest as manifests
from p402.store.catalog import load_catalog
from p402.store.compactor import compact as run_compactor
from p402.store.export import export_rounds
from p402.store.imported.write import FORMATS, import_files
from p402.store.reader import connect, tail_bytes
from p402.store.schema import SCHEMAS
from p402.store.segments import LIVE, QUARANTINE, SEALED
from p402.store.settled import require_log
from p402.store.task_head import load_head

MIB = 1 << 20
GOAL_MIB = 1024
"""Parquet and components per million rounds, at most."""

_HOLDS = """
WITH held AS (
    SELECT tenant, bound_nano IS NOT NULL AS predicted, coalesce(bound_nano - hold_nano, 0) AS freed,
           greatest(coalesce(cost_nano + fee_nano, 0) - hold_nano, 0) AS over
    FROM outcomes WHERE hold_nano IS NOT NULL
)
SELECT tenant, predicted, count(*), count(*) FILTER (over > 0), sum(over), max(over), sum(freed)
FROM held GROUP BY tenant, predicted ORDER BY tenant, predicted
"""

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Compact, measure, export and import the traffic log."
)
LogFolder = Annotated[Path, typer.Option("--log", help="Folder that the gateway writes.")]
DEFAULT_LOG = Path("var/p402/log")


@app.command()
def compact(
    log: LogFolder = DEFAULT_LOG,
    *,
    live: Annotated[bool, typer.Option("--live", help="Ask running gateways to seal first.")] = False,
) -> None:
    """Take sealed segments into Parquet."""
    done = run_compactor(log, include_live=live)
    if not done.ran:
        print("another compactor is at work on this log; nothing to do here")
        return
    print(f"{done.segments} segments, {done.events} events -> {done.parts} Parquet files")
    if done.torn or done.malformed:
        print(f"{done.torn} torn and {done.malformed} malformed lines are kept in {log / QUARANTINE}")
    print(f"dataset {done.digest}")


@app.command()
def stats(log: LogFolder = DEFAULT_LOG) -> None:
    """Count rounds, outcomes, rewards and failures, by mode and arm."""
    console = Console()
    with connect(log) as con:
        console.print(_totals(con, log))
        for by in ("mode", "arm"):
            console.print(_groups(con, by))
    console.print(f"dataset {manifests.load(log).digest}", soft_wrap=True, highlight=False)


@app.command()
def holds(log: LogFolder = DEFAULT_LOG) -> None:
    """Count calls by how they were held, and what cost more than its hold."""
    with connect(log) as con:
        Console().print(_holds(con, log))


@app.command()
def du(
    log: LogFolder = DEFAULT_LOG,
    store: Annotated[Path | None, typer.Option("--store", help="Snapshot store to weigh as well.")] = None,
) -> None:
    """Bytes on disk, and bytes per million rounds by kind."""
    require_log(log)
    Console().print(_weights(log, store))


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="A .duckdb, .parquet or .csv file.")],
    log: LogFolder = DEFAULT_LOG,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write the `rounds` view to one file."""
    print(f"{export_rounds(log, out, force=force)} rounds -> {out}")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Exports: JSON lines, JSON or CSV, plain or .gz.")],
    source: Annotated[str, typer.Option("--format", help=f"Whose they are: {', '.join(FORMATS)}.")],
    log: LogFolder = DEFAULT_LOG,
    *,
    tenant: Annotated[str, typer.Option(help="Tenant that the calls are booked under.")] = "imported",
    keep_prompts: Annotated[
        bool, typer.Option("--keep-prompts", help="Keep the messages themselves, not only what they show.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only; write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Take calls that another system logged into the log, each once however often it is asked.

    They have no propensity: no estimator takes them. `p402 observe --imported` re-prices them. Exit status 1
    where a line could not be read; the others are in the log.
    """
    with import_text.counting() as progress:
        found = import_files(
            files,
            source,
            log,
            tenant,
            load_catalog(),
            load_head(),
            lambda: time.time_ns() // 1_000_000,
            keep_prompts=keep_prompts,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        print(import_text.as_json(found))
    else:
        for part in import_text.tables(found, log):
            Console(highlight=False).print(part)
    for damage in found.damages:
        print(f"{damage.path}:{damage.line}: {damage.why}", file=sys.stderr)
    if found.damaged > len(found.damages):
        print(
            f"and {found.damaged - len(found.damages):,} more lines that could not be read", file=sys.stderr
        )
    if found.damaged:
        raise typer.Exit(1)


def main(argv: list[str]) -> int:
    """Run `p402 log` with `argv`; 0 when it did what it was asked."""
    try:
        app(args=argv, prog_name="p402 log")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except P402Error as error:
        print(f"p402 log: {error}", file=sys.stderr)
        return 1
    return 0


def _table(first: str, *numbers: str, title: str) -> Table:
    table = Table(title=Text(title))
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _totals(con: duckdb.DuckDBPyConnection, log: Path) -> Table:
    manifest = manifests.load(log)
    torn, malformed = con.execute(
        "SELECT coalesce(sum(torn), 0), coalesce(sum(malformed), 0) FROM skipped_lines"
    ).fetchall()[0]
    table = _table("in the log", "count", title=f"log {log}")
    counts = {
        "rounds": "SELECT count(*) FROM decisions",
        "without outcome": "SELECT count(*) FROM rounds WHERE status IS NULL",
        "outcomes": "SELECT count(*) FROM outcomes",
        "failures": "SELECT count(*) FROM outcomes WHERE status = 'failed'",
        "failover choices": "SELECT count(*) FROM attempts",
        "rewards": "SELECT count(*) FROM rewards",
        "refusals": "SELECT count(*) FROM refusals",
        "answers from the cache": "SELECT count(*) FROM cache_hits",
        "imported calls": "SELECT count(*) FROM imported",
    }
    for label, query in counts.items():
        table.add_row(label, str(con.execute(query).fetchall()[0][0]))
    table.add_row("torn lines, quarantined", str(manifest.torn))
    table.add_row("malformed lines, quarantined", str(manifest.malformed))
    table.add_row("torn lines, not compacted", str(torn))
    table.add_row("malformed lines, not compacted", str(malformed))
    return table


def _groups(con: duckdb.DuckDBPyConnection, by: str) -> Table:
    table = _table(by, "rounds", "outcomes", "failures", "rewarded", "cost USD", title=f"by {by}")
    rows = con.execute(
        f"SELECT {by}, count(*), count(status), count(*) FILTER (status = 'failed'), "  # noqa: S608 - our words
        f"count(*) FILTER (n_rewards > 0), sum(cost_nano) FROM rounds GROUP BY {by} ORDER BY 2 DESC, 1"
    ).fetchall()
    for name, rounds, outcomes, failures, rewarded, cost in rows:
        usd = "" if cost is None else f"{cost / 1e9:.6f}"
        table.add_row(Text(name or "(none)"), str(rounds), str(outcomes), str(failures), str(rewarded), usd)
    return table


def _holds(con: duckdb.DuckDBPyConnection, log: Path) -> Table:
    table = _table(
        "tenant", "held", "calls", "over", "share", "sum $", "most $", "freed $", title=f"holds of {log}"
    )
    rows = con.execute(_HOLDS).fetchall()
    for tenant, predicted, calls, over, total, most, freed in rows:
        table.add_row(
            Text(tenant),
            "p99.9" if predicted else "strict",
            f"{calls:,}",
            f"{over:,}",
            f"{over / calls:.3%}",
            *(f"{nano / 1e9:.6f}" for nano in (total, most, freed)),
        )
    table.caption = (
        "over: calls that cost more than was held for them, by how much in all and at most; "
        "freed: what strict holds would have taken beside"
        if rows
        else "no outcome of this log tells what was held for it"
    )
    return table


def _weights(log: Path, store: Path | None) -> Table:
    manifest = manifests.load(log)
    compacted = sum(part.rows for part in manifest.of_kind("decision"))
    tail, tail_rounds = tail_bytes(log)
    rounds = compacted + tail_rounds
    jsonl = {kind: manifest.jsonl_bytes.get(kind, 0) + tail.get(kind, 0) for kind in SCHEMAS}
    parquet = {kind: sum(part.size_bytes for part in manifest.of_kind(kind)) for kind in SCHEMAS}
    table = Table(
        "kind", "JSONL MiB / M rounds", "Parquet MiB / M rounds", "Parquet bytes", title=f"log {log}"
    )
    for kind in SCHEMAS:
        table.add_row(
            kind,
            _per_million(jsonl[kind], rounds),
            _per_million(parquet[kind], compacted),
            f"{parquet[kind]:,}",
        )
    kept = sum(parquet.values())
    if store is not None:
        if not store.is_dir():
            raise StoreError(
                f"{store} is no folder; expected the snapshot store: pass its path, or leave --store out"
            )
        components = _size_of(store)
        kept += components
        table.add_row("components", "", _per_million(components, compacted), f"{components:,}")
    table.add_row(
        "all", _per_million(sum(jsonl.values()), rounds), _per_million(kept, compacted), f"{kept:,}"
    )
    folders = ", ".join(f"{name} {_size_of(log / name):,} B" for name in (LIVE, SEALED, QUARANTINE))
    table.caption = f"{rounds:,} rounds, {compacted:,} of them in Parquet; goal {GOAL_MIB} MiB; {folders}"
    return table


def _per_million(size: int, rounds: int) -> str:
    return f"{size / rounds * 1e6 / MIB:,.1f}" if rounds else "-"


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
