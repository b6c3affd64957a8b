"""Answers on their way to Redis: queued, sent in batches, dropped and counted where that does not help.

Nobody waits for them but a stop, for a second. It knows nothing of what is found.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from p402.cache.contract import Entry, Query, Vector
from serve.cache.failing import note_failure, note_success
from serve.cache.room import Room
from serve.cache.scripts import Place, ask_keep
from serve.redis.connect import Way
from serve.sessions.trouble import Trouble

LEAVE_S: Final = 1.0
"""How long a batch may take, and at a stop all that waits."""
WAITING: Final = 1_024
WAITING_BYTES: Final = 16 << 20
"""Answers that wait; further ones are dropped."""
BATCH: Final = 16
BATCH_BYTES: Final = 512 << 10
"""Sent in one write: a look-up behind it on the connection waits for it."""


class Note(NamedTuple):
    """An answer that waits."""

    place: Place
    query: Query
    vector: Vector | None
    entry: Entry

    @property
    def size(self) -> int:
        """Bytes, about."""
        vector, text = self.vector, self.query.text
        return len(self.entry.body) + len(text or "") + (0 if vector is None else vector.nbytes)


class Keeping:
    """One worker's queue.

    Parameters
    ----------
    way
        The way to Redis, opened when it is first asked for.
    now_ms
        The worker's wall clock, by which entries say when they end.
    """

    def __init__(
        self, way: Callable[[], Way], now_ms: Callable[[], int], max_entries: int, max_bytes: int
    ) -> None:
        self._way, self._now_ms = way, now_ms
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._trouble, self._room = Trouble(), Room()
        self._waiting: dict[tuple[str, bytes], Note] = {}
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.kept = self.dropped = 0

    def put(self, note: Note) -> None:
        """Send an answer, soon; a later one of a prompt takes the place of one that waits."""
        if note.size > self._max_bytes or note.entry.expires_ms <= self._now_ms():
            return
        key = (note.query.tenant, note.query.exact)
        self._take(key)
        if self._closed or len(self._waiting) >= WAITING or self._size + note.size > WAITING_BYTES:
            self.dropped += 1
            return
        self._waiting[key] = note
        self._size += note.size
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._leave(), name="cache")

    def forget(self, tenant: str, entry: str | None = None) -> int:
        """Send nothing that waits of a tenant, or of it one entry; gives how many those were."""
        found = [
            key
            for key, note in self._waiting.items()
            if key[0] == tenant and (entry is None or note.entry.id == entry)
        ]
        for key in found:
            self._take(key)
        return len(found)

    async def settled(self) -> None:
        """Wait until all was sent or dropped."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Send what waits, for `LEAVE_S` at most, and take no more; idempotent."""
        self._closed = True
        if self._task is not None:
            _, late = await asyncio.wait([self._task], timeout=LEAVE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self.dropped += len(self._waiting)
        self._waiting.clear()

    async def _leave(self) -> None:
        """Send all that waits, and what comes meanwhile."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                if not self._trouble.may_ask(loop.time()):
                    self.dropped += len(self._batch())
                    continue
                try:
                    async with asyncio.timeout(LEAVE_S):
                        await self._send()
                except Exception as error:  # noqa: BLE001 - whatever it is, requests go on without it
                    note_failure(self._trouble, error, "no answers are kept")
                else:
                    note_success(self._trouble, "answers are kept")
        finally:
            self._task = None

    async def _send(self) -> None:
        """Send a batch. It waits until it is written: whoever clears comes before that, or behind it."""
        way, full = self._way(), True
        try:
            full = await self._room.is_full(way, asyncio.get_running_loop().time())
        finally:
            batch = self._batch()
            self.dropped += len(batch)  # until they are kept
        if full:
            return
        calls = [
            way.call(
                *ask_keep(*note, note.entry.expires_ms - self._now_ms(), self._max_entries, self._max_bytes)
            )
            for note in batch
        ]
        for end in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(end, BaseException):
                raise end
            self.kept += 1
            self.dropped -= 1

    def _batch(self) -> list[Note]:
        batch: list[Note] = []
        size = 0
        while self._waiting and len(batch) < BATCH and size < BATCH_BYTES:
            note = self._take(next(iter(self._waiting)))
            if note is not None:
                batch.append(note)
                size += note.size
        return batch

    def _take(self, key: tuple[str, bytes]) -> Note | None:
        note = self._waiting.pop(key, None)
        if note is not None:
            self._size -= note.size
        return note
