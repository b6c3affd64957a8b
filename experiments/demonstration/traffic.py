"""The clients' work, from the driver's side: hand out the plan, show progress, collect the records."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.demonstration.client import Record
from experiments.demonstration.figures import read_records
from experiments.demonstration.plan import MODES, Session
from experiments.demonstration.processes import House, ProcessFailed
from experiments.demonstration.world import Folder, World

CONCURRENCY: Final = 12
"""Sessions under way at once, over all client processes."""

LOOK_S: Final = 0.2
LINE_S: Final = 5.0
"""Seconds between two lines of progress where there is no terminal to draw on."""


class Told(Protocol):
    """How progress is shown."""

    def __call__(self, done: dict[str, int]) -> None:
        """Show requests done so far, by mode."""


def send(
    house: House,
    world: World,
    folder: Folder,
    sessions: tuple[Session, ...],
    workers: int,
    max_seconds: float,
    console: Console,
) -> list[Record]:
    """Run the whole plan through `workers` client processes; a record per request.

    Raises
    ------
    ProcessFailed
        A process ended badly, or time ran out.
    """
    folder.client.mkdir(exist_ok=True)
    outs, clients = [], []
    for worker in range(workers):
        plan, out = folder.client / f"plan-{worker}.json", folder.client / f"records-{worker}.jsonl"
        plan.write_bytes(msgspec.json.encode(sessions[worker::workers]))
        options = ["--plan", plan, "--out", out, "--concurrency", max(1, CONCURRENCY // workers)]
        command = [sys.executable, "-m", "experiments.demonstration.client", *options]
        command += ["--max-seconds", max_seconds]
        clients.append(house.start(f"client-{worker}", [str(part) for part in command], world.environment()))
        outs.append(out)
    tails = [_Tail(out) for out in outs]
    with _progress(sessions, console) as told:
        while any(client.status is None for client in clients):
            time.sleep(LOOK_S)
            told(_count(tails))
            house.check()
            for child in (world.providers, world.gateway):
                if child.status is not None:
                    raise ProcessFailed(f"{child.name} stopped under traffic:\n{child.last_lines()}")
        told(_count(tails))
    house.check()
    return read_records(outs)


class _Tail:
    """Requests done, by mode, as the lines of a growing file tell."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._done: dict[str, int] = dict.fromkeys(MODES, 0)

    def look(self) -> dict[str, int]:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                fresh = file.read()
            whole = fresh[: fresh.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.splitlines():
                self._done[msgspec.json.decode(line, type=_Mode).mode] += 1
        return self._done


class _Mode(msgspec.Struct):
    mode: str


def _count(tails: list[_Tail]) -> dict[str, int]:
    looks = [tail.look() for tail in tails]
    return {mode: sum(look[mode] for look in looks) for mode in MODES}


@contextmanager
def _progress(sessions: tuple[Session, ...], console: Console) -> Iterator[Told]:
    totals = {mode: sum(len(s.asks) for s in sessions if s.mode == mode) for mode in MODES}
    if not console.is_terminal:
        yield _lines(totals, console)
        return
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        tasks = {mode: bars.add_task(mode, total=total) for mode, total in totals.items()}

        def told(done: dict[str, int]) -> None:
            for mode, task in tasks.items():
                bars.update(task, completed=done[mode])

        yield told


def _lines(totals: dict[str, int], console: Console) -> Told:
    last, before = time.monotonic(), dict[str, int]()

    def told(done: dict[str, int]) -> None:
        nonlocal last, before
        if done != before and (done == totals or time.monotonic() - last > LINE_S):
            last, before = time.monotonic(), done
            said = ", ".join(f"{mode} {done[mode]}/{totals[mode]}" for mode in MODES)
            console.print(f"  {said}", highlight=False)

    return told
