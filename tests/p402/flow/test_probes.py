"""What a provider that was dead costs its callers, and how it comes back: one request at a time."""

import asyncio
from itertools import pairwise

import pytest

from p402.answer import Completed, Rejected
from p402.errors import Refusal
from p402.events import Decision
from p402.ports import Completion, Usage
from p402.routing.breaker import COOL_MS, OPEN_AFTER, OPEN_MS
from tests.p402.flow.world import (
    ARMS,
    BAD_REQUEST,
    REFERENCE,
    Pause,
    Play,
    World,
    a_request,
    a_spec,
    a_tenant,
    broke,
    finish,
)

DEAD = Play(failure=broke())
ASK = {"mode": "cost"}
"""Whose first choice is gamma/tiny."""


def dead(*then):
    """A world whose cheapest arm has failed until its breaker opened, and has rested."""
    world = World(*[DEAD] * OPEN_AFTER, *then)
    for _ in range(OPEN_AFTER):
        world.ask(a_request(failover=False, exclude_providers=("alpha", "beta"), **ASK))
    world.clock.ms += 1_000
    world.state.apply(world.state.delta(world.clock.now_ms()))
    world.clock.ms += OPEN_MS
    forget_errors(world)
    return world


def forget_errors(world):
    """As if the breaker alone spoke against the arm: its error rate would keep most from choosing it."""
    for state in world.state.health._arms.values():
        state.error = 0.0


def begun(world, request=None, steps=2):
    """A client whose provider has been called and does not answer yet."""
    client = world.client(request or a_request(**ASK), a_tenant())
    for _ in range(steps):
        client.send(None)
    return client


def called(world):
    return [c.provider for c in world.upstream.calls[OPEN_AFTER:]]


def is_open(world, arm="gamma/tiny"):
    world.clock.ms += 1_000
    world.ask(a_request(mode="quality"))
    live = world.state.health.table[arm]
    return live.open_circuit, live.half_open


@pytest.mark.parametrize("steps", [1, 2], ids=["while they reserve", "while they call"])
def test_of_many_requests_when_the_rest_ends_exactly_one_goes_to_the_dead_arm(steps):
    world = dead(Play(hangs=True, events=0))
    clients = [begun(world, steps=steps) for _ in range(50)]
    for client in clients:
        if steps == 1:
            client.send(None)
    assert called(world).count("gamma") == 1
    rows = world.log.of(Decision)[OPEN_AFTER:]
    assert [row.inputs.probed for row in rows] == [[]] + [["gamma"]] * 49
    assert [row.arm == "gamma/tiny" for row in rows] == [True] + [False] * 49
    for client in clients:
        client.close()


def test_a_probe_that_succeeds_closes_the_breaker():
    world = dead(Play())
    assert world.ask(a_request(**ASK)).metadata.provider == "gamma"
    assert is_open(world) == (False, False)


def test_a_stream_closes_it_by_its_first_content():
    world = dead(Play(hangs=True, events=1), Play())
    client = world.client(a_request(stream=True, **ASK), a_tenant(), leave_after=1)
    for _ in range(3):
        client.send(None)
    assert is_open(world) == (False, False)
    with pytest.raises(asyncio.CancelledError):
        finish(client, cancel_at=0)


def test_a_probe_that_fails_goes_on_to_another_provider_and_the_arm_rests_longer():
    world = dead(DEAD, Play())
    answer = world.ask(a_request(**ASK))
    assert isinstance(answer, Completed)
    assert answer.metadata.attempts[0].arm == "gamma/tiny"
    assert is_open(world) == (True, False)
    world.clock.ms += OPEN_MS
    assert is_open(world) == (True, False)
    world.clock.ms += OPEN_MS
    assert is_open(world) == (True, True)


LEAVES = {
    "while it reserves": 1,
    "while it calls": 2,
}


@pytest.mark.parametrize("steps", LEAVES.values(), ids=LEAVES)
def test_a_caller_that_leaves_gives_the_place_back(steps):
    world = dead(Play(hangs=True, events=0), Play())
    client = begun(world, steps=steps)
    assert world.state.health.probes.providers() == ["gamma"]
    with pytest.raises(asyncio.CancelledError):
        finish(client, cancel_at=0)
    assert world.state.health.probes.providers() == []
    another = begun(world)
    assert world.state.health.probes.providers() == ["gamma"]
    another.close()


def test_a_stream_that_is_left_before_its_end_has_told_enough():
    world = dead(Play(events=3))
    finish(world.client(a_request(stream=True, **ASK), a_tenant(), leave_after=1))
    assert is_open(world) == (False, False)


def test_a_clients_own_fault_says_nothing_of_the_arm():
    world = dead(Play(failure=BAD_REQUEST))
    world.ask(a_request(**ASK))
    assert world.state.health.probes.providers() == []
    assert is_open(world) == (True, True)


def test_a_day_without_room_gives_the_place_back():
    world = dead(Play())
    world.cap[0] = 0
    world.ask(a_request(**ASK))
    assert called(world) == []
    assert world.state.health.probes.providers() == []


def test_a_full_log_gives_the_place_back():
    world = dead(Play())
    world.log.full = lambda event, number: isinstance(event, Decision)
    world.ask(a_request(**ASK))
    assert called(world) == []
    assert world.state.health.probes.providers() == []


def test_an_error_of_ours_gives_the_place_back():
    world = dead(Play(raises=ZeroDivisionError("ours"), events=0))
    with pytest.raises(ZeroDivisionError):
        world.ask(a_request(**ASK))
    assert world.state.health.probes.providers() == []


@pytest.mark.parametrize("dry", [True, False], ids=["dry run", "route"])
def test_who_calls_nobody_takes_no_place(dry):
    world = dead(Play())
    world.ask(a_request(dry_run=True, **ASK)) if dry else world.flow.route(a_request(**ASK), a_tenant())
    assert world.state.health.probes.providers() == []


def test_a_failover_may_probe_too_and_holds_the_place_meanwhile():
    world = dead(Play(hangs=True, events=0), DEAD, Play())
    first = begun(world)  # holds gamma's place
    second = begun(world)
    first.close()  # and leaves
    assert world.state.health.probes.providers() == []
    while len(world.upstream.calls) < OPEN_AFTER + 3:
        second.send(None)
    assert called(world)[-1] == "gamma"
    assert world.state.health.probes.providers() == ["gamma"]
    answer = finish(second)
    assert answer.metadata.attempts[1].arm == "gamma/tiny"
    assert is_open(world) == (False, False)


def test_a_rate_without_room_gives_the_place_back(monkeypatch):
    world = dead(Play())

    async def refuse(*_):
        return Refusal("RATE_LIMIT_EXCEEDED", 429, "too many", 1_000)

    monkeypatch.setattr(world.guard, "reserve", refuse)
    assert isinstance(world.ask(a_request(**ASK)), Rejected)
    assert world.state.health.probes.providers() == []


def test_a_day_with_room_for_less_tries_the_same_arm_again():
    world = dead(Play())
    world.cap[0] = sum(world.books()) + 150_000  # beta/small would fit as well
    answer = world.ask(a_request(max_output=None, **ASK))
    assert answer.metadata.provider == "gamma"
    assert world.log.of(Decision)[-1].inputs.probed == []
    assert is_open(world) == (False, False)


class OneDead:
    """Providers of which one never answers."""

    def __init__(self, clock, journal):
        self.clock, self.journal, self.failed_ms = clock, journal, []

    async def complete(self, call):

        self.journal.append(call)
        await Pause()
        if call.provider == "alpha":
            self.failed_ms.append(self.clock.ms)
            return self.failure
        return Completion(b"{}", Usage(20, 10))


@pytest.mark.parametrize("of_provider", [True, False])
def test_a_wholly_dead_provider_costs_one_failed_attempt_per_probe_interval(of_provider):
    """An hour of virtual time, 2 requests a second, a provider of four arms that clients would prefer."""
    others = [row for row in ARMS if row.arm in ("beta/small", REFERENCE)]
    best = [row for row in ARMS if row.arm.startswith("alpha/")]
    more = [type(best[0])(f"alpha/{name}", 310_000, 1_210_000, 0.9, model=name) for name in ("one", "two")]
    world = World(spec=a_spec([*best, *more, *others]))
    upstream = OneDead(world.clock, world.journal)
    upstream.failure = broke(of_provider=of_provider)
    world.flow.ports = type(world.flow.ports)(world.clock, world.log, world.guard, upstream, world.alerts)
    for _ in range(7_200):
        world.clock.ms += 500
        answer = world.ask(a_request(mode="quality"))
        if world.clock.ms > 120_000:
            assert isinstance(answer, Completed)
            assert answer.metadata.provider == "beta"
            assert len(answer.metadata.attempts) <= 2
    settled = [ms for ms in upstream.failed_ms if ms > 120_000]
    gaps = [later - ms for ms, later in pairwise(settled)]
    assert len(settled) > 30  # it is tried
    assert min(gaps) >= OPEN_MS
    by_arm = 4 * (3_600_000 - 120_000) / COOL_MS
    assert len(settled) <= by_arm + 4
