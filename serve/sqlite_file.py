"""How a SQLite file that processes share is entered, signed, locked and left whole.

What every such file of the gateway needs, whatever is in it: the guard's books, kept answers. It knows
nothing of their tables, of threads or of event loops.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

OPEN_TIMEOUT_S: Final = 5.0
"""How long processes that start together wait for each other."""
CHECKPOINT_EVERY: Final = 100
"""Transactions after which the log is moved into its file: some thousand pages where each is a group's."""
BACKSTOP_PAGES: Final = 8_000
"""Pages of the log from which a transaction moves them itself: 32 MiB."""


class Signature(NamedTuple):
    """Whose file it is: application id, version of its schema, and how many tables and indexes it has."""

    owner: int
    version: int
    entries: int


def connect(path: Path) -> sqlite3.Connection:
    """Open a file for transactions that are begun and ended by word, from any one thread at a time."""
    return sqlite3.connect(path, timeout=OPEN_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def enter_wal(db: sqlite3.Connection) -> None:
    """Switch to the write-ahead log: kill -9 loses nothing, power loss may lose the last transactions."""
    # The switch takes an exclusive lock without asking the busy handler, so workers that start together
    # on a new file meet here.
    deadline = time.monotonic() + OPEN_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            break
    db.execute("PRAGMA synchronous = NORMAL")


@contextmanager
def whole(db: sqlite3.Connection) -> Iterator[None]:
    """Do the block in one transaction under the write lock, or none of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:  # whatever ends the block, the file is left as it was
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def signature(db: sqlite3.Connection) -> Signature:
    """Read whose file it is; all zero for a new one."""
    owner, version, entries = (
        int(db.execute(query).fetchone()[0])
        for query in (
            "PRAGMA application_id",
            "PRAGMA user_version",
            "SELECT count(*) FROM sqlite_schema",
        )
    )
    return Signature(owner, version, entries)


def sign(db: sqlite3.Connection, owner: int, version: int) -> None:
    """Say whose file it is, and of which schema."""
    db.execute(f"PRAGMA application_id = {owner}")
    db.execute(f"PRAGMA user_version = {version}")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds what this one needs, so that waiting helps."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_the_files(error: Exception) -> bool:
    """Whether an error is of the file or its disk, and not of what was to be written."""
    ours = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
    return isinstance(error, sqlite3.Error) and not isinstance(error, ours)


def begin(db: sqlite3.Connection, busy_s: float) -> None:
    """Begin a transaction under the write lock, waiting `busy_s` for it.

    Raises
    ------
    sqlite3.Error
        Another process holds the lock still, or the file cannot be used.
    """
    deadline = time.monotonic() + busy_s
    pause = 0.0002
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(pause)
            pause = min(pause * 2, 0.005)
        else:
            return


def roll_back(db: sqlite3.Connection) -> None:
    """End a transaction without its changes; a full disk may have done so by itself."""
    if db.in_transaction:
        db.execute("ROLLBACK")


class Checkpointer:
    """A thread that moves the write-ahead log into its file, so that no transaction waits for the disk.

    SQLite has the transaction do it that fills the log's thousandth page, and sync both: milliseconds for
    whoever comes then. What this thread does not keep up with is done so, from `BACKSTOP_PAGES` on.

    Parameters
    ----------
    path
        A file that is open elsewhere and in this mode already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._since = 0
        self._due = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="p402-checkpoint", daemon=True)

    def start(self, db: sqlite3.Connection) -> None:
        """Begin; `db` leaves the log to it from now on."""
        db.execute(f"PRAGMA wal_autocheckpoint = {BACKSTOP_PAGES}")
        self._thread.start()

    def committed(self) -> None:
        """Note a transaction; from one thread."""
        self._since += 1
        if self._since >= CHECKPOINT_EVERY:
            self._since = 0
            self._due.set()

    def stop(self) -> None:
        """End, once the checkpoint under way is done."""
        self._ended = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            db = connect(self._path)
        except sqlite3.Error:  # whoever writes will say what is wrong with the file
            return
        while True:
            self._due.wait()
            self._due.clear()
            if self._ended:
                break
            with suppress(sqlite3.Error):  # as above; the log keeps what it has
                db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        db.close()
