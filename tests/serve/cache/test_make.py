"""Which hand keeps answers, and that a worker begins and ends it."""

import asyncio
import tomllib

import pytest

from p402.cache.local import LocalCache
from p402.settings import read_settings
from serve.cache.make import make_cache
from serve.cache.shared import SharedCache
from serve.worker import Worker
from tests.conformance.cache import Table, entry, kept, query, what
from tests.serve.cache.test_hands import RealTime
from tests.serve.redis.cluster_server import ask
from tests.serve.redis.server import Server
from tests.serve.test_worker import configuration

TIME = RealTime()


@pytest.mark.parametrize(
    ("server", "hand"),
    [
        ("", LocalCache),
        ('redis = "redis://127.0.0.1:1"', SharedCache),
        ("cache = false", type(None)),
        ('cache = false\nredis = "redis://127.0.0.1:1"', type(None)),
    ],
)
def test_the_settings_say_which_hand_keeps_answers(server, hand):
    settings = read_settings(tomllib.loads(f"[server]\n{server}"), {})
    assert type(make_cache(settings, TIME.now_ms, "w0")) is hand


def test_two_workers_of_one_redis_share_what_they_keep_and_tell_what_they_count(tmp_path, redis: Server):
    ask(redis, "FLUSHALL")

    async def run() -> None:
        workers = [
            Worker(configuration(tmp_path / name, redis=redis.url), sheets=tmp_path, embedder=Table(id="m"))
            for name in "ab"
        ]
        for worker in workers:
            await worker.start()
        one, other = (worker.front.flow.ports.cache for worker in workers)
        assert one is not other
        await kept(one, query("Hi"), entry(TIME))
        assert await what(other, query("Hi")) == ("e1", "exact")
        assert await other.evict("t", "e1")
        assert await what(one, query("Hi")) is None
        assert workers[0].front.meaning.model == "m"
        connected = ask(redis, "CLIENT", "LIST").decode()
        for worker in workers:
            assert f"name=p402-{worker.name}-cache " in connected
        for worker in workers:
            await worker.stop()
        async with asyncio.timeout(20):  # the server sees it in a moment
            while b"-cache " in ask(redis, "CLIENT", "LIST"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert "p402_cache_kept_total" in "".join(path.read_text() for path in tmp_path.glob("*.json"))
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
