"""What this worker knows of each tenant's books in Redis, and how the two are brought together again.

Asks Redis in the host's name and tells it the host's position where it forgot, went back, or was not told
something. It knows nothing of what a request wants: that is `serve.guard.shared`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Protocol, TypeVar, assert_never

from p402.guard import lease
from p402.limits import Limits, Scope
from serve.guard import position, scripts
from serve.guard.answers import Cold, Foreign, Gone, Heard, Newer, Stale, Taken, Wait, Whole
from serve.guard.host import HostLedger
from serve.guard.operations import STATE_RETRY_MS
from serve.guard.scripts import Caller
from serve.redis.calls import Cause, Part, RedisAway, RedisRefused, Reply

_log = logging.getLogger("p402.guard")
T = TypeVar("T")
TRIES: Final = 4
"""Reports in a row: the first may find another worker's in force, the second a ledger that went back, the
third a Redis that forgot meanwhile."""


class Redis(Protocol):
    """Redis behind its breaker."""

    async def open(self) -> None:
        """Connect; `RedisAway` says why that cannot be."""
        ...

    def call(self, *parts: Part) -> Awaitable[Reply]:
        """Send one command behind those sent before; awaited, its answer, `RedisAway` or `RedisRefused`."""
        ...

    def retry_after_ms(self, key: Part) -> int:
        """In how many ms asking for a key again may help; 0 when it may now."""
        ...

    async def aclose(self) -> None:
        """Take no more calls, wait for those under way, and close; idempotent."""
        ...


Made = TypeVar("Made", bound=Redis)


class Late(Generic[Made]):
    """A way to Redis that is made when it is first used: it lives on the event loop that runs then."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._made: Made | None = None
        self._closed = False

    @property
    def way(self) -> Made:
        """What was made."""
        if self._made is None:
            self._made = self._make()
        return self._made

    async def open(self) -> None:
        """Connect."""
        await self.way.open()

    def call(self, *parts: Part) -> Awaitable[Reply]:
        """Send one command; once it is closed, none goes out."""
        return _closed() if self._closed else self.way.call(*parts)

    def retry_after_ms(self, key: Part) -> int:
        """In how many ms asking for a key again may help."""
        return self.way.retry_after_ms(key)

    async def aclose(self) -> None:
        """Close what was made; idempotent."""
        self._closed = True
        made, self._made = self._made, None
        if made is not None:
            await made.aclose()


async def _closed() -> Reply:
    raise RedisAway(Cause.CLOSED, "Redis is asked no more: the guard is closed")


class Shut(Exception):
    """Redis gives no verdict now; the text may be shown to clients.

    Attributes
    ----------
    retry_ms
        When asking again may help.
    """

    def __init__(self, why: str, retry_ms: int = STATE_RETRY_MS) -> None:
        super().__init__(why)
        self.retry_ms = retry_ms


@dataclass(slots=True)
class Known:
    """What this worker knows of a tenant's books in Redis.

    Attributes
    ----------
    report
        Number of this host's report that should be in force.
    seen
        Last sequence number that Redis told.
    """

    report: int = 0
    seen: int = 0


@dataclass(slots=True)
class SharedCounters:
    """What the hand has done since its start; read by the metrics."""

    granted: int = 0
    from_lease: int = 0
    """Calls that a lease paid for, since Redis gave no verdict."""
    refused_by_state: int = 0
    """Calls refused because neither Redis nor a lease could be used."""
    reports: int = 0
    forgotten: int = 0
    """Times that Redis knew nothing of a tenant, or went back."""

    def collect(self) -> dict[str, float]:
        """Each by the name of its metric (`serve.metrics.meter.Source`)."""
        return {
            "p402_guard_shared_granted_total": self.granted,
            "p402_guard_shared_from_lease_total": self.from_lease,
            "p402_guard_shared_refused_by_state_total": self.refused_by_state,
            "p402_guard_shared_reports_total": self.reports,
            "p402_guard_shared_forgotten_total": self.forgotten,
        }


class Reporter:
    """Redis in the name of this host.

    Parameters
    ----------
    wall_ms
        Wall time that Redis is to go by; 0 for its own.
    lease_nano
        Lease to ask for, by a tenant's cap and the number of hosts.

    Attributes
    ----------
    host
        Name of this host's ledger.
    at_length
        Whether this worker may tell in parts: one of a host does, or they would keep each other from it.
    """

    def __init__(
        self,
        own: HostLedger,
        redis: Redis,
        limits: Callable[[str], Limits],
        hosts: int,
        wall_ms: Callable[[], int],
        lease_nano: Callable[[int, int], int] = lease.wanted_nano,
    ) -> None:
        self.host = ""
        self.at_length = False
        self.hosts = hosts
        self.counters = SharedCounters()
        self._own = own
        self._redis = redis
        self._limits = limits
        self._wall_ms = wall_ms
        self._lease_nano = lease_nano
        self._known: dict[str, Known] = {}
        self._running: dict[str, asyncio.Task[bool]] = {}
        self._soiling: set[asyncio.Task[None]] = set()
        self._ailing = False

    def known(self, tenant: str) -> Known:
        """What is known of a tenant."""
        found = self._known.get(tenant)
        if found is None:
            found = self._known[tenant] = Known()
        return found

    def saw(self, tenant: str, seq: int) -> None:
        """Note a sequence number that Redis told."""
        known = self.known(tenant)
        known.seen = max(known.seen, seq)

    @property
    def tenants(self) -> list[str]:
        """Those that this worker has asked for."""
        return list(self._known)

    def wanted_nano(self, tenant: str) -> int:
        """Lease to ask for where a tenant is active."""
        return self._lease_nano(self._limits(tenant).daily_cap_nano, self.hosts)

    def caller(self, tenant: str, report: int | None = None) -> Caller:
        """Who asks; under the report in force unless another is meant."""
        known = self.known(tenant)
        number = known.report if report is None else report
        return Caller(self._wall_ms(), self.host, number, known.seen, self.hosts, self._lease_nano)

    def lent_nano(self, scopes: tuple[Scope, ...]) -> tuple[int, ...]:
        """What this host may spend of each scope without Redis, in one of its periods."""
        return tuple(self._lease_nano(scope.cap_nano, self.hosts) for scope in scopes)

    async def ask(self, tenant: str, sent: Awaitable[Reply], read: Callable[[Reply], T]) -> T:
        """Redis' answer to what was sent.

        Raises
        ------
        Shut
            There is none; if Redis may have done what was asked, the tenant's books are being marked for a
            report.
        """
        try:
            reply = await sent
        except RedisAway as gone:
            self._complain(str(gone))
            if gone.may_be_done:
                self._soil_soon(tenant)
            retry_ms = self._redis.retry_after_ms(scripts.books_of(tenant)) or STATE_RETRY_MS
            raise Shut("Redis does not answer", retry_ms) from None
        except RedisRefused as refused:
            self._complain(f"Redis refuses: {refused}")
            raise Shut("Redis takes nothing") from None
        if self._ailing:
            self._ailing = False
            _log.warning("Redis answers again")
        return read(reply)

    def _complain(self, why: str) -> None:
        """Tell the operator, once, what clients are not told: it names machines."""
        if not self._ailing:
            self._ailing = True
            _log.error("budgets are reserved without Redis, from leases alone: %s", why)

    async def soil(self, tenant: str) -> None:
        """Mark a tenant's books for a report."""
        await self._own.do(lambda db, _: position.soil(db, tenant))

    def _soil_soon(self, tenant: str) -> None:
        """The same while nobody waits: a request has waited long enough."""
        task = asyncio.get_running_loop().create_task(self.soil(tenant))
        self._soiling.add(task)
        task.add_done_callback(self._soiled)

    def _soiled(self, task: "asyncio.Task[None]") -> None:
        self._soiling.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("what Redis was asked in vain is not marked for a report: %s", error)

    async def marked(self) -> None:
        """Wait until all that is to be marked for a report is."""
        if self._soiling:
            await asyncio.wait(set(self._soiling))

    async def refresh(self, tenant: str) -> None:
        """Take name and report from the ledger: another worker of this host may have changed them."""
        self.host, self.known(tenant).report = await self._own.do(
            lambda db, _: (position.host_name(db), position.number(db, tenant))
        )

    async def mend(self, tenant: str, answer: Cold | Stale | Wait, patience_s: float) -> None:
        """Do what an answer asks for, so that asking again helps.

        Raises
        ------
        Shut
            Asking again does not help within `patience_s`.
        StoreError
            The ledger cannot be used.
        """
        match answer:
            case Wait(ms):
                why = "not every host has reported since Redis forgot the books"
                raise Shut(why, min(ms, STATE_RETRY_MS))
            case Stale(report) if report > self.known(tenant).report:
                self.known(tenant).report = report  # of another worker; the ledger has the last word on it
            case Cold() | Stale():
                self.counters.forgotten += isinstance(answer, Cold)
                task = self._begin(tenant, idle=False)
                done, _ = await asyncio.wait([task], timeout=max(0.0, patience_s))
                if not done:
                    raise Shut("Redis is being told what this host has spent")
                task.result()
            case _:
                assert_never(answer)

    async def report(self, tenant: str, *, idle: bool = False) -> bool:
        """Tell Redis the host's position; whether money may be given out.

        Raises
        ------
        Shut
            Redis did not take it.
        StoreError
            The ledger cannot be used.
        """
        if idle and (running := self._running.get(tenant)) is not None:
            await asyncio.wait([running])  # it keeps the lease
        return await asyncio.shield(self._begin(tenant, idle=idle))

    def knows(self, tenant: str) -> bool:
        """Whether there are limits of a tenant: its ledger may be older than the configuration."""
        try:
            self._limits(tenant)
        except LookupError:
            return False
        return True

    async def peek(self, tenant: str) -> tuple[int, int]:
        """Number of this host's report that is in force, and the sequence number; 0 for what is not there.

        Raises
        ------
        Shut
            Redis does not answer.
        """
        parts = scripts.ask_peek(tenant, self.host)
        return await self.ask(tenant, self._redis.call(*parts), scripts.read_peek)

    def _begin(self, tenant: str, *, idle: bool) -> "asyncio.Task[bool]":
        task = self._running.get(tenant)
        if task is None:
            task = self._running[tenant] = asyncio.get_running_loop().create_task(
                self._report(tenant, idle=idle)
            )
            task.add_done_callback(lambda done: self._ended(tenant, done))
        return task

    def _ended(self, tenant: str, task: "asyncio.Task[bool]") -> None:
        del self._running[tenant]
        if not task.cancelled():
            task.exception()  # whoever waits has it; nobody may

    async def _report(self, tenant: str, *, idle: bool) -> bool:
        known = self.known(tenant)
        in_force, _ = await self.peek(
            tenant
        )  # one that is begun and never sent leaves its mark on the ledger
        at_least, whole = 0, not in_force
        for _ in range(TRIES):
            cap_nano, wanted = self._limits(tenant).daily_cap_nano, self.wanted_nano(tenant)
            told = await self._own.do(
                partial(
                    position.begin,
                    tenant=tenant,
                    at_least=at_least,
                    wanted_nano=wanted,
                    idle=idle,
                    whole=whole,
                    at_length=self.at_length,
                )
            )
            if told is None:
                await self.soil(tenant)
                raise Shut("another worker of this host is to tell Redis of its budgets")
            self.host, known.report = told.host, told.report  # calls that follow come behind it in Redis too
            self.counters.reports += 1
            try:
                answer = await self._say(tenant, told, cap_nano)
            except BaseException:
                await self.soil(tenant)
                raise
            match answer:
                case Taken():
                    self.saw(tenant, answer.seq)
                    done = partial(
                        position.finish,
                        tenant=tenant,
                        position=told,
                        lease_nano=answer.lease_nano,
                        others=answer.others,
                    )
                    await self._own.do(done)
                    return answer.open
                case Whole():
                    whole = True
                case Newer(number) | Foreign(number):
                    check = partial(
                        position.overtaken,
                        tenant=tenant,
                        host=told.host,
                        report=number,
                        foreign=isinstance(answer, Foreign),
                    )
                    name, ours = await self._own.do(check)
                    if name == told.host:  # another worker of this host was faster, and said no less
                        known.report = ours
                        return True
                    _log.error(
                        "Redis has a report that ledger %s never made: a backup, or a copy of another's; "
                        "it goes on as %s, and what Redis has of the old name stands",
                        told.host,
                        name,
                    )
                    self.host, at_least = name, number
                case _:
                    assert_never(answer)
        raise Shut("this host's reports are overtaken; does another host use a copy of its ledger?")

    async def _say(
        self, tenant: str, told: position.Position, cap_nano: int
    ) -> Taken | Newer | Foreign | Whole:
        """Report; what it says of scopes goes ahead, part by part, where that is too much for one script."""
        for i, part in enumerate(told.parts):
            parts = scripts.ask_tell(self.caller(tenant), tenant, told, part, first=i == 0)
            heard = await self.ask(tenant, self._redis.call(*parts), scripts.read_tell)
            if not isinstance(heard, Heard):
                return heard
        parts = scripts.ask_report(self.caller(tenant), tenant, told, cap_nano)
        return await self.ask(tenant, self._redis.call(*parts), scripts.read_report)

    async def forget(self, tenant: str, most: int) -> bool:
        """Forget lives that no host has moved for long; whether there may be more.

        Raises
        ------
        Shut
            Redis does not answer.
        StoreError
            The ledger cannot be used.
        """
        accounts = await self._own.do(partial(position.idle_lives, tenant=tenant, most=most))
        if not accounts:
            return False
        parts = scripts.ask_forgotten(self.caller(tenant), tenant, accounts)
        answer = await self.ask(tenant, self._redis.call(*parts), scripts.read_forgotten)
        if not isinstance(answer, Gone):
            return False
        on = [account for account in accounts if account not in answer.accounts]
        await self._own.do(partial(position.lives_on, tenant=tenant, over=answer.accounts, on=on))
        return len(accounts) == most
