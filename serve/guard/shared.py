"""Spending protection for several hosts: the guard's Redis hand, with each host's own ledger behind it.

A call is admitted by one script in Redis, for layers 1, 2, 3, 4 and 6 at once, and written into the host's
ledger before anyone is called. What is spent is settled in both. Whatever may have gone wrong between the two
is mended by a report (`serve.guard.reporter`): the host's whole position, in place of what Redis had of it.
So is a Redis that forgot, or went back.

Failure contract: where Redis is away, slow, full or not to be believed, layers 1 to 4 are this host's own and
a part of the tenant's (`p402.guard.lease.local`), and layer 6 spends what Redis had counted as held by this
host beforehand; then `BUDGET_RESERVATION_FAILED` 503 with `retry_after_ms`. No request waits more than 300 ms
on Redis. Where the ledger takes nothing, everything is refused.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from p402.errors import Refusal, StateAway, StoreError
from p402.guard import daily, lease, ledger, rate
from p402.guard import scopes as budgets
from p402.guard.explain import Standing
from p402.guard.slots import BEAT_MS
from p402.limits import Limits, Scope
from p402.ports import Hold
from serve.guard import position, scripts
from serve.guard.answers import (
    Admitted,
    Cold,
    Granted,
    Looked,
    NotRaised,
    Over,
    Raised,
    Refused,
    Stale,
    TooFast,
    Wait,
)
from serve.guard.books import MOST_SHOWN
from serve.guard.host import HostLedger
from serve.guard.operations import Recorded, away
from serve.guard.reporter import Redis, Reporter, SharedCounters, Shut
from serve.guard.scripts import Caller
from serve.guard.settling import Settling
from serve.guard.wanted import Wanted
from serve.guard.watch import EVERY_S, Check, Watch

PATIENCE_S: Final = 0.05
"""Redis is not asked again for a request after this; a call may take 150 ms, so that all is under 300 ms."""

_log = logging.getLogger("p402.guard")


class SharedGuard:
    """Layers 1, 2, 3, 4 and 6 in Redis, and in this host's ledger.

    Parameters
    ----------
    own
        This host's ledger; started and closed with the guard.
    redis
        The way to where the budget is shared; closed with the guard.
    limits
        Of a tenant.
    hosts
        How many hosts share the budget.
    tenants
        All there are: Redis is told of them before their first call.
    check
        Refuses, by a `ConfigError`, a Redis that must not keep budgets; asked before anything else is.
    now_ms
        Wall time in place of the server's own; for tests.
    lease_nano
        Lease to ask for, by a tenant's cap and the number of hosts.

    Attributes
    ----------
    patience_s
        Redis is not asked again for a request after this.
    """

    def __init__(
        self,
        own: HostLedger,
        redis: Redis,
        limits: Callable[[str], Limits],
        *,
        hosts: int = 1,
        tenants: tuple[str, ...] = (),
        check: Check | None = None,
        now_ms: Callable[[], int] | None = None,
        lease_nano: Callable[[int, int], int] = lease.wanted_nano,
    ) -> None:
        self.patience_s = PATIENCE_S
        self._own = own
        self._limits = limits
        self._redis = redis
        self._reporter = Reporter(own, redis, limits, hosts, now_ms or _servers_own, lease_nano)
        self._watch = Watch(own, redis, self._reporter, tenants, check)
        self._settling = Settling(own, redis, self._reporter)

    # Life

    def start(self) -> None:
        """Open the ledger; blocks for a few milliseconds.

        Raises
        ------
        p402.errors.ConfigError, p402.errors.StoreError
            It cannot be used.
        """
        self._own.start()

    async def join(self) -> None:
        """Tell Redis where this host stands, and go on doing so; it may be away.

        Raises
        ------
        p402.errors.ConfigError
            Redis must not keep budgets.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self._reporter.host = await self._own.do(lambda db, _: position.host_name(db))
            await self._watch.start()
        except BaseException:
            await self._watch.stop()
            await self._redis.aclose()
            await self._own.close()
            raise

    @property
    def open(self) -> bool:
        """Whether calls are taken, by Redis or from a lease."""
        return self._own.open

    async def close(self) -> None:
        """Give leases back and tell Redis what was settled, if it is there; close the ledger; idempotent."""
        await self._watch.stop()
        if self._own.open:
            try:
                for told in await self._settling.settled():
                    if self._reporter.knows(told.tenant) and (told.dirty or told.lease_nano):
                        await self._reporter.report(told.tenant, idle=True)
            except (StoreError, Shut) as error:
                _log.warning("Redis did not hear this worker's last word: %s", error)
        await self._redis.aclose()
        await self._own.close()

    @property
    def counters(self) -> SharedCounters:
        """What the hand has done since its start."""
        return self._reporter.counters

    def collect(self) -> dict[str, float]:
        """What hand and ledger have counted since their start, by name of metric."""
        return self._own.collect() | self.counters.collect()

    @property
    def beat_s(self) -> float:
        """How often calls under way are renewed in the ledger, in seconds; the watch goes along with it."""
        return self._own.beat_s

    @beat_s.setter
    def beat_s(self, seconds: float) -> None:
        self._own.beat_s = seconds
        self._watch.report_s = seconds * lease.REPORT_MS / BEAT_MS
        self._watch.every_s = seconds * EVERY_S * 1_000 / BEAT_MS

    # Of the port

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
        _check(amount_nano)
        until = time.monotonic() + self.patience_s
        wanted = Wanted(tenant, request_id, amount_nano, expected_nano, self._limits(tenant), scopes)
        self._watch.asked(tenant)
        try:
            try:
                self._watch.refuse_untrusted()
                while True:
                    answer = await self._reserve(wanted)
                    if isinstance(answer, Hold | Refusal):
                        return answer
                    await self._mend(tenant, answer, until)
            except Shut as shut:
                return await self._from_lease(wanted, shut)
        except StoreError as error:
            return self._away(str(error))

    async def admit(self, tenant: str) -> Refusal | None:
        """Take one request from the rate, for an answer that costs nothing; without Redis, from its own."""
        limits, until = self._limits(tenant), time.monotonic() + self.patience_s
        try:
            try:
                self._watch.refuse_untrusted()
                while True:
                    parts = scripts.ask_admit(self._reporter.caller(tenant), tenant, limits)
                    answer = await self._reporter.ask(tenant, self._redis.call(*parts), scripts.read_admit)
                    match answer:
                        case Admitted(seq):
                            self._reporter.saw(tenant, seq)
                            return None
                        case TooFast(now_ms, seq, tat_us):
                            self._reporter.saw(tenant, seq)
                            refusal = rate.admit(tat_us, limits.rate, now_ms)
                            assert isinstance(refusal, Refusal), (answer, "script and law disagree")
                            return refusal
                        case _:
                            await self._mend(tenant, answer, until)
            except Shut:
                return await self._own.admit_under(tenant, lease.local(limits, self._reporter.hosts))
        except StoreError as error:
            return self._away(str(error))

    async def top_up(self, hold: Hold, amount_nano: int) -> Hold | Refusal:
        """Raise a hold to `amount_nano`, or renew it; a refusal leaves the hold as it was.

        While Redis gives no verdict, holds are renewed and none is raised.
        """
        _check(amount_nano)
        limits, until = self._limits(hold.tenant), time.monotonic() + self.patience_s
        try:
            try:
                self._watch.refuse_untrusted()
                while True:
                    answer = await self._top_up(hold, amount_nano, limits)
                    if isinstance(answer, Hold | Refusal):
                        return answer
                    await self._mend(hold.tenant, answer, until)
            except Shut as shut:
                if amount_nano > hold.amount_nano:
                    return self._away(str(shut), shut.retry_ms)
                return await self._own.top_up(hold, amount_nano)
        except StoreError as error:
            return self._away(str(error))

    def settle(self, hold: Hold, actual_nano: int) -> None:
        """Queue the replacement of the hold by what was spent, in the ledger and in Redis; idempotent."""
        _check(actual_nano)
        if not on_loop(self._loop):
            self._loop.call_soon_threadsafe(self.settle, hold, actual_nano)
            return
        self._settling.settle(hold, actual_nano)

    async def spent(self, tenant: str) -> tuple[int, int]:
        """Nano-USD spent and held on the tenant's current UTC day, by all hosts.

        Raises
        ------
        p402.errors.StoreError
            Redis or the ledger cannot be read.
        """
        looked = await self._look(tenant, 0)
        return looked.day.spent_nano, looked.day.held_nano

    async def left(self, tenant: str, scopes: tuple[Scope, ...] = ()) -> int:
        """Nano-USD that a call may cost at most now.

        Raises
        ------
        p402.errors.StoreError
            Redis or the ledger cannot be read.
        """
        looked = await self._look(tenant, 0, scopes)
        return ledger.left(looked.day, self._limits(tenant).daily_cap_nano, looked.scoped)

    async def standing(self, tenant: str, scopes: tuple[Scope, ...] = ()) -> Standing:
        """Where a tenant and some scopes stand, with all hosts' calls that hold its money, and their leases.

        Raises
        ------
        p402.errors.StoreError
            Redis or the ledger cannot be read.
        """
        return (await self._look(tenant, MOST_SHOWN, scopes)).standing

    # Asking

    async def _reserve(self, wanted: Wanted) -> Hold | Refusal | Cold | Stale | Wait | None:
        """One try; None where the ledger knows of another report than Redis was asked under."""
        tenant, name = wanted.tenant, wanted.request_id
        who = self._reporter.caller(tenant)
        parts = scripts.ask_reserve(who, wanted)
        try:
            answer = await self._reporter.ask(tenant, self._redis.call(*parts), scripts.read_reserve)
        except asyncio.CancelledError:
            if not self._settling.is_under_way(tenant, name):  # a repeat has nothing of its own to give back
                self._settling.release(tenant, name, who.report)  # comes behind it in Redis, too
            raise
        match answer:
            case Granted(_, seq, day, amount, account, totals, others):
                self._reporter.saw(tenant, seq)
                rooms = budgets.rooms(scripts.scoped_by(who, wanted.scopes, totals), None)
                hold = Hold(name, tenant, amount, day, account.history, wanted.scopes, rooms)
                return await self._record(hold, account.tat_us, who.report, others)
            case Refused():
                self._reporter.saw(tenant, answer.seq)
                return self._refused(who, wanted, answer)
            case Over(seq):
                self._reporter.saw(tenant, seq)
                return daily.OVER
            case Cold() | Stale() | Wait():
                return answer

    def _refused(self, who: Caller, wanted: Wanted, seen: Refused) -> Refusal:
        """What the law says of the numbers that the script refused by."""
        day, past, limits = seen.day, seen.account.history, wanted.limits
        if day.spent_nano + day.held_nano + wanted.amount_nano > limits.daily_cap_nano:
            self._watch.short(wanted.tenant)
        refusal = ledger.reserve(
            day,
            None,
            seen.account,
            seen.in_flight,
            wanted.amount_nano,
            wanted.expected_nano,
            limits,
            seen.now_ms,
            scripts.scoped_by(who, wanted.scopes, seen.totals),
        )
        if isinstance(refusal, Refusal):
            return refusal
        # a logarithm's last bit may differ where Redis was built
        return ledger.refuse_out_of_line(past, wanted.expected_nano, limits)

    async def _record(
        self, hold: Hold, tat_us: int, report: int, others: tuple[int, ...]
    ) -> Hold | Refusal | None:
        """Write a granted hold down; without that nobody may be called under it."""
        repeated = self._settling.is_under_way(hold.tenant, hold.id)
        try:
            recorded = await self._own.record(hold, tat_us, report, others)
        except BaseException:
            if not repeated:
                self._settling.granted(hold, report)
                self.settle(hold, 0)
            raise
        match recorded:
            case Recorded.YES:
                self._settling.granted(hold, report)
                self._reporter.counters.granted += 1
                return hold
            case Recorded.STALE:
                return None
            case Recorded.OVER:
                self._settling.release(hold.tenant, hold.id, report)
                return daily.OVER

    async def _top_up(
        self, hold: Hold, amount_nano: int, limits: Limits
    ) -> Hold | Refusal | Cold | Stale | Wait | None:
        """One try; None where the ledger knows of another report than Redis was asked under."""
        tenant, who = hold.tenant, self._reporter.caller(hold.tenant)
        parts = scripts.ask_top_up(who, tenant, hold.id, amount_nano, limits.daily_cap_nano, hold.scopes)
        answer = await self._reporter.ask(tenant, self._redis.call(*parts), scripts.read_top_up)
        match answer:
            case Raised(seq, amount):
                self._reporter.saw(tenant, seq)
                raised = msgspec.structs.replace(hold, amount_nano=amount)
                recorded = await self._own.raise_to(raised, amount, who.report)
                if recorded is Recorded.STALE:
                    return None
                return raised if recorded is Recorded.YES else daily.OVER
            case NotRaised(now_ms, seq, day, entry, totals):
                self._reporter.saw(tenant, seq)
                scoped = scripts.scoped_by(who, hold.scopes, totals)
                refusal = ledger.top_up(day, entry, amount_nano, limits.daily_cap_nano, now_ms, scoped)
                assert isinstance(refusal, Refusal), (answer, "script and law disagree")
                return refusal
            case Over(seq):
                self._reporter.saw(tenant, seq)
                lives = await self._own.do(lambda db, _: position.lives(db, tenant, hold.id))
                return Stale(0) if lives else daily.OVER  # a lease paid for it: Redis hears of it by a report
            case Cold() | Stale() | Wait():
                return answer

    async def _mend(self, tenant: str, answer: Cold | Stale | Wait | None, until: float) -> None:
        """Do what an answer asks for, so that asking again helps; `Shut` once the patience is over."""
        left = until - time.monotonic()
        if left <= 0:
            raise Shut("Redis knows this host's position only now")
        if answer is None:
            await self._reporter.refresh(tenant)
        else:
            await self._reporter.mend(tenant, answer, left)

    async def _from_lease(self, wanted: Wanted, shut: Shut) -> Hold | Refusal:
        """Admit a call without Redis."""
        verdict = await self._own.from_lease(
            wanted.under(lease.local(wanted.limits, self._reporter.hosts)),
            self._reporter.lent_nano(wanted.scopes),
            lambda hold: self.settle(hold, 0),
        )
        if verdict is None:
            return self._away(str(shut), shut.retry_ms)
        self._reporter.counters.from_lease += isinstance(verdict, Hold)
        return verdict

    def _away(self, why: str, retry_ms: int | None = None) -> Refusal:
        self._reporter.counters.refused_by_state += 1
        return away(why) if retry_ms is None else away(why, retry_ms)

    # Reading

    async def _look(self, tenant: str, most: int, scopes: tuple[Scope, ...] = ()) -> Looked:
        try:
            for told in await self._settling.settled():
                if told.tenant == tenant and told.dirty:
                    await self._reporter.report(tenant)
            while True:
                who = self._reporter.caller(tenant)
                parts = scripts.ask_look(who, tenant, most, scopes)
                read = partial(scripts.read_look, who=who, scopes=scopes)
                answer = await self._reporter.ask(tenant, self._redis.call(*parts), read)
                if isinstance(answer, Looked):
                    self._reporter.saw(tenant, answer.seq)
                    return answer
                await self._reporter.mend(tenant, answer, self.patience_s)
        except Shut as shut:
            raise StateAway(f"the shared budget cannot be read: {shut}; try again shortly") from None


def _check(amount_nano: int) -> None:
    if not 0 <= amount_nano <= scripts.MAX_NANO:
        raise ValueError(f"amount is {amount_nano} nano-USD; expected 0 or more and less than 2**53")


def on_loop(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is the thread of an event loop that runs."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _servers_own() -> int:
    """Say that Redis is to go by its own clock."""
    return 0
