"""When patience with an upstream call ends.

One timer for a call's whole life: moving the deadline later costs a comparison, not a new timer, so
that every chunk of a stream may move it. It knows nothing of what it interrupts.
"""

import asyncio
from collections.abc import Callable


class Watchdog:
    """Calls `interrupt` once, when a phase or the whole call has lasted too long.

    Parameters
    ----------
    total_ms
        For the whole call, from now.
    interrupt
        Called on the event loop; `expired` names the phase by then.
    """

    __slots__ = ("_deadline", "_end", "_handle", "_interrupt", "_loop", "_phase", "expired")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, total_ms: float, interrupt: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._interrupt = interrupt
        self._end = loop.time() + total_ms / 1_000
        self._deadline = self._end
        self._phase = ""
        self._handle: asyncio.TimerHandle | None = loop.call_at(self._end, self._ring)
        self.expired: str | None = None

    def expect(self, phase: str, within_ms: float) -> None:
        """Begin a phase that must end, or be begun anew, within `within_ms`."""
        self._phase = phase
        self._deadline = min(self._end, self._loop.time() + within_ms / 1_000)
        if self._handle is not None and self._deadline < self._handle.when():
            self._handle.cancel()
            self._handle = self._loop.call_at(self._deadline, self._ring)

    def rest(self) -> None:
        """Wait for ourselves, not for the provider: only the whole call's limit holds."""
        self._phase = ""
        self._deadline = self._end

    def stop(self) -> None:
        """Never ring again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        now = self._loop.time()
        if now < self._deadline:
            self._handle = self._loop.call_at(self._deadline, self._ring)
            return
        self._handle = None
        self.expired = self._phase if now < self._end else "total"
        self._interrupt()
