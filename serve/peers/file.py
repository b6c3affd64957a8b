"""One host's board: words in a small SQLite file beside the ledger, which all workers of the host share.

It is asked by one thread, never on the event loop, and opened when it is first asked. A file that cannot be
used is tried anew at each exchange, so that one that is mended needs no restart. Nothing in it is worth
keeping: a file that is none of ours is left alone, a damaged one may be deleted. It knows nothing of what
words say.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from p402.errors import StoreError
from p402.ports import WORD_MS, Word
from serve import sqlite_file

APPLICATION_ID: Final = 0x70343077  # "p40w"
SCHEMA_VERSION: Final = 1
BUSY_S: Final = 0.5
_SCHEMA: Final = """CREATE TABLE word (
  worker TEXT NOT NULL PRIMARY KEY, at_ms INTEGER NOT NULL, data BLOB NOT NULL
) STRICT, WITHOUT ROWID"""


class FileBoard:
    """The board of one host.

    Parameters
    ----------
    path
        The file, which need not exist.
    now_ms
        Wall time in ms, which all workers of a host have in common; called on the thread.
    """

    def __init__(self, path: Path, now_ms: Callable[[], int]) -> None:
        self.path = path
        self._now_ms = now_ms
        self._thread: ThreadPoolExecutor | None = None
        self._db: sqlite3.Connection | None = None

    async def exchange(self, worker: str, data: bytes) -> Sequence[Word]:
        """Leave a word, and take the others'; raises `StoreError` where the file cannot be used."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="p402-peers")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._exchange, worker, data)

    async def close(self) -> None:
        """End the thread and close the file; idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._let_go)
            thread.shutdown()

    def _exchange(self, worker: str, data: bytes) -> list[Word]:
        try:
            if self._db is None:
                self._db = self._opened()
            return self._exchanged(self._db, worker, data)
        except (OSError, sqlite3.Error) as error:
            self._let_go()
            raise StoreError(
                f"words of this host's workers {self.path}: {error}; expected a SQLite file this process may "
                "write; mend that, or move the file away"
            ) from error

    def _exchanged(self, db: sqlite3.Connection, worker: str, data: bytes) -> list[Word]:
        sqlite_file.begin(db, BUSY_S)
        try:
            now_ms = self._now_ms()
            db.execute("DELETE FROM word WHERE at_ms NOT BETWEEN ? AND ?", (now_ms - WORD_MS, now_ms))
            db.execute("INSERT OR REPLACE INTO word VALUES (?, ?, ?)", (worker, now_ms, data))
            found = db.execute("SELECT ? - at_ms, data FROM word WHERE worker <> ?", (now_ms, worker))
            words = [Word(age_ms, kept) for age_ms, kept in found]
            db.execute("COMMIT")
        except BaseException:
            sqlite_file.roll_back(db)
            raise
        return words

    def _opened(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite_file.connect(self.path)
        try:
            sqlite_file.enter_wal(db)
            with sqlite_file.whole(db):
                found = sqlite_file.signature(db)
                if not found.entries:
                    db.execute(_SCHEMA)
                    sqlite_file.sign(db, APPLICATION_ID, SCHEMA_VERSION)
                else:
                    self._refuse_strangers(found.owner, found.version)
            db.execute("PRAGMA busy_timeout = 0")  # waiting is done by `serve.sqlite_file.begin`
        except BaseException:
            db.close()
            raise
        return db

    def _refuse_strangers(self, owner: int, version: int) -> None:
        if (owner, version) != (APPLICATION_ID, SCHEMA_VERSION):
            raise StoreError(
                f"words of this host's workers {self.path}: found a file of kind {owner:#x} and version "
                f"{version}, expected {APPLICATION_ID:#x} and {SCHEMA_VERSION}; move it away"
            )

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()
