"""Real time and real chance: the gateway's `Clock`."""

import os
import time
from typing import Final

_BYTES: Final = 10
_DRAWS: Final = 256
"""Draws for each call of the operating system, which costs more than all else of a request's id."""


class SystemClock:
    """The operating system's clocks and its random source. Threads and forked processes may share it."""

    def __init__(self) -> None:
        self._drawn: list[int] = []
        self._owner = os.getpid()

    def now_ms(self) -> int:
        """Wall time in ms since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        """Monotonic time in ms."""
        return time.perf_counter_ns() / 1_000_000

    def random_bits(self) -> int:
        """80 random bits, given to nobody else."""
        if self._owner != os.getpid():  # a fork must not repeat what its parent draws
            self._owner, self._drawn = os.getpid(), []
        try:
            return self._drawn.pop()
        except IndexError:
            data = os.urandom(_BYTES * _DRAWS)
            fresh = [int.from_bytes(data[at : at + _BYTES]) for at in range(0, len(data), _BYTES)]
            self._drawn = fresh
            return fresh.pop()
