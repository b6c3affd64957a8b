"""Looking after the shared books while nobody asks: renewing, mending, giving back.

One worker of a host does it, whichever has the lock beside the ledger. It reports what is dirty, renews what
is held, draws and gives back leases, and finds out when Redis has forgotten a tenant that nobody asks for. It
knows nothing of requests.
"""

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from p402.errors import P402Error
from p402.guard import lease
from serve.guard import position
from serve.guard.host import HostLedger
from serve.guard.position import Told
from serve.guard.reporter import Redis, Reporter, Shut
from serve.redis.calls import RedisAway, RedisRefused

EVERY_S: Final = 1.0
"""How often the books are looked at."""
AT_ONCE: Final = 64
"""Tenants that are seen to at the same time."""
FORGET_S: Final = 600.0
"""How often accounts are looked for that nobody needs any more."""
MOST_FORGOTTEN: Final = 1_000
"""Such accounts that are asked for at a time."""

Check = Callable[[], Awaitable[None]]

_log = logging.getLogger("p402.guard")


class Watch:
    """One worker's watch over its host's part of the books.

    Attributes
    ----------
    every_s
        How often the books are looked at.
    report_s
        How often a host renews what it holds in Redis.
    forget_s
        How often accounts are looked for that nobody needs any more.
    idle_ms
        A tenant that has asked for nothing for so long, by the ledger's clock, gives its lease back.
    """

    def __init__(
        self,
        own: HostLedger,
        redis: Redis,
        reporter: Reporter,
        tenants: tuple[str, ...],
        check: Check | None,
    ) -> None:
        self.every_s = EVERY_S
        self.report_s = lease.REPORT_MS / 1_000
        self.idle_ms = lease.IDLE_MS
        self.forget_s = FORGET_S
        self._forget_at = 0.0
        self._own = own
        self._redis = redis
        self._reporter = reporter
        self._tenants = tenants
        self._check = check
        self._trusted = check is None
        self._asked: set[str] = set()  # of this worker, since the ledger was told
        self._short: set[str] = set()  # likewise
        self._reported: dict[str, float] = {}
        self._lock: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._ailing = False

    def asked(self, tenant: str) -> None:
        """Note that a call of a tenant was asked for."""
        self._asked.add(tenant)

    def short(self, tenant: str) -> None:
        """Note that what is held, leases included, left a call of a tenant no room."""
        self._short.add(tenant)

    def refuse_untrusted(self) -> None:
        """Keep away from a Redis that is not known to keep budgets."""
        if not self._trusted:
            raise Shut("Redis is not known to keep budgets")

    async def start(self) -> None:
        """Look once, and go on looking.

        Raises
        ------
        ConfigError
            Redis must not keep budgets.
        """
        try:
            await self._redis.open()
            await self._look_at_redis()
        except RedisAway as away:
            _log.error("Redis is away at start, so budgets cannot be reserved until it is there: %s", away)
        await self.look()
        self._task = asyncio.get_running_loop().create_task(self._go_on(), name="guard watch")

    async def stop(self) -> None:
        """Look no more; idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self.every_s)
            await self.look()

    async def look(self) -> None:
        """See to every tenant that needs it; a fault is said once and tried again."""
        try:
            await self._look_at_redis()
            await self._note_asked()
            if self._leads():
                await self._see_to_all()
            else:
                await self._knock()
        except Exception as error:  # noqa: BLE001 - whatever it was, the books are looked at again
            if not self._ailing:
                self._ailing = True
                expected = isinstance(error, Shut | P402Error | RedisAway | RedisRefused | OSError)
                _log.error(
                    "the shared budget is not looked after: %s", error, exc_info=None if expected else error
                )
        else:
            if self._ailing:
                _log.warning("the shared budget is looked after again")
            self._ailing = False

    async def _see_to_all(self) -> None:
        """Report every tenant that needs it, whatever happens to others; then the first fault is raised."""
        told = {t.tenant: t for t in await self._own.do(position.survey)}
        names = [n for n in dict.fromkeys((*self._tenants, *told)) if self._reporter.knows(n)]
        faults: list[Exception] = []
        for i in range(0, len(names), AT_ONCE):
            seen_to = (self._see_to(n, told.get(n)) for n in names[i : i + AT_ONCE])
            ended = await asyncio.gather(*seen_to, return_exceptions=True)
            faults += [fault for fault in ended if isinstance(fault, Exception)]
        if faults:
            raise faults[0]
        await self._forget(names)

    async def _forget(self, tenants: list[str]) -> None:
        """Find out which sessions are over: one that this host has not moved for long, another may have."""
        if time.monotonic() < self._forget_at:
            return
        more = [tenant for tenant in tenants if await self._reporter.forget(tenant, MOST_FORGOTTEN)]
        if not more:
            self._forget_at = time.monotonic() + self.forget_s

    async def _knock(self) -> None:
        """Find out whether Redis is back, so that no request has to: each worker has a breaker of its own."""
        for tenant in self._reporter.tenants[:AT_ONCE]:
            await self._reporter.peek(tenant)

    async def _look_at_redis(self) -> None:
        """Have Redis checked, until that has succeeded once."""
        if self._check is not None and not self._trusted:
            await self._check()
            self._trusted = True

    async def _see_to(self, tenant: str, told: Told | None) -> None:
        """Report a tenant that needs it."""
        now, last = time.monotonic(), self._reported.get(tenant)
        if told is None or last is None or told.dirty:
            await self._report(tenant, idle=told is None or self._is_idle(told))
            return
        known = self._reporter.known(tenant)
        known.report = max(known.report, told.report)
        idle, wanted = self._is_idle(told), self._reporter.wanted_nano(tenant)
        busy = told.live > 0 or told.lease_nano > 0 or not idle
        poor = not idle and 2 * told.lease_nano < wanted
        due = now - last >= self.report_s * (0.25 if poor else 1.0)
        if (idle and told.lease_nano > 0) or (busy and due) or await self._forgot(tenant):
            await self._report(tenant, idle=idle)

    async def _report(self, tenant: str, *, idle: bool) -> None:
        await self._reporter.report(tenant, idle=idle)
        self._reported[tenant] = time.monotonic()

    async def _forgot(self, tenant: str) -> bool:
        """Whether Redis has another report of this host in force than its own ledger, or went back."""
        known = self._reporter.known(tenant)
        report, seq = await self._reporter.peek(tenant)
        return report != known.report or seq < known.seen

    def _is_idle(self, told: Told) -> bool:
        """Whether a tenant needs no lease, or others need its money more."""
        return told.idle_ms >= self.idle_ms or told.short_ms < self.idle_ms

    async def _note_asked(self) -> None:
        """Have the ledger know who asked, of all workers."""
        asked, short = self._asked, self._short
        if asked:
            self._asked, self._short = set(), set()
            await self._own.do(lambda db, now_ms: position.asked(db, asked, short, now_ms))

    def _leads(self) -> bool:
        """Whether this worker has the watch, or takes it now."""
        if self._lock is None:
            path = self._own.path.with_name(f"{self._own.path.name}.watch")
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._lock = lock
            self._reporter.at_length = True
        return True
