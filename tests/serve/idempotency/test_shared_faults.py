"""Keys of all hosts where Redis is away, slow, full or forgetful, or a worker dies: closed, never twice."""

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from p402.errors import StoreError
from serve.idempotency.law import ELSEWHERE, GONE, IN_FLIGHT, LEASE_MS, UNKNOWN, Claim
from serve.idempotency.once import AWAY, Once
from serve.redis.slots import key_slot
from tests.conformance.answers import NOW, held, key, reply
from tests.serve.idempotency.test_once import WHOLE, Sender, until
from tests.serve.idempotency.test_shared import host, hosts, redis_key
from tests.serve.redis.cluster_server import Cluster, ask
from tests.serve.redis.proxy import proxy
from tests.serve.redis.server import Server, redis_server

SERVE = Path(__file__).parents[3] / "serve"
QUICK = 0.3
"""s, within which a request is refused (asserted with room for a busy machine)."""


@pytest.fixture
def server(tmp_path: Path):
    """One that a test may break."""
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as made:
        yield made


@asynccontextmanager
async def impatient(tmp_path: Path, url: str, clock: list[int] | None = None):
    """Two hosts as they are in earnest."""
    async with hosts(tmp_path, url, clock, patience_ms=None) as made:
        yield made


async def refused(keeper, name: str, token: bytes = b"1") -> float:
    """Seconds that a refusal took."""
    began = time.monotonic()
    with pytest.raises(StoreError, match="keys of all hosts"):
        await keeper.claim(key(name), held(name, token))
    return time.monotonic() - began


async def claimed(keeper, name: str, token: bytes = b"1") -> None:
    """Claim it as soon as Redis is found back."""

    async def done() -> bool:
        try:
            return isinstance(await keeper.claim(key(name), held(name, token)), Claim)
        except StoreError:
            return False

    await until(done)


async def paid(keeper) -> None:
    await until(lambda: not keeper._owed)


@pytest.mark.parametrize("fault", ["freeze", "kill"])
def test_redis_that_is_away_is_refused_quickly_and_its_keys_are_free_once_it_is_back(
    tmp_path, server: Server, fault, caplog
):
    async def run():
        async with impatient(tmp_path, server.url) as (one, other):
            await one.claim(key("before"), held("before"))
            await one.keep(held("before"), reply())
            await other.claim(key("warm"), held("warm"))
            getattr(server, fault)()
            assert await refused(one, "k") < QUICK + 0.3
            assert await refused(one, "k") < 0.1  # the breaker is open
            assert (await one.claim(key("before"), held("before", b"2"))).status == 200  # its own file knows
            sender = Sender(WHOLE)
            assert await Once(other).answer(key("l"), sender) is AWAY
            assert sender.sent == 0
            if fault == "freeze":
                server.thaw()
            else:
                server.start()
            await claimed(one, "k", b"2")
            await paid(one)
            assert await one.claim(key("k"), held("k", b"3")) is IN_FLIGHT
            await claimed(other, "l")
            await paid(other)

    asyncio.run(run())
    assert caplog.text.count("are refused until that is mended") == 2  # each host, once
    assert caplog.text.count("Redis is there again") == 2


def test_redis_that_was_never_there_is_refused_quickly(tmp_path, server: Server):
    server.kill()

    async def run():
        async with impatient(tmp_path, server.url) as (one, _):
            assert await refused(one, "k") < QUICK + 0.3
            server.start()
            await claimed(one, "k")

    asyncio.run(run())


def test_a_claim_whose_answer_was_lost_is_taken_again_by_its_worker(tmp_path, server: Server):
    async def run():
        async with proxy(server.port) as between, impatient(tmp_path, between.url) as (one, _):
            await one.claim(key("warm"), held("warm"))
            between.cut = 0
            await refused(one, "k")
            between.cut = None
            assert ask(server, "HGET", redis_key("k"), "token") == b"1"  # it had been done
            await claimed(one, "k", b"2")
            await paid(one)
            assert ask(server, "HGET", redis_key("k"), "token") == b"2"

    asyncio.run(run())


def test_a_claim_whose_answer_was_lost_is_freed_for_other_hosts(tmp_path, server: Server):
    async def run():
        async with proxy(server.port) as between:
            one, other = host(tmp_path / "a", between.url, patience_ms=None), host(tmp_path / "b", server.url)
            await one.claim(key("warm"), held("warm"))
            between.cut = 0
            await refused(one, "k")
            assert await other.claim(key("k"), held("k", b"2")) is IN_FLIGHT
            between.cut = None
            await claimed(other, "k", b"2")
            await paid(one)
            assert await other.claim(key("k"), held("k", b"3")) is IN_FLIGHT
            await one.close()
            await other.close()

    asyncio.run(run())


def test_a_claim_that_was_stuck_while_redis_stood_still_does_not_come_to_life_later(tmp_path, server: Server):
    async def run():
        async with impatient(tmp_path, server.url) as (one, other):
            for each in (one, other):
                await each.claim(key(str(id(each))), held(str(id(each))))
            server.freeze()
            await refused(one, "k")
            await asyncio.sleep(1)
            server.thaw()
            await paid(one)
            await claimed(other, "k", b"2")

    asyncio.run(run())


def test_a_claim_whose_caller_left_is_freed(tmp_path, server: Server):
    async def run():
        async with proxy(server.port) as between, hosts(tmp_path, between.url) as (one, other):
            await one.claim(key("warm"), held("warm"))
            between.delay_s = 0.3
            asking = asyncio.create_task(one.claim(key("k"), held("k")))
            await asyncio.sleep(0.1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            between.delay_s = 0
            assert isinstance(await one.claim(key("k"), held("k", b"2")), Claim)
            await one.release(held("k", b"2"))
            await paid(one)
            assert isinstance(await other.claim(key("k"), held("k", b"3")), Claim)

    asyncio.run(run())


def test_a_stop_frees_what_a_lost_answer_left(tmp_path, server: Server):
    async def run():
        async with proxy(server.port) as between, impatient(tmp_path, between.url) as (one, other):
            await one.claim(key("warm"), held("warm"))
            between.cut = 0
            await refused(one, "k")
            between.cut = None
            await asyncio.sleep(0.3)  # the breaker, which lets one probe through
            with pytest.raises(StoreError):
                await one.claim(key("l"), held("l"))
            await asyncio.sleep(0.1)
            await one.close()
            assert isinstance(await other.claim(key("k"), held("k", b"2")), Claim)

    asyncio.run(run())


def test_an_end_that_redis_did_not_take_is_given_and_told_later_without_its_answer(tmp_path, server: Server):
    async def run():
        async with impatient(tmp_path, server.url) as (one, other):
            for name in ("spent", "large", "free", "broken"):
                await one.claim(key(name), held(name))
            server.freeze()
            began = time.monotonic()
            await one.keep(held("spent"), reply())
            assert time.monotonic() - began < QUICK + 0.3
            await one.keep(held("large"), None)
            await one.release(held("free"))
            await one.abandon(held("broken"))
            assert (await one.claim(key("spent"), held("spent", b"2"))).status == 200
            server.thaw()
            await paid(one)
            found = {
                n: await other.claim(key(n), held(n, b"2")) for n in ("spent", "large", "free", "broken")
            }
            assert isinstance(found.pop("free"), Claim)
            # Redis had read the frozen call all the same, or had not.
            assert (
                found.pop("spent") is ELSEWHERE
                or (await one.claim(key("spent"), held("spent", b"3"))).status == 200
            )
            assert found == {"large": GONE, "broken": UNKNOWN}

    asyncio.run(run())


def test_a_worker_that_was_killed_leaves_a_key_that_is_not_sent_again(tmp_path, server: Server):
    clock = [NOW]

    async def run():
        async with hosts(tmp_path, server.url, clock) as (one, other):
            await one.claim(key("k"), held("k"))
            clock[0] += LEASE_MS - 1
            assert await other.claim(key("k"), held("k", b"2")) is IN_FLIGHT
            clock[0] += 1
            for _ in range(2):
                assert await other.claim(key("k"), held("k", b"2")) is UNKNOWN

    asyncio.run(run())


def fill(server: Server) -> None:
    ask(server, "CONFIG", "SET", "maxmemory", "1")


def test_a_full_redis_takes_no_key_and_lets_those_in_flight_end(tmp_path, server: Server, caplog):
    async def run():
        async with hosts(tmp_path, server.url) as (one, other):
            for name in ("done", "free", "broken", "alive"):
                await one.claim(key(name), held(name))
            await other.claim(key("warm"), held("warm"))
            fill(server)
            for _ in range(3):
                await refused(one, "k")
            await one.keep(held("done"), reply())
            await one.release(held("free"))
            await one.abandon(held("broken"))
            await one.renew([held("alive")])
            assert not one._owed
            await refused(other, "done")
            ask(server, "CONFIG", "SET", "maxmemory", "0")
            assert await other.claim(key("done"), held("done", b"2")) is ELSEWHERE
            assert isinstance(await other.claim(key("free"), held("free", b"2")), Claim)
            assert await other.claim(key("broken"), held("broken", b"2")) is UNKNOWN
            assert isinstance(await one.claim(key("k"), held("k", b"2")), Claim)

    asyncio.run(run())
    assert caplog.text.count("OOM") == 2
    assert caplog.text.count("are refused until that is mended") == 2


def test_keys_yield_to_budgets_where_memory_is_nearly_full(tmp_path, server: Server, caplog):
    def share(of: float) -> None:
        used = int(ask(server, "INFO", "memory")["used_memory"])
        ask(server, "CONFIG", "SET", "maxmemory", int(used / of))

    async def run():
        async with hosts(tmp_path, server.url) as (one, other):
            await one.claim(key("k"), held("k"))
            share(0.8)
            await one.prune()
            await one.keep(held("k"), reply())
            assert await other.claim(key("k"), held("k", b"2")) is ELSEWHERE
            share(0.95)
            await one.prune()
            await refused(one, "l")
            assert ask(server, "EXISTS", redis_key("l")) == 0
            ask(server, "CONFIG", "SET", "maxmemory", 0)
            await one.prune()
            assert isinstance(await one.claim(key("l"), held("l")), Claim)

    asyncio.run(run())
    assert "what is left is for budgets" in caplog.text


def test_a_redis_that_forgot_hears_of_a_key_in_flight_with_its_renewal_and_its_end(tmp_path, server: Server):
    async def run():
        async with hosts(tmp_path, server.url) as (one, other):
            for name in ("renewed", "ended", "before"):
                await one.claim(key(name), held(name))
            await one.keep(held("before"), reply())
            ask(server, "FLUSHALL")
            await one.renew([held("renewed")])
            await one.keep(held("ended"), reply())
            assert await other.claim(key("renewed"), held("renewed", b"2")) is IN_FLIGHT
            assert (await other.claim(key("ended"), held("ended", b"2"))).status == 200
            # What had ended before is known to its own host only: the limit.
            assert (await one.claim(key("before"), held("before", b"2"))).status == 200
            assert isinstance(await other.claim(key("before"), held("before", b"2")), Claim)

    asyncio.run(run())


def test_a_key_that_is_another_hosts_by_now_is_left_alone(tmp_path, server: Server):
    async def run():
        async with hosts(tmp_path, server.url) as (one, other):
            for name in ("renewed", "ended", "broken", "free"):
                await one.claim(key(name), held(name))
            ask(server, "FLUSHALL")
            for name in ("renewed", "ended", "broken", "free"):
                assert isinstance(await other.claim(key(name), held(name, b"2")), Claim)
            await one.renew([held("renewed")])
            await one.keep(held("ended"), reply(1))
            await one.abandon(held("broken"))
            await one.release(held("free"))
            for name in ("renewed", "ended", "broken", "free"):
                assert ask(server, "HMGET", redis_key(name), "token", "state") == [b"2", b"0"]
                await other.keep(held(name, b"2"), reply(2))
            assert (await one.claim(key("free"), held("free", b"3"))).body == b"xx"

    asyncio.run(run())


def test_forgotten_scripts_are_sent_again(tmp_path, server: Server):
    async def run():
        async with hosts(tmp_path, server.url) as (one, other):
            await one.claim(key("k"), held("k"))
            ask(server, "SCRIPT", "FLUSH")
            await one.keep(held("k"), reply())
            ask(server, "SCRIPT", "FLUSH")
            assert (await other.claim(key("k"), held("k", b"2"))).status == 200

    asyncio.run(run())


def test_what_is_not_ours_under_a_key_is_refused(tmp_path, server: Server):
    async def run():
        async with hosts(tmp_path, server.url) as (one, other):
            ask(server, "SET", redis_key("k"), "x")
            await refused(one, "k")
            ask(server, "DEL", redis_key("k"))
            assert isinstance(await one.claim(key("k"), held("k")), Claim)
            await one.keep(held("k"), b"no answer")
            with pytest.raises(StoreError, match="cannot be read"):
                await other.claim(key("k"), held("k", b"2"))
            ask(server, "HSET", redis_key("k"), "state", "7")
            with pytest.raises(StoreError, match="is not a valid State"):
                await other.claim(key("k"), held("k", b"2"))

    asyncio.run(run())


def test_a_file_that_fails_takes_no_key_of_redis(tmp_path, server: Server):
    (tmp_path / "a" / "a.db").mkdir(parents=True)

    async def run():
        async with hosts(tmp_path, server.url) as (one, other):
            with pytest.raises(StoreError, match="move the file away"):
                await one.claim(key("k"), held("k"))
            assert isinstance(await other.claim(key("k"), held("k")), Claim)

    asyncio.run(run())


def test_an_end_that_the_file_does_not_take_is_given_by_other_hosts(tmp_path, server: Server, monkeypatch):
    async def fails(*_):
        raise StoreError("the disk is full")

    async def run():
        async with hosts(tmp_path, server.url) as (one, other):
            await one.claim(key("k"), held("k"))
            monkeypatch.setattr(one._own, "keep", fails)
            with pytest.raises(StoreError, match="disk is full"):
                await one.keep(held("k"), reply())
            assert (await other.claim(key("k"), held("k", b"2"))).status == 200

    asyncio.run(run())


def test_the_rights_that_the_docs_name_are_enough(tmp_path, server: Server):
    rights = "+time +hmget +hget +hset +del +get +set +pexpire"
    way = "+evalsha +script|load +ping +info +client|setname"
    assert rights in (SERVE / "idempotency" / "README.md").read_text()
    assert way in (SERVE / "redis" / "README.md").read_text()
    words = f"{rights} {way}".split()
    ask(server, "ACL", "SETUSER", "few", "on", ">secret", "resetkeys", "~p402:once:*", "-@all", *words)

    async def run():
        url = server.url.replace("redis://", "redis://few:secret@")
        async with hosts(tmp_path, url) as (one, other):
            for name in ("k", "free"):
                await one.claim(key(name), held(name))
            await one.renew([held("k")])
            await one.keep(held("k"), reply())
            await one.release(held("free"))
            await one.prune()
            assert not one._owed
            assert (await other.claim(key("k"), held("k", b"2"))).status == 200
            assert isinstance(await other.claim(key("free"), held("free", b"2")), Claim)

    asyncio.run(run())


def test_a_node_of_a_cluster_that_stands_still_refuses_its_own_keys_only(tmp_path, cluster: Cluster):
    for node in cluster.masters:
        ask(node, "FLUSHALL")

    async def run():
        async with impatient(tmp_path, cluster.url) as (one, other):
            by_node = [[], [], []]
            for name in map(str, range(30)):
                at = cluster.masters.index(cluster.owner(key_slot(redis_key(name).encode())))
                by_node[at].append(name)
            warm, still, well = by_node[0].pop(), by_node[0], [*by_node[1], *by_node[2]]
            await one.claim(key(warm), held(warm))
            cluster.masters[0].freeze()
            try:
                for name in still[:3]:
                    assert await refused(one, name) < QUICK + 0.3
                for name in well:
                    assert isinstance(await one.claim(key(name), held(name)), Claim)
                    await one.keep(held(name), reply())
            finally:
                cluster.masters[0].thaw()
            for name in well:
                assert (await other.claim(key(name), held(name, b"2"))).status == 200
            await claimed(one, still[0], b"2")
            await paid(one)

    asyncio.run(run())


def test_no_line_shows_a_password(tmp_path, server: Server, caplog):
    caplog.set_level(logging.DEBUG)
    server.kill()

    async def run():
        url = server.url.replace("redis://", "redis://:hunter2@")
        async with impatient(tmp_path, url) as (one, _):
            with pytest.raises(StoreError) as caught:
                await one.claim(key("k"), held("k"))
            assert "hunter2" not in str(caught.value)

    asyncio.run(run())
    assert "hunter2" not in caplog.text
    assert "are refused until that is mended" in caplog.text
