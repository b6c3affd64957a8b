"""One host's hand: the file of kept answers from an event loop, by one thread, opened when it is first asked.

A gateway that no client sends an `Idempotency-Key` to has neither the thread nor the file. A file that
cannot be used is tried again at each request, so that one that is mended needs no restart.

It fails closed: whatever cannot be written raises `StoreError`, and is told once until it is mended.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from p402.errors import Refusal, StoreError
from serve import sqlite_file
from serve.http import HttpReply
from serve.idempotency import file, kept, rows
from serve.idempotency.key import Key
from serve.idempotency.law import LEASE_MS, Claim
from serve.idempotency.rows import LIMITS, Holder, Limits

T = TypeVar("T")
Work = Callable[[sqlite3.Connection, int], T]

_NEVER_MS: Final = 0
_log = logging.getLogger("p402.idempotency")


class Keeper:
    """Keys and answers in one SQLite file, which all workers of a host share.

    Parameters
    ----------
    path
        The file, which need not exist.
    now_ms
        Wall time in ms; called on the thread.
    busy_s
        How long another process's transaction is waited for.
    """

    def __init__(
        self, path: Path, now_ms: Callable[[], int], limits: Limits = LIMITS, *, busy_s: float = 1.0
    ) -> None:
        self.path = path
        self.limits = limits
        self._now_ms = now_ms
        self._busy_s = busy_s
        self._thread: ThreadPoolExecutor | None = None
        self._db: sqlite3.Connection | None = None
        self._failing = False

    def exists(self) -> bool:
        """Whether an earlier process left the file."""
        return self.path.exists()

    async def claim(self, key: Key, holder: Holder) -> Claim | HttpReply | Refusal:
        """Take the key for this holder, or give the answer that is kept under it, or say why neither.

        Raises
        ------
        p402.errors.StoreError
            The file cannot be used; like everything here. The key is not taken.
        """

        def work(db: sqlite3.Connection, now_ms: int) -> Claim | HttpReply | Refusal:
            found = rows.claim(db, holder, key.fingerprint(), now_ms)
            return kept.unpack(found) if isinstance(found, bytes) else found

        return await self._do(work)

    async def keep(self, holder: Holder, content: bytes | None) -> None:
        """End a claim with the answer to be given again, or without one."""
        await self._do(lambda db, _: rows.keep(db, holder, content, self.limits))

    async def release(self, holder: Holder) -> None:
        """Free a key under which nothing was spent."""
        await self._do(lambda db, _: rows.release(db, holder))

    async def renew(self, holders: Sequence[Holder]) -> None:
        """Say that the exchanges of these claims go on."""
        await self._do(lambda db, now_ms: rows.renew(db, holders, now_ms + LEASE_MS))

    async def abandon(self, holder: Holder) -> None:
        """Say that a claim's exchange was broken off, and that nobody knows what became of it."""
        await self._do(lambda db, _: rows.renew(db, (holder,), _NEVER_MS))

    async def prune(self) -> None:
        """Forget what is too old or too much."""
        while await self._do(lambda db, now_ms: rows.prune(db, self.limits, now_ms)):
            pass

    async def close(self) -> None:
        """End the thread and close the file; idempotent, and what is asked later opens it again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._let_go)
            thread.shutdown()

    async def _do(self, work: Work[T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="p402-answers")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    def _transact(self, work: Work[T]) -> T:
        try:
            if self._db is None:
                self._db = file.connect(self.path)
            found = self._committed(self._db, work)
        except (StoreError, sqlite3.Error, ValueError) as error:
            if not self._failing:
                self._failing = True
                _log.error(
                    "kept answers %s: %s; requests with Idempotency-Key are refused until that is mended",
                    self.path,
                    error,
                )
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"kept answers {self.path}: {error}") from error
        self._failing = False
        return found

    def _committed(self, db: sqlite3.Connection, work: Work[T]) -> T:
        try:
            sqlite_file.begin(db, self._busy_s)
            found = work(db, self._now_ms())
            db.execute("COMMIT")
        except BaseException as error:
            try:
                sqlite_file.roll_back(db)
            except sqlite3.Error:
                self._let_go()
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                self._let_go()  # damaged: it is looked at anew next time
            raise
        return found

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()
