"""Redis frozen, killed and back, as a request meets it through the breaker."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from p402.guard.breaker import HEALTHY, Closed, Open
from serve.redis.address import read_address
from serve.redis.calls import Cause, RedisAway, RedisRefused
from serve.redis.door import Door
from serve.redis.link import Link
from tests.serve.redis.server import Server, redis_server


def at_once(call: Coroutine[Any, Any, object]) -> RedisAway:
    """How a call that must not wait even for a turn of the event loop was refused."""
    with pytest.raises(RedisAway) as caught:
        call.send(None)
    return caught.value


async def until_back(door: Door) -> float:
    """Seconds until calls are answered again."""
    begun = time.monotonic()
    while time.monotonic() - begun < 10:
        try:
            await door.call("PING")
        except RedisAway:
            await asyncio.sleep(0.005)
        else:
            return time.monotonic() - begun
    raise AssertionError("Redis was not found back")


def test_a_frozen_redis_delays_the_first_request_by_300_ms_and_later_ones_not_at_all(tmp_path: Path) -> None:
    async def scene(server: Server) -> None:
        link = Link(read_address(server.url))
        door = Door(link)
        assert await door.call("PING") == b"PONG"
        server.freeze()
        begun = time.monotonic()
        first = await asyncio.gather(*(door.call("PING") for _ in range(20)), return_exceptions=True)
        assert time.monotonic() - begun < 0.3
        assert {error.cause for error in first if isinstance(error, RedisAway)} == {Cause.SLOW}
        assert len(first) == 20
        begun, probes = time.monotonic(), set()
        while time.monotonic() - begun < 1.0:  # probes come and go meanwhile
            assert at_once(door.call("PING")).cause is Cause.OPEN
            probes.add(door._probe)
            await asyncio.sleep(0.002)
        assert 2 <= len(probes - {None}) <= 3
        after = door.retry_after_ms("any")
        assert isinstance(door.breaker, Open) == bool(after) or after == 0
        server.thaw()
        assert await until_back(door) < 2.5
        assert door.breaker == HEALTHY
        await door.aclose()

    with redis_server(tmp_path) as server:
        try:
            uvloop.run(scene(server))
        finally:
            server.thaw()


def test_a_killed_redis_is_found_back_after_its_restart(tmp_path: Path) -> None:
    async def scene(server: Server) -> None:
        link = Link(read_address(server.url))
        door = Door(link)
        await door.call("PING")
        server.kill()
        with pytest.raises(RedisAway):
            await door.call("PING")
        assert at_once(door.call("PING")).cause is Cause.OPEN
        server.start()
        assert await until_back(door) < 2.5
        await door.aclose()

    with redis_server(tmp_path) as server:
        uvloop.run(scene(server))


def test_neither_an_error_reply_nor_a_crowd_of_ours_opens_the_breaker(redis: Server) -> None:
    async def scene() -> None:
        link = Link(read_address(redis.url), limit=1)
        door = Door(link)
        with pytest.raises(RedisRefused):
            await door.call("NO-SUCH")
        crowd = await asyncio.gather(*(door.call("PING") for _ in range(3)), return_exceptions=True)
        assert [getattr(reply, "cause", reply) for reply in crowd] == [b"PONG", Cause.CROWDED, Cause.CROWDED]
        assert door.breaker == HEALTHY
        await door.aclose()

    uvloop.run(scene())


def test_a_probe_that_is_answered_closes_but_only_a_call_forgets(tmp_path: Path) -> None:
    async def scene(server: Server) -> None:
        link = Link(read_address(server.url))
        door = Door(link)
        server.kill()
        with pytest.raises(RedisAway):
            await door.call("PING")
        server.start()
        await asyncio.sleep(0.21)
        assert at_once(door.call("PING")).cause is Cause.OPEN  # it begins the probe, and does not wait for it
        assert door._probe is not None
        await door._probe
        assert door.breaker == Closed(400)
        assert await door.call("PING") == b"PONG"
        assert door.breaker == HEALTHY
        await door.aclose()

    with redis_server(tmp_path) as server:
        uvloop.run(scene(server))
