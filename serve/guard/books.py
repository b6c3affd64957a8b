"""The guard's books: a call is held, raised, settled, expired, by the law's verdict on the sheet's rows.

Every function here runs inside a transaction its caller has begun. It knows nothing of threads,
futures or event loops, nor of the file (`serve.guard.file`).
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from p402.errors import Refusal
from p402.guard import daily, ledger
from p402.guard import scopes as budgets
from p402.guard.daily import Booked, Entry, State
from p402.guard.explain import Standing
from p402.guard.ledger import Posted
from p402.limits import Limits, Period, Scope
from p402.ports import Hold
from serve.guard.sheet import Sheet, entry_of
from serve.guard.wanted import Wanted

MOST_FORGOTTEN: Final = 500
"""Accounts that are dropped at a time: there may be many, and everybody waits."""
MOST_SHOWN: Final = 100
"""Held calls that are named when a tenant asks where it stands."""
_HELD: Final = """
SELECT id, day, amount_nano, expires_ms, state, charged_nano, slot_ms, accounts FROM hold
WHERE tenant = ? AND state = 0 ORDER BY expires_ms, id LIMIT ?
"""
_NO_CAP: Final = 1 << 62


def reserve(sheet: Sheet, wanted: Wanted, now_ms: int) -> tuple[Hold | Refusal, bool]:
    """Verdict, and whether it is a hold that was not there before."""
    tenant, name, scopes = wanted.tenant, wanted.request_id, wanted.scopes
    entry, account = sheet.entry(tenant, name), sheet.account(tenant)
    day = sheet.day(tenant, daily.day_of(now_ms) if entry is None else entry.day)
    scoped = sheet.scoped(tenant, scopes, day.day)
    verdict = ledger.reserve(
        day,
        entry,
        account,
        sheet.in_flight(tenant),
        wanted.amount_nano,
        wanted.expected_nano,
        wanted.limits,
        now_ms,
        scoped,
    )
    if isinstance(verdict, Refusal):
        return verdict, False
    if entry is None:
        sheet.post(tenant, name, verdict)
    booked, rooms = verdict.booked.entry, budgets.rooms(scoped, entry)
    hold = Hold(name, tenant, booked.amount_nano, booked.day, account.history, scopes, rooms)
    return hold, entry is None


def admit(sheet: Sheet, tenant: str, limits: Limits, now_ms: int) -> Refusal | None:
    """Take one request from the rate."""
    verdict = ledger.admit(sheet.account(tenant), limits, now_ms)
    if isinstance(verdict, Refusal):
        return verdict
    sheet.charge(tenant, verdict)
    return None


def top_up(sheet: Sheet, hold: Hold, amount_nano: int, cap_nano: int, now_ms: int) -> Hold | Refusal:
    """Raise or renew a hold."""
    entry = sheet.entry(hold.tenant, hold.id)
    day, raises = sheet.day(hold.tenant, hold.day), entry is not None and amount_nano > entry.amount_nano
    scoped = sheet.scoped(hold.tenant, hold.scopes, hold.day) if raises else ()
    verdict = ledger.top_up(day, entry, amount_nano, cap_nano, now_ms, scoped)
    if isinstance(verdict, Refusal):
        return verdict
    sheet.book(hold.tenant, hold.id, verdict)
    return msgspec.structs.replace(hold, amount_nano=verdict.entry.amount_nano)


def record(sheet: Sheet, granted: Hold, tat_us: int, report: int, others: Sequence[int], now_ms: int) -> bool:
    """Write down a hold that Redis has granted under a report; false where the call is settled already.

    What Redis says holds, so nothing is refused; an id that is known keeps what it has.

    Parameters
    ----------
    others
        What other hosts have spent of each of its scopes.
    """
    tenant, entry, account = (
        granted.tenant,
        sheet.entry(granted.tenant, granted.id),
        sheet.account(granted.tenant),
    )
    if entry is not None:
        return entry.state is not State.SETTLED
    day, accounts = sheet.day(tenant, granted.day), budgets.accounts(granted.scopes, granted.day)
    verdict = daily.reserve(day, None, granted.amount_nano, _NO_CAP, now_ms, accounts)
    assert isinstance(verdict, Booked), "no cap, no refusal"
    after = replace(account, tat_us=max(account.tat_us, tat_us))
    sheet.post(tenant, granted.id, Posted(verdict, after), report)
    for name, nano in zip(accounts, others, strict=True):
        sheet.saw(tenant, name, nano)
    return True


def settle(sheet: Sheet, hold: Hold, actual_nano: int, now_ms: int) -> Entry | None:
    """Replace a hold by what was spent; what was there before, None where nothing was or nothing changes."""
    entry, account = sheet.entry(hold.tenant, hold.id), sheet.account(hold.tenant)
    accounts = budgets.accounts(hold.scopes, hold.day)
    posted = ledger.settle(sheet.day(hold.tenant, hold.day), entry, account, actual_nano, now_ms, accounts)
    if posted is None:
        return None
    sheet.post(hold.tenant, hold.id, posted)
    return entry


def spent(sheet: Sheet, tenant: str, now_ms: int) -> tuple[int, int]:
    """Nano-USD spent and held today."""
    day = sheet.day(tenant, daily.day_of(now_ms))
    return day.spent_nano, day.held_nano


def left(sheet: Sheet, tenant: str, cap_nano: int, scopes: tuple[Scope, ...], now_ms: int) -> int:
    """Most that a call may cost now."""
    day = sheet.day(tenant, daily.day_of(now_ms))
    return ledger.left(day, cap_nano, sheet.scoped(tenant, scopes, day.day))


def standing(db: sqlite3.Connection, tenant: str, now_ms: int, scopes: tuple[Scope, ...] = ()) -> Standing:
    """Where a tenant and some scopes stand, with the tenant's calls that expire first."""
    today = daily.day_of(now_ms)
    sheet = Sheet(db, (), ((tenant, today),), (tenant,), now_ms)
    rows = db.execute(_HELD, (tenant, MOST_SHOWN)).fetchall()
    calls = tuple((name, entry_of(*row)) for name, *row in rows)
    account, in_flight = sheet.account(tenant), sheet.in_flight(tenant)
    scoped = sheet.scoped(tenant, scopes, today)
    return Standing(now_ms, sheet.day(tenant, today), account, in_flight, calls, scoped)


def sweep(db: sqlite3.Connection, now_ms: int) -> int:
    """Charge every hold that has outlived its lease; gives the wall time before which no other can."""
    due = db.execute(
        "SELECT tenant, id, day, accounts FROM hold WHERE state = 0 AND expires_ms <= ?", (now_ms,)
    ).fetchall()
    if due:
        calls, days = [(t, name) for t, name, _, _ in due], [(t, day) for t, _, day, _ in due]
        accounts = [(t, account) for t, _, _, names in due for account in names.split()]
        sheet = Sheet(db, calls, days, (), now_ms, accounts)
        for tenant, request_id, day, _ in due:
            entry = sheet.entry(tenant, request_id)
            booked = None if entry is None else daily.expire(sheet.day(tenant, day), entry, now_ms)
            if booked is not None:
                sheet.book(tenant, request_id, booked)
        sheet.write()
    earliest = db.execute("SELECT min(expires_ms) FROM hold WHERE state = 0").fetchone()[0]
    return now_ms + daily.HOLD_TTL_MS if earliest is None else int(earliest)


def prune(db: sqlite3.Connection, now_ms: int) -> None:
    """Drop entries that no settlement can reach any more; the days' totals stay."""
    db.execute("DELETE FROM hold WHERE day < ? AND state <> 0", (daily.day_of(now_ms) - daily.KEEP_DAYS,))


def forget(db: sqlite3.Connection, now_ms: int, *, lives: bool) -> None:
    """Drop some scopes' accounts that nobody can need any more.

    Parameters
    ----------
    lives
        Whether those of lives go as well: this host alone moves them.
    """
    db.execute(
        "DELETE FROM scope WHERE (tenant, account) IN (SELECT tenant, account FROM scope "
        "WHERE until_day < ? AND held_nano = 0 AND (? OR account NOT LIKE ?) LIMIT ?)",
        (daily.day_of(now_ms), lives, f"%/{Period.LIFE}", MOST_FORGOTTEN),
    )
