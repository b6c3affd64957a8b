"""A comparison from nothing: play what is not yet finished, compare, write everything down.

What plays a job is an argument, a function that other processes can import; the world's is in `played`.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from sim.compare.comparison import Comparison, compare
from sim.compare.curves import Clock
from sim.compare.doubts import doubts
from sim.compare.job import Job
from sim.compare.kept import is_kept, keep, load, prepare, remove, write_parquet, write_text
from sim.compare.page import page
from sim.compare.plots import plots
from sim.compare.pool import run_all
from sim.compare.report import document, paired_table, summary_table
from sim.compare.rounds import SCHEMA, Run, run_of
from sim.compare.setting import Setting
from sim.shown import Advance

Play = Callable[[Job], pa.Table]
"""Plays a run; a function of a module, as other processes import it by name."""

Bar = Callable[[str], AbstractContextManager[Advance]]


@dataclass(frozen=True, slots=True)
class Made:
    """What was made.

    Attributes
    ----------
    document
        The text of `summary.json`.
    played
        How many runs were not there yet.
    """

    result: Comparison
    doubts: tuple[str, ...]
    document: str
    played: int


def play(out: Path, jobs: Sequence[Job], work: Play, processes: int, bar: Bar, *, force: bool = False) -> int:
    """Play the runs that are not finished; how many those were.

    Raises
    ------
    P402Error
        The folder cannot be written to, or a run failed; what is finished is kept.
    """
    prepare(out)
    if force:
        for job in jobs:
            remove(out, job)
    missing = [job for job in jobs if not is_kept(out, job)]
    if missing:
        finished = len(jobs) - len(missing)
        with bar("runs") as advance:
            advance(finished, len(jobs))

            def done(_: Job) -> None:
                nonlocal finished
                finished += 1
                advance(finished, len(jobs))

            run_all(missing, partial(_one, out, work), processes, done)
    return len(missing)


def _one(out: Path, work: Play, job: Job) -> None:
    """In another process: play one run, and keep it if a comparison can be made of it."""
    table = work(job)
    run_of(table, job.strategy, job.seed)
    keep(out, job, table)


def conclude(
    out: Path, jobs: Sequence[Job], reference: str, setting: Setting, command: str, bar: Bar, played: int = 0
) -> Made:
    """Compare finished runs and write everything that is shown."""
    strategies = tuple(dict.fromkeys(job.strategy for job in jobs))
    seeds = tuple(dict.fromkeys(job.seed for job in jobs))
    known = {(job.strategy, job.seed): job for job in jobs}

    def loaded(strategy: str, seed: int) -> Run:
        return run_of(load(out, known[strategy, seed], SCHEMA.names), strategy, seed)

    last_ms = max(int(max(load(out, job, ("t_ms",))["t_ms"].to_pylist())) for job in jobs)
    clock = Clock(setting.start_ms, max(last_ms, setting.start_ms + 1))
    with bar("comparing") as advance:
        result = compare(loaded, strategies, seeds, reference, clock, advance)
    found = doubts(result)
    drawn = tuple(plots(result, setting))
    text = document(result, setting, found, command)
    write_parquet(out / "summary.parquet", summary_table(result))
    write_parquet(out / "paired.parquet", paired_table(result))
    write_text(out / "summary.json", text)
    for plot in drawn:
        write_text(out / f"{plot.name}.svg", plot.svg)
    write_text(out / "report.html", page(result, setting, drawn, found, command))
    return Made(result, found, text, played)
