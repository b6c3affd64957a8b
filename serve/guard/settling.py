"""Telling Redis what calls have cost: at once, and again where a report of the host has come between.

What Redis granted is remembered by the report under which it did so. Whatever is lost on the way marks the
tenant's books, and a report makes it good. It knows nothing of what a request wants: that is
`serve.guard.shared`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine

from p402.errors import StoreError
from p402.guard import scopes
from p402.ports import Hold
from serve.guard import position, scripts
from serve.guard.answers import Settled, Stale
from serve.guard.host import HostLedger
from serve.guard.reporter import Redis, Reporter, Shut
from serve.redis.calls import Reply

_log = logging.getLogger("p402.guard")


class Settling:
    """Settlements of one worker, in its host's ledger and in Redis; used on its event loop."""

    def __init__(self, own: HostLedger, redis: Redis, reporter: Reporter) -> None:
        self._own = own
        self._redis = redis
        self._reporter = reporter
        self._under: dict[tuple[str, str], int] = {}  # report under which Redis granted a call
        self._telling: set[asyncio.Task[bool]] = set()

    def granted(self, hold: Hold, report: int) -> None:
        """Note under which report Redis has granted a call."""
        self._under[hold.tenant, hold.id] = report

    def is_under_way(self, tenant: str, request_id: str) -> bool:
        """Whether a call was granted by Redis and is not settled."""
        return (tenant, request_id) in self._under

    def settle(self, hold: Hold, actual_nano: int) -> None:
        """Replace a hold by what was spent; idempotent.

        Redis is told at once, so that calls that follow find the money free, and again where the ledger then
        says that a report has come between.
        """
        early = self._under.pop((hold.tenant, hold.id), None)
        first: asyncio.Task[bool] | None = None
        if early is not None and self._own.open:
            first = self._tell(hold, actual_nano, early)

        def tell_again(report: int) -> None:
            if report != early:
                self._keep(self._tell_again(hold, actual_nano, report, first))

        self._own.settle_and_tell(hold, actual_nano, tell_again)

    def release(self, tenant: str, request_id: str, report: int) -> None:
        """Give back what Redis may have granted and nobody will use; its ledger has none of it."""
        self._tell(Hold(request_id, tenant, 0, 0), 0, report)

    async def settled(self) -> list[position.Told]:
        """Where all tenants' reports stand, once all that was settled before is in ledger and Redis."""
        await self._own.do(position.survey)
        if self._telling:
            await asyncio.wait(set(self._telling))
        await self._reporter.marked()
        return await self._own.do(position.survey)

    def _tell(
        self, hold: Hold, actual_nano: int, report: int, *, learns: bool = True
    ) -> "asyncio.Task[bool]":
        """Settle in Redis; what fails, a report makes good. Gives whether it was booked."""
        who = self._reporter.caller(hold.tenant, report)
        accounts = scopes.accounts(hold.scopes, hold.day)
        parts = scripts.ask_settle(
            who, hold.tenant, hold.id, hold.day, actual_nano, learns=learns, accounts=accounts
        )
        return self._keep(self._told(hold.tenant, report, self._redis.call(*parts)))

    def _keep(self, telling: Coroutine[None, None, bool]) -> "asyncio.Task[bool]":
        task = asyncio.get_running_loop().create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        return task

    async def _tell_again(
        self, hold: Hold, actual_nano: int, report: int, first: "asyncio.Task[bool] | None"
    ) -> bool:
        """Settle under a later report; the tenant's past has learnt of it if the first word was booked."""
        learnt = first is not None and await first
        return await self._tell(hold, actual_nano, report, learns=not learnt)

    async def _told(self, tenant: str, report: int, sent: Awaitable[Reply]) -> bool:
        try:
            try:
                answer = await self._reporter.ask(tenant, sent, scripts.read_settle)
            except Shut:
                await self._reporter.soil(tenant)
                return False
            match answer:
                case Settled(seq):
                    self._reporter.saw(tenant, seq)
                    return True
                case Stale(newer) if newer > report:
                    pass  # that report was begun after the settlement, and says it
                case _:  # one that was begun before may still be on its way
                    await self._reporter.soil(tenant)
        except StoreError as error:
            _log.error("what tenant %s spent is not in Redis yet: %s", tenant, error)
        return False
