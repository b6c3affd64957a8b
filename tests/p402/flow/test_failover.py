"""Who is tried, in which order, how often, and when nobody else is."""

import pytest

from p402.answer import Completed, Rejected, StreamEnd
from p402.events import Attempt, Decision, Live
from p402.flow.exchange import MAX_ATTEMPTS
from p402.ports import Usage
from p402.routing.health import COOL_MS, OPEN_MS
from tests.p402.flow.world import (
    ARMS,
    REFERENCE,
    Play,
    World,
    a_request,
    a_spec,
    a_tenant,
    broke,
    finish,
)

FAILS = Play(failure=broke())


def arms(world):
    return [f"{c.provider}/{c.model}".replace("large-v7", "large") for c in world.upstream.calls]


@pytest.mark.parametrize("mode", ["cost", "quality", "speed", "balanced"])
def test_p8_in_every_mode_the_next_arm_is_the_best_of_those_not_yet_tried(mode):
    world = World(FAILS, FAILS, Play())
    answer = world.ask(a_request(mode=mode))
    assert isinstance(answer, Completed)
    tried = arms(world)
    # Each choice is what the mode would choose if the arms tried so far were not on offer.
    for k in range(3):
        rest = World(spec=a_spec([r for r in ARMS if r.arm == REFERENCE or r.arm not in tried[:k]]))
        rest.ask(a_request(mode=mode))
        assert arms(rest) == [tried[k]]
    assert answer.metadata.attempts[-1].arm == tried[-1]
    assert len(answer.metadata.attempts) == 3


def test_p8_failover_is_never_left_to_chance():
    world = World(FAILS, Play())
    world.ask(a_request(), a_tenant(exploration=True))
    row = world.one(Attempt)
    assert not row.inputs.explore
    assert row.inputs.tried == [world.decision.arm]


GONE = Play(failure=broke(of_provider=True))


@pytest.mark.parametrize("mode", ["cost", "quality", "speed", "balanced"])
def test_p8_a_provider_that_cannot_be_reached_is_left_for_another(mode):
    world = World(GONE, GONE, Play())
    answer = world.ask(a_request(mode=mode))
    assert isinstance(answer, Completed)
    called = [c.provider for c in world.upstream.calls]
    assert len(set(called)) == len(called) == 3
    for row, gone in zip(world.log.of(Attempt), (called[:1], called[:2]), strict=True):
        assert row.inputs.exclude_providers == gone


def test_where_nobody_else_is_left_the_other_arms_of_the_provider_are_tried():
    world = World(GONE, Play())
    answer = world.ask(a_request(exclude_providers=("beta", "gamma")))
    assert isinstance(answer, Completed)
    assert {c.provider for c in world.upstream.calls} == {"alpha"}
    assert len(set(arms(world))) == 2
    assert world.one(Attempt).inputs.exclude_providers == ["beta", "gamma"]


def test_a_provider_that_cannot_be_reached_counts_against_all_its_arms_and_no_other():
    world = World(GONE, Play())
    answer = world.ask(a_request(exclude_providers=("gamma",)))
    world.clock.ms += 1_000
    world.ask(a_request())
    gone = answer.metadata.attempts[0].arm.partition("/")[0]
    live = world.one(Live).arms
    failed = {arm for arm, column in live.items() if column.error_rate > 0}
    assert failed == {arm for arm in world.snapshot.spec.arms.arm if arm.startswith(f"{gone}/")}
    assert len(failed) > 1


@pytest.mark.parametrize("stream", [False, True])
def test_three_attempts_are_made_at_most(stream):
    world = World(FAILS)
    answer = world.ask(a_request(stream=stream))
    assert isinstance(answer, Rejected)
    assert len(set(arms(world))) == len(world.upstream.calls) == MAX_ATTEMPTS == 3


def test_no_arm_is_tried_twice_and_no_more_than_there_are():
    world = World(FAILS)
    answer = world.ask(a_request(exclude_providers=("alpha", "beta")))
    assert arms(world) == ["gamma/tiny"]
    assert isinstance(answer, Rejected)


def test_failover_false_makes_one_attempt():
    world = World(FAILS, Play())
    answer = world.ask(a_request(failover=False))
    assert isinstance(answer, Rejected)
    assert len(world.upstream.calls) == 1
    assert world.log.of(Attempt) == []


def test_a_failure_that_no_other_provider_can_mend_is_the_last_word():
    world = World(Play(failure=broke("context_length_exceeded", 400, fail_over=False, counts=False)), Play())
    answer = world.ask()
    assert (answer.refusal.code, answer.refusal.status) == ("context_length_exceeded", 400)
    assert len(world.upstream.calls) == 1


def test_the_last_failure_is_what_the_client_hears_with_its_retry_after():
    world = World(FAILS, FAILS, Play(failure=broke("RATE_LIMIT_EXCEEDED", 429, retry_after_ms=4_000)))
    answer = world.ask()
    assert (answer.refusal.code, answer.refusal.status, answer.refusal.retry_after_ms) == (
        "RATE_LIMIT_EXCEEDED",
        429,
        4_000,
    )


def test_a_stream_fails_over_before_its_first_content():
    world = World(FAILS, Play(events=3))
    seen = world.ask(a_request(stream=True))
    assert len(seen) == 4
    end = seen[-1]
    assert isinstance(end, StreamEnd)
    assert end.failure is None
    assert [a.status for a in end.metadata.attempts] == ["failed", "ok"]


def test_a_stream_that_broke_after_content_goes_to_no_other_provider():
    broken = broke(usage=Usage(20, 4), retry_after_ms=3_000)
    world = World(Play(events=2, broken=broken), Play())
    seen = world.ask(a_request(stream=True))
    end = seen[-1]
    assert (end.failure.code, end.failure.status, end.failure.retry_after_ms) == (
        "PROVIDER_ERROR",
        502,
        3_000,
    )
    assert len(world.upstream.calls) == 1
    assert world.outcome.status == "failed"
    assert world.outcome.code == "PROVIDER_ERROR"
    assert end.metadata.cost_nano == world.outcome.cost_nano == world.books()[0]


@pytest.mark.parametrize("counts", [True, False])
def test_a_stream_that_broke_counts_against_its_arm_if_the_failure_does(counts):
    world = World(Play(broken=broke(counts=counts)), Play())
    world.ask(a_request(stream=True))
    world.clock.ms += 2_000
    world.ask()
    assert bool(world.log.of(Live)) == counts


def fail_times(world, times, **options):
    for _ in range(times):
        world.clock.ms += 1
        world.ask(a_request(failover=False, **options))


def test_an_arm_that_fails_again_and_again_is_left_alone_and_tried_again_later():
    world = World(*[FAILS] * 5, Play())
    only = {"exclude_providers": ("alpha", "beta")}
    fail_times(world, 5, **only)
    world.clock.ms += 1_000
    answer = world.ask(a_request(explain=True))
    views = {v.arm: v.reason for v in answer.metadata.considered}
    assert views["gamma/tiny"] == "circuit_open"
    assert answer.metadata.provider != "gamma"
    world.clock.ms += OPEN_MS
    answer = world.ask(a_request(explain=True))
    assert {v.arm: v.reason for v in answer.metadata.considered}["gamma/tiny"] != "circuit_open"


def test_a_breaker_never_turns_the_last_candidate_away():
    world = World(*[FAILS] * 5, Play())
    only = {"exclude_providers": ("alpha", "beta")}
    fail_times(world, 5, **only)
    world.clock.ms += 1_000
    answer = world.ask(a_request(**only))
    assert isinstance(answer, Completed)
    assert answer.metadata.provider == "gamma"
    assert world.log.of(Live)[-1].arms["gamma/tiny"].open_circuit


def test_a_provider_that_says_when_to_come_back_is_left_alone_until_then():
    limited = Play(failure=broke("RATE_LIMIT_EXCEEDED", 429, retry_after_ms=30_000))
    world = World(limited, Play())
    world.ask(a_request(mode="cost"))
    assert arms(world)[0] == "gamma/tiny"
    world.clock.ms += 1_000
    world.ask(a_request(mode="cost"))
    assert arms(world)[-1] != "gamma/tiny"
    world.clock.ms += 15 * 60_000
    world.ask(a_request(mode="cost"))
    assert arms(world)[-1] == "gamma/tiny"


def test_no_provider_can_ask_to_be_left_alone_for_a_day():
    world = World(Play(failure=broke(retry_after_ms=86_400_000)), Play())
    world.ask(a_request(mode="cost"))
    world.clock.ms += COOL_MS + 1
    world.ask(a_request(mode="cost"))
    assert world.log.of(Live)[-1].arms["gamma/tiny"].half_open


def test_an_arm_that_once_failed_is_not_avoided_for_ever():
    world = World(FAILS, FAILS, FAILS, Play())
    fail_times(world, 3, mode="quality")
    world.clock.ms += 1_000
    assert world.ask(a_request(mode="quality")).metadata.provider != "alpha"
    for _ in range(60):  # nobody calls it, so nobody could see that it has recovered
        world.clock.ms += 10_000
        world.ask(a_request(mode="cost"))
    assert world.ask(a_request(mode="quality")).metadata.provider == "alpha"


def waits(world, request):
    """A client whose provider has been called and does not answer yet."""
    client = world.client(request, a_tenant())
    client.send(None)
    client.send(None)
    return client


def test_failover_decides_by_what_was_seen_while_it_waited():
    slow = Play(hangs=True, events=0)
    world = World(slow, *[FAILS] * 5, Play())
    client = waits(world, a_request(mode="quality"))
    fail_times(world, 5, mode="quality", exclude_providers=("alpha", "gamma"))
    world.clock.ms += 1_000
    world.ask(a_request(mode="cost"))  # the delta is logged: beta/large has an open breaker
    slow.hangs, slow.failure = False, broke()
    answer = finish(client)
    assert [a.arm for a in answer.metadata.attempts] == ["alpha/large", "alpha/small"]
    assert world.one(Attempt).live_seq == 1


def test_a_snapshot_swapped_meanwhile_does_not_reach_a_request_under_way():
    slow = Play(hangs=True, events=0)
    world = World(slow, Play())
    client = waits(world, a_request(mode="quality"))
    before = world.snapshot
    world.state.swap(World(spec=a_spec([r for r in ARMS if r.arm in ("gamma/tiny", REFERENCE)])).snapshot)
    world.ask(a_request(mode="quality"))
    slow.hangs, slow.failure = False, broke()
    answer = finish(client)
    assert answer.metadata.attempts[-1].arm == "beta/large"
    assert answer.metadata.snapshot_id == world.one(Attempt).snapshot == before.id
    first, second = world.log.of(Decision)
    assert first.snapshot == before.id
    assert second.snapshot == world.state.snapshot.id != before.id
    assert second.arm == "gamma/tiny"
