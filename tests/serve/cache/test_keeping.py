"""Answers on their way to Redis: what is cleared before they are written is not written."""

import asyncio

import pytest

from serve.cache.keeping import Keeping, Note
from serve.cache.scripts import Place
from tests.conformance.cache import entry, query
from tests.serve.cache.test_hands import RealTime

TIME = RealTime()


class Way:
    """A way to Redis whose look at the memory takes as long as the test wants."""

    def __init__(self) -> None:
        self.asked, self.goes_on = asyncio.Event(), asyncio.Event()
        self.calls: list[tuple] = []

    async def each(self, *_):
        self.asked.set()
        await self.goes_on.wait()
        return []

    async def call(self, *call):
        self.calls.append(call)
        return b"ok"


def note(name: str, tenant: str) -> Note:
    asked = query(name, tenant)
    return Note(Place.of(asked, None), asked, None, entry(TIME, name))


@pytest.mark.parametrize(("forgotten", "left"), [(("t", None), 1), (("t", "e1"), 2), (("u", None), 2)])
def test_what_is_cleared_while_redis_is_asked_for_its_memory_is_not_kept(forgotten, left):
    async def run() -> None:
        way = Way()
        keeping = Keeping(lambda: way, TIME.now_ms, 100, 1 << 20)
        for name, tenant in (("e1", "t"), ("e2", "t"), ("e3", "u")):
            keeping.put(note(name, tenant))
        await way.asked.wait()
        assert keeping.forget(*forgotten) == 3 - left
        way.goes_on.set()
        await keeping.settled()
        assert len(way.calls) == keeping.kept == left
        assert keeping.dropped == 0

    asyncio.run(run())
