"""How fast a log in Parquet becomes decided columns: a million decisions over 50 arms and over 300.

From one process, from two, and from Ray on loopback where it is installed, each in a process of its own whose
peak memory is read. All must decide the same bits, and every choice as it was logged. Beside it: what
`decide` alone took of that time, and `p402 replay --verify` over the same log, outcomes included.
"""

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.bench import written
from experiments.bench.figure import Figure
from p402.routing.decide import decide
from p402.store.manifest import load
from sim.replay.columns import names
from sim.replay.snapshots import Snapshots
from sim.replay.source import Lives, Lost, Partition, lives_of, partitions, read
from sim.spread.contract import InProcess, Processes, Ray, Workers
from sim.spread.spread import spread
from sim.spread.team import Team

ROUNDS: Final = 1_000_000
ARMS: Final = (50, 300)
WORKERS: Final[dict[str, Workers]] = {"one": InProcess(), "two": Processes(2), "ray": Ray(count=2)}
PER_CORE: Final = 500_000.0
"""Decisions a second over 50 arms."""

MOST_MIB: Final = 300.0
SPEED_UP: Final = 1.8
KIB_PER_MIB: Final = 1_024
_LOGGED: Final = ("arm", "count", "n_eligible", "n_explored")


def run() -> list[Figure]:
    """Measure in about five minutes, most of which it takes to write the logs."""
    return [figure for arms in ARMS for figure in measure(ROUNDS, arms)]


def measure(rounds: int, arms: int) -> list[Figure]:
    """Figures of a log of so many rounds."""
    with tempfile.TemporaryDirectory(prefix="p402-bench-") as folder:
        log, store = Path(folder) / "log", Path(folder) / "store"
        written.write(log, store, rounds, arms)
        named, found = f"{arms} arms", {how: measured(log, store, how) for how in _installed()}
        checked, mib = _verified(log, store)
        kept = sum(part.size_bytes for part in load(log).parts)
    one, two = found["one"], found["two"]
    gated = arms == min(ARMS) and rounds >= ROUNDS
    unlike = sum(each["unlike"] + abs(each["rows"] - rounds) for each in found.values())
    wrong = checked["mismatched"] + checked["unverified"] + abs(checked["rows"] - rounds)
    figures = [
        Figure(
            f"from Parquet to decided, {named}, one process, of CPU",
            one["rows"] / one["cpu_s"],
            "/s",
            least=PER_CORE if gated else None,
        ),
        Figure("decide alone in it, of CPU", one["rows"] / one["decide_s"], "/s"),
        Figure("one process, of wall time", one["rows"] / one["seconds"], "/s"),
        Figure("peak memory of one process", one["mib"], "MiB", most=MOST_MIB if gated else None),
        Figure("naming the pieces of a million rounds", one["named_s"] / rounds * 1e6, "s"),
        Figure("two processes, of wall time", two["rows"] / two["seconds"], "/s"),
        Figure(
            "two processes over one", one["seconds"] / two["seconds"], "", least=SPEED_UP if gated else None
        ),
    ]
    if "ray" in found:
        figures.append(
            Figure("Ray on loopback, two workers, wall time", rounds / found["ray"]["seconds"], "/s")
        )
    return [
        *(_of(named, figure) for figure in figures),
        Figure(f"{named}: choices unlike the logged ones, or missing", float(unlike), "", most=0.0),
        Figure(
            f"{named}: results other than one process's",
            float(sum(each["digest"] != one["digest"] for each in found.values())),
            "",
            most=0.0,
        ),
        Figure(f"{named}: replay --verify, {rounds:,} rounds", checked["seconds"], "s"),
        Figure(f"{named}: its peak memory", mib, "MiB"),
        Figure(
            f"{named}: what it does not confirm",
            float(wrong),
            "",
            most=0.0,
        ),
        Figure(f"{named}: log per million rounds", kept / rounds * 1e6 / (1 << 20), "MiB"),
    ]


def _of(named: str, figure: Figure) -> Figure:
    name = figure.name if named in figure.name else f"{named}: {figure.name}"
    return Figure(name, figure.value, figure.unit, figure.most, figure.least)


def _installed() -> list[str]:
    ray = find_spec("ray")
    return [how for how in WORKERS if how != "ray" or (ray is not None and ray.origin is not None)]


def measured(log: Path, store: Path, how: str) -> dict[str, Any]:
    """One measurement, in a process of its own; `mib` is the most that it, or one of its own, held."""
    code = "import sys; from experiments.bench.decided import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, str(log), str(store), how]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=900)  # noqa: S603 - our own module
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _verified(log: Path, store: Path) -> tuple[dict[str, Any], float]:
    """What `p402 replay --verify` says, and its peak memory in MiB."""
    command = [sys.executable, "-m", "p402.cli", "replay", "--verify", "--json"]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([*command, "--log", str(log), "--store", str(store)], stdout=out)  # noqa: S603
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        found: dict[str, Any] = json.loads(out.read())
    return found, used.ru_maxrss / KIB_PER_MIB


@dataclass(frozen=True, slots=True)
class Piece:
    """What came of a partition: the hash of its decided columns, and rows unlike the logged ones."""

    rows: int
    unlike: int
    digest: bytes
    decide_s: float


@cache
def _held(log: str, store: str) -> tuple[Snapshots, Lives]:
    """Snapshots and live states, which a process reads once."""
    return Snapshots(Path(store)), lives_of(Path(log))


def decided(store: str, piece: Partition) -> Piece:
    """Decide a partition's rows."""
    snapshots, lives = _held(piece.log, store)
    digest, rows, unlike, decide_s = hashlib.sha256(), 0, 0, 0.0
    for group in read(piece, _LOGGED, lives=lives):
        if isinstance(group, Lost):
            unlike += len(group)
            continue
        snapshot = snapshots.get(group.snapshot)
        batch = group.batch(snapshot)
        began = time.process_time()
        made = decide(snapshot, batch)
        decide_s += time.process_time() - began
        off = names(group.table.column("arm")).onto(snapshot.index, -2) != made.arm
        for name in _LOGGED[1:]:
            off |= group.table.column(name).to_numpy() != getattr(made, name)
        unlike += int(np.count_nonzero(off))
        rows += len(group)
        for column in (made.arm, made.count, made.incumbent, made.n_eligible, made.n_explored):
            digest.update(column.data)
    return Piece(rows, unlike, digest.digest(), decide_s)


def _ready(_piece: Partition) -> int:
    """Nothing: a worker that has done it is there, with this module in it."""
    return os.getpid()


def _main(log: str, store: str, how: str) -> dict[str, Any]:
    began = time.process_time()
    pieces = partitions(Path(log))
    named_s = time.process_time() - began
    with Team(WORKERS[how]) as team:
        for _ in spread(_ready, pieces, team):
            pass
        cpu_s, began = time.process_time(), time.perf_counter()
        found = list(spread(partial(decided, store), pieces, team))
        seconds = time.perf_counter() - began
        cpu_s = time.process_time() - cpu_s
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "rows": sum(piece.rows for piece in found),
        "unlike": sum(piece.unlike for piece in found),
        "digest": hashlib.sha256(b"".join(piece.digest for piece in found)).hexdigest(),
        "decide_s": sum(piece.decide_s for piece in found),
        "seconds": seconds,
        "cpu_s": cpu_s,
        "named_s": named_s,
        "mib": peak / KIB_PER_MIB,
    }


def main(argv: Sequence[str]) -> None:
    """Print one measurement as JSON, of a log, its store and a name of `WORKERS`."""
    log, store, how = argv
    print(json.dumps(_main(log, store, how)))
