"""Requests, ends, deaths and lost replies at two hosts, in any order: no key is paid for twice a day."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from p402.errors import Refusal, StoreError
from serve.http import HttpReply
from serve.idempotency import scripts
from serve.idempotency.keeper import Keeper
from serve.idempotency.kept import pack
from serve.idempotency.law import KEPT_MS, LEASE_MS, OTHER_BODY, Claim
from serve.idempotency.rows import Holder
from serve.idempotency.shared import Bounds, SharedKeeper
from serve.redis.calls import Cause, RedisAway
from serve.redis.connect import way_to
from tests.conformance.answers import NOW, SMALL, key
from tests.serve.redis.cluster_server import ask
from tests.serve.redis.server import Server

NAMES = st.sampled_from("ab")
HOSTS = st.sampled_from([0, 1])
FAULTS = st.sampled_from([None, None, None, "unsent", "lost"])


class Losing:
    """A way whose next call is not sent, or is carried out and its reply lost."""

    def __init__(self, url: str) -> None:
        self.way = way_to(url, scripts=scripts.ALL, patience_ms=20_000)
        self.fault: str | None = None
        self.open, self.each, self.aclose = self.way.open, self.way.each, self.way.aclose

    async def call(self, *parts):
        fault, self.fault = self.fault, None
        if fault == "unsent":
            raise RedisAway(Cause.OPEN, "not sent")
        reply = await self.way.call(*parts)
        if fault == "lost":
            raise RedisAway(Cause.LOST, "lost", may_be_done=True)
        return reply


class SharedHistory(RuleBasedStateMachine):
    server: Server

    def __init__(self) -> None:
        super().__init__()
        ask(self.server, "FLUSHALL")
        self.folder = TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.now, self.number = NOW, 0
        self.ways: list[Losing] = []
        self.hosts = [self.host(name) for name in "ab"]
        self.under_way: list[tuple[SharedKeeper, Holder, str]] = []
        self.paid: dict[str, tuple[int, bytes]] = {}
        """By key: when it was last claimed and not given back, and with which body."""
        for each in self.hosts:
            self.runner.run(each._opened())

    def host(self, name: str) -> SharedKeeper:
        folder = Path(self.folder.name) / name

        def way() -> Losing:
            self.ways.append(Losing(self.server.url))
            return self.ways[-1]

        own = Keeper(folder / "a.db", lambda: self.now, SMALL)
        return SharedKeeper(own, way, Bounds(bytes=1_000), lambda: self.now)

    def teardown(self) -> None:
        for each in self.hosts:
            self.runner.run(each.close())
        self.runner.close()
        self.folder.cleanup()

    def owing(self) -> bool:
        return any(each._owed for each in self.hosts)

    def taken(self, data) -> tuple[SharedKeeper, Holder, str]:
        return self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))

    @rule(at=HOSTS, name=NAMES, body=st.sampled_from([b"1", b"2"]), fault=FAULTS)
    def request(self, at: int, name: str, body: bytes, fault: str | None) -> None:
        self.number += 1
        holder = Holder(key(name).scope, b"%08d" % self.number)
        self.ways[at].fault = fault
        try:
            found = self.runner.run(self.hosts[at].claim(key(name, body), holder))
        except StoreError:
            assert fault
            return
        finally:
            self.ways[at].fault = None
        known = self.paid.get(name)
        if isinstance(found, Claim):
            assert known is None or self.now - known[0] >= KEPT_MS
            self.paid[name] = (self.now, body)
            self.under_way.append((self.hosts[at], holder, name))
        elif known is None:
            assert isinstance(found, Refusal)
            assert self.owing()  # a claim that Redis has yet to be told of
        else:
            assert (found is OTHER_BODY) == (known[1] != body) or self.owing()
            if isinstance(found, HttpReply):
                assert found.body.startswith(name.encode() + body)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), size=st.sampled_from([10, 1_500, 3_000]), fault=FAULTS)
    def end(self, data, size: int, fault: str | None) -> None:
        hand, holder, name = self.taken(data)
        content = pack(HttpReply(200, (), b""), (name.encode() + self.paid[name][1]).ljust(size, b"."))
        self.faulty(hand, fault, hand.keep(holder, content))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), fault=FAULTS)
    def release(self, data, fault: str | None) -> None:
        hand, holder, name = self.taken(data)
        self.faulty(hand, fault, hand.release(holder))
        if not any(other == name for *_, other in self.under_way):
            self.paid.pop(name)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), fault=FAULTS)
    def break_off(self, data, fault: str | None) -> None:
        hand, holder, _ = self.taken(data)
        self.faulty(hand, fault, hand.abandon(holder))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def die(self, data) -> None:
        hand, holder, _ = self.taken(data)
        hand._held.pop(holder)

    @rule(ms=st.sampled_from([1, LEASE_MS // 2, LEASE_MS, KEPT_MS // 2]))
    def wait(self, ms: int) -> None:
        for step in [LEASE_MS // 2] * (ms // (LEASE_MS // 2)) if ms <= LEASE_MS else [ms]:
            self.renew()
            self.now += step
        self.renew()

    def renew(self) -> None:
        for hand in self.hosts:
            self.runner.run(hand.renew([holder for by, holder, _ in self.under_way if by is hand]))

    @rule()
    def told(self) -> None:
        """Redis is told what it did not take."""
        for hand in self.hosts:
            for _ in range(3):
                self.runner.run(hand._pay())
            assert not hand._owed

    def faulty(self, hand: SharedKeeper, fault: str | None, work) -> None:
        way = self.ways[self.hosts.index(hand)]
        way.fault = fault
        self.runner.run(work)
        way.fault = None


def test_no_history_of_two_hosts_pays_twice_a_day(redis: Server) -> None:
    class OnRedis(SharedHistory):
        server = redis

    run_state_machine_as_test(
        OnRedis,
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
