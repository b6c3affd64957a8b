"""Spending protection for all workers of a host: the guard's SQLite hand.

One thread per worker owns the connection. Whatever is queued at the moment runs in one
`BEGIN IMMEDIATE` transaction (group commit), and one wake-up hands all its verdicts to the event
loop, which never waits for the disk. A settlement, for which nobody waits, goes along with the next
reservation, and always before one that was asked after it. The verdicts are the law's
(`p402.guard.ledger`), exact across processes because every one is taken under the file's write lock.

It fails closed: if the file is locked, full, read-only or damaged, reservations are refused with
`BUDGET_RESERVATION_FAILED` 503, and settlements wait and are tried again. What never reaches the
disk stays a hold, which expires as charged at its maximum: books are never below the truth.

Source: reference study "Plumbing", section 2 (39 us per reserve and settle).
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue

from p402.errors import Refusal, StoreError
from p402.guard import daily
from p402.guard.explain import Standing
from p402.guard.slots import BEAT_MS
from p402.limits import Limits, Scope
from p402.ports import Hold
from serve import sqlite_file
from serve.guard import books
from serve.guard import file as guard_file
from serve.guard.operations import (
    Admit,
    Asked,
    Beat,
    Do,
    GuardCounters,
    Left,
    Operation,
    Raise,
    Record,
    Reserve,
    Settle,
    Spent,
    Stand,
    Stop,
    TopUp,
    Verdict,
    away,
    check,
    take,
    work,
)
from serve.guard.wanted import Wanted

RETRY_S = 0.2
"""Pause before settlements that the disk would not take are tried again."""
SETTLE_S = 0.01
"""A settlement waits at most this long for a reservation to share a transaction with."""
SWEEP_MS = 1_000
"""Holds that have outlived their lease are looked for at least this often, and whenever one can have."""

_log = logging.getLogger("p402.guard")


class SqliteGuard:
    """Layers 1, 2, 3, 4 and 6 in one SQLite file.

    Holds and slots of calls that this hand has granted and not yet settled are renewed every `beat_s`.

    Parameters
    ----------
    path
        The file; folder and file are created by `start`.
    limits
        Of a tenant; called on the event loop.
    now_ms
        Wall time in ms; called on the guard's thread.
    busy_s
        How long a group waits for another process's transaction before it fails closed.

    Attributes
    ----------
    alone
        Whether all that budgets count is in this file.
    """

    alone = True

    def __init__(
        self,
        path: Path,
        limits: Callable[[str], Limits],
        now_ms: Callable[[], int],
        *,
        busy_s: float = 1.0,
    ) -> None:
        self._path = path
        self._limits = limits
        self._now_ms = now_ms
        self._busy_s = busy_s
        self._queue: SimpleQueue[list[Asked] | Stop] = SimpleQueue()
        self._asked: list[Asked] = []
        self._asking: asyncio.AbstractEventLoop | None = None
        self._settlements: deque[Settle] = deque()
        self._waker: asyncio.TimerHandle | None = None
        self._alive: dict[tuple[str, str], Hold] = {}
        self._beater: asyncio.TimerHandle | None = None
        self.beat_s = BEAT_MS / 1_000
        self._thread: threading.Thread | None = None
        self._open = False
        self._ended = False
        self._pruned_day = -1
        self._swept_ms = self._sweep_ms = 0
        self._failing = False
        self.counters = GuardCounters()

    def start(self) -> None:
        """Open the file and start the thread; blocks for a few milliseconds.

        Raises
        ------
        p402.errors.ConfigError
            The file cannot be opened or written.
        p402.errors.StoreError
            The file is corrupt, another program's, or of a later schema.
        """
        db = guard_file.connect(self._path)
        db.execute("PRAGMA busy_timeout = 0")  # waiting is done by `begin`, in finer steps
        checkpointer = sqlite_file.Checkpointer(self._path)
        checkpointer.start(db)
        self._open = True
        self._thread = threading.Thread(
            target=self._run, args=(db, checkpointer), name="p402-guard", daemon=True
        )
        self._thread.start()

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def open(self) -> bool:
        """Whether reservations are taken: it has started, and its thread lives."""
        return self._open

    def collect(self) -> dict[str, float]:
        """What it has counted since its start, by name of metric."""
        return self.counters.collect()

    async def close(self) -> None:
        """Drain the queue, settlements included, and close the file; idempotent."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._open = False
        for timer in (self._waker, self._beater):
            if timer is not None:
                timer.cancel()
        self._hand_over()
        self._queue.put(Stop())
        await asyncio.to_thread(thread.join)

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        """Take a slot and set aside the most a call may cost, or say which layer or scope refuses.

        If the caller is cancelled while it waits, what was granted meanwhile is released.
        """
        check(amount_nano)
        if not self._open:
            return away("the guard is closed")
        future: asyncio.Future[tuple[Hold | Refusal, bool]] = asyncio.get_running_loop().create_future()
        limits = self._limits(tenant)
        wanted = Wanted(tenant, request_id, amount_nano, expected_nano, limits, scopes)
        self._ask(Reserve(future, wanted))
        try:
            verdict, _ = await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # granted, but the caller was not woken any more
                self._release(future.result())
            raise
        if isinstance(verdict, Hold):
            self._keep_alive(verdict)
        return verdict

    async def admit(self, tenant: str) -> Refusal | None:
        """Take one request from the rate, for an answer that costs nothing."""
        return await self.admit_under(tenant, self._limits(tenant))

    async def admit_under(self, tenant: str, limits: Limits) -> Refusal | None:
        """The same under limits that are given."""
        if not self._open:
            return away("the guard is closed")
        future: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
        self._ask(Admit(future, tenant, limits))
        return await future

    async def top_up(self, hold: Hold, amount_nano: int) -> Hold | Refusal:
        """Raise a hold to `amount_nano`, or renew it; a refusal leaves the hold as it was."""
        check(amount_nano)
        if not self._open:
            return away("the guard is closed")
        future: asyncio.Future[Hold | Refusal] = asyncio.get_running_loop().create_future()
        self._ask(TopUp(future, hold, amount_nano, self._limits(hold.tenant).daily_cap_nano))
        return await future

    def settle(self, hold: Hold, actual_nano: int) -> None:
        """Queue the replacement of the hold by what was spent; idempotent."""
        check(actual_nano)
        self._alive.pop((hold.tenant, hold.id), None)
        if not self._open:
            self.counters.unsettled += 1
            return
        self._queue_settlement(Settle(hold, actual_nano))

    def _queue_settlement(self, settlement: Settle) -> None:
        self._settlements.append(settlement)
        if self._waker is None:
            try:
                self._waker = asyncio.get_running_loop().call_later(SETTLE_S, self._wake)
            except RuntimeError:  # no event loop runs, so nothing can be waited for
                self._wake()

    def _wake(self) -> None:
        """Have settlements booked that no reservation took along."""
        self._waker = None
        if self._settlements:
            self._queue.put([])

    def _keep_alive(self, hold: Hold) -> None:
        """Renew a hold until it is settled, as long as this worker lives."""
        self._alive[hold.tenant, hold.id] = hold
        self._beat_later()

    def _beat_later(self) -> None:
        if self._beater is None:
            self._beater = asyncio.get_running_loop().call_later(self.beat_s, self._beat)

    def _beat(self) -> None:
        """Renew the leases of this worker's calls, for as long as there are any."""
        self._beater = None
        if self._alive and self._open:
            self._ask(Beat(tuple(self._alive.values())))
            self._beat_later()

    async def spent(self, tenant: str) -> tuple[int, int]:
        """Nano-USD spent and held on the tenant's current UTC day.

        Raises
        ------
        p402.errors.StoreError
            The file could not be read.
        """
        if not self._open:
            raise StoreError(f"guard state {self._path} is closed")
        future: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._ask(Spent(future, tenant))
        return await future

    async def left(self, tenant: str, scopes: tuple[Scope, ...] = ()) -> int:
        """Nano-USD that a call may cost at most now.

        Raises
        ------
        p402.errors.StoreError
            The file could not be read.
        """
        if not self._open:
            raise StoreError(f"guard state {self._path} is closed")
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._ask(Left(future, tenant, self._limits(tenant).daily_cap_nano, scopes))
        return await future

    async def standing(self, tenant: str, scopes: tuple[Scope, ...] = ()) -> Standing:
        """Where a tenant and some scopes stand, with the calls that hold the tenant's money.

        Raises
        ------
        p402.errors.StoreError
            The file could not be read.
        """
        if not self._open:
            raise StoreError(f"guard state {self._path} is closed")
        future: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()
        self._ask(Stand(future, tenant, scopes))
        return await future

    def _ask(self, operation: Asked) -> None:
        """Queue what is asked; all of one turn of the event loop wakes the thread once."""
        self._asked.append(operation)
        loop = asyncio.get_running_loop()
        if self._asking is not loop:
            self._asking = loop
            loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._asking = None
        asked, self._asked = self._asked, []
        if self._ended:  # closed meanwhile, or its thread broke: nobody would take them
            self._refuse(asked, "the guard is closed")
        elif asked:
            self._queue.put(asked)

    def _run(self, db: sqlite3.Connection, checkpointer: sqlite_file.Checkpointer) -> None:
        waiting: list[Settle] = []
        group: list[Operation] = []
        stop_at: float | None = None
        try:
            while stop_at is None or (waiting and time.monotonic() < stop_at):
                asked, stopping = take(self._queue, RETRY_S if waiting else None)
                if stopping:
                    stop_at = time.monotonic() + self._busy_s
                group = [*waiting, *self._settled(), *asked]
                if group:
                    waiting = self._commit(db, group)
                    group = []
                    checkpointer.committed()
        finally:
            self._open = False
            self._ended = True
            asked, _ = take(self._queue, 0.0)
            operations: list[Operation] = [*(group or waiting), *self._settled(), *asked]
            self._refuse(operations, "the guard is closed")
            lost = [o for o in operations if isinstance(o, Settle)]
            if lost:
                self.counters.unsettled += len(lost)
                _log.error(
                    "%d settlements never reached %s; their holds expire as charged", len(lost), self._path
                )
            checkpointer.stop()
            db.close()

    def _settled(self) -> list[Settle]:
        """Every settlement queued at the moment; after `take`, all that preceded what was taken."""
        return [self._settlements.popleft() for _ in range(len(self._settlements))]

    def _commit(self, db: sqlite3.Connection, group: list[Operation]) -> list[Settle]:
        """Run a group in one transaction; gives the settlements that must be tried again.

        An error of ours ends one operation, not the thread: the group is done again one by one, and what
        fails alone is given up, so that its hold expires as charged.
        """
        try:
            sqlite_file.begin(db, self._busy_s)
            now = self._now_ms()
            swept, next_ms = not self._swept_ms <= now < self._sweep_ms, 0
            if swept:
                next_ms = books.sweep(db, now)
                books.forget(db, now, lives=self.alone)
            if daily.day_of(now) > self._pruned_day:
                books.prune(db, now)
                self._pruned_day = daily.day_of(now)
            verdicts = work(db, group, now)
            db.execute("COMMIT")
            if swept:
                self._swept_ms, self._sweep_ms = now, min(next_ms, now + SWEEP_MS)
        except Exception as error:  # noqa: BLE001 - the ledger outlives whatever one operation does to it
            try:
                sqlite_file.roll_back(db)
            except sqlite3.Error as worse:
                _log.error("guard state %s: rollback failed: %s", self._path, worse)
            if sqlite_file.is_the_files(error):
                return self._wait(group, error)
            if len(group) > 1:
                return [again for o in group for again in self._commit(db, [o])]
            _log.exception("guard state %s: %r could not be booked", self._path, group[0])
            self.counters.unsettled += isinstance(group[0], Settle)
            self._refuse(group, str(error))
            return []
        self._failing = False
        self.counters.groups += 1
        self.counters.operations += len(group)
        self._deliver(verdicts)
        return []

    def _wait(self, group: Sequence[Operation], error: Exception) -> list[Settle]:
        """Refuse what the file would not take; gives the settlements that must be tried again."""
        if not self._failing:
            self._failing = True
            _log.error("guard state %s: %s; refusing reservations until it can be written", self._path, error)
        self._refuse(group, str(error))
        return [o for o in group if isinstance(o, Settle)]

    def _refuse(self, group: Sequence[Operation], why: str) -> None:
        verdicts: list[Verdict] = []
        for operation in group:
            match operation:
                case Reserve(future=future):
                    self.counters.refused_by_state += 1
                    verdicts.append(Verdict(future, (away(why), False)))
                case Admit(future=future) | TopUp(future=future):
                    self.counters.refused_by_state += 1
                    verdicts.append(Verdict(future, away(why)))
                case Spent(future=future) | Left(future=future) | Stand(future=future) | Do(future=future):
                    verdicts.append(Verdict(future, StoreError(f"guard state {self._path}: {why}")))
                case Record(future=future) | Raise(future=future):
                    self.counters.refused_by_state += 1
                    verdicts.append(Verdict(future, StoreError(f"guard state {self._path}: {why}")))
                case Settle() | Beat():
                    pass
        self._deliver(verdicts)

    def _deliver(self, verdicts: list[Verdict]) -> None:
        """Hand verdicts to their event loops, one wake-up for each loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[Verdict]] = {}
        for verdict in verdicts:
            by_loop.setdefault(verdict.future.get_loop(), []).append(verdict)
        for loop, some in by_loop.items():
            try:
                loop.call_soon_threadsafe(self._resolve, some)
            except RuntimeError:
                _log.warning("%d verdicts of the guard came after their event loop had closed", len(some))

    def _resolve(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            if verdict.future.done():  # the caller left while it waited
                self._release(verdict.value)
            elif isinstance(verdict.value, StoreError):
                verdict.future.set_exception(verdict.value)
            else:
                verdict.future.set_result(verdict.value)

    def _release(self, value: object) -> None:
        """Give back a fresh hold whose caller left: nobody else knows of it."""
        match value:
            case (Hold() as hold, True):
                self.settle(hold, 0)
            case _:
                pass
