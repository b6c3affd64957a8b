"""Who takes an hour: one learner, however many run, and another if that one died.

A tick is a small file named after its UTC hour. It is created by who takes the hour, beaten while
the work goes on, and closed as done or failed. A tick that is not beaten for a while belongs to a
dead process and is taken over; one that failed is tried again, a few times. All looks and changes
happen under one lock that ends with its holder. Time is an argument. It knows nothing of learning.
"""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from p402.errors import StoreError
from p402.store.atomic import store_error, write_atomic

HOUR_MS: Final = 3_600_000
STALE_MS: Final = 10 * 60_000
"""A tick without a beat for so long is a dead learner's."""

MAX_TRIES: Final = 3


class LeaseLost(StoreError):
    """Another learner took the hour over; this one must publish nothing."""


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """What a tick's file says.

    Attributes
    ----------
    holder
        Host, process and a number: who took it.
    taken_ms, beat_ms
        When it was taken, and when last heard of.
    state
        `running`, `done`, `failed` (may be tried again) or `released` (stopped on request).
    tries
        How often the hour was begun.
    note
        What came of it.
    """

    holder: str
    taken_ms: int
    beat_ms: int
    state: Literal["running", "done", "failed", "released"]
    tries: int
    note: str = ""


@dataclass(slots=True)
class Lease:
    """An hour that was taken. `beat` while working; close with `finish`, `fail` or `release`."""

    ticks: "Ticks"
    hour_ms: int
    tick: Tick

    def beat(self) -> None:
        """Say that the holder lives; `LeaseLost` if another one holds the hour by now."""
        self._put(msgspec.structs.replace(self.tick, beat_ms=self.ticks.now_ms()))

    def finish(self, note: str) -> None:
        """Close the hour: nobody takes it again."""
        self._put(msgspec.structs.replace(self.tick, state="done", beat_ms=self.ticks.now_ms(), note=note))

    def fail(self, note: str) -> None:
        """Leave the hour to another try."""
        self._put(msgspec.structs.replace(self.tick, state="failed", beat_ms=self.ticks.now_ms(), note=note))

    def release(self) -> None:
        """Leave the hour as if it had not been begun."""
        tries = self.tick.tries - 1
        self._put(
            msgspec.structs.replace(self.tick, state="released", beat_ms=self.ticks.now_ms(), tries=tries)
        )

    def _put(self, tick: Tick) -> None:
        with self.ticks.alone():
            found = self.ticks.read(self.hour_ms)
            if found is None or found.holder != self.tick.holder:
                seen = "no tick" if found is None else f"holder {found.holder}"
                raise LeaseLost(
                    f"{self.ticks.path_of(self.hour_ms)}: found {seen}; expected {self.tick.holder}: "
                    f"another learner took the hour over after {self.ticks.stale_ms} ms without a beat; "
                    f"nothing more is published"
                )
            self.ticks.write(self.hour_ms, tick)
        self.tick = tick


@dataclass(frozen=True, slots=True)
class Ticks:
    """Ticks under one folder, made when absent.

    Parameters
    ----------
    root
        Folder of the ticks.
    now_ms
        Wall time in ms since 1970 UTC.
    stale_ms
        After how long without a beat an hour is taken over.
    """

    root: Path
    now_ms: Callable[[], int]
    stale_ms: int = STALE_MS

    def take(self, hour_ms: int) -> Lease | None:
        """The hour's lease; None where it is done, held by a living learner, or was tried often enough."""
        holder = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        now_ms = self.now_ms()
        with self.alone():
            found = self.read(hour_ms)
            if found is not None and not self._free(found, now_ms):
                return None
            tries = 1 if found is None else found.tries + 1
            tick = Tick(holder=holder, taken_ms=now_ms, beat_ms=now_ms, state="running", tries=tries)
            self.write(hour_ms, tick)
        return Lease(self, hour_ms, tick)

    def read(self, hour_ms: int) -> Tick | None:
        """An hour's tick; None where nobody took it, or where its file was torn."""
        path = self.path_of(hour_ms)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Tick)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        except OSError as reason:
            raise store_error(path, reason) from reason

    def write(self, hour_ms: int, tick: Tick) -> None:
        """Replace an hour's tick."""
        write_atomic(self.path_of(hour_ms), msgspec.json.encode(tick) + b"\n")

    def path_of(self, hour_ms: int) -> Path:
        """The file of an hour: `2026-11-22T21`."""
        return self.root / datetime.fromtimestamp(hour_ms / 1000, UTC).strftime("%Y-%m-%dT%H")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock under which ticks are looked at and changed."""
        path = self.root / ".lock"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as reason:
            raise store_error(path, reason) from reason
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _free(self, tick: Tick, now_ms: int) -> bool:
        match tick.state:
            case "done":
                return False
            case "released":
                return True
            case "failed":
                return tick.tries < MAX_TRIES
            case "running":
                return now_ms - tick.beat_ms >= self.stale_ms


def hour_of(now_ms: int) -> int:
    """Start of the UTC hour of an instant, ms since 1970."""
    return now_ms - now_ms % HOUR_MS
