"""The guard's SQLite file: opened, checked, its write lock taken.

`day` holds one row per tenant and UTC day, `hold` one per call, `account` a tenant's bucket and past, whose
moments are text: a float comes back as it was written. It knows nothing of the law, of
threads or of event loops.
"""

import sqlite3
import time
from pathlib import Path

from p402.errors import ConfigError, StoreError

OPEN_TIMEOUT_S = 5.0
APPLICATION_ID = 0x70343032  # "p402"
SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE day (
  tenant TEXT NOT NULL, day INTEGER NOT NULL, spent_nano INTEGER NOT NULL, held_nano INTEGER NOT NULL,
  PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE hold (
  tenant TEXT NOT NULL, id TEXT NOT NULL, day INTEGER NOT NULL, amount_nano INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL, state INTEGER NOT NULL, charged_nano INTEGER NOT NULL,
  slot_ms INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hold_live ON hold (expires_ms) WHERE state = 0;
"""
_ACCOUNTS = """
CREATE INDEX hold_slot ON hold (tenant, slot_ms) WHERE state = 0;
CREATE TABLE account (
  tenant TEXT NOT NULL PRIMARY KEY, tat_us INTEGER NOT NULL,
  calls INTEGER NOT NULL, mean TEXT NOT NULL, m2 TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""
_FROM_1 = "ALTER TABLE hold ADD COLUMN slot_ms INTEGER NOT NULL DEFAULT 0;"


def connect(path: Path) -> sqlite3.Connection:
    """Open the books, creating file, folder and tables where absent.

    Raises
    ------
    ConfigError
        The path cannot be opened or written.
    StoreError
        The file is corrupt, another program's, or of a later schema.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=OPEN_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.OperationalError) as error:
        raise ConfigError(_cannot(path, error)) from error
    try:
        _prepare(db, path)
    except sqlite3.OperationalError as error:
        db.close()
        raise ConfigError(_cannot(path, error)) from error
    except sqlite3.DatabaseError as error:
        db.close()
        raise StoreError(f"guard state {path}: {error}; move the file away or restore a backup") from error
    except StoreError:
        db.close()
        raise
    return db


def _cannot(path: Path, error: Exception) -> str:
    return (
        f"guard state {path} cannot be opened for writing: {error}; "
        "set [server] state to a file this process may write, on a local disk"
    )


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds what this one needs, so that waiting helps."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_the_files(error: Exception) -> bool:
    """Whether an error is of the file or its disk, and not of what was to be written."""
    ours = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
    return isinstance(error, sqlite3.Error) and not isinstance(error, ours)


def _enter_wal(db: sqlite3.Connection) -> None:
    # The switch to WAL takes an exclusive lock without asking the busy handler, so workers that
    # start together on a new file meet here.
    deadline = time.monotonic() + OPEN_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    _enter_wal(db)
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("BEGIN IMMEDIATE")  # proves that the file can be written, and creates the tables once
    try:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        owner = int(db.execute("PRAGMA application_id").fetchone()[0])
        tables = int(db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
        if tables:
            _refuse_strangers(path, owner, version)
        if version < SCHEMA_VERSION:
            for statement in ((_FROM_1 if tables else _SCHEMA) + _ACCOUNTS).split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _refuse_strangers(path: Path, owner: int, version: int) -> None:
    if owner != APPLICATION_ID:
        raise StoreError(f"guard state {path} is another program's SQLite file; choose another path")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"guard state {path} has schema {version}; expected at most {SCHEMA_VERSION}; upgrade P402"
        )


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
