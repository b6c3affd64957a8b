"""The memory hand passes the guard's conformance suite and tells the same history."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import settings

from p402.guard.daily import DAY_MS
from p402.limits import Limits
from p402.ports import Hold
from sim.memory import MemoryGuard
from tests.conformance.guard import NOON, GuardConformance
from tests.conformance.guard_history import LIMITS, GuardHistory
from tests.limits import capped


class TestMemoryGuard(GuardConformance):
    @pytest.fixture
    def open_guard(self):
        @asynccontextmanager
        async def opened(limits: Callable[[str], Limits], clock: list[int]) -> AsyncIterator[MemoryGuard]:
            yield MemoryGuard(limits, lambda: clock[0])

        return opened


class MemoryHistory(GuardHistory):
    def open(self) -> None:
        self.guard = MemoryGuard(lambda _: LIMITS, lambda: self.clock[0])

    def close(self) -> None:
        pass

    def call(self, name: str, *args):
        value = getattr(self.guard, name)(*args)
        return value if name == "settle" else asyncio.run(value)


TestMemoryHistory = MemoryHistory.TestCase
TestMemoryHistory.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_entries_of_closed_days_are_forgotten_and_their_totals_are_not() -> None:
    clock = [NOON]
    guard = MemoryGuard(lambda _: capped(10**9), lambda: clock[0])

    async def story() -> None:
        for day in range(10):
            clock[0] = NOON + day * DAY_MS
            for i in range(20):
                hold = await guard.reserve("t", f"{day}.{i}", 5)
                assert isinstance(hold, Hold)
                guard.settle(hold, 1)
        assert len(guard._entries) == 3 * 20
        clock[0] = NOON
        assert await guard.spent("t") == (20, 0)

    asyncio.run(story())
