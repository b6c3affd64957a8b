"""The SQLite file of kept answers: opened and checked.

`entry` holds one row per key, `answer` the bytes of those that have an answer, `tally` how many and how much.
The file holds what models said: it is readable by its owner only. It knows nothing of the law or of threads.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final

from p402.errors import StoreError
from serve import sqlite_file

APPLICATION_ID: Final = 0x70343069  # "p40i"
SCHEMA_VERSION: Final = 1
_SCHEMA: Final = (
    """CREATE TABLE entry (
      scope BLOB NOT NULL PRIMARY KEY, token BLOB NOT NULL, fingerprint BLOB NOT NULL,
      created_ms INTEGER NOT NULL, lease_ms INTEGER NOT NULL, state INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX entry_age ON entry (created_ms)",
    """CREATE TABLE answer (
      id INTEGER PRIMARY KEY AUTOINCREMENT, scope BLOB NOT NULL UNIQUE, bytes INTEGER NOT NULL,
      content BLOB NOT NULL
    ) STRICT""",
    "CREATE TABLE tally (entries INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT",
    "INSERT INTO tally VALUES (0, 0)",
    "CREATE TRIGGER claimed AFTER INSERT ON entry BEGIN UPDATE tally SET entries = entries + 1; END",
    "CREATE TRIGGER forgotten AFTER DELETE ON entry BEGIN UPDATE tally SET entries = entries - 1; END",
    "CREATE TRIGGER kept AFTER INSERT ON answer BEGIN UPDATE tally SET bytes = bytes + new.bytes; END",
    "CREATE TRIGGER dropped AFTER DELETE ON answer BEGIN UPDATE tally SET bytes = bytes - old.bytes; END",
)


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, creating it, its folder and its tables where absent. The connection waits for no lock.

    Raises
    ------
    StoreError
        It cannot be opened or written, is corrupt, another program's, or of a later schema.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite_file.connect(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(_unusable(path, error)) from error
    try:
        _prepare(db, path)
    except sqlite3.Error as error:
        db.close()
        raise StoreError(_unusable(path, error)) from error
    except StoreError:
        db.close()
        raise
    return db


def _unusable(path: Path, error: Exception) -> str:
    return (
        f"kept answers {path} cannot be used: {error}; expected a SQLite file this process may write, on a "
        "local disk with room; mend that, or stop the gateway and move the file away"
    )


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    sqlite_file.enter_wal(db)
    with sqlite_file.whole(db):
        found = sqlite_file.signature(db)
        if found.entries:
            _refuse_strangers(path, found.owner, found.version)
        else:
            for statement in _SCHEMA:
                db.execute(statement)
            sqlite_file.sign(db, APPLICATION_ID, SCHEMA_VERSION)
    db.execute("PRAGMA busy_timeout = 0")  # waiting is done by `serve.sqlite_file.begin`, in finer steps


def _refuse_strangers(path: Path, owner: int, version: int) -> None:
    if (owner, version) != (APPLICATION_ID, SCHEMA_VERSION):
        raise StoreError(
            f"kept answers {path}: found a file of kind {owner:#x} and version {version}, expected "
            f"{APPLICATION_ID:#x} and {SCHEMA_VERSION}; stop the gateway and move the file away"
        )
