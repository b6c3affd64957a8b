"""What can be asked of the guard's thread, and how each is done inside a transaction.

It knows nothing of threads and commits: `serve.guard_sqlite` groups these and hands the verdicts back.
"""

import asyncio
import sqlite3
from dataclasses import dataclass

from p402.errors import Refusal, StoreError
from p402.ports import Hold
from serve import guard_books as books

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
    cap_nano: int


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
class Settle:
    """A hold is to be replaced by what was spent; nobody waits."""

    hold: Hold
    actual_nano: int


class Stop:
    """The thread is to drain its queue and end."""


Asked = Reserve | TopUp | Spent
Operation = Asked | Settle


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """The answer to what was asked; `fresh` where it is a hold that was not there before."""

    asked: Asked
    value: Hold | Refusal | tuple[int, int] | StoreError
    fresh: bool = False


def apply(db: sqlite3.Connection, operation: Operation, now_ms: int) -> Verdict | None:
    """Do one operation; None where nobody waits for its verdict."""
    match operation:
        case Settle(hold, actual_nano):
            books.settle(db, hold, actual_nano, now_ms)
            return None
        case Reserve(future, tenant, request_id, amount_nano, cap_nano):
            if future.cancelled():
                return None
            value, fresh = books.reserve(db, tenant, request_id, amount_nano, cap_nano, now_ms)
            return Verdict(operation, value, fresh)
        case TopUp(future, hold, amount_nano, cap_nano):
            if future.cancelled():
                return None
            return Verdict(operation, books.top_up(db, hold, amount_nano, cap_nano, now_ms))
        case Spent(_, tenant):
            return Verdict(operation, books.spent(db, tenant, now_ms))


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
