"""When patience with an upstream call ends.

One look at all calls every `TICK_S`, instead of timers of each: beginning a phase costs a sum, so that
every chunk of a stream may begin one. It knows nothing of what it interrupts.
"""

import asyncio
from collections.abc import Callable
from typing import Final

TICK_S: Final = 0.025
"""A phase ends at most this much late."""


class Watch:
    """The calls of one event loop that are under way."""

    def __init__(self) -> None:
        self._dogs: set[Watchdog] = set()
        self._next: asyncio.TimerHandle | None = None

    def begin(self, total_ms: float, interrupt: Callable[[], None]) -> "Watchdog":
        """Watch one more call.

        Parameters
        ----------
        total_ms
            For the whole call, from now.
        interrupt
            Called once on the event loop, when a phase or the whole call has lasted too long; `expired`
            names the phase by then.
        """
        loop = asyncio.get_running_loop()
        dog = Watchdog(self, loop, total_ms, interrupt)
        self._dogs.add(dog)
        if self._next is None:
            self._next = loop.call_later(TICK_S, self._look, loop)
        return dog

    def forget(self, dog: "Watchdog") -> None:
        """Watch one call no longer; idempotent."""
        self._dogs.discard(dog)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for dog in [d for d in self._dogs if d.deadline <= now]:
            dog.ring(now)
        self._next = loop.call_later(TICK_S, self._look, loop) if self._dogs else None


class Watchdog:
    """Patience with one call.

    Attributes
    ----------
    deadline
        Loop time at which the phase under way has lasted too long.
    expired
        The phase that did, or `total` for the whole call; None while there is patience.
    """

    __slots__ = ("_end", "_interrupt", "_loop", "_phase", "_watch", "deadline", "expired")

    def __init__(
        self,
        watch: Watch,
        loop: asyncio.AbstractEventLoop,
        total_ms: float,
        interrupt: Callable[[], None],
    ) -> None:
        self._watch = watch
        self._loop = loop
        self._interrupt = interrupt
        self._phase = ""
        self._end = self.deadline = loop.time() + total_ms / 1_000
        self.expired: str | None = None

    def expect(self, phase: str, within_ms: float) -> None:
        """Begin a phase that must end, or be begun anew, within `within_ms`."""
        self._phase = phase
        self.deadline = min(self._end, self._loop.time() + within_ms / 1_000)

    def rest(self) -> None:
        """Wait for ourselves, not for the provider: only the whole call's limit holds."""
        self._phase = ""
        self.deadline = self._end

    def stop(self) -> None:
        """Never ring again."""
        self._watch.forget(self)

    def ring(self, now: float) -> None:
        """Say that patience has ended."""
        self._watch.forget(self)
        self.expired = self._phase if now < self._end else "total"
        self._interrupt()
