"""Events before the first content, kept back so that a failure among them can still go elsewhere.

It knows nothing of what events say.
"""

from typing import Final

MAX_HELD: Final = 1 << 20
"""Bytes without content that are held back before the provider is called broken."""


class Holding:
    """What is kept back until a stream commits."""

    __slots__ = ("_held", "_size")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0

    @property
    def too_much(self) -> bool:
        """Whether more is held than a provider may say without content."""
        return self._size > MAX_HELD

    def release(self, events: list[bytes], *, committed: bool) -> bytes:
        """What to hand on now: nothing before the stream commits, then all of it."""
        if not committed:
            self._held += events
            self._size += sum(map(len, events))
            return b""
        if self._held:
            events = [*self._held, *events]
            self._held, self._size = [], 0
        return events[0] if len(events) == 1 else b"".join(events)
