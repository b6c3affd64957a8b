"""The guard's SQLite file: its tables, opened, checked, and brought up to date.

`day` holds one row per tenant and UTC day, `hold` one per call, `account` a tenant's bucket and past, whose
moments are text: a float comes back as it was written. `scope` has a row per account of a scope, and a call
names its own, parted by spaces. `host`, `shared` and `peer` are for a budget that hosts share
(`serve.guard.position`), as are `lent_nano` of calls and scopes, and a scope's `others_nano` and `report`. It
knows nothing of the law, of threads or of event loops.
"""

import sqlite3
from pathlib import Path

from p402.errors import ConfigError, StoreError
from serve import sqlite_file

APPLICATION_ID = 0x70343032  # "p402"
SCHEMA_VERSION = 4
_SCHEMA = """
CREATE TABLE day (
  tenant TEXT NOT NULL, day INTEGER NOT NULL, spent_nano INTEGER NOT NULL, held_nano INTEGER NOT NULL,
  PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE hold (
  tenant TEXT NOT NULL, id TEXT NOT NULL, day INTEGER NOT NULL, amount_nano INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL, state INTEGER NOT NULL, charged_nano INTEGER NOT NULL,
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
_SHARED = """
ALTER TABLE hold ADD COLUMN under INTEGER NOT NULL DEFAULT 0;
CREATE INDEX hold_expired ON hold (tenant, expires_ms) WHERE state = 1;
CREATE TABLE host (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL) STRICT;
CREATE TABLE shared (
  tenant TEXT NOT NULL PRIMARY KEY, report INTEGER NOT NULL, taken INTEGER NOT NULL, tokens TEXT NOT NULL,
  dirty INTEGER NOT NULL,
  lease_day INTEGER NOT NULL, lease_nano INTEGER NOT NULL, asked_ms INTEGER NOT NULL,
  short_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE peer (
  tenant TEXT NOT NULL, host TEXT NOT NULL, day INTEGER NOT NULL, nano INTEGER NOT NULL,
  PRIMARY KEY (tenant, host)
) STRICT, WITHOUT ROWID;
"""
_SCOPES = """
ALTER TABLE hold ADD COLUMN accounts TEXT NOT NULL DEFAULT '';
ALTER TABLE hold ADD COLUMN lent_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE host ADD COLUMN was TEXT NOT NULL DEFAULT '';
CREATE TABLE scope (
  tenant TEXT NOT NULL, account TEXT NOT NULL, spent_nano INTEGER NOT NULL, held_nano INTEGER NOT NULL,
  lent_nano INTEGER NOT NULL, others_nano INTEGER NOT NULL, until_day INTEGER NOT NULL,
  report INTEGER NOT NULL,
  PRIMARY KEY (tenant, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX scope_until ON scope (until_day);
CREATE INDEX scope_report ON scope (tenant, report);
"""
_SLOTS = "ALTER TABLE hold ADD COLUMN slot_ms INTEGER NOT NULL DEFAULT 0;"
_STEPS = (_SCHEMA, _SLOTS + _ACCOUNTS, _SHARED, _SCOPES)
"""What brings a file from one schema to the next, from none on."""


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
        db = sqlite_file.connect(path)
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


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    sqlite_file.enter_wal(db)
    with sqlite_file.whole(db):  # proves that the file can be written, and creates the tables once
        found = sqlite_file.signature(db)
        if found.entries:
            _refuse_strangers(path, found.owner, found.version)
        if found.version < SCHEMA_VERSION:
            for statement in "".join(_STEPS[found.version :]).split(";"):
                db.execute(statement)
            sqlite_file.sign(db, APPLICATION_ID, SCHEMA_VERSION)


def _refuse_strangers(path: Path, owner: int, version: int) -> None:
    if owner != APPLICATION_ID:
        raise StoreError(f"guard state {path} is another program's SQLite file; choose another path")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"guard state {path} has schema {version}; expected at most {SCHEMA_VERSION}; upgrade P402"
        )
