"""Hosts and their worker processes: begun, killed by their id, frozen, and gone when the harness is.

A host is a folder, its disk, and some workers. A worker that takes another's place has a name, hence a
journal and request ids, of its own.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from tests.chaos.journal import now_ms
from tests.chaos.place import Orders

OPEN_S = 20.0
ROOT = Path(__file__).parents[2]


def python(module: str, argument: bytes, said: IO[bytes], **streams: int) -> subprocess.Popen[bytes]:
    """A process of ours that ends with the thread that starts it, at the latest."""
    leash = shutil.which("setpriv")
    return subprocess.Popen(
        [
            *([leash, "--pdeathsig", "KILL"] if leash else []),
            sys.executable, "-m", module, argument.decode(),
        ],
        stderr=said, cwd=ROOT, **streams,
    )  # fmt: skip


@dataclass
class Worker:
    """One process, told to begin through its standard input."""

    orders: Orders
    process: subprocess.Popen[bytes] = field(repr=False)
    killed_ms: int | None = None
    frozen_ms: int | None = None

    @property
    def journal(self) -> Path:
        return Path(self.orders.journal)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.kill(self.process.pid, number)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stand still for the block."""
        self.frozen_ms = now_ms()
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def shoot(self) -> None:
        """Send the signal that nobody survives."""
        if self.alive:
            self.killed_ms = now_ms()
            self.process.kill()

    def bury(self) -> None:
        """Wait until it is gone; it counts as killed only if it was at work still."""
        if self.process.wait() == 0:
            self.killed_ms = None
        if self.process.stdin is not None:
            self.process.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        self.shoot()
        self.bury()

    def begin(self) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(b"begin\n")
            self.process.stdin.flush()
        except BrokenPipeError:  # it died; its exit code says so
            pass


@dataclass
class Crew:
    """All workers of a run, those that are gone included."""

    orders: list[Orders]
    """Of the first workers, one after another by host."""
    folder: Path
    workers: list[Worker] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def start(self, orders: Orders) -> Worker:
        """A worker, in the place of the one that had these orders before."""
        slot = orders.name.partition(".")[0]
        self._numbers[slot] = number = self._numbers.get(slot, 0) + 1
        name = f"{slot}.{number}"
        mine = msgspec.structs.replace(orders, name=name, journal=str(self.folder / f"{name}.journal"))
        with (self.folder / f"{name}.said").open("wb") as said:
            process = python("tests.chaos.worker", msgspec.json.encode(mine), said, stdin=subprocess.PIPE)
        worker = Worker(mine, process)
        self.workers.append(worker)
        return worker

    async def begin(self) -> None:
        """Start everyone, and let them begin together."""
        started = [self.start(orders) for orders in self.orders]
        end = time.monotonic() + OPEN_S
        while not all(w.journal.exists() and w.journal.stat().st_size for w in started):
            broken = [w for w in started if not w.alive]
            if broken or time.monotonic() > end:
                raise RuntimeError(f"workers did not start: {self.said(broken or started)}")
            await asyncio.sleep(0.01)
        for worker in started:
            worker.begin()

    def alive(self, host: int | None = None) -> list[Worker]:
        """Workers at work, of one host or of all."""
        return [w for w in self.workers if w.alive and host in (None, w.orders.place.host)]

    def replace(self, worker: Worker) -> None:
        """Start another in its place, which begins when it is ready."""
        self.start(worker.orders).begin()

    async def ended(self, limit_s: float) -> bool:
        """Wait until all have ended by themselves; false if some had to be killed."""
        end = time.monotonic() + limit_s
        while self.alive() and time.monotonic() < end:  # noqa: ASYNC110 - an end sets no event
            await asyncio.sleep(0.02)
        return not self.alive()

    def broken(self) -> list[Worker]:
        """Workers that ended otherwise than by our hand or with success."""
        return [w for w in self.workers if w.killed_ms is None and w.process.poll() not in (None, 0)]

    def said(self, workers: list[Worker]) -> str:
        """The end of what workers complained of."""
        texts = (w.journal.with_suffix(".said").read_text(errors="replace").strip() for w in workers)
        return " | ".join(text[-600:] for text in texts if text)

    def close(self) -> None:
        """End whoever is left."""
        for worker in self.workers:
            worker.kill()
