"""What is made of finished runs: a comparison, and everything that is shown of it, written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from sim.compare.comparison import Comparison, compare
from sim.compare.curves import Clock
from sim.compare.doubts import doubts
from sim.compare.job import Job
from sim.compare.kept import load, write_parquet, write_text
from sim.compare.page import page
from sim.compare.plots import plots
from sim.compare.report import document, paired_table, summary_table
from sim.compare.rounds import READ, Run, run_of
from sim.compare.runs import Bar
from sim.compare.setting import Setting


@dataclass(frozen=True, slots=True)
class Made:
    """What was made.

    Attributes
    ----------
    document
        The text of `summary.json`.
    """

    result: Comparison
    doubts: tuple[str, ...]
    document: str


def conclude(
    out: Path, jobs: Sequence[Job], reference: str, setting: Setting, command: str, bar: Bar
) -> Made:
    """Compare finished runs and write everything that is shown."""
    strategies = tuple(dict.fromkeys(job.strategy for job in jobs))
    seeds = tuple(dict.fromkeys(job.seed for job in jobs))
    known = {(job.strategy, job.seed): job for job in jobs}

    def loaded(strategy: str, seed: int) -> Run:
        return run_of(load(out, known[strategy, seed], READ), strategy, seed)

    last_ms = max(pc.max(load(out, job, ("t_ms",))["t_ms"]).as_py() for job in jobs)
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
    return Made(result, found, text)
