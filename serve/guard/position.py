"""What a host tells Redis of itself, and what its own ledger remembers of having told it.

A report replaces all that Redis has of the host: what it spent, what it holds, its lease. Reports of a
tenant are numbered, and the number in force is part of every call to Redis and of every row that
Redis knows of, so that what was granted under one report cannot slip past the next. A call of which
Redis does not know (`under` 0) is paid from the lease. Every function runs inside a transaction its caller
has begun. It knows nothing of Redis, threads or event loops.
"""

import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from p402.errors import Refusal
from p402.guard import daily
from p402.guard.daily import Entry
from p402.guard.ledger import Account
from p402.guard.scopes import LIFE_DAYS, accounts
from p402.limits import Period
from p402.ports import Hold
from serve.guard import books
from serve.guard.sheet import Sheet, entry_of
from serve.guard.wanted import Wanted

MOST_TOKENS: Final = 64
"""Reports in a row of which nobody knows whether Redis took them."""
MOST_TOLD: Final = 1_000
"""Accounts of scopes that one script is told of: some 10 ms of Redis."""
MOST_EXPIRED: Final = 500
"""Expired calls that a report names, the last first; others that settle late are booked twice."""


@dataclass(frozen=True, slots=True)
class Position:
    """One report.

    Attributes
    ----------
    host
        Name of this ledger; a lost file gets another.
    was
        Its name before, if it goes on under a new one.
    report
        Its number, from 1.
    taken
        Number of the last report that Redis is known to have taken.
    token
        Made by chance, so that no other ledger's report is taken for this one.
    tokens
        Of every report of this ledger that Redis may have.
    kept_nano, wanted_nano
        Lease that is left, and that is asked for; of `lease_day`.
    account
        Bucket, and past of this host's own calls.
    days
        UTC day and nano-USD spent on it.
    calls
        By id, those that are held or expired.
    peers
        Other hosts, with a day and what they had spent and held of it when last seen.
    base
        Report that has told what scopes spent, but for what moved since it began; 0 where all is to be told.
    spent
        Scopes' accounts that may have moved since then, nano-USD spent, and spent by others when last seen.
    """

    host: str
    report: int
    taken: int
    token: str
    tokens: tuple[str, ...]
    lease_day: int
    kept_nano: int
    wanted_nano: int
    account: Account
    days: tuple[tuple[int, int], ...]
    calls: tuple[tuple[str, Entry], ...]
    peers: tuple[tuple[str, int, int], ...]
    base: int = 0
    spent: tuple[tuple[str, int, int], ...] = ()
    was: str = ""

    @property
    def parts(self) -> tuple[tuple[tuple[str, int, int], ...], ...]:
        """What is told of scopes ahead of the report, where it is too much for one script; else nothing."""
        most, spent = MOST_TOLD, self.spent
        return tuple(spent[i : i + most] for i in range(0, len(spent), most)) if len(spent) > most else ()


@dataclass(frozen=True, slots=True)
class Told:
    """What a host's ledger knows of its reports of one tenant.

    Attributes
    ----------
    dirty
        Something happened that Redis was not told.
    live
        Calls that are held.
    idle_ms
        Since a call was last asked for, to a second or two.
    short_ms
        Since a call last found no room for what was held, leases included.
    """

    tenant: str
    report: int
    dirty: bool
    lease_nano: int
    live: int
    idle_ms: int
    short_ms: int


def host_name(db: sqlite3.Connection) -> str:
    """Name of this ledger, made at first."""
    row = db.execute("SELECT name FROM host").fetchone()
    return rename(db) if row is None else str(row[0])


def rename(db: sqlite3.Connection) -> str:
    """Give this ledger a new name; what Redis has under the old one stays there, as a lost host's."""
    name = secrets.token_hex(8)
    db.execute(
        "INSERT INTO host (one, name) VALUES (1, ?) "
        "ON CONFLICT (one) DO UPDATE SET was = name, name = excluded.name",
        (name,),
    )
    db.execute("UPDATE shared SET taken = 0, tokens = '[]', dirty = 1")
    return name


def overtaken(
    db: sqlite3.Connection, _: int, *, tenant: str, host: str, report: int, foreign: bool
) -> tuple[str, int]:
    """Name and number to go on with, where a report in force is not the one that was sent.

    Where it is none of this ledger's, under its name of then, the ledger gets another name.
    """
    name, ours = host_name(db), number(db, tenant)
    if name == host and (foreign or report > ours):
        name = rename(db)
    return name, ours


def number(db: sqlite3.Connection, tenant: str) -> int:
    """Number of the tenant's last report, 0 if there was none."""
    row = db.execute("SELECT report FROM shared WHERE tenant = ?", (tenant,)).fetchone()
    return 0 if row is None else int(row[0])


def numbers(db: sqlite3.Connection, tenants: Iterable[str]) -> dict[str, int]:
    """Numbers of several tenants' last reports."""
    return {tenant: number(db, tenant) for tenant in tenants}


def survey(db: sqlite3.Connection, now_ms: int) -> list[Told]:
    """Of every tenant that was ever reported."""
    rows = db.execute(
        "SELECT tenant, report, dirty, lease_nano, asked_ms, short_ms, "
        "(SELECT count(*) FROM hold WHERE hold.tenant = shared.tenant AND state = 0) FROM shared"
    ).fetchall()
    return [
        Told(t, report, bool(dirty), lease, live, now_ms - asked, now_ms - short)
        for t, report, dirty, lease, asked, short, live in rows
    ]


def begin(
    db: sqlite3.Connection,
    now_ms: int,
    *,
    tenant: str,
    at_least: int,
    wanted_nano: int,
    idle: bool,
    whole: bool,
    at_length: bool,
) -> Position | None:
    """Begin a report: from here on, what was granted under an earlier one may not be recorded any more.

    None where it would have to be told in parts, and is not begun.

    Parameters
    ----------
    at_least
        A number that Redis is known to have, which this report's must be above.
    wanted_nano
        Lease to ask for.
    idle
        Whether the tenant needs no lease.
    whole
        Whether Redis has nothing of this host, so that all accounts of scopes are to be told.
    at_length
        Whether it may be told in parts.
    """
    today = daily.day_of(now_ms)
    row = db.execute(
        "SELECT report, taken, tokens, lease_day, lease_nano FROM shared WHERE tenant = ?", (tenant,)
    ).fetchone()
    report, taken, tokens, lease_day, lease_nano = row or (0, 0, "[]", 0, 0)
    base = 0 if whole else taken
    spent = _moved(db, tenant, base, -1 if at_length else MOST_TOLD + 1)
    if len(spent) > MOST_TOLD and not at_length:
        return None
    token, earlier = secrets.token_hex(8), orjson.loads(tokens)[-MOST_TOKENS:]
    report = max(report, at_least) + 1
    wanted_nano = 0 if idle else wanted_nano
    kept = min(lease_nano, wanted_nano) if lease_day == today else 0
    db.execute(
        "INSERT INTO shared "
        "(tenant, report, taken, tokens, dirty, lease_day, lease_nano, asked_ms, short_ms) "
        "VALUES (?, ?, 0, ?, 0, ?, ?, 0, 0) ON CONFLICT (tenant) DO UPDATE SET "
        "report = excluded.report, tokens = excluded.tokens, dirty = 0, "
        "lease_day = excluded.lease_day, lease_nano = excluded.lease_nano",
        (tenant, report, orjson.dumps([*earlier, token]).decode(), today, kept),
    )
    oldest = today - daily.KEEP_DAYS
    days = db.execute(
        "SELECT day, spent_nano FROM day WHERE tenant = ? AND day >= ? AND spent_nano > 0", (tenant, oldest)
    ).fetchall()
    calls = [
        *_calls(db, tenant, "state = 0", -1),
        *_calls(db, tenant, f"state = 1 AND day >= {oldest}", MOST_EXPIRED),
    ]
    db.execute("UPDATE hold SET under = ? WHERE tenant = ? AND state = 0", (report, tenant))
    db.execute("UPDATE hold SET under = ? WHERE tenant = ? AND state = 1", (report, tenant))
    peers = db.execute(
        "SELECT host, day, nano FROM peer WHERE tenant = ? AND day >= ?", (tenant, today)
    ).fetchall()
    account = Sheet(db, (), (), (tenant,), now_ms).account(tenant)
    return Position(
        host_name(db),
        report,
        taken,
        token,
        tuple(earlier),
        today,
        kept,
        wanted_nano,
        account,
        tuple(days),
        tuple(calls),
        tuple(peers),
        base,
        tuple(spent),
        db.execute("SELECT was FROM host").fetchone()[0],
    )


def _moved(db: sqlite3.Connection, tenant: str, base: int, most: int) -> list[tuple[str, int, int]]:
    """Scopes' accounts that may have moved since a report began, what was spent in them, and by others."""
    query = "SELECT account, spent_nano, others_nano FROM scope WHERE tenant = ? AND report >= ? LIMIT ?"
    return db.execute(query, (tenant, base, most)).fetchall()


def _calls(db: sqlite3.Connection, tenant: str, which: str, most: int) -> list[tuple[str, Entry]]:
    rows = db.execute(
        "SELECT id, day, amount_nano, expires_ms, state, charged_nano, slot_ms, accounts FROM hold "  # noqa: S608 - ours
        f"WHERE tenant = ? AND {which} ORDER BY expires_ms DESC LIMIT ?",
        (tenant, most),
    ).fetchall()
    return [(name, entry_of(*row)) for name, *row in rows]


def finish(
    db: sqlite3.Connection,
    _: int,
    *,
    tenant: str,
    position: Position,
    lease_nano: int,
    others: Sequence[tuple[str, int]],
) -> None:
    """Note that Redis has taken a report, and what it said of the lease and of other hosts."""
    db.execute(
        "UPDATE shared SET taken = max(taken, ?1), "
        "lease_nano = lease_nano + CASE report WHEN ?1 THEN ?2 ELSE 0 END, "
        "tokens = CASE report WHEN ?1 THEN ?4 ELSE tokens END WHERE tenant = ?3",
        (
            position.report,
            lease_nano - position.kept_nano,
            tenant,
            orjson.dumps([position.token]).decode(),
        ),
    )
    db.executemany(
        "INSERT INTO peer VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant, host) DO UPDATE SET "
        "nano = CASE day WHEN ?3 THEN max(nano, ?4) ELSE ?4 END, day = ?3",
        [(tenant, host, position.lease_day, nano) for host, nano in others],
    )


def soil(db: sqlite3.Connection, tenant: str) -> None:
    """Note that something happened that Redis was not told, or may have been told in vain."""
    db.execute("UPDATE shared SET dirty = 1 WHERE tenant = ?", (tenant,))


def asked(db: sqlite3.Connection, tenants: Iterable[str], short: Iterable[str], now_ms: int) -> None:
    """Note that calls of some tenants were asked for, and which of them found no room for what is held."""
    db.executemany("UPDATE shared SET asked_ms = ? WHERE tenant = ?", [(now_ms, t) for t in tenants])
    db.executemany("UPDATE shared SET short_ms = ? WHERE tenant = ?", [(now_ms, t) for t in short])


def lives(db: sqlite3.Connection, tenant: str, request_id: str) -> bool:
    """Whether a call is held or expired."""
    query = "SELECT 1 FROM hold WHERE tenant = ? AND id = ? AND state < 2"
    return db.execute(query, (tenant, request_id)).fetchone() is not None


def from_lease(
    db: sqlite3.Connection, now_ms: int, *, wanted: Wanted, lent_nano: Sequence[int]
) -> tuple[Hold | Refusal | None, bool]:
    """Admit a call that the lease pays for, under a host's own limits; None where the lease has no room.

    Gives also whether it is a hold that was not there before.

    Parameters
    ----------
    lent_nano
        What this host may spend of each scope without Redis, in one of its periods.
    """
    today, tenant, amount_nano = daily.day_of(now_ms), wanted.tenant, wanted.amount_nano
    sheet = Sheet(db, ((tenant, wanted.request_id),), ((tenant, today),), (tenant,), now_ms)
    row = db.execute(
        "SELECT lease_nano FROM shared WHERE tenant = ? AND lease_day = ?", (tenant, today)
    ).fetchone()
    fresh = sheet.entry(tenant, wanted.request_id) is None
    if fresh and amount_nano > (0 if row is None else row[0]):
        return None, False
    names = accounts(wanted.scopes, today)
    if fresh and any(
        _lent(db, tenant, name) + amount_nano > most for name, most in zip(names, lent_nano, strict=True)
    ):
        return None, False
    verdict, _ = books.reserve(sheet, wanted, now_ms)
    if isinstance(verdict, Hold) and fresh:
        if names:
            sheet.lend(tenant, wanted.request_id, amount_nano)
        sheet.write()
        pay(db, tenant, today, amount_nano)
        lend(db, tenant, amount_nano, names)
    return verdict, fresh and isinstance(verdict, Hold)


def _lent(db: sqlite3.Connection, tenant: str, account: str) -> int:
    row = db.execute("SELECT lent_nano FROM scope WHERE tenant = ? AND account = ?", (tenant, account))
    return sum(nano for (nano,) in row)


def lend(db: sqlite3.Connection, tenant: str, nano: int, names: Iterable[str]) -> None:
    """Note what scopes have lent; negative where it is given back."""
    db.executemany(
        "UPDATE scope SET lent_nano = max(0, lent_nano + ?) WHERE tenant = ? AND account = ?",
        [(nano, tenant, name) for name in names],
    )


def pay(db: sqlite3.Connection, tenant: str, day: int, nano: int) -> None:
    """Take from the lease of a day, or give back to it where negative; either way Redis is to be told."""
    db.execute(
        "UPDATE shared SET dirty = 1, "
        "lease_nano = max(0, lease_nano - CASE lease_day WHEN ? THEN ? ELSE 0 END) WHERE tenant = ?",
        (day, nano, tenant),
    )


def idle_lives(db: sqlite3.Connection, now_ms: int, *, tenant: str, most: int) -> list[str]:
    """Accounts of lives that this host has not moved for long: others may go on with them."""
    found = db.execute(
        "SELECT account FROM scope WHERE tenant = ? AND until_day < ? AND held_nano = 0 AND account LIKE ? "
        "LIMIT ?",
        (tenant, daily.day_of(now_ms), f"%/{Period.LIFE}", most),
    )
    return [account for (account,) in found]


def lives_on(
    db: sqlite3.Connection, now_ms: int, *, tenant: str, over: Iterable[str], on: Iterable[str]
) -> None:
    """Forget accounts that all hosts have forgotten, and keep those that others go on with."""
    today = daily.day_of(now_ms)
    db.executemany(
        "DELETE FROM scope WHERE tenant = ? AND account = ? AND until_day < ? AND held_nano = 0",
        [(tenant, account, today) for account in over],
    )
    db.executemany(
        "UPDATE scope SET until_day = max(until_day, ?) WHERE tenant = ? AND account = ?",
        [(today + LIFE_DAYS, tenant, account) for account in on],
    )
