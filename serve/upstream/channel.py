"""Bytes from the task that owns an upstream call to the one consumer of its stream.

Bounded: the owner waits when the consumer is slow, and so, through TCP, does the provider. What has
gathered while the consumer was away is handed over in one piece. Both ends live on one event loop.
"""

import asyncio

LIMIT = 256 << 10


class Channel:
    """A bounded pipe with one writer and one reader."""

    __slots__ = ("_closed", "_parts", "_reader", "_size", "_writer")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._closed = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        """Whether the writer should call `room` before it reads more."""
        return self._size >= LIMIT

    def put(self, data: bytes) -> None:
        """Add bytes; never waits."""
        self._parts.append(data)
        self._size += len(data)
        _wake(self._reader)

    def close(self) -> None:
        """Say that nothing more comes."""
        self._closed = True
        _wake(self._reader)

    async def room(self) -> None:
        """Wait until the reader has taken what is there."""
        while self.full:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer

    async def get(self) -> bytes | None:
        """Everything that has gathered, waiting for some; None after the end."""
        while not self._parts:
            if self._closed:
                return None
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        parts, self._parts, self._size = self._parts, [], 0
        _wake(self._writer)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
