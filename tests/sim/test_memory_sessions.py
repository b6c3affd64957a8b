"""The memory hand of the sessions passes the suite of all hands."""

from contextlib import asynccontextmanager

import pytest

from sim.memory import MemorySessions
from tests.conformance.sessions import HandTime, SessionsConformance, warmth


class TestMemorySessions(SessionsConformance):
    async def settled(self, hand) -> None:
        pass

    @pytest.fixture
    def open_some(self):
        @asynccontextmanager
        async def some(kept_ms, count):
            time = HandTime()
            sessions = MemorySessions(time.now_ms, kept_ms)
            yield time, [sessions] * count

        return some


def test_what_is_too_old_takes_no_room():
    time = HandTime()
    sessions = MemorySessions(time.now_ms, 300)
    for n in range(1_000):
        sessions.note("t", f"s{n}", warmth())
        time.ms += 1
    assert len(sessions._left) <= 302
