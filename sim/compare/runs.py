"""The runs of a comparison: those that are not finished yet are played, in processes.

What plays a job is an argument, a function that other processes can import; the world's is in `played`.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pyarrow as pa

from sim.compare.job import Job
from sim.compare.kept import is_kept, keep, prepare, remove
from sim.compare.pool import run_all
from sim.compare.rounds import run_of
from sim.shown import Advance

Play = Callable[[Job], pa.Table]
"""Plays a run; a function of a module, as other processes import it by name."""

Bar = Callable[[str], AbstractContextManager[Advance]]


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
