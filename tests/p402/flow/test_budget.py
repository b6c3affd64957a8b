"""However much fails, failovers stay a tenth of the calls; who gets none hears why."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.answer import Completed, Rejected
from p402.flow.budget import FLOOR, MOST, PER_FAILOVER, RetryBudget
from p402.flow.exchange import MAX_ATTEMPTS
from p402.routing.breaker import OPEN_MS
from tests.p402.flow.world import BAD_REQUEST, Play, World, a_request, a_tenant, broke, finish

FAILS = Play(failure=broke("RATE_LIMIT_EXCEEDED", 429, retry_after_ms=7_000))
DEAD = Play(failure=broke())
LIMITED = Play(failure=broke("RATE_LIMIT_EXCEEDED", 429))


@given(st.lists(st.sampled_from(["call", "failover", "undone"]), max_size=400))
def test_failovers_are_at_most_a_floor_and_a_tenth_of_the_calls(history):
    budget, calls, made, denied = RetryBudget(), 0, 0, 0
    for what in history:
        if what == "call":
            budget.sent("a")
            calls += 1
        elif budget.take("a"):
            made += 1
            if what == "undone":
                budget.give_back("a")
                made -= 1
        else:
            denied += 1
        assert made <= FLOOR + calls / PER_FAILOVER
    if history:
        assert budget.counts() == {"a": (made, denied)}


def test_ten_calls_earn_one_failover():
    budget = RetryBudget()
    while budget.take("a"):
        pass
    for _ in range(PER_FAILOVER - 1):
        budget.sent("a")
    assert not budget.take("a")
    budget.sent("a")
    assert budget.take("a")
    assert not budget.take("a")


def test_no_more_than_the_most_is_saved_up():
    budget = RetryBudget()
    for _ in range(100_000):
        budget.sent("a")
    assert sum(budget.take("a") for _ in range(1_000)) == MOST


def test_one_providers_failures_leave_anothers_account_alone():
    budget = RetryBudget()
    while budget.take("a"):
        pass
    assert budget.take("b")


def spent(world):
    """A world whose budgets of failovers are spent."""
    for provider in ("alpha", "beta", "gamma"):
        while world.state.failovers.take(provider):
            pass
    return world


@pytest.mark.parametrize("stream", [False, True])
def test_when_it_is_spent_the_failure_is_the_last_word_with_its_own_code_and_wait(stream):
    world = spent(World(FAILS, Play()))
    answer = world.ask(a_request(stream=stream))
    assert isinstance(answer, Rejected)
    assert (answer.refusal.code, answer.refusal.status, answer.refusal.retry_after_ms) == (
        "RATE_LIMIT_EXCEEDED",
        429,
        7_000,
    )
    provider = world.upstream.calls[0].provider
    assert "it broke (no failover was made" in answer.refusal.message
    assert f"budget of failovers from {provider} is spent" in answer.refusal.message
    assert len(world.upstream.calls) == 1
    assert world.books()[1] == 0
    assert world.state.failovers.counts()[provider][1] == 2  # once by `spent`


def test_it_is_counted_before_the_next_call_is_sent():
    world = World(DEAD, Play(hangs=True, events=0))
    client = world.client(a_request(), a_tenant())
    for _ in range(4):
        client.send(None)
    assert len(world.upstream.calls) == 2
    assert world.state.failovers.counts()[world.upstream.calls[0].provider] == (1, 0)
    client.close()


@pytest.mark.parametrize("leave_at", range(1, 8))
def test_a_failover_that_sent_nothing_is_given_back(leave_at):
    world = World(DEAD, Play())
    client = world.client(a_request(exclude_providers=("gamma",)), a_tenant())
    with suppress(asyncio.CancelledError):
        finish(client, cancel_at=leave_at)
    sent_on = max(0, len(world.upstream.calls) - 1)
    assert sum(made for made, _ in world.state.failovers.counts().values()) == sent_on


def test_a_failover_without_another_arm_spends_nothing():
    world = World(DEAD)
    world.ask(a_request(exclude_providers=("alpha", "beta")))
    assert world.state.failovers.counts() == {"gamma": (0, 0)}


def test_a_clients_own_fault_spends_nothing():
    world = World(Play(failure=BAD_REQUEST), Play())
    world.ask()
    assert [made for made, _ in world.state.failovers.counts().values()] == [0]


def test_a_probe_fails_over_whatever_is_left():
    world = World(DEAD)
    only = {"exclude_providers": ("alpha", "beta")}
    for _ in range(5):
        world.ask(a_request(failover=False, mode="cost", **only))
    world.clock.ms += 1_000
    world.state.apply(world.state.delta(world.clock.now_ms()))
    world.clock.ms += OPEN_MS
    for state in world.state.health._arms.values():
        state.error = 0.0
    spent(world)
    world.upstream.script = [*[DEAD] * 6, Play()]
    answer = world.ask(a_request(mode="cost"))
    assert isinstance(answer, Completed)
    assert answer.metadata.attempts[0].arm == "gamma/tiny"


def test_failure_of_everything_sends_a_tenth_more_than_was_asked_and_no_request_more_than_three():
    """2,000 callers at once, when every provider has just begun to fail."""
    world = World(LIMITED)
    clients = [world.client(a_request(mode="quality"), a_tenant()) for _ in range(2_000)]
    for _ in range(2):
        for client in clients:
            client.send(None)
    assert len(world.upstream.calls) == 2_000
    answers = [finish(client) for client in clients]
    assert all(isinstance(answer, Rejected) for answer in answers)
    assert max(len(answer.attempts) for answer in answers) <= MAX_ATTEMPTS
    assert len(world.upstream.calls) <= 2_000 * 1.1 + 3 * (FLOOR + 1)
    told = [answer for answer in answers if "no failover was made" in answer.refusal.message]
    assert len(told) > 1_500


UNSAID = Play(failure=broke("INVALID_INPUT", 400, counts=False, unsent=True))


def test_what_a_language_cannot_say_goes_elsewhere_for_nothing():
    """Else one client's odd requests would spend what all need when the provider fails."""
    world = World(*[UNSAID, Play()] * 60, DEAD, Play())
    for _ in range(60):
        assert isinstance(world.ask(a_request(mode="cost")), Completed)
    first = world.upstream.calls[0].provider
    assert world.state.failovers.counts()[first] == (0, 0)
    account = world.state.failovers._of(first)
    assert account.tenths == FLOOR * PER_FAILOVER, "what was not sent earns nothing either"
    assert isinstance(world.ask(a_request(mode="cost")), Completed)


def test_what_a_language_cannot_say_is_asked_of_another_provider_next():
    """Another model of the same provider speaks the same language, and there are three attempts."""
    world = World(UNSAID, UNSAID, Play())
    assert isinstance(world.ask(a_request(mode="cost")), Completed)
    called = [call.provider for call in world.upstream.calls]
    assert len(set(called)) == 3
    only = World(UNSAID, Play())
    answer = only.ask(a_request(mode="cost", exclude_providers=("beta", "gamma")))
    assert isinstance(answer, Completed), "where there is no other provider, another model of it may do"
