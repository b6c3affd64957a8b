"""The Redis hand: the suite every hand passes, on a real server, with the host's ledger behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from p402.guard.daily import DAY_MS
from p402.guard.lease import granted_nano
from p402.guard.ledger import Account
from p402.limits import Limits
from serve.guard import scripts
from serve.guard.answers import Newer, Taken
from serve.guard.host import HostLedger
from serve.guard.position import Position
from serve.guard.reporter import Late
from serve.guard.scripts import Caller
from serve.guard.shared import SharedGuard
from serve.redis.address import ClusterAddress, read_address, read_addresses
from serve.redis.calls import Reply
from serve.redis.cluster import ClusterDoor
from serve.redis.door import Door
from serve.redis.link import Link
from tests.conformance.guard import NOON, GuardConformance
from tests.conformance.guard_history import LIMITS, GuardHistory
from tests.serve.redis.cluster_server import Cluster
from tests.serve.redis.server import Server

PATIENT = {"deadline_ms": 20_000, "connect_ms": 20_000}
"""For tests that are not about time: the machine may be busy."""


def no_lease(cap_nano: int, hosts: int) -> int:
    return 0


def way(url: str, **link: int) -> Door | ClusterDoor:
    address = read_addresses(url)
    if isinstance(address, ClusterAddress):
        return ClusterDoor(address, lambda node: Link(node, scripts=scripts.ALL, **link))
    return Door(Link(address, scripts=scripts.ALL, **link))


class Host:
    """One host's guard with its own way to Redis."""

    def __init__(
        self, folder: Path, url: str, limits: Callable[[str], Limits], now_ms: Callable[[], int], **more
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.own = HostLedger(folder / "state.db", limits, now_ms)
        more.setdefault("lease_nano", no_lease)
        more.setdefault("link", PATIENT)
        link = more.pop("link")
        self.guard = SharedGuard(
            self.own,
            Late(lambda: way(url, **link)),
            limits,
            now_ms=now_ms,
            **more,
        )
        if link is PATIENT:
            self.guard.patience_s = 20.0

    async def start(self) -> None:
        self.guard.start()
        await self.guard.join()

    async def die(self) -> None:
        """End without a last word to Redis."""
        await self.guard._watch.stop()
        await self.guard._redis.aclose()
        await self.own.close()

    async def close(self) -> None:
        await self.guard.close()


async def tell(server: Server, *parts: str) -> Reply:
    link = Link(read_address(server.url), **PATIENT)
    try:
        return await link.call(*parts)
    finally:
        await link.aclose()


class TestSharedGuard(GuardConformance):
    @pytest.fixture
    def open_guard(self, tmp_path: Path, redis: Server):
        @asynccontextmanager
        async def open_it(limits: Callable[[str], Limits], clock: list[int]) -> AsyncIterator[SharedGuard]:
            await tell(redis, "FLUSHALL")
            host = Host(tmp_path, redis.url, limits, lambda: clock[0])
            await host.start()
            yield host.guard
            await host.close()

        return open_it


class TestSharedGuardOverACluster(GuardConformance):
    @pytest.fixture
    def open_guard(self, tmp_path: Path, cluster: Cluster):
        @asynccontextmanager
        async def open_it(limits: Callable[[str], Limits], clock: list[int]) -> AsyncIterator[SharedGuard]:
            for node in cluster.masters:
                await tell(node, "FLUSHALL")
            host = Host(tmp_path, cluster.url, limits, lambda: clock[0])
            await host.start()
            yield host.guard
            await host.close()

        return open_it


class SharedHistory(GuardHistory):
    """The same histories, with Redis forgetting and workers dying in between, over one host or two."""

    hosts = 1
    server: Server

    def open(self) -> None:
        self.folder = TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.of: list[Host] = []
        self.loop.run_until_complete(self.begin())

    async def begin(self) -> None:
        await tell(self.server, "FLUSHALL")
        self.of = [self.host(i) for i in range(self.hosts)]
        for _ in range(2):
            for host in self.of:
                await (host.start() if not host.guard.open else host.guard._watch.look())

    def host(self, i: int) -> Host:
        return Host(
            Path(self.folder.name) / f"host{i}", self.server.url, lambda _: LIMITS, lambda: self.clock[0],
            hosts=self.hosts, tenants=("t", "u"),
        )  # fmt: skip

    def close(self) -> None:
        for host in self.of:
            self.loop.run_until_complete(host.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()

    def call(self, name: str, *args):
        key = args[0] if name in {"top_up", "settle"} else None
        by = key.id if key is not None else args[1] if name == "reserve" else "a"
        host = self.of[ord(by) % self.hosts]
        value = getattr(host.guard, name)(*args) if name != "settle" else self.settled(host, *args)
        return self.loop.run_until_complete(value)

    async def settled(self, host: Host, *args) -> None:
        host.guard.settle(*args)
        await host.guard.spent("t")  # booked at the time it was queued, before the clock moves

    @rule()
    def redis_forgets(self) -> None:
        async def go() -> None:
            await tell(self.server, "FLUSHALL")
            for host in self.of:
                await host.guard._watch.look()

        self.loop.run_until_complete(go())

    @rule()
    def redis_forgets_its_scripts(self) -> None:
        self.loop.run_until_complete(tell(self.server, "SCRIPT", "FLUSH"))

    @rule(i=st.integers(0, 1))
    def a_worker_is_replaced(self, i: int) -> None:
        i %= self.hosts

        async def go() -> None:
            dead = self.of[i]
            await dead.die()
            self.of[i] = self.host(i)
            await self.of[i].start()

        self.loop.run_until_complete(go())


@pytest.mark.parametrize("hosts", [1, 2])
def test_random_histories_over_hosts(hosts: int, redis: Server) -> None:
    class History(SharedHistory):
        pass

    History.hosts, History.server = hosts, redis
    few = settings(max_examples=20, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(History, settings=few)


@given(
    cap=st.integers(0, 10_000),
    spent=st.integers(0, 10_000),
    kept=st.integers(0, 500),
    wanted=st.integers(0, 500),
    hosts=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_script_and_law_grant_the_same_lease(
    cap: int, spent: int, kept: int, wanted: int, hosts: int, redis: Server
) -> None:
    wanted = max(kept, wanted)
    today = NOON // DAY_MS
    told = Position("h", 1, 0, "x", (), today, kept, wanted, Account(), ((today, spent),), (), ())
    parts = scripts.ask_report(Caller(NOON, "h", 1, 0, hosts), "t", told, cap)

    async def report() -> Taken | Newer:
        await tell(redis, "FLUSHALL")
        link = Link(read_address(redis.url), scripts=scripts.ALL, **PATIENT)
        try:
            for other in range(hosts - 1):
                nothing = Position(f"o{other}", 1, 0, "y", (), today, 0, 0, Account(), (), (), ())
                who = Caller(NOON, f"o{other}", 1, 0, hosts)
                await link.call(*scripts.ask_report(who, "t", nothing, cap))
            return scripts.read_report(await link.call(*parts))
        finally:
            await link.aclose()

    taken = asyncio.run(report())
    assert isinstance(taken, Taken)
    assert taken.open
    assert taken.lease_nano == granted_nano(kept, wanted, cap - spent - kept, hosts)
