"""What all workers of a gateway have counted, by way of a small file of each.

A worker writes its numbers anew at most once a second, whole or not at all. Whoever is asked adds up the
files. Those of a worker that has died count on in what only grows, since a sum that falls would be taken for
a restart, and are left out of what is now. It knows nothing of what the numbers mean, beyond that.
"""

import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from serve.metrics.meter import Source
from serve.metrics.text import family_of, kind_of

EVERY_S: Final = 1.0
AFRESH_S: Final = 60.0
"""An unchanged file is written anew after this, lest something that tidies up takes it for forgotten."""
SHARE: Final = 100
"""Writing takes at most one in so many seconds of a worker's time, however many series it has."""

_log = logging.getLogger("p402.metrics")


class Sheet:
    """One worker's file, `PID-NAME.json` in the folder of its gateway."""

    def __init__(self, folder: Path, name: str, sources: Sequence[Source]) -> None:
        self._path = folder / f"{os.getpid()}-{name}.json"
        self._sources = sources
        self._written = b""
        self._written_at = 0.0
        self._failing = False
        self._lock = threading.Lock()  # a stop writes once more, and another thread may still be at it

    def write(self) -> float:
        """Write what has been counted, if anything has; gives the seconds to wait before the next time."""
        with self._lock:
            return self._write()

    def _write(self) -> float:
        began = time.monotonic()
        numbers: dict[str, float] = {}
        for source in self._sources:
            numbers.update(source())
        data = orjson.dumps(numbers)
        if data != self._written or began - self._written_at > AFRESH_S:
            fresh = self._path.with_suffix(".new")
            try:
                fresh.write_bytes(data)
                fresh.replace(self._path)
            except OSError as error:
                if not self._failing:
                    _log.error("metrics cannot be written to %s: %s", self._path, error.strerror)
                self._failing = True
            else:
                self._written, self._written_at, self._failing = data, began, False
        return max(EVERY_S, SHARE * (time.monotonic() - began))


class Sheets:
    """The files of one gateway's workers, for one reader."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gone: dict[str, float] = {}

    def total(self) -> dict[str, float]:
        """Every series, added up over all workers, and how many of them live."""
        total = {"p402_workers": 0.0}
        for path in sorted(self._folder.glob("*.json")):
            alive = _lives(int(path.name.partition("-")[0]))  # first: what the dead have written is final
            numbers: dict[str, float] = orjson.loads(path.read_bytes())
            if alive:
                total["p402_workers"] += 1
                _add(total, numbers)
                continue
            _add(self._gone, {s: n for s, n in numbers.items() if kind_of(family_of(s)) != "gauge"})
            path.unlink()
        _add(total, self._gone)
        return total


def _add(total: dict[str, float], numbers: dict[str, float]) -> None:
    for series, number in numbers.items():
        total[series] = total.get(series, 0) + number


def _lives(pid: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
