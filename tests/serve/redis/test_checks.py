"""What must not keep budgets, told by real servers where there are such."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from p402.errors import ConfigError
from serve.redis.address import Address
from serve.redis.calls import Part, RedisRefused, Reply
from serve.redis.checks import check
from serve.redis.connect import way_to
from serve.redis.door import Door
from tests.serve.redis.cluster_server import Cluster, ask
from tests.serve.redis.server import Server, free_port, redis_server


def checked(url: str) -> str:
    """What the check says of what a url names; nothing if it may be used."""

    async def scene() -> str:
        way = way_to(url)
        try:
            await way.open()
            await check(way)
        except ConfigError as error:
            return str(error)
        finally:
            await way.aclose()
        return ""

    return uvloop.run(scene())


class Told(Door):
    """A Redis of which only its INFO is there."""

    def __init__(self, info: Reply | RedisRefused) -> None:
        self.info = info

    async def each(self, *parts: Part) -> list[tuple[Address, Reply | RedisRefused]]:
        assert parts == ("INFO",)
        return [(Address("h"), self.info)]


GOOD = {
    "redis_version": "7.0.0",
    "role": "master",
    "maxmemory": "0",
    "maxmemory_policy": "noeviction",
    "cluster_enabled": "0",
}


def of_info(**changes: str | None) -> str:
    """What the check says of a server whose INFO differs so; None leaves a line out."""
    lines = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return of_reply(b"# Section\r\n\r\n" + "\r\n".join(f"{n}:{v}" for n, v in lines.items()).encode())


def of_reply(reply: Reply | RedisRefused) -> str:
    async def scene() -> str:
        try:
            await check(Told(reply))
        except ConfigError as error:
            return str(error)
        return ""

    return uvloop.run(scene())


def test_a_redis_and_a_cluster_that_are_fit_are_taken(redis: Server, cluster: Cluster) -> None:
    assert checked(redis.url) == ""
    assert checked(f"unix://{redis.socket}") == ""
    assert checked(cluster.url) == ""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    with redis_server(tmp_path, "--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru") as server:
        yield server


def test_a_redis_that_forgets_keys_when_it_is_full_is_refused(small: Server) -> None:
    said = checked(small.url)
    assert said.startswith(f"{small.url}/0 forgets keys, and budgets, when it is full (maxmemory:10485760, ")
    for part in (
        "maxmemory_policy:allkeys-lru",
        "expected maxmemory_policy:noeviction",
        "set `maxmemory-policy",
    ):
        assert part in said
    ask(small, "CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
    assert "volatile-ttl" in checked(small.url)
    ask(small, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert checked(small.url) == ""
    ask(small, "CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", "allkeys-lfu")
    assert checked(small.url) == ""  # it is never full


def test_a_replica_is_refused_and_its_master_named(redis: Server, tmp_path: Path) -> None:
    with redis_server(tmp_path, "--replicaof", f"127.0.0.1 {redis.port}") as server:
        said = checked(server.url)
    assert f"is no master (role:slave of 127.0.0.1:{redis.port})" in said
    assert "name the master in the url" in said


def test_a_user_who_may_not_ask_is_told_which_right_is_missing(redis: Server) -> None:
    try:
        ask(redis, "ACL", "SETUSER", "guard", "on", ">hunter2", "+ping")
        said = checked(redis.url.replace("//", "//guard:hunter2@"))
    finally:
        ask(redis, "ACL", "DELUSER", "guard")
    assert "refused INFO (NOPERM" in said
    assert said.endswith("let the user do it: +info")
    assert "hunter2" not in said


def test_a_node_of_a_cluster_is_not_taken_for_one_that_stands_alone(cluster: Cluster) -> None:
    assert "write redis+cluster://" in checked(cluster.nodes[0].url)


def test_every_master_of_a_cluster_is_looked_at(cluster: Cluster) -> None:
    last = cluster.nodes[2]
    try:
        ask(last, "CONFIG", "SET", "maxmemory", "10mb", "maxmemory-policy", "allkeys-lru")
        assert f"{last.url}/0 forgets keys" in checked(cluster.url)
    finally:
        ask(last, "CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", "noeviction")


def test_a_cluster_with_slots_that_nobody_serves_is_refused(tmp_path: Path) -> None:
    bus = str(free_port())
    with redis_server(tmp_path, "--cluster-enabled", "yes", "--cluster-port", bus) as server:
        ask(server, "CLUSTER", "ADDSLOTSRANGE", 0, 16_000)
        said = checked(f"redis+cluster://127.0.0.1:{server.port}")
    assert "is not whole (cluster_state:fail, cluster_slots_ok:16001)" in said
    assert "all 16384 slots served" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"redis_version": "6.2.14"}, "is Redis 6.2.14; expected Redis 7.0 or Valkey 7.2, or newer"),
        ({"redis_version": "7.2.4", "valkey_version": "7.1.9"}, "is Valkey 7.1.9"),
        ({"redis_version": None}, "is Redis of no version that INFO tells"),
        ({"redis_version": "seven"}, "is Redis seven"),
        ({"role": "slave", "master_host": "m", "master_port": "1"}, "role:slave of m:1"),
        ({"role": None}, "role:not told"),
        ({"maxmemory": None}, "does not tell in INFO whether it evicts"),
        ({"maxmemory_policy": None}, "does not tell in INFO whether it evicts"),
        ({"cluster_enabled": "1"}, "write redis+cluster://"),
    ],
)
def test_what_is_unfit_is_said_with_what_is_expected(changes: dict[str, str | None], said: str) -> None:
    assert said in of_info(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"redis_version": "10.0.1"},
        {"valkey_version": "7.2.0"},
        {"redis_version": "6.0.0", "valkey_version": "10.1.0"},
        {"cluster_enabled": None},
        {"maxmemory": "1"},
    ],
)
def test_what_is_fit_is_taken(changes: dict[str, str | None]) -> None:
    assert of_info(**changes) == ""


def test_a_reply_that_is_no_info_is_refused() -> None:
    for reply in (b"", b"\xff", None, 1, []):
        assert "of no version that INFO tells" in of_reply(reply)
