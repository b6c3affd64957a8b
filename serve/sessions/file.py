"""One host's shelf: words in a small SQLite file beside the ledger, which all workers of the host share.

One thread reads and one writes, so that no look waits for another process's transaction; neither is the event
loop's. Words of one turn are written in one transaction, which syncs nothing but at a checkpoint. A file that
cannot be used is tried anew whenever it is asked, so that one that is mended needs no restart; a file that is
none of ours is left alone. It knows nothing of what words say.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from p402.errors import StoreError
from p402.ports import SESSION_MS, Word
from serve import sqlite_file

T = TypeVar("T")

APPLICATION_ID: Final = 0x70343073  # "p40s"
SCHEMA_VERSION: Final = 1
ROWS: Final = 200_000
"""Words at most; of more, the oldest are forgotten. Some 100 bytes each."""
BUSY_S: Final = 0.5
FORGOTTEN_AT_ONCE: Final = 1_000
"""Words forgotten for their age in one transaction, beside those that make room."""
_SCHEMA: Final = (
    """CREATE TABLE session (
      key BLOB NOT NULL PRIMARY KEY, at_ms INTEGER NOT NULL, data BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX session_age ON session (at_ms)",
    "CREATE TABLE tally (rows INTEGER NOT NULL) STRICT",
    "INSERT INTO tally VALUES (0)",
    "CREATE TRIGGER noted AFTER INSERT ON session BEGIN UPDATE tally SET rows = rows + 1; END",
    "CREATE TRIGGER forgotten AFTER DELETE ON session BEGIN UPDATE tally SET rows = rows - 1; END",
)
_KEEP: Final = "INSERT INTO session VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET at_ms = ?2, data = ?3"
_OLDEST: Final = "DELETE FROM session WHERE key IN (SELECT key FROM session ORDER BY at_ms LIMIT ?)"
_OLD: Final = "DELETE FROM session WHERE key IN (SELECT key FROM session WHERE at_ms < ? LIMIT ?)"
_OF_TOMORROW: Final = "DELETE FROM session WHERE key IN (SELECT key FROM session WHERE at_ms > ? LIMIT ?)"


class FileShelf:
    """The shelf of one host.

    Parameters
    ----------
    path
        The file, which need not exist.
    now_ms
        Wall time in ms, which all workers of a host have in common; called on the threads.
    """

    def __init__(
        self, path: Path, now_ms: Callable[[], int], *, kept_ms: int = SESSION_MS, rows: int = ROWS
    ) -> None:
        self.path = path
        self._now_ms = now_ms
        self._kept_ms = kept_ms
        self._rows = rows
        self._reader = _Hand(path, "p402-sessions-read")
        self._writer = _Hand(path, "p402-sessions-write")

    async def open(self) -> None:
        """Open the file, making it where it is not, and forget what is too old."""
        await self.keep({})
        await self._reader.do(lambda _: None)

    async def get(self, key: bytes) -> Word | None:
        """The word of a key, if it is not too old nor of a clock that went back."""

        def work(db: sqlite3.Connection) -> Word | None:
            row = db.execute("SELECT at_ms, data FROM session WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            age_ms = self._now_ms() - row[0]  # read last: what was committed just now is of no other time
            return Word(age_ms, row[1]) if 0 <= age_ms <= self._kept_ms else None

        return await self._reader.do(work)

    async def keep(self, words: Mapping[bytes, bytes]) -> None:
        """Leave words, all or none."""

        def work(db: sqlite3.Connection) -> None:
            sqlite_file.begin(db, BUSY_S)
            now_ms = self._now_ms()
            db.executemany(_KEEP, [(key, now_ms, data) for key, data in words.items()])
            db.execute(_OLD, (now_ms - self._kept_ms, FORGOTTEN_AT_ONCE))
            db.execute(_OF_TOMORROW, (now_ms, FORGOTTEN_AT_ONCE))
            (rows,) = db.execute("SELECT rows FROM tally").fetchone()
            if rows > self._rows:
                db.execute(_OLDEST, (rows - self._rows,))
            db.execute("COMMIT")

        await self._writer.do(work)

    async def close(self) -> None:
        """End the threads and close the file; idempotent, and what is asked later opens it again."""
        await self._reader.close()
        await self._writer.close()


class _Hand:
    """A thread with a connection of its own."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._thread: ThreadPoolExecutor | None = None
        self._db: sqlite3.Connection | None = None

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something to the file; what it began and did not end is undone.

        Raises
        ------
        StoreError
            The file cannot be used.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._let_go)
            thread.shutdown()

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._db is None:
                self._db = _opened(self._path)
            return work(self._db)
        except (OSError, sqlite3.Error) as error:
            self._let_go()
            raise StoreError(
                f"sessions of this host's workers {self._path}: {error}; expected a SQLite file this process "
                "may write, on a local disk with room; mend that, or stop the gateway and move the file away"
            ) from error

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite_file.connect(path)
    try:
        sqlite_file.enter_wal(db)
        if not sqlite_file.signature(db).entries:
            with sqlite_file.whole(db):
                _make(db)
        _refuse_strangers(path, sqlite_file.signature(db))
        db.execute("PRAGMA busy_timeout = 0")  # waiting is done by `serve.sqlite_file.begin`
    except BaseException:
        db.close()
        raise
    return db


def _make(db: sqlite3.Connection) -> None:
    """Make the tables, unless another process just has."""
    if not sqlite_file.signature(db).entries:
        for statement in _SCHEMA:
            db.execute(statement)
        sqlite_file.sign(db, APPLICATION_ID, SCHEMA_VERSION)


def _refuse_strangers(path: Path, found: sqlite_file.Signature) -> None:
    if (found.owner, found.version) != (APPLICATION_ID, SCHEMA_VERSION):
        raise StoreError(
            f"sessions of this host's workers {path}: found a file of kind {found.owner:#x} and version "
            f"{found.version}, expected {APPLICATION_ID:#x} and {SCHEMA_VERSION}; stop the gateway and move "
            "it away"
        )
