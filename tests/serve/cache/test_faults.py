"""The cache of all hosts while its Redis is away, frozen or dies: requests go on, and it is told once."""

import asyncio
import logging
from pathlib import Path

import pytest

from p402.cache.contract import MISS, Hit, Miss
from p402.errors import StateAway
from serve.cache import keeping
from serve.cache.scripts import ALL
from serve.cache.shared import BOUND_S, SharedCache
from serve.redis.connect import way_to
from serve.sessions.trouble import IN_A_ROW
from tests.conformance.cache import AGAIN, ASKED, AT_96, SAID, Table, entry, kept, query, what
from tests.serve.cache.test_hands import RealTime
from tests.serve.redis.server import Server, free_port, redis_server

TIME = RealTime()
PATIENCE_S = 20.0


@pytest.fixture
def own(tmp_path: Path):
    """A server of the test's own."""
    with redis_server(tmp_path) as server:
        yield server


def hand(url: str, embedder=None, bound_s: float = BOUND_S) -> SharedCache:
    """A hand as a worker has it."""
    return SharedCache(
        lambda: way_to(url, scripts=ALL),
        TIME.now_ms,
        embedder or Table({SAID: ASKED, AGAIN: AT_96}),
        bound_s=bound_s,
    )


def play(story, caplog=None) -> list[str]:
    """Tell a story; gives the levels of what was told of it."""

    async def run() -> None:
        await story()
        assert len(asyncio.all_tasks()) == 1

    if caplog is None:
        asyncio.run(run())
        return []
    with caplog.at_level(logging.WARNING, "p402.cache"):
        asyncio.run(run())
    return [record.levelname for record in caplog.records]


async def until(asked) -> None:
    """Wait until something is so; it must become so."""
    async with asyncio.timeout(PATIENCE_S):
        while not await asked():  # noqa: ASYNC110 - Redis has no event for it
            await asyncio.sleep(0.02)


def test_p10_a_redis_that_does_not_answer_is_waited_for_three_times_and_then_not_asked(own, caplog):
    async def story() -> None:
        one = hand(own.url)
        own.freeze()
        for _ in range(IN_A_ROW):
            assert await one.find(query(SAID)) == MISS
        assert one.collect()["p402_cache_failed_total"] == IN_A_ROW
        loop = asyncio.get_running_loop()
        rests = loop.time() + 0.2
        while loop.time() < rests:
            assert await one.find(query(SAID)) == MISS
            await asyncio.sleep(0)
        assert one.collect()["p402_cache_failed_total"] == IN_A_ROW
        own.thaw()
        await one.close()

    assert play(story, caplog) == ["ERROR"]
    assert "nothing is answered from it" in caplog.records[0].getMessage()
    assert BOUND_S < 0.05, "P11: a hit is out within 50 ms"


def test_a_redis_that_is_away_at_the_start_is_found_when_it_comes(tmp_path, caplog):
    server = Server(tmp_path, free_port())

    async def story() -> None:
        one = hand(server.url, bound_s=PATIENCE_S)
        await one.open()
        for n in range(10):
            assert await one.find(query(f"q{n}")) == MISS
            one.keep(query(f"q{n}"), Miss(), entry(TIME, f"e{n}"))
            await one.settled()
        assert one.collect()["p402_cache_dropped_total"] == 10
        for call in (one.tally("t"), one.clear("t"), one.evict("t", "e1")):
            with pytest.raises(StateAway, match="ask again"):
                await call
        server.start()

        async def kept_now() -> bool:
            one.keep(query("later"), Miss(), entry(TIME, "later"))
            await one.settled()
            return isinstance(await one.find(query("later")), Hit)

        await until(kept_now)
        await one.close()

    try:
        told = play(story, caplog)
    finally:
        server.kill()
    assert sorted(told) == ["ERROR", "ERROR", "WARNING", "WARNING"]  # look-ups, and what is to be kept


def test_a_redis_that_dies_and_begins_empty_loses_what_was_kept_and_nothing_else(own):
    async def story() -> None:
        one = hand(own.url, bound_s=PATIENCE_S)
        await kept(one, query(AGAIN), entry(TIME, "e1"))
        assert await what(one, query(SAID)) is not None
        own.kill()
        assert await what(one, query(SAID)) is None
        assert await what(one, query(AGAIN)) is None
        own.start()

        async def asked() -> bool:
            found = await one.find(query(SAID))
            assert isinstance(found, Miss)
            return found.vector is not None

        await until(asked)
        assert (await one.tally("t")).entries == 0

        async def kept_again() -> bool:
            await kept(one, query(AGAIN), entry(TIME, "e2"))
            return await what(one, query(SAID)) is not None

        await until(kept_again)
        assert (await one.find(query(SAID))).entry.id == "e2"
        await one.close()

    play(story)


def test_a_frozen_redis_is_asked_again_when_it_goes_on_and_has_all_it_had(own):
    async def story() -> None:
        one = hand(own.url, bound_s=PATIENCE_S)
        await kept(one, query(AGAIN), entry(TIME, "e1"))
        own.freeze()
        for _ in range(5):
            assert await what(one, query(AGAIN)) is None
        own.thaw()

        async def given() -> bool:
            return await what(one, query(SAID)) is not None

        await until(given)
        await one.close()

    play(story)


def test_what_is_frozen_between_look_and_confirmation_is_a_miss_with_its_vector(own):
    class Freezes(Table):
        async def embed(self, text):
            if text == SAID:
                own.freeze()
            return await super().embed(text)

    async def story() -> None:
        one = hand(own.url, Freezes({SAID: ASKED, AGAIN: AT_96}), bound_s=0.3)
        await kept(one, query(AGAIN), entry(TIME, "e1"))
        assert await what(one, query(AGAIN)) is not None
        found = await one.find(query(SAID))
        assert isinstance(found, Miss)
        assert found.vector is not None
        own.thaw()
        await one.close()

    play(story)


def test_an_embedder_that_leaves_redis_no_time_is_no_trouble_of_redis(own):
    class Slow(Table):
        async def embed(self, text):
            if text == SAID:
                own.freeze()
                await asyncio.sleep(0.995)
            return await super().embed(text)

    async def story() -> None:
        one = hand(own.url, Slow({SAID: ASKED, AGAIN: AT_96}), bound_s=1.0)
        await kept(one, query(AGAIN), entry(TIME, "e1"))
        assert isinstance(await one.find(query(SAID)), Miss)
        told = one.collect()
        assert told["p402_cache_failed_total"] == 0
        assert told["p402_cache_gone_total"] == 0
        own.thaw()
        await one.close()

    play(story)


def test_what_is_to_be_kept_waits_in_bounds_and_is_dropped_and_counted(own, monkeypatch):
    monkeypatch.setattr(keeping, "WAITING", 10)
    monkeypatch.setattr(keeping, "WAITING_BYTES", 30_000)

    async def story() -> None:
        one = hand(own.url, bound_s=PATIENCE_S)
        for n in range(30):
            one.keep(query(f"q{n}"), Miss(), entry(TIME, f"e{n}"))
        one.keep(query("q3"), Miss(), entry(TIME, "again"))  # has its place
        assert one.collect()["p402_cache_dropped_total"] == 20
        await one.settled()
        assert (await one.tally("t")).entries == 10
        assert (await one.find(query("q3"))).entry.id == "again"
        for n in range(5):
            one.keep(query(f"r{n}"), Miss(), entry(TIME, f"f{n}", b"x" * 9_000))
        await one.settled()
        assert one.collect()["p402_cache_dropped_total"] == 22
        assert one.collect()["p402_cache_kept_total"] == 13
        await one.close()

    play(story)


def test_a_stop_waits_a_second_for_a_frozen_redis_and_no_longer(own, monkeypatch):
    monkeypatch.setattr(keeping, "LEAVE_S", 0.05)

    async def story() -> None:
        one = hand(own.url)
        await kept(one, query("first"), entry(TIME))
        own.freeze()
        for n in range(100):
            one.keep(query(f"q{n}"), Miss(), entry(TIME, f"e{n}"))
        async with asyncio.timeout(PATIENCE_S):
            await one.close()
        assert one.collect()["p402_cache_dropped_total"] == 100
        own.thaw()

    play(story)


def test_a_caller_that_leaves_while_it_waits_is_no_failure(own):
    async def story() -> None:
        one = hand(own.url, bound_s=PATIENCE_S)
        await one.open()
        own.freeze()
        look = asyncio.create_task(one.find(query("Hi")))
        await asyncio.sleep(0.01)
        look.cancel()
        with pytest.raises(asyncio.CancelledError):
            await look
        assert one.collect()["p402_cache_failed_total"] == 0
        own.thaw()
        await one.close()

    play(story)
