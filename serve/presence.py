"""Whether the client of a request still sends its body, and then whether it still waits for the answer.

One look at all requests of a worker every `TICK_S`, instead of timers of each: most are answered before the
first look. It knows nothing of paths, bodies or answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

TICK_S: Final = 0.1
"""A client's leaving is looked for at most this much late, and the end of patience with its body seen."""


class Presences:
    """The requests of one event loop that are under way."""

    def __init__(self) -> None:
        self._under_way: set[Presence] = set()
        self._next: asyncio.TimerHandle | None = None

    def begin(self, receive: Receive) -> "Presence":
        """Look after the request of the task that calls; `end` must be called on every way out."""
        loop = asyncio.get_running_loop()
        presence = Presence(self, loop, receive)
        self._under_way.add(presence)
        if self._next is None:
            self._next = loop.call_later(TICK_S, self._look, loop)
        return presence

    def forget(self, presence: "Presence") -> None:
        """Look after one request no longer; idempotent."""
        self._under_way.discard(presence)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for presence in [p for p in self._under_way if p.due <= now]:
            self._under_way.discard(presence)
            presence.ring()
        self._next = loop.call_later(TICK_S, self._look, loop) if self._under_way else None


class Presence:
    """One request's client; it cancels the request's task when it gives the client up.

    Attributes
    ----------
    due
        Loop time at which patience with the body ends, or the client's leaving is looked for.
    left
        The client has left, and the task was cancelled for it.
    """

    __slots__ = ("_answering", "_late", "_loop", "_presences", "_receive", "_task", "_watcher", "due", "left")

    def __init__(self, presences: Presences, loop: asyncio.AbstractEventLoop, receive: Receive) -> None:
        self._presences = presences
        self._loop = loop
        self._receive = receive
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._answering = self._late = self.left = False
        self.due = 0.0

    def sends_within(self, seconds: float) -> None:
        """Expect the next of the body; at its end `patience_ended` is true of the task's cancellation."""
        self.due = self._loop.time() + seconds

    def patience_ended(self) -> bool:
        """Whether a cancellation that was caught is ours alone, for a body that stopped arriving."""
        return self._late and self._task is not None and self._task.uncancel() == 0

    def waits(self, seconds: float) -> None:
        """The body has come: after this time, begin to look for the client's leaving."""
        self._answering = True
        self.due = self._loop.time() + seconds

    def end(self) -> None:
        """Look no longer; idempotent.

        It must be called before the last of an answer is sent: servers report a finished answer as a
        disconnect too.
        """
        self._presences.forget(self)
        if self._watcher is not None:
            self._watcher.cancel()

    def ring(self) -> None:
        """Do what was due."""
        if self._answering:
            self._watcher = self._loop.create_task(self._watch())
        elif self._task is not None:
            self._late = True
            self._task.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._task is not None:
            self.left = True
            self._task.cancel()
