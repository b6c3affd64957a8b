"""Bytes from the owner of an upstream call to the one consumer of its stream.

Bounded: a full channel is its owner's sign to pause the connection, and so, through TCP, the provider.
What has gathered while the consumer was away is handed over in one piece. Both ends live on one event
loop.
"""

import asyncio
from collections.abc import Callable

LIMIT = 256 << 10


class Channel:
    """A bounded pipe with one writer and one reader.

    Parameters
    ----------
    taken
        Called when the reader has taken what was there.
    """

    __slots__ = ("_closed", "_parts", "_reader", "_size", "_taken")

    def __init__(self, taken: Callable[[], None]) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._closed = False
        self._reader: asyncio.Future[None] | None = None
        self._taken = taken

    @property
    def full(self) -> bool:
        """Whether the writer should pause its source."""
        return self._size >= LIMIT

    def put(self, data: bytes) -> None:
        """Add bytes; never waits."""
        self._parts.append(data)
        self._size += len(data)
        self._wake()

    def close(self) -> None:
        """Say that nothing more comes."""
        self._closed = True
        self._wake()

    async def get(self) -> bytes | None:
        """Everything that has gathered, waiting for some; None after the end."""
        while not self._parts:
            if self._closed:
                return None
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        parts, self._parts, self._size = self._parts, [], 0
        self._taken()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
