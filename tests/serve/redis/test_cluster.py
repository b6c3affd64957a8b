"""A real cluster, whose slots move and whose nodes freeze and die, as a request meets it."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from serve.redis import cluster as module
from serve.redis.address import ClusterAddress, read_addresses
from serve.redis.calls import Cause, RedisAway, RedisRefused, Script
from serve.redis.cluster import ClusterDoor
from serve.redis.link import Link
from serve.redis.slots import key_slot
from tests.serve.redis.cluster_server import Cluster, ask, info, redis_cluster
from tests.serve.redis.server import Server, free_port, redis_server

COUNT = Script.of(
    "#!lua\nlocal n = 0\nfor _, key in ipairs(KEYS) do n = redis.call('INCR', key) end\nreturn {KEYS[1], n}"
)
fresh = map(
    "k{}:{{{{{{}}}}}}".format, itertools.count()
)  # keys that no other test has, their tenant left open


@contextlib.asynccontextmanager
async def door(url: str, **options: Any) -> AsyncIterator[ClusterDoor]:
    address = read_addresses(url)
    assert isinstance(address, ClusterAddress)
    made = ClusterDoor(address, lambda node: Link(node, scripts=[COUNT], **options))
    try:
        yield made
    finally:
        await made.aclose()
        assert not made._leaving


def tenants_of(node: Server, cluster: Cluster) -> Iterator[str]:
    names = (f"t{number}" for number in itertools.count())
    return (name for name in names if cluster.owner(key_slot(name.encode())) is node)


def key_of(node: Server, cluster: Cluster) -> str:
    """A key that is there, and that nobody had yet."""
    return next(fresh).format(next(tenants_of(node, cluster)))


def count(at: ClusterDoor, *keys: str) -> Awaitable[Any]:
    return at.call("EVALSHA", COUNT.sha, len(keys), *keys)


async def away(waiting: Awaitable[object]) -> RedisAway:
    with pytest.raises(RedisAway) as caught:
        await waiting
    return caught.value


def at_once(call: Coroutine[Any, Any, object]) -> RedisAway:
    """How a call that must not wait even for a turn of the event loop was refused."""
    with pytest.raises(RedisAway) as caught:
        call.send(None)
    return caught.value


async def until(claim: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not await claim():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def errors(nodes: list[Server], code: str) -> int:
    """How many calls the nodes answered with an error, since `reset`."""
    told = (info(node, "errorstats").get(f"errorstat_{code}", {"count": 0}) for node in nodes)
    return sum(int(each["count"]) for each in told)


def reset(cluster: Cluster) -> None:
    for node in cluster.nodes:
        ask(node, "CONFIG", "RESETSTAT")


@contextlib.contextmanager
def moving(cluster: Cluster, slot: int) -> Iterator[tuple[Server, Server]]:
    """A slot that is being handed over, from its owner to the next; back with its owner afterwards."""
    source = cluster.owner(slot)
    target = cluster.masters[(cluster.masters.index(source) + 1) % 3]
    cluster.begin_move(slot, source, target)
    try:
        yield source, target
    finally:
        cluster.move_keys(slot, source, target)
        cluster.end_move(slot, source, target)
        cluster.move(slot, target, source)


def test_the_servers_find_the_slots_that_we_find(cluster: Cluster) -> None:
    for key in (b"", b"a", b"{}x", b"{a}x", b"x{a}{b}", b"x{{a}}", b"}{", b"\xff{\0}\xff", b"{a"):
        assert ask(cluster.nodes[0], "CLUSTER", "KEYSLOT", key) == key_slot(key)


def test_tenants_are_spread_over_all_nodes_each_by_the_one_link_to_its_own(cluster: Cluster) -> None:
    reset(cluster)
    stem = next(fresh)
    pairs = [(stem.format(f"t{number}"), f"{stem.format(f't{number}')}:2") for number in range(300)]

    async def scene() -> list[Any]:
        async with door(cluster.url) as at:
            await at.open()
            replies = await asyncio.gather(*(count(at, *pair) for pair in pairs))
            assert len(at._doors) == 3
            assert {each._link.opened for each in at._doors.values()} == {1}
            assert await at.call("GET", pairs[0][0]) == b"1"
            assert await at.call(b"EVAL", "return ARGV[1]", "1", pairs[7][0], 0.5) == b"0.5"
            return replies

    assert uvloop.run(scene()) == [[first.encode(), 1] for first, _ in pairs]
    assert errors(cluster.nodes, "MOVED") == 0
    for node in cluster.nodes:
        own = [pair for pair in pairs if cluster.owner(key_slot(pair[0].encode())) is node]
        assert len(own) > 50
        assert ask(node, "MGET", *own[0]) == [b"1", b"1"]


def test_while_a_slot_moves_no_call_is_lost_or_done_twice(cluster: Cluster) -> None:
    reset(cluster)
    keys = [key_of(cluster.nodes[0], cluster) for _ in range(4)]
    slot = key_slot(keys[0].encode())
    done = dict.fromkeys(keys, 0)
    fresh_done: list[str] = []
    over = False

    async def caller(at: ClusterDoor, key: str) -> None:
        while not over:
            assert (await count(at, key))[1] == done[key] + 1
            done[key] += 1

    async def newcomer(at: ClusterDoor, tenant: str) -> None:
        while not over:
            key = next(fresh).format(tenant)
            assert (await count(at, key))[1] == 1
            fresh_done.append(key)

    async def scene() -> None:
        nonlocal over
        async with door(cluster.url) as at:
            await at.open()
            tenant = keys[0].partition("{")[2].rstrip("}")
            callers = asyncio.gather(*(caller(at, key) for key in keys), newcomer(at, tenant))
            with moving(cluster, slot) as (source, target):
                await asyncio.sleep(0.1)  # new keys are made at the target, known ones counted at the source
                await asyncio.to_thread(cluster.move_keys, slot, source, target)
                await asyncio.sleep(0.1)  # all are counted at the target
                assert not callers.done()
                await asyncio.to_thread(cluster.end_move, slot, source, target)
                await asyncio.sleep(0.1)  # where all calls go by themselves
                assert errors([source], "ASK") > 0
                assert errors([source], "MOVED") > 0
                before = errors(cluster.nodes, "MOVED")
                await asyncio.sleep(0.1)
                assert errors(cluster.nodes, "MOVED") == before
                over = True
                await callers
            assert [await at.call("GET", key) for key in keys] == [b"%d" % done[key] for key in keys]
            assert {await at.call("GET", key) for key in fresh_done[:: len(fresh_done) // 50 + 1]} == {b"1"}

    uvloop.run(scene())
    assert min(done.values()) > 50
    assert len(fresh_done) > 50


def test_a_call_for_keys_of_which_some_are_elsewhere_is_not_done_and_may_be_made_again(
    cluster: Cluster,
) -> None:
    key = key_of(cluster.nodes[1], cluster)

    async def scene() -> None:
        async with door(cluster.url) as at:
            await at.open()
            with moving(cluster, key_slot(key.encode())):
                for keys in ((key, f"{key}:2"), (f"{key}:3", f"{key}:4")):
                    error = await away(count(at, *keys))
                    assert (error.cause, error.may_be_done) == (Cause.UNSERVED, False)
                    assert "TRYAGAIN" in str(error)
                assert await at.call("GET", key) is None
                assert await count(at, key) == [key.encode(), 1]  # one key alone is welcome where it goes
            assert await count(at, key, f"{key}:2") == [key.encode(), 1]

    uvloop.run(scene())


def test_a_slot_that_moved_is_learned_from_the_first_call_and_the_map_looked_at_once(
    cluster: Cluster,
) -> None:
    key = key_of(cluster.nodes[2], cluster)
    slot = key_slot(key.encode())

    async def scene() -> None:
        async with door(cluster.url) as at:
            await at.open()
            await count(at, key)
            with moving(cluster, slot) as (source, target):
                cluster.move_keys(slot, source, target)
                cluster.end_move(slot, source, target)
                reset(cluster)
                at._look_at = 0.0  # the map was looked at long ago
                replies = await asyncio.gather(*(count(at, key) for _ in range(100)))
                assert sorted(number for _, number in replies) == list(range(2, 102))
                assert errors(cluster.nodes, "MOVED") == 100  # they had left together
                await count(at, key)
                assert errors(cluster.nodes, "MOVED") == 100
                assert at._looking is None
                looks = (
                    info(node, "commandstats").get("cmdstat_cluster|slots", {"calls": 0})
                    for node in cluster.nodes
                )
                assert sum(each["calls"] for each in looks) == 1

    uvloop.run(scene())


def test_a_second_redirection_is_not_followed_and_the_next_call_finds_the_way(cluster: Cluster) -> None:
    key = key_of(cluster.nodes[0], cluster)
    slot = key_slot(key.encode())

    async def scene() -> None:
        async with door(cluster.url) as at:
            await at.open()
            at._look_at = float("inf")
            with moving(cluster, slot):
                at._owners[slot] = ("127.0.0.1", cluster.nodes[2].port)  # which sends on to one that does too
                error = await away(count(at, key))
                assert (error.cause, error.may_be_done) == (Cause.UNSERVED, False)
                assert await count(at, key) == [key.encode(), 1]

    uvloop.run(scene())


def test_scripts_that_one_node_forgot_are_loaded_again_there_also_behind_asking(cluster: Cluster) -> None:
    key = key_of(cluster.nodes[1], cluster)
    slot = key_slot(key.encode())

    async def scene() -> None:
        async with door(cluster.url) as at:
            await at.open()
            await count(at, key)
            ask(cluster.owner(slot), "SCRIPT", "FLUSH")
            assert await count(at, key) == [key.encode(), 2]
            with moving(cluster, slot) as (_, target):
                await count(at, f"{key}:new")
                ask(target, "SCRIPT", "FLUSH")
                assert await count(at, f"{key}:new") == [f"{key}:new".encode(), 2]

    uvloop.run(scene())


def test_a_frozen_node_costs_150_ms_once_and_its_keys_alone(cluster: Cluster) -> None:
    frozen, *others = (key_of(node, cluster) for node in cluster.nodes)

    async def timed(waiting: Awaitable[object]) -> float:
        begun = time.monotonic()
        await waiting
        return time.monotonic() - begun

    async def scene() -> None:
        async with door(cluster.url) as at:
            await at.open()
            for key in (frozen, *others):
                await count(at, key)
            cluster.nodes[0].freeze()
            begun = time.monotonic()
            first = asyncio.gather(*(away(count(at, frozen)) for _ in range(20)))
            while not first.done():
                for key in others:
                    assert await timed(count(at, key)) < 0.1
            assert {(error.cause, error.may_be_done) for error in await first} == {(Cause.SLOW, True)}
            assert time.monotonic() - begun < 0.3
            begun = time.monotonic()
            while time.monotonic() - begun < 0.7:  # probes and looks at the map come and go meanwhile
                assert at_once(at.call("GET", frozen)).cause is Cause.OPEN
                for key in others:
                    assert await timed(count(at, key)) < 0.1
                assert [at.retry_after_ms(key) for key in others] == [0, 0]
                assert at.retry_after_ms(frozen) <= 1_000
            assert sum(each.away for each in at._doors.values()) == 1
            cluster.nodes[0].thaw()

            async def back() -> bool:
                with contextlib.suppress(RedisAway):
                    return await at.call("GET", frozen) is not None
                return False

            await until(back)
            assert at.retry_after_ms(frozen) == 0

    try:
        uvloop.run(scene())
    finally:
        cluster.nodes[0].thaw()


def test_a_call_that_is_sent_on_to_a_frozen_node_ends_within_300_ms(cluster: Cluster) -> None:
    key = key_of(cluster.nodes[0], cluster)

    async def scene() -> None:
        async with door(cluster.url) as at:
            await at.open()
            await count(at, key)
            at._owners[key_slot(key.encode())] = ("127.0.0.1", cluster.nodes[1].port)
            cluster.nodes[0].freeze()
            begun = time.monotonic()
            error = await away(count(at, key))
            assert time.monotonic() - begun < 0.3
            assert (error.cause, error.may_be_done) == (Cause.SLOW, True)

    try:
        uvloop.run(scene())
    finally:
        cluster.nodes[0].thaw()


def test_a_killed_nodes_keys_are_found_at_the_replica_that_follows_it(tmp_path: Path) -> None:
    async def scene(nodes: Cluster) -> None:
        async with door(nodes.url) as at:
            await at.open()
            lost, *others = (key_of(node, nodes) for node in nodes.masters)
            for key in (lost, *others):
                await count(at, key)
            nodes.nodes[0].kill()
            error = await away(count(at, lost))
            assert error.cause in {Cause.LOST, Cause.REFUSED}
            assert at_once(at.call("GET", lost)).cause is Cause.OPEN
            assert at.retry_after_ms(lost) > 0
            turns = 1

            async def found() -> bool:
                nonlocal turns
                turns += 1
                for key in others:
                    assert await count(at, key) == [key.encode(), turns]
                with contextlib.suppress(RedisAway):
                    return bool((await count(at, lost))[1] >= 1)
                return False

            await until(found)
            assert at._owners[0] == ("127.0.0.1", nodes.nodes[3].port)
            assert ("127.0.0.1", nodes.nodes[0].port) not in at._doors
            assert at.retry_after_ms(lost) == 0

    with redis_cluster(tmp_path, replica=True, timeout_ms=500) as nodes:
        uvloop.run(scene(nodes))


def test_a_seed_that_answers_is_enough_and_none_is_told_with_what_each_said(
    cluster: Cluster, redis: Server
) -> None:
    nobody = free_port()

    async def scene() -> None:
        async with door(f"redis+cluster://127.0.0.1:{nobody},127.0.0.1:{cluster.nodes[2].port}") as at:
            await at.open()
            assert await at.call("GET", "a") is None
            assert ("127.0.0.1", nobody) not in at._doors
        async with door(f"redis+cluster://:secret@127.0.0.1:{nobody},127.0.0.1:{redis.port}") as at:
            error = await away(at.open())
            for said in (
                f"127.0.0.1:{nobody}/0 is not to be connected to",
                f"127.0.0.1:{redis.port}/0 refused",
            ):
                assert said in str(error)
            assert "secret" not in str(error)
        async with door(f"redis+cluster://127.0.0.1:{redis.port}") as at:
            assert "cluster support disabled" in str(await away(at.open()))
            assert at_once(at.call("GET", "a")).cause is Cause.UNSERVED

    uvloop.run(scene())


def test_without_open_calls_are_refused_at_once_until_the_map_is_there(cluster: Cluster) -> None:
    async def scene() -> None:
        async with door(cluster.url) as at:
            error = at_once(at.call("GET", "a"))
            assert (error.cause, error.may_be_done) == (Cause.UNSERVED, False)
            assert 0 < at.retry_after_ms("a") <= module.AGAIN_MS
            assert at._looking is not None
            await at._looking
            assert await at.call("GET", "a") is None

    uvloop.run(scene())


def test_slots_that_nobody_serves_are_away_and_a_node_without_a_host_is_where_it_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_MS", 20)

    async def scene(server: Server) -> None:
        low, high = (
            next(f"k{n}" for n in range(99) if (key_slot(b"k%d" % n) < 8192) == low) for low in (1, 0)
        )
        async with door(f"redis+cluster://localhost:{server.port}") as at:
            assert "knows no node that serves a slot" in str(await away(at.open()))
            ask(server, "CLUSTER", "ADDSLOTSRANGE", 0, 8191)
            await at.open()
            assert set(at._owners) == {("localhost", server.port), None}
            down = await away(at.call("GET", low))  # a cluster says so for its first two seconds
            assert (down.cause, down.may_be_done, "CLUSTERDOWN" in str(down)) == (Cause.UNSERVED, False, True)
            error = at_once(at.call("GET", high))
            assert (error.cause, error.may_be_done) == (Cause.UNSERVED, False)
            ask(server, "CLUSTER", "ADDSLOTSRANGE", 8192, 16383)

            async def known() -> bool:
                return "CLUSTERDOWN" in str(await away(at.call("GET", high)))

            await until(known)

    bus = str(free_port())
    with redis_server(tmp_path, "--cluster-enabled", "yes", "--cluster-port", bus) as server:
        uvloop.run(scene(server))


def test_every_node_is_asked_as_the_seed_is_and_few_rights_are_enough(cluster: Cluster) -> None:
    rights = "+evalsha +script|load +cluster|slots +cluster|info +asking +ping +info +incr +client|setname"
    keys = [key_of(node, cluster) for node in cluster.nodes]

    async def scene() -> None:
        async with door(cluster.url.replace("//", "//guard:hunter2@")) as at:
            await at.open()
            for key in keys:
                assert await count(at, key) == [key.encode(), 1]
            with moving(cluster, key_slot(keys[0].encode())):
                assert (await count(at, f"{keys[0]}:new"))[1] == 1
            assert {each._link.address.user for each in at._doors.values()} == {"guard"}
            assert len(await at.each("INFO")) == 3
            with pytest.raises(RedisRefused, match="NOPERM"):
                await at.call("SET", keys[0], 1)

    try:
        for node in cluster.nodes:
            ask(node, "ACL", "SETUSER", "guard", "on", ">hunter2", "~k*", *rights.split())
        uvloop.run(scene())
    finally:
        for node in cluster.nodes:
            ask(node, "ACL", "DELUSER", "guard")


def test_each_asks_every_master_once_and_takes_errors_for_answers(cluster: Cluster) -> None:
    async def scene() -> None:
        async with door(cluster.url) as at:
            await at.open()
            answers = await at.each("CLUSTER", "MYID")
            assert {address.port for address, _ in answers} == {node.port for node in cluster.nodes}
            assert len({reply for _, reply in answers if isinstance(reply, bytes)}) == 3
            assert {str(reply)[:3] for _, reply in await at.each("NO-SUCH")} == {"ERR"}

    uvloop.run(scene())


@pytest.mark.parametrize("parts", [(), ("PING",), ("EVALSHA", COUNT.sha, 0, "a"), (b"FCALL", "f", "1")])
def test_a_call_without_a_key_is_the_callers_fault(cluster: Cluster, parts: tuple[Any, ...]) -> None:
    async def scene() -> None:
        async with door(cluster.url) as at:
            with pytest.raises(ValueError, match="asked by key"):
                await at.call(*parts)

    uvloop.run(scene())


def test_a_closed_door_takes_no_call_and_is_closed_again_without_a_word(cluster: Cluster) -> None:
    async def scene() -> None:
        async with door(cluster.url) as at:
            await at.open()
            waiting = asyncio.ensure_future(at.call("GET", "a"))
            await asyncio.sleep(0)
            await at.aclose()
            assert await waiting is None
            for key in ("a", "b", "c"):  # nodes known and new
                assert (await away(at.call("GET", key))).cause is Cause.CLOSED
            assert (await away(at.open())).cause is Cause.CLOSED

    uvloop.run(scene())
