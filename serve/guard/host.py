"""A host's own ledger behind a budget that hosts share: the SQLite hand, and what it must remember for Redis.

All that Redis grants is written here before anyone is called under it, so that this host can say at any
time what it spent and holds. Beside that it admits calls by itself where a lease pays for them. It knows
nothing of Redis: `serve.guard.shared` asks it and tells it.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from p402.errors import Refusal, StoreError
from p402.ports import Hold
from serve.guard import position
from serve.guard.operations import Do, Raise, Record, Recorded, Settle, check
from serve.guard.sqlite import SqliteGuard
from serve.guard.wanted import Wanted

T = TypeVar("T")


class HostLedger(SqliteGuard):
    """The SQLite hand of one host among several, or of one whose budget is in Redis."""

    alone = False

    async def record(self, hold: Hold, tat_us: int, report: int, others: tuple[int, ...] = ()) -> Recorded:
        """Write down what Redis has granted; `tat_us` is the tenant's bucket after it.

        `others` is what other hosts have spent of each of its scopes.

        Raises
        ------
        StoreError
            The file took nothing: nobody may be called under the hold.
        """
        self._refuse_closed()
        future: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        self._ask(Record(future, hold, tat_us, report, others))
        recorded = await future
        if recorded is Recorded.YES:
            self._keep_alive(hold)
        return recorded

    async def raise_to(self, hold: Hold, amount_nano: int, report: int) -> Recorded:
        """Write down that Redis has raised a hold.

        Raises
        ------
        StoreError
            The file took nothing: nobody may be called for more than the hold was.
        """
        self._refuse_closed()
        future: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        self._ask(Raise(future, hold, amount_nano, report))
        return await future

    async def from_lease(
        self, wanted: Wanted, lent_nano: tuple[int, ...], orphaned: Callable[[Hold], None]
    ) -> Hold | Refusal | None:
        """Admit a call that the lease pays for, under limits of this host's own; None where it has no room.

        Parameters
        ----------
        lent_nano
            What this host may spend of each scope without Redis, in one of its periods.
        orphaned
            Called with what is granted after the caller was cancelled.

        Raises
        ------
        StoreError
            The file took nothing.
        """
        done = self._begin(partial(position.from_lease, wanted=wanted, lent_nano=lent_nano))
        try:
            verdict, _ = await asyncio.shield(done)
        except asyncio.CancelledError:
            done.add_done_callback(partial(_hand_over, orphaned))
            raise
        if isinstance(verdict, Hold):
            self._keep_alive(verdict)
        return verdict

    def settle_and_tell(self, hold: Hold, actual_nano: int, tell: Callable[[int], None]) -> None:
        """Settle, and once that is written call `tell` with the report under which Redis knows of the call.

        It is not called where Redis need not be told: the next report does.
        """
        check(actual_nano)
        self._alive.pop((hold.tenant, hold.id), None)
        if not self._open:
            self.counters.unsettled += 1
            return

        def pass_on(told: asyncio.Future[int]) -> None:
            if not told.cancelled() and (report := told.result()):
                tell(report)

        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        told.add_done_callback(pass_on)
        self._queue_settlement(Settle(hold, actual_nano, told))

    async def do(self, work: Callable[[sqlite3.Connection, int], T]) -> T:
        """Do something in a transaction, given the connection and the wall time in ms.

        If the caller is cancelled it may be done all the same.

        Raises
        ------
        StoreError
            It was not done.
        """
        return await self._begin(work)

    def _begin(self, work: Callable[[sqlite3.Connection, int], T]) -> asyncio.Future[T]:
        self._refuse_closed()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._ask(Do(future, work))
        return future

    def _refuse_closed(self) -> None:
        if not self._open:
            raise StoreError(f"guard state {self._path} is closed")


def _hand_over(
    orphaned: Callable[[Hold], None], done: asyncio.Future[tuple[Hold | Refusal | None, bool]]
) -> None:
    """Pass on a hold that nobody waits for any more; a repeat's is its first caller's."""
    if not done.cancelled() and done.exception() is None:
        verdict, fresh = done.result()
        if fresh and isinstance(verdict, Hold):
            orphaned(verdict)
