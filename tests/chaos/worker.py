"""One worker of the gateway as the guard sees it: clients that reserve, call and settle until caps are met.

    python -m tests.chaos.worker ORDERS   (JSON of `tests.chaos.place.Orders`)

It begins when a line comes on its standard input, and dies when that ends: its starter is gone. Calls are
made up: they last some milliseconds and cost what chance says, never more than is held. Before each the
journal is told what it will cost.
"""

import asyncio
import os
import random
import sys
import threading
import time
from itertools import count

import msgspec
import uvloop

from p402.errors import Refusal
from p402.ports import Guard, Hold
from tests.chaos.budgets import Way, ways
from tests.chaos.course import Course
from tests.chaos.hands import open_guard
from tests.chaos.journal import Journal
from tests.chaos.place import UNIT_NANO, Orders

SMALLEST_NANO = UNIT_NANO // 20
"""A client whose call does not fit its budget any more tries one of this size before it gives up."""
LEAVES, FAILS_OVER = 0.03, 0.1
"""Share of clients that leave while they wait, and of calls that go elsewhere under a larger hold."""
ORPHANED = 70


class Starvation:
    """When the machine gave this process no time, as a thread sees it that only sleeps.

    A guard that blocks the event loop does not stop this thread, so its waits stay the guard's.
    """

    STEP_S = 0.005
    TOLERATED_S = 0.015

    def __init__(self) -> None:
        self._gaps: dict[float, float] = {}
        self._slept = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self._slept = time.monotonic()
            time.sleep(self.STEP_S)
            self._gaps |= self._gap()

    def _gap(self) -> dict[float, float]:
        """By how much the thread is late, if it is."""
        slept, now = self._slept, time.monotonic()
        return {slept + self.STEP_S: now} if now - slept > self.STEP_S + self.TOLERATED_S else {}

    def within(self, begin: float, end: float) -> float:
        """Seconds of a span in which the process stood still."""
        gaps = self._gaps | self._gap()  # whoever asks may have woken first
        return sum(max(0.0, min(end, woken) - max(begin, slept)) for slept, woken in gaps.items())


class Worker:
    """Clients of all tenants, on one guard."""

    def __init__(self, orders: Orders, guard: Guard, journal: Journal) -> None:
        self.stopping = False
        self._orders = orders
        self._guard = guard
        self._journal = journal
        self._numbers = count()
        self._starvation = Starvation()
        self._longest_s = 0.0

    async def work(self) -> None:
        """Serve every client until it gives up."""
        clients = [
            self._client(tenant, i, random.Random(f"{self._orders.seed}/{self._orders.name}/{tenant}/{i}"))
            for tenant in self._orders.tenants
            for i in range(self._orders.callers)
        ]
        await asyncio.gather(*clients)

    async def _client(self, tenant: str, number: int, rng: random.Random) -> None:
        end, place = time.monotonic() + self._orders.limit_s, self._orders.place
        courses = [Course(way) for way in (ways(place.cap_nano, number) if self._orders.scoped else ((),))]
        await asyncio.sleep(rng.random() * self._orders.pace_s)
        while courses and not self.stopping and time.monotonic() < end:
            course, begun = rng.choice(courses), time.monotonic()
            amount = SMALLEST_NANO if course.is_small(begun) else int(rng.uniform(0.5, 1.5) * UNIT_NANO)
            midnight = place.midnight_s()  # of the day that is asked: it may be over when the answer comes
            verdict = await self._request(tenant, amount, course.way, rng)
            match verdict:
                case Refusal():
                    wait = course.refused(verdict, time.monotonic(), midnight, end)
                    courses = [course for course in courses if not course.spent]
                    await asyncio.sleep(wait * rng.uniform(0.5, 1.0))
                case None:
                    course.passed()
                    rest = begun + self._orders.pace_s * rng.uniform(0.5, 1.5) - time.monotonic()
                    await asyncio.sleep(max(0.0, rest))

    async def _request(self, tenant: str, amount_nano: int, way: Way, rng: random.Random) -> Refusal | None:
        """One request from reservation to settlement; gives its refusal, if that is how it ended."""
        journal, guard = self._journal, self._guard
        request = f"{self._orders.name}-{next(self._numbers)}"
        stems = [scope.stem for scope in way]
        journal.asked(request, tenant, amount_nano, stems)
        hold = await self._reserve(tenant, request, amount_nano, way, rng)
        if hold is None:
            journal.left(request)
            return None
        if isinstance(hold, Refusal):
            journal.refused(request, hold.code)
            return hold
        assert hold.amount_nano == amount_nano, hold
        cost = await self._attempt(hold, amount_nano, rng)
        if rng.random() < FAILS_OVER:
            more = int(amount_nano * rng.uniform(0.1, 0.3))
            journal.asked(request, tenant, amount_nano + more, stems)
            begun = time.monotonic()
            raised = await guard.top_up(hold, amount_nano + more)
            self._waited(begun, time.monotonic())
            if isinstance(raised, Refusal):
                journal.refused(request, raised.code)
            else:
                hold = raised
                cost += await self._attempt(hold, more, rng)
        journal.ended(request)
        guard.settle(hold, cost)
        return None

    async def _attempt(self, hold: Hold, most_nano: int, rng: random.Random) -> int:
        """A call to a provider; gives what it cost."""
        cost = int(most_nano * rng.uniform(0.2, 1.0))
        self._journal.dispatched(hold.id, hold.tenant, hold.day, cost)
        await asyncio.sleep(rng.uniform(0.005, 0.05))
        return cost

    async def _reserve(
        self, tenant: str, request: str, amount_nano: int, way: Way, rng: random.Random
    ) -> Hold | Refusal | None:
        """Verdict of the guard; None where the client left meanwhile."""
        begun = time.monotonic()
        if rng.random() < LEAVES:
            asking = asyncio.ensure_future(self._guard.reserve(tenant, request, amount_nano, scopes=way))
            await asyncio.wait([asking], timeout=rng.uniform(0, 0.002))
            asking.cancel()
            try:
                verdict = await asking
            except asyncio.CancelledError:
                return None
        else:
            verdict = await self._guard.reserve(tenant, request, amount_nano, scopes=way)
        self._waited(begun, time.monotonic())
        return verdict

    def _waited(self, begun: float, ended: float) -> None:
        if ended - begun <= self._longest_s:
            return
        starved = self._starvation.within(begun, ended)
        if ended - begun - starved > self._longest_s:
            self._longest_s = ended - begun - starved
            self._journal.waited((ended - begun) * 1_000, starved * 1_000)


def obey(loop: asyncio.AbstractEventLoop, begin: asyncio.Event) -> None:
    """Begin at the first line, die at the end; a thread of its own."""
    while os.read(0, 64):
        loop.call_soon_threadsafe(begin.set)
    os._exit(ORPHANED)


async def main(orders: Orders) -> None:
    begin = asyncio.Event()
    threading.Thread(target=obey, args=(asyncio.get_running_loop(), begin), daemon=True).start()
    journal = Journal(orders.journal)
    async with open_guard(orders.place) as guard:
        journal.opened()
        await begin.wait()
        await Worker(orders, guard, journal).work()


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.argv[1], type=Orders)))
