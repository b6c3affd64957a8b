"""The guard's books in one SQLite file: rows in, the law's verdict, rows out.

Every function here runs inside a transaction its caller has begun. It knows nothing of threads,
futures or event loops. `day` holds one row per tenant and UTC day, `hold` one per call.
"""

import sqlite3
import time
from pathlib import Path

from p402.errors import ConfigError, Refusal, StoreError
from p402.guard import daily
from p402.guard.daily import Booked, Day, Entry, State
from p402.ports import Hold

OPEN_TIMEOUT_S = 5.0
APPLICATION_ID = 0x70343032  # "p402"
SCHEMA_VERSION = 1
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
        else:
            for statement in _SCHEMA.split(";"):
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


def reserve(
    db: sqlite3.Connection, tenant: str, request_id: str, amount_nano: int, cap_nano: int, now_ms: int
) -> tuple[Hold | Refusal, bool]:
    """Verdict, and whether it is a hold that was not there before."""
    entry = _entry(db, tenant, request_id)
    day = _day(db, tenant, daily.day_of(now_ms) if entry is None else entry.day)
    verdict = daily.reserve(day, entry, amount_nano, cap_nano, now_ms)
    if isinstance(verdict, Booked) and entry is None:
        _write(db, tenant, request_id, verdict)
        return _hold(tenant, request_id, verdict), True
    return (verdict if isinstance(verdict, Refusal) else _hold(tenant, request_id, verdict)), False


def top_up(
    db: sqlite3.Connection, hold: Hold, amount_nano: int, cap_nano: int, now_ms: int
) -> Hold | Refusal:
    """Raise or renew a hold."""
    entry = _entry(db, hold.tenant, hold.id)
    verdict = daily.top_up(_day(db, hold.tenant, hold.day), entry, amount_nano, cap_nano, now_ms)
    if isinstance(verdict, Refusal):
        return verdict
    _write(db, hold.tenant, hold.id, verdict)
    return _hold(hold.tenant, hold.id, verdict)


def settle(db: sqlite3.Connection, hold: Hold, actual_nano: int, now_ms: int) -> None:
    """Replace a hold by what was spent."""
    entry = _entry(db, hold.tenant, hold.id)
    booked = daily.settle(_day(db, hold.tenant, hold.day), entry, actual_nano, now_ms)
    if booked is not None:
        _write(db, hold.tenant, hold.id, booked)


def spent(db: sqlite3.Connection, tenant: str, now_ms: int) -> tuple[int, int]:
    """Nano-USD spent and held today."""
    day = _day(db, tenant, daily.day_of(now_ms))
    return day.spent_nano, day.held_nano


def sweep(db: sqlite3.Connection, now_ms: int) -> None:
    """Charge every hold that has outlived its lease."""
    due = db.execute("SELECT tenant, id FROM hold WHERE state = 0 AND expires_ms <= ?", (now_ms,)).fetchall()
    for tenant, request_id in due:
        entry = _entry(db, tenant, request_id)
        if entry is None:
            continue
        booked = daily.expire(_day(db, tenant, entry.day), entry, now_ms)
        if booked is not None:
            _write(db, tenant, request_id, booked)


def prune(db: sqlite3.Connection, now_ms: int) -> None:
    """Drop entries that no settlement can reach any more; the days' totals stay."""
    oldest = daily.day_of(now_ms) - daily.KEEP_DAYS
    db.execute("DELETE FROM hold WHERE day < ? AND state <> 0", (oldest,))


def _day(db: sqlite3.Connection, tenant: str, day: int) -> Day:
    row = db.execute(
        "SELECT spent_nano, held_nano FROM day WHERE tenant = ? AND day = ?", (tenant, day)
    ).fetchone()
    return Day(day) if row is None else Day(day, row[0], row[1])


def _entry(db: sqlite3.Connection, tenant: str, request_id: str) -> Entry | None:
    row = db.execute(
        "SELECT day, amount_nano, expires_ms, state, charged_nano FROM hold WHERE tenant = ? AND id = ?",
        (tenant, request_id),
    ).fetchone()
    return None if row is None else Entry(row[0], row[1], row[2], State(row[3]), row[4])


def _write(db: sqlite3.Connection, tenant: str, request_id: str, booked: Booked) -> None:
    day, entry = booked.day, booked.entry
    db.execute(
        "INSERT INTO day VALUES (?, ?, ?, ?) ON CONFLICT (tenant, day) DO UPDATE SET "
        "spent_nano = excluded.spent_nano, held_nano = excluded.held_nano",
        (tenant, day.day, day.spent_nano, day.held_nano),
    )
    db.execute(
        "INSERT INTO hold VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, id) DO UPDATE SET "
        "amount_nano = excluded.amount_nano, expires_ms = excluded.expires_ms, "
        "state = excluded.state, charged_nano = excluded.charged_nano",
        (
            tenant,
            request_id,
            entry.day,
            entry.amount_nano,
            entry.expires_ms,
            int(entry.state),
            entry.charged_nano,
        ),
    )


def _hold(tenant: str, request_id: str, booked: Booked) -> Hold:
    return Hold(request_id, tenant, booked.entry.amount_nano, booked.entry.day)
