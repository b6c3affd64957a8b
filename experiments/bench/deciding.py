"""One measurement of `decided`: a log of Parquet decided again, by workers of one kind.

It runs in a process of its own, whose peak memory is read, and so do its workers: it imports what reading
and deciding need and nothing else.
"""

import hashlib
import json
import os
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.bench.kernel import peak_mib
from p402.routing.decide import decide
from sim.replay.columns import names
from sim.replay.snapshots import Snapshots
from sim.replay.source import Lives, Lost, Partition, lives_of, partitions, read
from sim.spread.contract import InProcess, Processes, Ray, Workers
from sim.spread.spread import spread
from sim.spread.team import Team

WORKERS: Final[dict[str, Workers]] = {"one": InProcess(), "two": Processes(2), "ray": Ray(count=2)}
ONCE: Final = "once"
"""In the place of a number of maps: the log is read once, by workers that are started for it."""

_LOGGED: Final = ("arm", "count", "n_eligible", "n_explored")


@dataclass(frozen=True, slots=True)
class Piece:
    """What came of a partition: the hash of its decided columns, rows unlike the logged ones, CPU seconds.

    `decide_s` and `decide_wall_s` are what `decide` took of it; `mib` is the most its process held so far.
    """

    rows: int
    unlike: int
    digest: bytes
    decide_s: float
    decide_wall_s: float
    cpu_s: float
    mib: float


@cache
def _held(log: str, store: str) -> tuple[Snapshots, Lives]:
    """Snapshots and live states, which a process reads once."""
    return Snapshots(Path(store)), lives_of(Path(log))


def decided(store: str, piece: Partition) -> Piece:
    """Decide a partition's rows."""
    started = time.process_time()
    snapshots, lives = _held(piece.log, store)
    digest, rows, unlike, decide_s, decide_wall_s = hashlib.sha256(), 0, 0, 0.0, 0.0
    for group in read(piece, _LOGGED, lives=lives):
        if isinstance(group, Lost):
            unlike += len(group)
            continue
        snapshot = snapshots.get(group.snapshot)
        batch = group.batch(snapshot)
        wall, cpu = time.perf_counter(), time.process_time()
        made = decide(snapshot, batch)
        decide_s += time.process_time() - cpu
        decide_wall_s += time.perf_counter() - wall
        off = names(group.table.column("arm")).onto(snapshot.index, -2) != made.arm
        for name in _LOGGED[1:]:
            off |= group.table.column(name).to_numpy() != getattr(made, name)
        unlike += int(np.count_nonzero(off))
        rows += len(group)
        for column in (made.arm, made.count, made.incumbent, made.n_eligible, made.n_explored):
            digest.update(column.data)
    cpu_s = time.process_time() - started
    return Piece(rows, unlike, digest.digest(), decide_s, decide_wall_s, cpu_s, peak_mib())


def _ready(_piece: Partition) -> int:
    """Nothing: a worker that has done it is there, with this module in it."""
    return os.getpid()


def _largest_first(log: Path) -> list[Partition]:
    """A large piece at the end would hold everybody up."""
    return sorted(partitions(log), key=lambda piece: -piece.rows)


def _warm(log: Path, store: str, how: str, maps: int) -> dict[str, Any]:
    """The fastest of some maps by workers that are there before the clock runs."""
    began = time.process_time()
    pieces = _largest_first(log)
    named_s = time.process_time() - began
    runs = []
    with Team(WORKERS[how]) as team:
        for _ in spread(_ready, pieces, team):
            pass
        for _ in range(maps):
            began = time.perf_counter()
            found = list(spread(partial(decided, store), pieces, team))
            runs.append((time.perf_counter() - began, found))
    seconds = min(seconds for seconds, _ in runs)
    found = min((found for _, found in runs), key=lambda found: sum(piece.cpu_s for piece in found))
    whole = {hashlib.sha256(b"".join(piece.digest for piece in found)).hexdigest() for _, found in runs}
    return {
        "rows": sum(piece.rows for piece in found),
        "unlike": sum(piece.unlike for piece in found),
        "digest": " ".join(sorted(whole)),
        "decide_s": sum(piece.decide_s for piece in found),
        "decide_wall_s": sum(piece.decide_wall_s for piece in found),
        "seconds": seconds,
        "cpu_s": sum(piece.cpu_s for piece in found),
        "named_s": named_s,
        "mib": max(peak_mib(), *(piece.mib for piece in found)),
    }


def _once(log: Path, store: str, how: str) -> dict[str, Any]:
    """What a single run takes, from nothing: the caller times it."""
    with Team(WORKERS[how]) as team:
        team.warm(decided)
        return {
            "rows": sum(piece.rows for piece in spread(partial(decided, store), _largest_first(log), team))
        }


def main(argv: list[str]) -> None:
    """Print one measurement as JSON, of a log, its store, a name of `WORKERS`, and how many maps."""
    log, store, how, maps = argv
    found = _once(Path(log), store, how) if maps == ONCE else _warm(Path(log), store, how, int(maps))
    print(json.dumps(found))
