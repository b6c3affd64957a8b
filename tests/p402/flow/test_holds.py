"""Holds by prediction: less is held, nothing else changes, and what goes beyond is told."""

from dataclasses import replace as but

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.answer import Completed, Rejected
from p402.events import Attempt, Decision, Outcome
from p402.flow import lengths as flow_lengths
from p402.flow.lengths import AnswerLengths
from p402.guard.lengths import NEEDED, UNBOUNDED
from p402.limits import HOLD_PREDICTED
from p402.ports import Usage
from tests.p402.flow.world import ARMS, DOLLAR, Play, World, a_request, a_tenant, billed, broke

PREDICTED = a_tenant(hold=HOLD_PREDICTED)
CAP = 1_000
"""What the world's policy sends where no cap is named."""


def unnamed(**kw):
    return a_request(**({"max_output": None, "mode": "quality"} | kw))


def taught(world, tokens=50, *, arms=None, n=NEEDED[0], task="chat"):
    """A worker that has seen so many answers of each arm."""
    for row in ARMS if arms is None else arms:
        for _ in range(n):
            world.state.lengths.learn("default", task, row if arms else row.arm, tokens, whole=True)
    return world


def amounts(world):
    return list(world.guard.holds.values())


def test_the_default_is_strict_and_learns_nothing():
    world = World()
    for _ in range(3):
        world.ask(unnamed())
    assert a_tenant().hold == "strict"
    assert not world.state.lengths._pools
    row = world.log.of(Outcome)[-1]
    assert (row.hold_nano, row.bound_nano) == (amounts(world)[-1], None)


def test_without_evidence_a_predicted_hold_is_the_strict_one():
    strict, predicted = World(), World()
    strict.ask(unnamed())
    predicted.ask(unnamed(), PREDICTED)
    assert amounts(strict) == amounts(predicted)
    assert predicted.outcome.bound_nano is None


def test_with_evidence_only_the_amount_differs_and_the_log_has_both():
    strict, predicted = World(), taught(World())
    told = [strict.ask(unnamed()), predicted.ask(unnamed(), PREDICTED)]
    assert all(isinstance(answer, Completed) for answer in told)
    assert strict.decision == predicted.decision
    assert strict.upstream.calls == predicted.upstream.calls
    assert strict.upstream.calls[0].output_cap == CAP
    (most,), (held,) = amounts(strict), amounts(predicted)
    assert most - held == (CAP - 50) * 20_000
    assert (predicted.outcome.hold_nano, predicted.outcome.bound_nano) == (held, most)
    assert not [w for w in told[1].metadata.warnings if w.startswith("hold_exceeded")]


@pytest.mark.parametrize("change", [{"max_output": 900}, {"n": 2}])
def test_a_request_that_names_its_cap_or_asks_for_more_choices_stays_strict_and_teaches_nothing(change):
    strict, predicted = World(), taught(World())
    before = dict(predicted.state.lengths._pools)
    strict.ask(unnamed(**change))
    predicted.ask(unnamed(**change), PREDICTED)
    assert amounts(strict) == amounts(predicted)
    assert predicted.state.lengths._pools == before
    assert predicted.outcome.bound_nano is None


def test_p16_the_ceiling_of_a_request_is_held_to_the_most_and_not_to_the_prediction():
    tiny = a_tenant(hold=HOLD_PREDICTED, max_request_nano=1_000)
    refused = taught(World()).ask(unnamed(), tiny)
    assert isinstance(refused, Rejected)
    assert refused.refusal.code == World().ask(unnamed(), but(tiny, hold="strict")).refusal.code
    world = taught(World(), 5)
    world.ask(unnamed(max_cost_pico=10**10), PREDICTED)  # one cent: some of the cap is not affordable
    strict = World()
    strict.ask(unnamed(max_cost_pico=10**10))
    assert world.upstream.calls[0].output_cap == strict.upstream.calls[0].output_cap < CAP
    assert world.outcome.bound_nano <= 10**7


@given(
    learnt=st.lists(st.tuples(st.integers(0, 1_200), st.integers(0, 2)), min_size=1, max_size=6),
    used=st.integers(1, CAP),
    fee=st.sampled_from([0, 250]),
    fails=st.integers(0, 2),
    mode=st.sampled_from(["cost", "quality", "balanced"]),
)
@settings(max_examples=60, deadline=None)
def test_decisions_never_depend_on_how_much_is_held(learnt, used, fee, fails, mode):
    half = Usage(20, used // 2)
    script = [Play(failure=broke(usage=half))] * fails + [Play(usage=Usage(20, used))]
    worlds = {}
    for rule in ("strict", HOLD_PREDICTED):
        world = worlds[rule] = World(*script)
        for tokens, which in learnt:
            taught(world, tokens, n=1_500 * which)
        world.ask(unnamed(mode=mode), a_tenant(hold=rule, fee_bps=fee))
    strict, predicted = worlds["strict"], worlds[HOLD_PREDICTED]
    for kind in (Decision, Attempt):
        assert strict.log.of(kind) == predicted.log.of(kind)
    assert strict.upstream.calls == predicted.upstream.calls
    a, b = strict.outcome, predicted.outcome
    assert b.hold_nano <= a.hold_nano
    assert (b.bound_nano is None) or b.hold_nano < b.bound_nano <= a.hold_nano
    assert msgspec.structs.replace(a, hold_nano=0, bound_nano=None) == msgspec.structs.replace(
        b, hold_nano=0, bound_nano=None
    )
    assert strict.books() == predicted.books()


def test_a_charge_above_the_hold_is_booked_logged_and_told():
    world = taught(World(Play(usage=Usage(20, 400))))
    answer = world.ask(unnamed(), PREDICTED)
    row = world.outcome
    over = row.cost_nano + row.fee_nano - row.hold_nano
    assert 0 < over < row.bound_nano - row.hold_nano
    assert world.books() == (row.cost_nano, 0)
    (warning,) = [w for w in answer.metadata.warnings if w.startswith("hold_exceeded")]
    assert f"${row.hold_nano / DOLLAR:.6f} was held" in warning
    assert "p99.9" in warning


def test_a_streamed_charge_above_the_hold_is_told_in_its_last_event():
    world = taught(World(Play(usage=Usage(20, 400))))
    told = world.ask(unnamed(stream=True), PREDICTED)[-1].metadata
    assert [w for w in told.warnings if w.startswith("hold_exceeded")]


def test_a_strict_hold_that_a_dense_prompt_passes_is_told_too():
    world = World(Play(usage=Usage(5_000, 400)))
    answer = world.ask(a_request(mode="quality", max_output=400))
    row = world.outcome
    assert row.cost_nano > row.hold_nano
    assert row.bound_nano is None
    (warning,) = [w for w in answer.metadata.warnings if w.startswith("hold_exceeded")]
    assert "more than its bound" in warning


def test_a_failover_is_topped_up_by_the_same_rule():
    billed_first = Usage(20, 300)
    world = taught(World(Play(failure=broke(usage=billed_first)), Play()))
    answer = world.ask(unnamed(mode="cost"), PREDICTED)
    assert isinstance(answer, Completed)
    row = world.outcome
    prices = {r.arm: r for r in ARMS}
    first, second = row.attempts
    dearer = prices[second.arm]
    bound = world.decision.inputs.prompt_bound
    expected = billed(first) + -(-(bound * dearer.input + 50 * dearer.output) // 1_000)
    assert row.hold_nano == max(expected, amounts(world)[0])
    assert row.bound_nano == billed(first) + -(-(bound * dearer.input + CAP * dearer.output) // 1_000)


def test_an_arm_that_is_hardly_known_is_held_strictly_though_the_tenant_is_well_known():
    world = taught(World(), arms=["gamma/tiny"], n=4_000)
    world.ask(unnamed(mode="quality"), PREDICTED)
    assert world.outcome.bound_nano is None
    world = taught(World(), arms=["gamma/tiny"], n=4_000)
    taught(world, 120, arms=["alpha/large"], n=30)
    world.ask(unnamed(mode="quality"), PREDICTED)
    assert world.decision.arm == "alpha/large"
    assert world.outcome.bound_nano - world.outcome.hold_nano == (CAP - 120) * 20_000


def learnt(world):
    """(length, whole) of every answer in the finest pools."""
    pools = [known for pool, known in world.state.lengths._pools.items() if len(pool) == 3]
    return [(p.now.longest, p.now.count) for p in pools]


def test_a_whole_answer_is_learnt_with_its_length():
    world = World(Play(usage=Usage(20, 321, reasoning=300)))
    world.ask(unnamed(), PREDICTED)
    assert learnt(world) == [((321,), 1)]
    assert {len(pool) for pool in world.state.lengths._pools} == {1, 2, 3}
    assert {pool[0] for pool in world.state.lengths._pools} == {"default"}


def test_an_answer_that_its_cap_ended_is_as_long_as_any():
    world = World(Play(usage=Usage(20, CAP)))
    world.ask(unnamed(), PREDICTED)
    assert learnt(world) == [((UNBOUNDED,), 1)]


def test_an_answer_whose_cap_money_had_lowered_teaches_nothing():
    world = World(Play(usage=Usage(20, 10)))
    world.ask(unnamed(max_cost_pico=10**9), PREDICTED)
    assert world.upstream.calls[0].output_cap < CAP
    assert learnt(world) == []


@pytest.mark.parametrize(
    "play",
    [
        Play(usage=Usage(20, 77, estimated=True)),
        Play(usage=Usage(20, 77), broken=broke()),
    ],
)
def test_a_cut_or_estimated_answer_raises_and_is_no_evidence(play):
    world = World(play)
    world.ask(unnamed(stream=True), PREDICTED)
    assert learnt(world) == [((77,), 0)]


def test_a_failure_without_usage_teaches_nothing():
    world = World(Play(failure=broke(fail_over=False)))
    world.ask(unnamed(), PREDICTED)
    assert learnt(world) == []


def test_a_worker_learns_until_it_may_predict(monkeypatch):
    monkeypatch.setattr("p402.guard.lengths.NEEDED", (4,))
    world = World(*[Play(usage=Usage(20, 40 + i)) for i in range(6)])
    for _ in range(6):
        world.ask(unnamed(), PREDICTED)
    bounds = [row.bound_nano is not None for row in world.log.of(Outcome)]
    assert bounds == [False] * 4 + [True] * 2


def test_memory_of_pools_is_bounded_and_the_least_used_is_forgotten(monkeypatch):
    monkeypatch.setattr(flow_lengths, "MAX_POOLS", 6)
    known = AnswerLengths()
    for tenant in ("a", "b", "a", "c"):
        known.learn(tenant, "chat", "p/m", 5, whole=True)
    assert {pool[0] for pool in known._pools} == {"a", "c"}


def test_one_tenant_learns_nothing_from_another():
    known = AnswerLengths()
    for _ in range(NEEDED[0]):
        known.learn("a", "chat", "p/m", 5, whole=True)
    assert known.most("a", "chat", "p/m") == 5
    assert known.most("b", "chat", "p/m") is None
