"""How fast a log in Parquet becomes decided columns: a million decisions over 50 arms and over 300.

From one process, from two, and from Ray on loopback where it is installed, each measurement in a process of
its own (`deciding`) whose peak memory is read. Two over one is told twice: of workers that are there before
the clock runs, and of whole runs, from a process's birth to its end. All must decide the same bits, and every
choice as it was logged. Beside it: `decide` alone, `p402 replay --verify` and `--policy` over the same log.
"""

import json
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from experiments.bench import written
from experiments.bench.deciding import ONCE, WORKERS
from experiments.bench.figure import Figure
from p402.store.manifest import load

ROUNDS: Final = 1_000_000
ARMS: Final = (50, 300)
PER_CORE: Final = 500_000.0
"""Decisions a second over 50 arms."""

MOST_MIB: Final = 300.0
SPEED_UP: Final = 1.8
_REPLAY: Final = """
import sys
from p402.cli import main
from experiments.bench.kernel import peak_mib
if __name__ == "__main__":
    main(["replay", *sys.argv[1:]])
    print(peak_mib())
"""
MAPS: Final = 3
"""Of which the fastest counts where there is a gate; elsewhere there is one."""


def run() -> list[Figure]:
    """Measure in about five minutes, most of which it takes to write the logs."""
    return [figure for arms in ARMS for figure in measure(ROUNDS, arms)]


def measure(rounds: int, arms: int) -> list[Figure]:
    """Figures of a log of so many rounds."""
    gated = arms == min(ARMS) and rounds >= ROUNDS
    maps = MAPS if gated else 1
    with tempfile.TemporaryDirectory(prefix="p402-bench-") as folder:
        log, store = Path(folder) / "log", Path(folder) / "store"
        written.write(log, store, rounds, arms)
        named, found = f"{arms} arms", {how: measured(log, store, how, maps) for how in _installed()}
        cold = {how: min(whole_s(log, store, how) for _ in range(maps)) for how in ("one", "two")}
        checked, mib, _ = _replayed(log, store, "--verify")
        valued = [_replayed(log, store, "--policy", "quality", "--processes", n) for n in ("1", "2")]
        kept = sum(part.size_bytes for part in load(log).parts)
    one, two = found["one"], found["two"]
    unlike = sum(each["unlike"] + abs(each["rows"] - rounds) for each in found.values())
    wrong = checked["mismatched"] + checked["unverified"] + abs(checked["rows"] - rounds)
    figures = [
        Figure(
            f"from Parquet to decided, {named}, one process, of CPU",
            one["rows"] / one["cpu_s"],
            "/s",
            least=PER_CORE if gated else None,
        ),
        Figure("one process, of wall time", one["rows"] / one["seconds"], "/s"),
        Figure("decide alone in it, of CPU", one["rows"] / one["decide_s"], "/s"),
        Figure("decide alone in it, of wall time", one["rows"] / one["decide_wall_s"], "/s"),
        Figure("peak memory of one process", one["mib"], "MiB", most=MOST_MIB if gated else None),
        Figure("naming the pieces of a million rounds", one["named_s"] / rounds * 1e6, "s"),
        Figure("two processes, of wall time", two["rows"] / two["seconds"], "/s"),
        Figure(
            "two processes over one, workers there before the clock runs",
            one["seconds"] / two["seconds"],
            "",
            least=SPEED_UP if gated else None,
        ),
        Figure("two processes over one, from birth to end", cold["one"] / cold["two"], ""),
        Figure("CPU that two take over one's", two["cpu_s"] / one["cpu_s"], ""),
        Figure("replay --policy, one process", valued[0][2], "s"),
        Figure("replay --policy, its peak memory", valued[0][1], "MiB"),
        Figure("replay --policy, two processes over one, from birth to end", valued[0][2] / valued[1][2], ""),
    ]
    if "ray" in found:
        ray = found["ray"]["seconds"]
        figures.append(Figure("Ray on loopback, two workers, of wall time", rounds / ray, "/s"))
        figures.append(Figure("Ray over one process, workers there", one["seconds"] / ray, ""))
    return [
        *(_of(named, figure) for figure in figures),
        Figure(f"{named}: choices unlike the logged ones, or missing", float(unlike), "", most=0.0),
        Figure(
            f"{named}: results other than one process's",
            float(
                sum(each["digest"] != one["digest"] for each in found.values())
                + (valued[0][0] != valued[1][0])
            ),
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
    """Kinds of workers that there are; what is missing for Ray is said."""
    ray = find_spec("ray")
    if ray is not None and ray.origin is not None:
        return list(WORKERS)
    print(
        "Ray is not installed, so its line is left out: make ray, or pip install 'p402[ray]'", file=sys.stderr
    )
    return [how for how in WORKERS if how != "ray"]


def measured(log: Path, store: Path, how: str, maps: int) -> dict[str, Any]:
    """One measurement, in a process of its own; `mib` is the most that it, or one of its own, held."""
    found: dict[str, Any] = json.loads(_deciding(log, store, how, str(maps)).splitlines()[-1])
    return found


def whole_s(log: Path, store: Path, how: str) -> float:
    """Seconds by the clock of one run, from its birth to its end."""
    began = time.perf_counter()
    _deciding(log, store, how, ONCE)
    return time.perf_counter() - began


def _deciding(log: Path, store: Path, *rest: str) -> bytes:
    code = "import sys; from experiments.bench.deciding import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, str(log), str(store), *rest]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=900).stdout  # noqa: S603 - our own module


def _replayed(log: Path, store: Path, *asked: str) -> tuple[dict[str, Any], float, float]:
    """What `p402 replay` says, its peak memory in MiB, and its seconds from birth to end."""
    command = [sys.executable, "-c", _REPLAY, *asked, "--json", "--log", str(log), "--store", str(store)]
    began = time.perf_counter()
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, timeout=900)  # noqa: S603 - our own module
    seconds = time.perf_counter() - began
    said, _, peak = done.stdout.rstrip().rpartition(b"\n")
    found: dict[str, Any] = json.loads(said)
    return found, float(peak), seconds
