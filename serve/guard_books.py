"""The guard's books: rows in, the law's verdict, rows out.

Every function here runs inside a transaction its caller has begun. It knows nothing of threads,
futures or event loops, nor of the file (`serve.guard_file`).
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from p402.errors import Refusal
from p402.guard import daily
from p402.guard.daily import Booked, Day, Entry, State
from p402.ports import Hold

_READ: Final = """
SELECT
  (SELECT json_group_array(json_array(tenant, hold.id, day, amount_nano, expires_ms, state, charged_nano))
   FROM json_each(?) AS wanted CROSS JOIN hold
   WHERE tenant = json_extract(wanted.value, '$[0]') AND hold.id = json_extract(wanted.value, '$[1]')),
  (SELECT json_group_array(json_array(tenant, day, spent_nano, held_nano))
   FROM json_each(?) AS wanted CROSS JOIN day
   WHERE tenant = json_extract(wanted.value, '$[0]') AND day = json_extract(wanted.value, '$[1]'))
"""
_WRITE_DAYS: Final = """
INSERT INTO day
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
  json_extract(value, '$[3]') FROM json_each(?) WHERE true
ON CONFLICT (tenant, day) DO UPDATE SET spent_nano = excluded.spent_nano, held_nano = excluded.held_nano
"""
_WRITE_HOLDS: Final = """
INSERT INTO hold
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
  json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
  json_extract(value, '$[6]') FROM json_each(?) WHERE true
ON CONFLICT (tenant, id) DO UPDATE SET
  amount_nano = excluded.amount_nano, expires_ms = excluded.expires_ms,
  state = excluded.state, charged_nano = excluded.charged_nano
"""

CallKey = tuple[str, str]
"""Tenant and request id."""
DayKey = tuple[str, int]
"""Tenant and UTC day."""


class Sheet:
    """The rows that one transaction touches: read at once, changed in memory, written at once.

    SQLite lets go of the interpreter's lock at every step of every statement, and under load each gap
    is a switch of threads. So the rows travel as one JSON array each way, however many they are.

    Parameters
    ----------
    calls, days
        What the transaction will ask for; any other day is read when it is asked for.
    """

    def __init__(self, db: sqlite3.Connection, calls: Iterable[CallKey], days: Iterable[DayKey]) -> None:
        self._db = db
        self._entries: dict[CallKey, Entry | None] = dict.fromkeys(calls)
        self._days: dict[DayKey, Day] = {}
        self._written: dict[CallKey, Entry] = {}
        self._moved: dict[DayKey, Day] = {}
        self._read(self._entries, days)

    def entry(self, tenant: str, request_id: str) -> Entry | None:
        """What is known of a call."""
        return self._entries[tenant, request_id]

    def day(self, tenant: str, day: int) -> Day:
        """Totals of a tenant's day."""
        key = (tenant, day)
        if key not in self._days:
            self._read((), (key,))
        return self._days[key]

    def book(self, tenant: str, request_id: str, booked: Booked) -> None:
        """Take a verdict that changes the books."""
        call, day = (tenant, request_id), (tenant, booked.day.day)
        self._entries[call] = self._written[call] = booked.entry
        self._days[day] = self._moved[day] = booked.day

    def write(self) -> None:
        """Write what has changed."""
        if self._moved:
            moved = [(t, d.day, d.spent_nano, d.held_nano) for (t, _), d in self._moved.items()]
            self._db.execute(_WRITE_DAYS, (_json(moved),))
        if self._written:
            written = [
                (tenant, name, e.day, e.amount_nano, e.expires_ms, int(e.state), e.charged_nano)
                for (tenant, name), e in self._written.items()
            ]
            self._db.execute(_WRITE_HOLDS, (_json(written),))

    def _read(self, calls: Iterable[CallKey], days: Iterable[DayKey]) -> None:
        wanted = set(days)
        holds, totals = self._db.execute(_READ, (_json(list(calls)), _json(list(wanted)))).fetchone()
        for tenant, name, day, amount_nano, expires_ms, state, charged_nano in orjson.loads(holds):
            self._entries[tenant, name] = Entry(day, amount_nano, expires_ms, State(state), charged_nano)
        self._days.update({key: Day(key[1]) for key in wanted})
        for tenant, day, spent_nano, held_nano in orjson.loads(totals):
            self._days[tenant, day] = Day(day, spent_nano, held_nano)


def reserve(
    sheet: Sheet, tenant: str, request_id: str, amount_nano: int, cap_nano: int, now_ms: int
) -> tuple[Hold | Refusal, bool]:
    """Verdict, and whether it is a hold that was not there before."""
    entry = sheet.entry(tenant, request_id)
    day = sheet.day(tenant, daily.day_of(now_ms) if entry is None else entry.day)
    verdict = daily.reserve(day, entry, amount_nano, cap_nano, now_ms)
    if isinstance(verdict, Refusal):
        return verdict, False
    if entry is None:
        sheet.book(tenant, request_id, verdict)
    return _hold(tenant, request_id, verdict), entry is None


def top_up(sheet: Sheet, hold: Hold, amount_nano: int, cap_nano: int, now_ms: int) -> Hold | Refusal:
    """Raise or renew a hold."""
    entry = sheet.entry(hold.tenant, hold.id)
    verdict = daily.top_up(sheet.day(hold.tenant, hold.day), entry, amount_nano, cap_nano, now_ms)
    if isinstance(verdict, Refusal):
        return verdict
    sheet.book(hold.tenant, hold.id, verdict)
    return _hold(hold.tenant, hold.id, verdict)


def settle(sheet: Sheet, hold: Hold, actual_nano: int, now_ms: int) -> None:
    """Replace a hold by what was spent."""
    entry = sheet.entry(hold.tenant, hold.id)
    booked = daily.settle(sheet.day(hold.tenant, hold.day), entry, actual_nano, now_ms)
    if booked is not None:
        sheet.book(hold.tenant, hold.id, booked)


def spent(sheet: Sheet, tenant: str, now_ms: int) -> tuple[int, int]:
    """Nano-USD spent and held today."""
    day = sheet.day(tenant, daily.day_of(now_ms))
    return day.spent_nano, day.held_nano


def sweep(db: sqlite3.Connection, now_ms: int) -> int:
    """Charge every hold that has outlived its lease; gives the wall time before which no other can."""
    due = db.execute(
        "SELECT tenant, id, day FROM hold WHERE state = 0 AND expires_ms <= ?", (now_ms,)
    ).fetchall()
    if due:
        sheet = Sheet(db, [(t, name) for t, name, _ in due], [(t, day) for t, _, day in due])
        for tenant, request_id, day in due:
            entry = sheet.entry(tenant, request_id)
            booked = None if entry is None else daily.expire(sheet.day(tenant, day), entry, now_ms)
            if booked is not None:
                sheet.book(tenant, request_id, booked)
        sheet.write()
    earliest = db.execute("SELECT min(expires_ms) FROM hold WHERE state = 0").fetchone()[0]
    return now_ms + daily.HOLD_TTL_MS if earliest is None else int(earliest)


def prune(db: sqlite3.Connection, now_ms: int) -> None:
    """Drop entries that no settlement can reach any more; the days' totals stay."""
    oldest = daily.day_of(now_ms) - daily.KEEP_DAYS
    db.execute("DELETE FROM hold WHERE day < ? AND state <> 0", (oldest,))


def _json(rows: Sequence[tuple[str | int, ...]]) -> str:
    return orjson.dumps(rows).decode()


def _hold(tenant: str, request_id: str, booked: Booked) -> Hold:
    return Hold(request_id, tenant, booked.entry.amount_nano, booked.entry.day)
