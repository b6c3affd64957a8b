"""What can be asked of the guard's thread, and how each is done inside a transaction.

It knows nothing of threads and commits: `serve.guard.sqlite` groups these and hands the verdicts back.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from p402.errors import Refusal, StoreError
from p402.guard import daily
from p402.guard.explain import Standing
from p402.limits import Limits
from p402.ports import Hold
from serve.guard import books

STATE_RETRY_MS = 1_000
MAX_NANO = 1 << 62
"""SQLite holds 64-bit integers; sums of a day must stay inside."""


@dataclass(frozen=True, slots=True, eq=False)
class Reserve:
    """A hold is asked for; the answer says whether it is fresh, for a caller who leaves with it in hand."""

    future: "asyncio.Future[Verdict]"
    tenant: str
    request_id: str
    amount_nano: int
    expected_nano: int
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
class Stand:
    """Where a tenant stands is asked for."""

    future: asyncio.Future[Standing]
    tenant: str


@dataclass(frozen=True, slots=True, eq=False)
class Beat:
    """A worker's calls live: holds and slots are to be renewed; nobody waits."""

    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Settle:
    """A hold is to be replaced by what was spent; nobody waits."""

    hold: Hold
    actual_nano: int


class Stop:
    """The thread is to drain its queue and end."""


Asked = Reserve | TopUp | Spent | Stand | Beat
Operation = Asked | Settle


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """The answer to what was asked; `fresh` where it is a hold that was not there before."""

    asked: Reserve | TopUp | Spent | Stand
    value: Hold | Refusal | tuple[int, int] | Standing | StoreError
    fresh: bool = False


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
    wanted = [o for o in group if not (isinstance(o, Reserve | TopUp) and o.future.cancelled())]
    today = daily.day_of(now_ms)
    calls: list[books.CallKey] = []
    days: list[books.DayKey] = []
    tenants: list[str] = []
    for operation in wanted:
        match operation:
            case Reserve():
                calls.append((operation.tenant, operation.request_id))
                days.append((operation.tenant, today))
                tenants.append(operation.tenant)
            case TopUp(hold=hold) | Settle(hold=hold):
                calls.append((hold.tenant, hold.id))
                days.append((hold.tenant, hold.day))
                tenants.append(hold.tenant)
            case Stand():
                pass
            case Beat():
                calls += [(hold.tenant, hold.id) for hold in operation.holds]
                days += [(hold.tenant, hold.day) for hold in operation.holds]
                tenants += [hold.tenant for hold in operation.holds]
            case Spent():
                days.append((operation.tenant, today))
    sheet = books.Sheet(db, calls, days, tenants, now_ms)
    verdicts = [v for o in wanted if (v := _apply(sheet, o, now_ms)) is not None]
    sheet.write()
    looks = [o for o in wanted if isinstance(o, Stand)]
    return verdicts + [Verdict(o, books.standing(db, o.tenant, now_ms)) for o in looks]


def _apply(sheet: books.Sheet, operation: Operation, now_ms: int) -> Verdict | None:
    """Do one operation; None where nobody waits for its verdict."""
    match operation:
        case Settle(hold, actual_nano):
            books.settle(sheet, hold, actual_nano, now_ms)
            return None
        case Stand():
            return None  # answered from what has been written
        case Beat(holds):
            for hold in holds:
                books.top_up(sheet, hold, 0, 0, now_ms)
            return None
        case Reserve(_, tenant, request_id, amount_nano, expected_nano, limits):
            value, fresh = books.reserve(
                sheet, tenant, request_id, amount_nano, expected_nano, limits, now_ms
            )
            return Verdict(operation, value, fresh)
        case TopUp(_, hold, amount_nano, cap_nano):
            return Verdict(operation, books.top_up(sheet, hold, amount_nano, cap_nano, now_ms))
        case Spent(_, tenant):
            return Verdict(operation, books.spent(sheet, tenant, now_ms))


def away(why: str) -> Refusal:
    """Refusal of a reservation because the ledger cannot be used: fail closed."""
    return Refusal(
        "BUDGET_RESERVATION_FAILED",
        503,
        f"the budget cannot be reserved because the spending ledger is away ({why}); retry shortly",
        STATE_RETRY_MS,
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
