"""Workers of several hosts, each with its own flow, log and clock: what one finds, the others decide by."""

from itertools import pairwise
from types import SimpleNamespace

import pytest

from p402.errors import StoreError
from p402.events import Live
from p402.flow.peers import exchange
from p402.flow.state import WorkerState
from p402.ports import Word
from p402.routing.breaker import OPEN_AFTER
from p402.routing.compiled import compile_snapshot
from p402.store.task_head import load_head
from sim.memory import MemoryBoard
from tests.p402.flow.world import ARMS, REFERENCE, Play, World, a_request, a_spec, broke, finish

DEAD = Play(failure=broke())
ONLY = {"exclude_providers": ("alpha", "beta")}


async def no_pause():
    pass


class Hosts:
    """Worlds on one board; their clocks differ by hours."""

    def __init__(self, *scripts):
        self.ms = 0
        self.board = MemoryBoard(lambda: self.ms)
        self.worlds = [World(*script, worker=f"w{n}") for n, script in enumerate(scripts)]
        for n, world in enumerate(self.worlds):
            world.clock.ms = n * 3_600_000

    def second(self, *, ask=True):
        self.ms += 1_000
        for world in self.worlds:
            world.clock.ms += 1_000
        for world in self.worlds:
            finish(exchange(world.state, self.board, world.clock.now_ms, no_pause))
        if ask:
            for world in self.worlds:
                world.ask(a_request(mode="quality"))


def die(world):
    for _ in range(OPEN_AFTER):
        world.ask(a_request(failover=False, mode="cost", **ONLY))


def reason(world, arm="gamma/tiny"):
    answer = world.ask(a_request(explain=True, mode="quality"))
    return {view.arm: view.reason for view in answer.metadata.considered}[arm]


def test_a_provider_that_one_host_found_dead_is_passed_over_by_the_others_within_two_seconds():
    hosts = Hosts([*[DEAD] * OPEN_AFTER, Play()], [Play()], [Play()])
    hosts.second(ask=False)
    die(hosts.worlds[0])
    hosts.second()
    hosts.second()
    assert [reason(world) for world in hosts.worlds] == ["circuit_open"] * 3
    for world in hosts.worlds[1:]:
        assert "gamma" not in {call.provider for call in world.upstream.calls}


def test_it_is_decided_by_only_once_it_is_logged():
    hosts = Hosts([*[DEAD] * OPEN_AFTER, Play()], [Play()])
    die(hosts.worlds[0])
    other = hosts.worlds[1]
    other.log.full = lambda event, number: isinstance(event, Live)
    hosts.second()
    hosts.second()
    assert reason(other) != "circuit_open"
    assert other.state.live.seq == 0
    other.log.full = lambda event, number: False
    hosts.second()
    assert reason(other) == "circuit_open"
    assert other.log.of(Live)[-1].worker == "w1"


def test_a_worker_logs_at_most_one_change_a_second_however_much_it_hears():
    hosts = Hosts([Play()], [Play()])
    for k in range(30):
        one, failed = hosts.worlds[0], k % 2 == 0
        one.state.health.observe(
            "gamma/tiny", one.clock.now_ms(), failed=failed, ttft_ms=None if failed else 900.0 * k
        )
        hosts.second()
        for _ in range(5):
            hosts.worlds[1].ask(a_request(mode="quality"))
    stamps = [row.ts_ms for row in hosts.worlds[1].log.of(Live)]
    assert len(stamps) > 10
    assert all(later - ms >= 1_000 for ms, later in pairwise(stamps))


def test_an_arm_that_only_one_snapshot_has_troubles_nobody():
    hosts = Hosts([*[DEAD] * OPEN_AFTER, Play()], [Play()])
    small = compile_snapshot(a_spec([row for row in ARMS if row.arm in ("beta/large", REFERENCE)]))
    hosts.worlds[1].state.swap(small)
    die(hosts.worlds[0])
    hosts.second()
    hosts.second()
    assert "gamma/tiny" not in hosts.worlds[1].state.health.table
    hosts.worlds[1].state.swap(hosts.worlds[0].snapshot)
    hosts.second()
    assert reason(hosts.worlds[1]) == "circuit_open"


def test_a_worker_that_begins_anew_learns_what_the_others_know():
    hosts = Hosts([*[DEAD] * OPEN_AFTER, Play()], [Play()])
    die(hosts.worlds[0])
    hosts.second()
    hosts.worlds[1] = World(Play(), worker="w1-again")
    hosts.second()
    assert reason(hosts.worlds[1]) == "circuit_open"


class Strange:
    """A board with words of another version and of nobody."""

    async def exchange(self, worker, data):
        return [Word(0, b""), Word(5, b"\x93\x63\x90\x90"), Word(-9, data)]

    async def close(self):
        pass


def test_words_that_nobody_understands_are_passed_over():
    state = WorkerState("w", World().snapshot, load_head())
    clock = SimpleNamespace(now_ms=lambda: 1_800_000_000_000)
    assert finish(exchange(state, Strange(), clock.now_ms, no_pause)) == 1


class Away(Strange):
    async def exchange(self, worker, data):
        raise StoreError("away")


def test_a_board_that_is_away_leaves_what_was_known():
    hosts = Hosts([*[DEAD] * OPEN_AFTER, Play()], [Play()])
    die(hosts.worlds[0])
    hosts.second()
    other = hosts.worlds[1]
    with pytest.raises(StoreError):
        finish(exchange(other.state, Away(), other.clock.now_ms, no_pause))
    assert reason(other) == "circuit_open"
