"""The cache of one process passes the suite."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from p402.cache.contract import Miss
from p402.cache.local import LocalCache
from tests.conformance.cache import CacheConformance, HandTime, Table, entry, query


@asynccontextmanager
async def opened(embedders, max_entries):
    time = HandTime()
    hands = [LocalCache(time.now_ms, embedder, max_entries) for embedder in embedders]
    yield time, hands
    for hand in hands:
        await hand.close()


class TestLocalCache(CacheConformance):
    @pytest.fixture
    def open_some(self):
        return opened


def test_what_is_kept_while_the_embedder_works_is_no_fault():
    """A look-up waits for its vector; what it looks in may be another by then."""
    time = HandTime()

    async def run() -> None:
        hand = LocalCache(time.now_ms, Table())
        look = asyncio.create_task(hand.find(query("Hi")))
        await asyncio.sleep(0)
        hand.keep(query("Hi"), Miss(), entry(time))
        await hand.clear("t")
        assert isinstance(await look, Miss)

    asyncio.run(run())
