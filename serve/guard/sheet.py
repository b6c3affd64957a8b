"""The rows of the guard's file that one transaction touches: read and written at once, changed in memory.

Everything here runs inside a transaction its caller has begun. It knows nothing of the law's verdicts but how
they change the rows, nor of threads, futures or event loops.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from p402.guard import daily
from p402.guard import scopes as budgets
from p402.guard.anomaly import CostHistory
from p402.guard.daily import Booked, Day, Entry, State
from p402.guard.ledger import Account, Posted, has_slot
from p402.guard.scopes import Scoped, Totals
from p402.limits import Scope

_READ: Final = """
SELECT
  (SELECT json_group_array(
     json_array(tenant, hold.id, day, amount_nano, expires_ms, state, charged_nano, slot_ms, accounts,
       under, lent_nano))
   FROM json_each(?) AS wanted CROSS JOIN hold
   WHERE tenant = json_extract(wanted.value, '$[0]') AND hold.id = json_extract(wanted.value, '$[1]')),
  (SELECT json_group_array(json_array(tenant, day, spent_nano, held_nano))
   FROM json_each(?) AS wanted CROSS JOIN day
   WHERE tenant = json_extract(wanted.value, '$[0]') AND day = json_extract(wanted.value, '$[1]')),
  (SELECT json_group_array(json_array(
     wanted.value, tat_us, calls, mean, m2,
     (SELECT count(*) FROM hold WHERE tenant = wanted.value AND state = 0 AND slot_ms > ?)))
   FROM json_each(?) AS wanted LEFT JOIN account ON tenant = wanted.value)
"""
_READ_SCOPES: Final = """
SELECT json_group_array(json_array(tenant, account, spent_nano, held_nano))
FROM json_each(?) AS wanted CROSS JOIN scope
WHERE tenant = json_extract(wanted.value, '$[0]') AND account = json_extract(wanted.value, '$[1]')
"""
_WRITE_DAYS: Final = """
INSERT INTO day
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
  json_extract(value, '$[3]') FROM json_each(?) WHERE true
ON CONFLICT (tenant, day) DO UPDATE SET spent_nano = excluded.spent_nano, held_nano = excluded.held_nano
"""
_WRITE_HOLDS: Final = """
INSERT INTO hold (tenant, id, day, amount_nano, expires_ms, state, charged_nano, slot_ms, under,
  lent_nano, accounts)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
  json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
  json_extract(value, '$[6]'), json_extract(value, '$[7]'), json_extract(value, '$[8]'),
  json_extract(value, '$[9]'), json_extract(value, '$[10]')
FROM json_each(?) WHERE true
ON CONFLICT (tenant, id) DO UPDATE SET
  amount_nano = excluded.amount_nano, expires_ms = excluded.expires_ms, state = excluded.state,
  charged_nano = excluded.charged_nano, slot_ms = excluded.slot_ms, under = excluded.under,
  lent_nano = excluded.lent_nano
"""
_WRITE_SCOPES: Final = """
INSERT INTO scope
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
  json_extract(value, '$[3]'), 0, json_extract(value, '$[5]'), json_extract(value, '$[4]'),
  coalesce((SELECT report FROM shared WHERE tenant = json_extract(value, '$[0]')), 0)
FROM json_each(?) WHERE true
ON CONFLICT (tenant, account) DO UPDATE SET spent_nano = excluded.spent_nano,
  held_nano = excluded.held_nano, others_nano = max(others_nano, excluded.others_nano),
  until_day = max(until_day, excluded.until_day), report = excluded.report
"""
_WRITE_ACCOUNTS: Final = """
INSERT INTO account
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
  json_extract(value, '$[3]'), json_extract(value, '$[4]') FROM json_each(?) WHERE true
ON CONFLICT (tenant) DO UPDATE SET
  tat_us = excluded.tat_us, calls = excluded.calls, mean = excluded.mean, m2 = excluded.m2
"""

CallKey = tuple[str, str]
"""Tenant and request id."""
DayKey = tuple[str, int]
"""Tenant and UTC day."""
ScopeKey = tuple[str, str]
"""Tenant and a scope's account."""


class Sheet:
    """The rows that one transaction touches: read at once, changed in memory, written at once.

    SQLite lets go of the interpreter's lock at every step of every statement, and under load each gap
    is a switch of threads. So the rows travel as one JSON array each way, however many they are.

    Parameters
    ----------
    calls, days, tenants, accounts
        What the transaction will ask for; any other day or scope's account is read when it is asked for.
    now_ms
        When it runs: slots leased beyond it count as taken.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        calls: Iterable[CallKey],
        days: Iterable[DayKey],
        tenants: Iterable[str],
        now_ms: int,
        accounts: Iterable[ScopeKey] = (),
    ) -> None:
        self._db = db
        self._now_ms = now_ms
        self._entries: dict[CallKey, Entry | None] = dict.fromkeys(calls)
        self._under: dict[CallKey, int] = {}
        self._lent: dict[CallKey, int] = {}
        self._days: dict[DayKey, Day] = {}
        self._accounts: dict[str, Account] = {}
        self._in_flight: dict[str, int] = {}
        self._totals: dict[ScopeKey, Totals] = {}
        self._others: dict[ScopeKey, int] = {}  # what other hosts were seen to spend
        self._shifted: dict[ScopeKey, int] = {}  # those that changed, and until what day they are needed
        self._written: dict[CallKey, Entry] = {}
        self._moved: dict[DayKey, Day] = {}
        self._posted: dict[str, Account] = {}
        self._read(self._entries, days, set(tenants))
        self._read_scopes(accounts)

    def entry(self, tenant: str, request_id: str) -> Entry | None:
        """What is known of a call."""
        return self._entries[tenant, request_id]

    def under(self, tenant: str, request_id: str) -> int:
        """Number of the report of which Redis knows a call; 0 where it does not."""
        return self._under.get((tenant, request_id), 0)

    def lent(self, tenant: str, request_id: str) -> int:
        """What a call was lent by its scopes, nano-USD: Redis was away when it was held."""
        return self._lent.get((tenant, request_id), 0)

    def lend(self, tenant: str, request_id: str, nano: int) -> None:
        """Note what a call is lent, which is held in this transaction."""
        self._lent[tenant, request_id] = nano

    def day(self, tenant: str, day: int) -> Day:
        """Totals of a tenant's day."""
        key = (tenant, day)
        if key not in self._days:
            self._read((), (key,), ())
        return self._days[key]

    def totals(self, tenant: str, account: str) -> Totals:
        """A scope's account."""
        key = (tenant, account)
        if key not in self._totals:
            self._read_scopes((key,))
        return self._totals[key]

    def saw(self, tenant: str, account: str, others_nano: int) -> None:
        """Note what other hosts have spent in an account that moves in this transaction."""
        self._others[tenant, account] = others_nano

    def scoped(self, tenant: str, scopes: tuple[Scope, ...], day: int) -> Scoped:
        """Scopes, each with its account of a day."""
        return tuple([(scope, self.totals(tenant, scope.account(day))) for scope in scopes])

    def account(self, tenant: str) -> Account:
        """Bucket and past of a tenant."""
        return self._accounts[tenant]

    def in_flight(self, tenant: str) -> int:
        """Slots that are leased to a tenant's calls."""
        return self._in_flight[tenant]

    def book(self, tenant: str, request_id: str, booked: Booked) -> None:
        """Take a verdict that changes day and call, and the call's scopes as it changes the day."""
        call, day = (tenant, request_id), (tenant, booked.day.day)
        before, old = self.day(tenant, booked.day.day), self._entries[call]
        if booked.entry.accounts and (old is None or _weight(old) != _weight(booked.entry)):
            today = max(booked.day.day, daily.day_of(self._now_ms))
            for account in booked.entry.accounts:
                self._totals[tenant, account] = self.totals(tenant, account).moved(before, booked.day)
                self._shifted[tenant, account] = budgets.kept_until(account, today)
        if tenant in self._in_flight:
            had, has = (has_slot(e, self._now_ms) for e in (self._entries[call], booked.entry))
            self._in_flight[tenant] += has - had
        self._entries[call] = self._written[call] = booked.entry
        self._days[day] = self._moved[day] = booked.day

    def post(self, tenant: str, request_id: str, posted: Posted, under: int = 0) -> None:
        """Take a verdict that changes the account too; `under` where Redis knows of the call."""
        self.book(tenant, request_id, posted.booked)
        if under:
            self._under[tenant, request_id] = under
        self.charge(tenant, posted.account)

    def charge(self, tenant: str, account: Account) -> None:
        """Take a verdict that changes the account alone."""
        self._accounts[tenant] = self._posted[tenant] = account

    def write(self) -> None:
        """Write what has changed."""
        if self._moved:
            moved = [(t, d.day, d.spent_nano, d.held_nano) for (t, _), d in self._moved.items()]
            self._db.execute(_WRITE_DAYS, (_json(moved),))
        if self._shifted:
            shifted = [
                (
                    *key,
                    self._totals[key].spent_nano,
                    self._totals[key].held_nano,
                    until,
                    self._others.get(key, 0),
                )
                for key, until in self._shifted.items()
            ]
            self._db.execute(_WRITE_SCOPES, (_json(shifted),))
        if self._written:
            written = [
                (
                    *(tenant, name, e.day, e.amount_nano, e.expires_ms, int(e.state), e.charged_nano),
                    *(e.slot_ms, self.under(tenant, name), self.lent(tenant, name), " ".join(e.accounts)),
                )
                for (tenant, name), e in self._written.items()
            ]
            self._db.execute(_WRITE_HOLDS, (_json(written),))
        if self._posted:
            posted = [
                (tenant, a.tat_us, a.history.count, repr(a.history.mean), repr(a.history.m2))
                for tenant, a in self._posted.items()
            ]
            self._db.execute(_WRITE_ACCOUNTS, (_json(posted),))

    def _read(self, calls: Iterable[CallKey], days: Iterable[DayKey], tenants: Iterable[str]) -> None:
        wanted = set(days)
        asked = (_json(list(calls)), _json(list(wanted)), self._now_ms, orjson.dumps(list(tenants)).decode())
        holds, totals, accounts = self._db.execute(_READ, asked).fetchone()
        for tenant, name, *row, under, lent in orjson.loads(holds):
            self._entries[tenant, name] = entry_of(*row)
            self._under[tenant, name], self._lent[tenant, name] = under, lent
        self._days.update({key: Day(key[1]) for key in wanted})
        for tenant, day, spent_nano, held_nano in orjson.loads(totals):
            self._days[tenant, day] = Day(day, spent_nano, held_nano)
        for tenant, tat_us, calls_, mean, m2, in_flight in orjson.loads(accounts):
            known = tat_us is not None
            self._accounts[tenant] = (
                Account(tat_us, CostHistory(calls_, float(mean), float(m2))) if known else Account()
            )
            self._in_flight[tenant] = in_flight

    def _read_scopes(self, accounts: Iterable[ScopeKey]) -> None:
        wanted = set(accounts) - self._totals.keys()
        if wanted:
            (found,) = self._db.execute(_READ_SCOPES, (_json(list(wanted)),)).fetchone()
            self._totals.update(dict.fromkeys(wanted, Totals()))
            for tenant, account, spent_nano, held_nano in orjson.loads(found):
                self._totals[tenant, account] = Totals(spent_nano, held_nano)


def _weight(entry: Entry) -> tuple[State, int, int]:
    """What of a call counts in accounts: where it changes, Redis is to hear of them though no sum has."""
    return entry.state, entry.amount_nano, entry.charged_nano


def entry_of(
    day: int, amount_nano: int, expires_ms: int, state: int, charged: int, slot_ms: int, accounts: str
) -> Entry:
    """A call as its row has it."""
    return Entry(day, amount_nano, expires_ms, State(state), charged, slot_ms, tuple(accounts.split()))


def _json(rows: Sequence[tuple[str | int, ...]]) -> str:
    return orjson.dumps(rows).decode()
