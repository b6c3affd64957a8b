"""Keys of all hosts: the suite every hand passes, on a real server and over a cluster; what hosts share."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from serve.http import HttpReply
from serve.idempotency import scripts
from serve.idempotency.keeper import Keeper
from serve.idempotency.law import ELSEWHERE, KEPT_MS, LEASE_MS, Claim
from serve.idempotency.once import Once
from serve.idempotency.rows import LIMITS, Limits
from serve.idempotency.shared import SHARED_MS, Bounds, SharedKeeper
from serve.redis.connect import way_to
from tests.conformance.answers import NOW, AnswersConformance, held, key, reply
from tests.serve.idempotency.test_once import KEY, WHOLE, Events, Sender, streamed
from tests.serve.redis.cluster_server import Cluster, ask
from tests.serve.redis.server import Server


def host(
    folder: Path,
    url: str,
    clock: list[int] | None = None,
    limits: Limits = LIMITS,
    *,
    patience_ms: int | None = 20_000,
    bounds: Bounds | None = None,
) -> SharedKeeper:
    """One host's hand; Redis goes by the same clock. It is patient, for the machine may be busy."""
    clock = clock or [NOW]
    own = Keeper(folder / "a.db", lambda: clock[0], limits)
    return SharedKeeper(
        own, lambda: way_to(url, scripts=scripts.ALL, patience_ms=patience_ms), bounds, lambda: clock[0]
    )


@asynccontextmanager
async def hosts(folder: Path, url: str, clock: list[int] | None = None, **more):
    """Two hosts, whose files know nothing of each other."""
    made = [host(folder / name, url, clock, **more) for name in ("a", "b")]
    try:
        yield made
    finally:
        for each in made:
            await each.close()


class TestSharedKeeper(AnswersConformance):
    @pytest.fixture
    def open_two(self, tmp_path: Path, redis: Server):
        ask(redis, "FLUSHALL")
        return lambda clock, **more: hosts(tmp_path, redis.url, clock, **more)


class TestSharedKeeperOverACluster(AnswersConformance):
    @pytest.fixture
    def open_two(self, tmp_path: Path, cluster: Cluster):
        for node in cluster.masters:
            ask(node, "FLUSHALL")
        return lambda clock, **more: hosts(tmp_path, cluster.url, clock, **more)


def run(tmp_path: Path, redis: Server, story, **more) -> None:
    """Tell a story of two hosts, and see that no task is left behind."""
    ask(redis, "FLUSHALL")
    clock = [NOW]

    async def tell() -> None:
        async with hosts(tmp_path, redis.url, clock, **more) as (one, other):
            await story(one, other, clock)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(tell())


def redis_key(name: str) -> str:
    return scripts.entry_key(key(name).scope)


def test_nothing_is_asked_before_a_key_comes(tmp_path, redis):
    async def story(one, other, clock):
        assert one._way is other._way is None

    run(tmp_path, redis, story)
    assert list(tmp_path.iterdir()) == []


def test_redis_lets_go_of_keys_after_a_day_and_of_answers_after_a_quarter_of_an_hour(tmp_path, redis):
    async def story(one, other, clock):
        await one.claim(key("k"), held("k"))
        assert KEPT_MS - 60_000 < ask(redis, "PTTL", redis_key("k")) <= KEPT_MS
        clock[0] += 3_600_000
        await one.renew([held("k")])
        assert KEPT_MS - 3_660_000 < ask(redis, "PTTL", redis_key("k")) <= KEPT_MS - 3_600_000
        await one.keep(held("k"), reply())
        assert SHARED_MS - 60_000 < ask(redis, "PTTL", redis_key("k") + ":answer") <= SHARED_MS
        assert KEPT_MS - 3_660_000 < ask(redis, "PTTL", redis_key("k")) <= KEPT_MS - 3_600_000

        await one.claim(key("long"), held("long"))
        clock[0] += 2 * KEPT_MS
        await one.renew([held("long")])
        assert LEASE_MS - 30_000 < ask(redis, "PTTL", redis_key("long")) <= LEASE_MS
        await one.keep(held("long"), reply())
        assert ask(redis, "EXISTS", redis_key("long"), redis_key("long") + ":answer") == 0

    run(tmp_path, redis, story)


def test_redis_goes_by_its_own_time_where_hosts_do_not_agree(tmp_path, redis):
    async def story(one, other, clock):
        one._now_ms = other._now_ms = int
        before, _ = map(int, ask(redis, "TIME"))
        await one.claim(key("k"), held("k"))
        _, token, fingerprint, created, lease, state = (
            b"",
            *ask(redis, "HMGET", redis_key("k"), "token", "fingerprint", "created", "lease", "state"),
        )
        assert (token, fingerprint, state) == (b"1", key("k").fingerprint(), b"0")
        assert before * 1_000 <= int(created) < before * 1_000 + 30_000
        assert int(lease) == int(created) + LEASE_MS

    run(tmp_path, redis, story)


def test_an_answer_that_redis_has_no_more_is_given_by_its_own_host_only(tmp_path, redis):
    async def story(one, other, clock):
        await one.claim(key("k"), held("k"))
        await one.keep(held("k"), reply())
        assert (await other.claim(key("k"), held("k", b"2"))).status == 200
        await asyncio.sleep(0.3)
        for _ in range(2):
            assert await other.claim(key("k"), held("k", b"2")) is ELSEWHERE
            assert (await one.claim(key("k"), held("k", b"3"))).status == 200

    run(tmp_path, redis, story, bounds=Bounds(ms=200))


def test_an_answer_that_is_too_large_to_share_is_given_by_its_own_host_only(tmp_path, redis):
    async def story(one, other, clock):
        for size, name in ((1_900, "small"), (2_100, "large")):
            await one.claim(key(name), held(name))
            await one.keep(held(name), reply(size))
            assert (await one.claim(key(name), held(name, b"2"))).body == b"x" * size
        assert (await other.claim(key("small"), held("small", b"2"))).body == b"x" * 1_900
        assert await other.claim(key("large"), held("large", b"2")) is ELSEWHERE

    run(tmp_path, redis, story, bounds=Bounds(bytes=2_000))


def test_a_key_takes_little_of_the_memory_that_keeps_budgets(tmp_path, redis):
    async def story(one, other, clock):
        await one.claim(key("k"), held("k", b"8 bytes."))
        assert ask(redis, "MEMORY", "USAGE", redis_key("k")) < 400

    run(tmp_path, redis, story)


@pytest.mark.parametrize("stream", [False, True])
def test_a_retry_that_reaches_another_host_is_answered_byte_for_byte_and_not_sent(tmp_path, redis, stream):
    async def story(one, other, clock):
        events = Events(5)
        events.gate.set()
        sender = Sender(streamed(events) if stream else WHOLE)

        async def body(found: HttpReply) -> bytes:
            return b"".join([piece async for piece in found.body]) if stream else found.body

        a, b = Once(one), Once(other)
        first = await a.answer(KEY, sender)
        said = await body(first)
        again = await b.answer(KEY, sender)
        assert (again.status, again.headers[:-1], await body(again)) == (first.status, first.headers, said)
        assert again.headers[-1] == (b"x-p402-idempotent-replay", b"true")
        assert sender.sent == 1
        await a.close()
        await b.close()

    run(tmp_path, redis, story)


def test_a_large_request_is_known_by_its_digest_elsewhere_too(tmp_path, redis):
    async def story(one, other, clock):
        body = b"x" * 1_000_000
        await one.claim(key("k", body), held("k"))
        await one.keep(held("k"), reply())
        assert (await other.claim(key("k", body), held("k", b"2"))).status == 200

    run(tmp_path, redis, story)


def test_a_key_that_the_law_calls_forgotten_is_replaced_whole(tmp_path, redis):
    async def story(one, other, clock):
        await one.claim(key("k"), held("k"))
        await one.keep(held("k"), reply())
        clock[0] += KEPT_MS
        assert isinstance(await other.claim(key("k", b"new"), held("k", b"2")), Claim)
        assert ask(redis, "EXISTS", redis_key("k") + ":answer") == 0

    run(tmp_path, redis, story)
