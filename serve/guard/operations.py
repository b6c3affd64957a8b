"""What can be asked of the guard's thread, and how each is done inside a transaction.

It knows nothing of threads and commits: `serve.guard.sqlite` groups these and hands the verdicts back.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import Any

from p402.errors import Refusal
from p402.guard import daily
from p402.guard.explain import Standing
from p402.guard.scopes import accounts
from p402.limits import Limits, Scope
from p402.ports import Hold
from serve.guard import books, position
from serve.guard.sheet import CallKey, DayKey, ScopeKey, Sheet
from serve.guard.wanted import Wanted

STATE_RETRY_MS = 1_000
MAX_NANO = 1 << 62
"""SQLite holds 64-bit integers; sums of a day must stay inside."""


@dataclass(frozen=True, slots=True, eq=False)
class Reserve:
    """A hold is asked for; the answer says whether it is fresh, for a caller who leaves with it in hand."""

    future: asyncio.Future[tuple[Hold | Refusal, bool]]
    wanted: Wanted


@dataclass(frozen=True, slots=True, eq=False)
class Admit:
    """A request that costs nothing is to be taken from the rate."""

    future: asyncio.Future[Refusal | None]
    tenant: str
    limits: Limits


@dataclass(frozen=True, slots=True, eq=False)
class TopUp:
    """A hold is to be raised or renewed."""

    future: asyncio.Future[Hold | Refusal]
    hold: Hold
    amount_nano: int
    cap_nano: int


@dataclass(frozen=True, slots=True, eq=False)
class Spent:
    """Today's totals are asked for."""

    future: asyncio.Future[tuple[int, int]]
    tenant: str


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """What a call may cost now is asked for."""

    future: asyncio.Future[int]
    tenant: str
    cap_nano: int
    scopes: tuple[Scope, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stand:
    """Where a tenant stands is asked for."""

    future: asyncio.Future[Standing]
    tenant: str
    scopes: tuple[Scope, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Beat:
    """A worker's calls live: holds and slots are to be renewed; nobody waits."""

    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Settle:
    """A hold is to be replaced by what was spent.

    Attributes
    ----------
    told
        For whom must pass it on: the report under which Redis knows of the call, 0 where it need not be told;
        None where nobody waits.
    """

    hold: Hold
    actual_nano: int
    told: asyncio.Future[int] | None = None


class Recorded(Enum):
    """What became of a hold that Redis has granted."""

    YES = auto()
    STALE = auto()
    """Its host has begun another report meanwhile: it must be asked for again."""
    OVER = auto()
    """The call is settled."""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A hold that Redis has granted is to be written down before anyone is called under it."""

    future: asyncio.Future[Recorded]
    hold: Hold
    tat_us: int
    report: int
    others: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Raise:
    """A hold that Redis has raised is to be raised here."""

    future: asyncio.Future[Recorded]
    hold: Hold
    amount_nano: int
    report: int


@dataclass(frozen=True, slots=True, eq=False)
class Do:
    """Something rare is to be done in the transaction, behind all else in it, given the wall time in ms."""

    future: asyncio.Future[Any]
    work: Callable[[sqlite3.Connection, int], Any]


class Stop:
    """The thread is to drain its queue and end."""


Asked = Reserve | Admit | TopUp | Spent | Left | Stand | Beat | Record | Raise | Do
Operation = Asked | Settle


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """The answer to what was asked, for whoever waits."""

    future: asyncio.Future[Any]
    value: object


@dataclass(slots=True)
class GuardCounters:
    """What the hand has done since its start; read by the metrics."""

    operations: int = 0
    groups: int = 0
    refused_by_state: int = 0
    """Reservations refused because the file could not be used."""
    unsettled: int = 0
    """Settlements given up at close; their holds expire as charged."""

    def collect(self) -> dict[str, float]:
        """Each by the name of its metric (`serve.metrics.meter.Source`)."""
        return {
            "p402_guard_operations_total": self.operations,
            "p402_guard_groups_total": self.groups,
            "p402_guard_refused_by_state_total": self.refused_by_state,
            "p402_guard_unsettled_total": self.unsettled,
        }


def take(queue: SimpleQueue[list[Asked] | Stop], timeout_s: float | None) -> tuple[list[Asked], bool]:
    """Everything asked at the moment, after waiting for the first (forever if None); whether to stop."""
    asked: list[Asked] = []
    stopping = False
    try:
        found = queue.get(timeout=timeout_s)
        while True:
            if isinstance(found, Stop):
                stopping = True
            else:
                asked += found
            found = queue.get_nowait()
    except Empty:
        return asked, stopping


def work(db: sqlite3.Connection, group: Sequence[Operation], now_ms: int) -> list[Verdict]:
    """Do a group of operations in their order; verdicts for those that somebody waits for."""
    wanted = [
        o for o in group if not (isinstance(o, Reserve | TopUp | Record | Raise) and o.future.cancelled())
    ]
    today = daily.day_of(now_ms)
    calls: list[CallKey] = []
    days: list[DayKey] = []
    tenants: list[str] = []
    scoped: list[ScopeKey] = []
    recorded: list[str] = []
    for operation in wanted:
        match operation:
            case Reserve(wanted=new):
                calls.append((new.tenant, new.request_id))
                days.append((new.tenant, today))
                tenants.append(new.tenant)
                scoped += [(new.tenant, a) for a in accounts(new.scopes, today)]
            case TopUp(hold=hold) | Settle(hold=hold):
                calls.append((hold.tenant, hold.id))
                days.append((hold.tenant, hold.day))
                tenants.append(hold.tenant)
                scoped += [(hold.tenant, a) for a in accounts(hold.scopes, hold.day)]
            case Stand() | Do():
                pass
            case Admit():
                tenants.append(operation.tenant)
            case Record(hold=hold) | Raise(hold=hold):
                calls.append((hold.tenant, hold.id))
                days.append((hold.tenant, hold.day))
                tenants.append(hold.tenant)
                recorded.append(hold.tenant)
                scoped += [(hold.tenant, a) for a in accounts(hold.scopes, hold.day)]
            case Beat():
                calls += [(hold.tenant, hold.id) for hold in operation.holds]
                days += [(hold.tenant, hold.day) for hold in operation.holds]
                tenants += [hold.tenant for hold in operation.holds]
                scoped += [
                    (hold.tenant, a) for hold in operation.holds for a in accounts(hold.scopes, hold.day)
                ]
            case Spent():
                days.append((operation.tenant, today))
            case Left():
                days.append((operation.tenant, today))
                scoped += [(operation.tenant, a) for a in accounts(operation.scopes, today)]
    sheet = Sheet(db, calls, days, tenants, now_ms, scoped)
    work_ = _Work(sheet, position.numbers(db, set(recorded)), now_ms)
    verdicts = [v for o in wanted if (v := work_.apply(o)) is not None]
    sheet.write()
    for tenant, day, nano in work_.paid:
        position.pay(db, tenant, day, nano)
    for tenant, nano, names in work_.lent:
        position.lend(db, tenant, nano, names)
    for operation in wanted:
        match operation:
            case Stand(future, tenant, scopes):
                verdicts.append(Verdict(future, books.standing(db, tenant, now_ms, scopes)))
            case Do(future, something):
                verdicts.append(Verdict(future, something(db, now_ms)))
            case _:
                pass
    return verdicts


class _Work:
    """A group's operations upon its sheet.

    Attributes
    ----------
    paid
        Tenant, day and nano-USD to be taken from a lease; negative where it is given back.
    lent
        Tenant, nano-USD that scopes have lent, negative where it is given back, and their accounts.
    """

    def __init__(self, sheet: Sheet, reports: Mapping[str, int], now_ms: int) -> None:
        self.paid: list[tuple[str, int, int]] = []
        self.lent: list[tuple[str, int, tuple[str, ...]]] = []
        self._sheet = sheet
        self._reports = reports
        self._now_ms = now_ms

    def apply(self, operation: Operation) -> Verdict | None:
        """Do one operation; None where nobody waits for its verdict."""
        sheet, now_ms = self._sheet, self._now_ms
        match operation:
            case Settle(hold, actual_nano, None):
                books.settle(sheet, hold, actual_nano, now_ms)
                return None
            case Settle(hold, actual_nano, told) if told is not None:
                return Verdict(told, self._settle_shared(hold, actual_nano))
            case Beat(holds):
                for hold in holds:
                    books.top_up(sheet, hold, 0, 0, now_ms)
                return None
            case Reserve(future, wanted):
                return Verdict(future, books.reserve(sheet, wanted, now_ms))
            case Admit(future, tenant, limits):
                return Verdict(future, books.admit(sheet, tenant, limits, now_ms))
            case Record(future=future):
                return Verdict(future, self._record(operation))
            case Raise(future, hold, amount_nano, report):
                return Verdict(future, self._raise(hold, amount_nano, report))
            case TopUp(future, hold, amount_nano, cap_nano):
                return Verdict(future, books.top_up(sheet, hold, amount_nano, cap_nano, now_ms))
            case Spent(future, tenant):
                return Verdict(future, books.spent(sheet, tenant, now_ms))
            case Left(future, tenant, cap_nano, scopes):
                return Verdict(future, books.left(sheet, tenant, cap_nano, scopes, now_ms))
            case _:
                return None  # answered from what has been written

    def _settle_shared(self, hold: Hold, actual_nano: int) -> int:
        """The report under which Redis has the call; a call that it has not is the lease's matter."""
        under, lent = self._sheet.under(hold.tenant, hold.id), self._sheet.lent(hold.tenant, hold.id)
        known = self._sheet.entry(hold.tenant, hold.id)
        before = books.settle(self._sheet, hold, actual_nano, self._now_ms)
        if before is not None:
            back = min(actual_nano, lent) if under else actual_nano  # beyond it, Redis has given
            if lent:
                self.lent.append((hold.tenant, back - lent, before.accounts))
            if under:
                return under
            self.paid.append((hold.tenant, before.day, actual_nano - before.amount_nano))
        elif known is None:
            self.paid.append((hold.tenant, hold.day, 0))  # adopted: Redis is to be told
        return 0

    def _record(self, of: Record) -> Recorded:
        if self._reports[of.hold.tenant] != of.report:
            return Recorded.STALE
        done = books.record(self._sheet, of.hold, of.tat_us, of.report, of.others, self._now_ms)
        return Recorded.YES if done else Recorded.OVER

    def _raise(self, hold: Hold, amount_nano: int, report: int) -> Recorded:
        if self._reports[hold.tenant] != report:
            return Recorded.STALE
        raised = books.top_up(self._sheet, hold, amount_nano, MAX_NANO, self._now_ms)
        return Recorded.YES if isinstance(raised, Hold) else Recorded.OVER


def away(why: str, retry_ms: int = STATE_RETRY_MS) -> Refusal:
    """Refusal of a reservation because the ledger cannot be used: fail closed."""
    return Refusal(
        "BUDGET_RESERVATION_FAILED",
        503,
        f"the budget cannot be reserved because the spending ledger is away ({why}); retry shortly",
        retry_ms,
    )


def check(amount_nano: int) -> None:
    """Let only amounts pass that the ledger can hold.

    Raises
    ------
    ValueError
        The amount is negative or absurd.
    """
    if not 0 <= amount_nano < MAX_NANO:
        raise ValueError(f"amount is {amount_nano} nano-USD; expected 0 or more and less than 2**62")
