"""`python -m experiments.bench.ope`: coverage of the printed intervals, on logs drawn from real tables.

The bundled table is always used; `P402_TABLES`, or `--tables`, names a folder of tidy Parquet tables to
use as well. Exit status: 0, 1 where fewer than 93 % of the unwarned intervals hold the truth or the on-policy
check fails, 2 on bad usage.
"""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl
from rich.console import Console

from experiments.bench.ope.coverage import TARGET, frame_of
from experiments.bench.ope.grid import LOOKED_AT, ROUNDS, looks_of, settings_of
from experiments.bench.ope.shown import (
    codes_of,
    codes_table,
    coverage_rows,
    coverage_table,
    promotion_rows,
    promotion_table,
    unbiased_rows,
    unbiased_table,
    worst_rows,
)
from experiments.bench.ope.spread import Done, Task, spread, trials_of
from p402.errors import P402Error
from p402.evaluation.estimate import ESTIMAND
from p402_datasets.tidy import NEEDED
from sim.drawn.tables import BUNDLED
from sim.shown import bar

TABLES: Final = "P402_TABLES"
TRIALS: Final = 8
LOOKS: Final = 16
MAX_Z: Final = 4.0
"""Most standard errors that the behaviour's IPS may be off on average, in any setting."""


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the bench; see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bench.ope",
        description="Share of the 95 % intervals printed without a warning that hold the exact truth.",
    )
    parser.add_argument(
        "--tables", type=Path, default=None, help=f"folder of tidy Parquet tables (default: ${TABLES})"
    )
    parser.add_argument(
        "--trials", type=int, default=TRIALS, help="logs for each setting; half of the largest"
    )
    parser.add_argument("--looks", type=int, default=LOOKS, help="logs for each setting of the gate")
    parser.add_argument("--rounds", type=int, nargs="+", default=list(ROUNDS), help="sizes of the logs")
    parser.add_argument("--seed", type=int, default=1, help="keys all chance")
    parser.add_argument("--processes", type=int, default=2, help="processes to use")
    parser.add_argument("--raw", type=Path, default=None, help="write every interval to this Parquet file")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    try:
        args = parser.parse_args(list(argv))
        if min(args.trials, args.looks, args.processes, *args.rounds) < 1:
            parser.error("trials, looks, processes and rounds: expected 1 or more")
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 2
    folder = args.tables or (Path(environ[TABLES]) if environ.get(TABLES) else None)
    try:
        tables = (BUNDLED, *tables_in(folder))
    except P402Error as error:
        Console(stderr=True, highlight=False).print(f"bench-ope: {error}", soft_wrap=True)
        return 2
    began = time.monotonic()
    sizes = tuple(args.rounds)
    tasks = [Task(s, args.seed, trials_of(s.rounds, args.trials)) for s in settings_of(tables, sizes)]
    tasks += [Task(s, args.seed, args.looks, looks=True) for s in looks_of(tables, LOOKED_AT)]
    with bar("drawing and valuing logs") as progress:
        done = spread(tasks, args.processes, progress)
    frame, looks = frame_of(done), looks_frame(done)
    if args.raw is not None:
        frame.write_parquet(args.raw)
    document = document_of(frame, looks, args.seed, time.monotonic() - began)
    if args.json:
        print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    else:
        print_all(frame, document)
    return 0 if document["ok"] else 1


def tables_in(folder: Path | None) -> list[str]:
    """Paths of the tidy full-information tables in a folder, by name; other Parquet files are passed over.

    Raises
    ------
    P402Error
        There is no such folder.
    """
    if folder is None:
        return []
    if not folder.is_dir():
        raise P402Error(
            f"{folder} is no folder; expected tidy Parquet tables in it: see experiments/bench/ope/README.md"
        )
    return [str(path) for path in sorted(folder.glob("*.parquet")) if _is_table(path)]


def _is_table(path: Path) -> bool:
    """Whether a file has prompts, models, outcomes and costs, and is not the bundled table again."""
    if path.stem.startswith(f"{BUNDLED}_k3"):
        return False
    if not {*NEEDED, "cost_usd"} <= set(pl.read_parquet_schema(path)):
        return False
    holes = pl.scan_parquet(path).select(pl.col("prompt", "cost_usd").null_count()).collect()
    return not any(holes.row(0))


def looks_frame(done: Sequence[Done]) -> pl.DataFrame:
    """One row for each look of the gate."""
    return pl.DataFrame(
        [
            {
                "behaviour": batch.task.setting.behaviour.name,
                "rounds": batch.task.setting.rounds,
                **one._asdict(),
            }
            for batch in done
            for judged in batch.judged
            for one in judged
        ]
    )


def document_of(frame: pl.DataFrame, looks: pl.DataFrame, seed: int, seconds: float) -> dict[str, Any]:
    """Every figure, as plain values."""
    coverage = coverage_rows(frame)
    unbiased = list(unbiased_rows(frame))
    whole = coverage[0]
    worst_z = max((abs(float(str(row["z"]))) for row in unbiased), default=0.0)
    return {
        "estimand": ESTIMAND,
        "seed": seed,
        "seconds": round(seconds, 1),
        "coverage": [asdict(row) for row in coverage],
        "worst": [asdict(row) for row in worst_rows(frame)],
        "warnings": [{"code": code, "intervals": n, "held": held} for code, n, held in codes_of(frame)],
        "on_policy": unbiased,
        "worst_z": worst_z,
        "promotions": promotion_rows(looks),
        "ok": whole.on_table >= TARGET and whole.on_rounds >= TARGET and worst_z <= MAX_Z,
    }


def print_all(frame: pl.DataFrame, document: Mapping[str, Any]) -> None:
    """Every table."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=150)
    rows = coverage_rows(frame)
    console.print(coverage_table("95 % intervals that were printed, and those without a warning", rows))
    console.print(coverage_table("the worst cells with 200 or more believed intervals", worst_rows(frame)))
    console.print(codes_table(frame))
    console.print(unbiased_table(document["on_policy"]))
    console.print(promotion_table(document["promotions"]))
    whole = rows[0]
    console.print(
        f"{whole.on_table:.1%} of {whole.believed:,} intervals without a warning hold the table's value "
        f"({whole.low:.1%} to {whole.high:.1%}), {whole.on_rounds:.1%} that on the rounds; expected "
        f"{TARGET:.0%}; {whole.warned:.1%} of {whole.intervals:,} were warned about. The behaviour's IPS is "
        f"{document['worst_z']:.1f} standard errors off at most; expected {MAX_Z:g}. "
        f"{document['seconds']:.0f} s, load {os.getloadavg()[0]:.1f}.",
        soft_wrap=True,
    )
