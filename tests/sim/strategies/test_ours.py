"""Ours learns at ticks by the clock, keeps what it learned when the catalogue changes, and forgets."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from p402.routing.compiled import compile_snapshot
from p402.routing.scale import PARAM_ONE, param
from sim.strategies.ours import HOUR_MS, MINUTE_MS, Fixed, Ours, Tuning
from sim.world.alike import Alike
from tests.sim.strategies.conftest import some_rounds


@pytest.fixture
def toy(toys):
    return toys(0, n=400)


def begun(toy, **tuning):
    strategy = Ours(tuning=Tuning(**tuning))
    return strategy, strategy.begin(toy.course.snapshots[0][1])


def judged(strategy, snapshot, toy, quality, rows=slice(0, 200), arm=None):
    made = strategy.choose(snapshot, toy.course.batch.rows(rows))
    taken = made.arm if arm is None else np.full(len(made.arm), arm)
    return some_rounds(made.contexts, taken, quality)


def believed(snapshot, arm):
    return snapshot.spec.posterior.theta[arm]


def test_before_anything_was_learned_the_benchmark_stands(toy):
    given = toy.course.snapshots[0][1]
    _, snapshot = begun(toy)
    assert snapshot.spec.posterior.theta == given.spec.posterior.theta
    assert snapshot.spec.arms == given.spec.arms


def test_what_was_judged_moves_belief_and_narrows_doubt(toy):
    strategy, snapshot = begun(toy)
    rounds = judged(strategy, snapshot, toy, 0.05, arm=3)
    after = strategy.learn(rounds, 1_000_000)
    mean = lambda s, k: (rounds.contexts.features @ np.array(believed(s, k)) / PARAM_ONE).mean()  # noqa: E731
    assert mean(after, 3) < 0.15 < mean(snapshot, 3)
    assert believed(after, 4) == believed(snapshot, 4)
    sd = np.array(after.spec.posterior.sd)
    assert (sd[3] <= np.array(snapshot.spec.posterior.sd)[3]).all()
    assert sd[3].mean() < 0.9 * sd[4].mean()


def test_a_tick_waits_its_time_and_loses_nothing(toy):
    strategy, snapshot = begun(toy, tick_ms=MINUTE_MS, half_life_ms=0)
    first = judged(strategy, snapshot, toy, 0.3, slice(0, 50))
    second = judged(strategy, snapshot, toy, 0.3, slice(50, 100))
    assert strategy.learn(first, 1_000_000) is not None
    assert strategy.learn(second, 1_000_000 + MINUTE_MS - 1) is None
    late = strategy.learn(second.rows(slice(0, 0)), 1_000_000 + MINUTE_MS)
    other, snapshot = begun(toy, half_life_ms=0)
    at_once = other.learn(type(first).joined([first, second]), 1_000_000)
    far = np.abs(np.array(late.spec.posterior.theta) - np.array(at_once.spec.posterior.theta)).max()
    assert far <= 1


def test_a_tick_without_any_evidence_changes_nothing(toy):
    strategy, snapshot = begun(toy)
    nothing = judged(strategy, snapshot, toy, np.nan)
    assert strategy.learn(nothing.rows(slice(0, 0)), 1_000_000) is None
    assert strategy.learn(nothing, 2_000_000) is None


def test_the_clock_forgets_even_where_nothing_arrives(toy):
    strategy, snapshot = begun(toy, half_life_ms=HOUR_MS)
    rounds = judged(strategy, snapshot, toy, 0.05, arm=3)
    after = strategy.learn(rounds, 1_000_000)
    much_later = strategy.learn(rounds.rows(slice(0, 0)), 1_000_000 + 60 * HOUR_MS)
    benchmark = np.array(believed(snapshot, 3))
    assert np.abs(np.array(believed(after, 3)) - benchmark).max() > param(0.05)
    assert np.abs(np.array(believed(much_later, 3)) - benchmark).max() < param(1e-4)


def test_a_new_catalogue_keeps_what_was_learned_of_arms_that_stay(toy):
    strategy, snapshot = begun(toy)
    after = strategy.learn(judged(strategy, snapshot, toy, 0.05, arm=3), 1_000_000)
    spec = toy.course.snapshots[0][1].spec
    dearer = structs.replace(
        spec, prices=structs.replace(spec.prices, input=tuple(9 * p for p in spec.prices.input))
    )
    again = strategy.begin(compile_snapshot(dearer))
    assert again.spec.prices == dearer.prices
    assert believed(again, 3) == believed(after, 3)


def test_the_tuning_changes_the_policy_and_nothing_else(toy):
    given = toy.course.snapshots[0][1].spec
    _, snapshot = begun(toy, beta=0.25, loss_cap=0.001, floor=0.02, tolerance=0.1)
    policy = snapshot.spec.policy
    assert policy.beta == param(0.25)
    for mode, was in zip(policy.variants[0], given.policy.variants[0], strict=True):
        assert (mode.loss_cap, mode.floor, mode.tolerance) == (param(0.001), param(0.02), param(0.1))
        assert (mode.quality, mode.cost, mode.speed, mode.chain) == (
            was.quality,
            was.cost,
            was.speed,
            was.chain,
        )
    assert policy.salt == given.policy.salt


def test_a_providers_fall_is_noticed_and_believed_of_all_its_arms(toy):
    snapshots = {}
    for drift_sd in (0.0, 0.3):
        strategy, snapshot = begun(toy, drift_sd=drift_sd, half_life_ms=0)
        strategy.learn(judged(strategy, snapshot, toy, 0.9, slice(0, 200), arm=3), 1_000_000)
        fallen = judged(strategy, snapshot, toy, 0.5, slice(200, 230), arm=3)
        snapshots[drift_sd] = strategy.learn(fallen, 2_000_000)
    mean = lambda s, k: (fallen.contexts.features @ np.array(believed(s, k)) / PARAM_ONE).mean()  # noqa: E731
    providers = fallen.contexts.providers
    alike = [k for k, name in enumerate(providers) if name == providers[3]]
    others = [k for k, name in enumerate(providers) if name != providers[3]]
    assert len(alike) > 1
    for k in alike:
        assert mean(snapshots[0.3], k) < mean(snapshots[0.0], k) - 0.1
    for k in others:
        assert abs(mean(snapshots[0.3], k) - mean(snapshots[0.0], k)) < 0.1


def test_lengths_of_answers_are_learned_once_each_and_make_expected_cost(toy):
    strategy, snapshot = begun(toy)
    rounds = judged(strategy, snapshot, toy, np.nan, arm=3)
    rounds = replace(rounds, output_tokens=3.0 * rounds.contexts.expected_output)
    after = strategy.learn(rounds, 1_000_000)
    strategy.learn(rounds, 1_000_000 + MINUTE_MS)
    assert strategy._lengths.n_answers == len(rounds)
    ratio = np.array(after.spec.posterior.output_ratio) / np.array(snapshot.spec.posterior.output_ratio)
    assert ratio[3] == pytest.approx(3.0, rel=0.05)
    seen = strategy.choose(after, toy.course.batch.rows(slice(0, 50))).contexts
    before = strategy.choose(snapshot, toy.course.batch.rows(slice(0, 50))).contexts
    assert (seen.cost_usd[:, 3] > 1.2 * before.cost_usd[:, 3]).all()
    assert after.spec.posterior.theta == snapshot.spec.posterior.theta


def test_lengths_that_a_snapshot_was_begun_with_are_not_counted_again(toy):
    strategy, snapshot = begun(toy)
    rounds = judged(strategy, snapshot, toy, np.nan, arm=3)
    rounds = replace(rounds, output_tokens=3.0 * rounds.contexts.expected_output)
    after = strategy.learn(rounds, 1_000_000)
    again = strategy.begin(after)
    assert again.spec.posterior.output_ratio == after.spec.posterior.output_ratio
    more = replace(rounds, contexts=replace(rounds.contexts, key=rounds.contexts.key + np.uint64(1)))
    later = strategy.learn(more, 1_000_000 + MINUTE_MS)
    told = later.spec.posterior.output_ratio[3] / snapshot.spec.posterior.output_ratio[3]
    assert told == pytest.approx(3.0, rel=0.05)


def test_rounds_that_take_no_further_word_give_no_further_length(toy):
    strategy, snapshot = begun(toy, closes_ms=100 * HOUR_MS)
    rounds = judged(strategy, snapshot, toy, 0.4)
    rounds = replace(rounds, output_tokens=rounds.contexts.expected_output)
    now_ms = int(rounds.contexts.ts_ms[-1])
    for hours in (0, 200, 400):
        strategy.learn(rounds, now_ms + hours * HOUR_MS)
    assert strategy._lengths.n_answers == len(rounds)
    assert strategy.beliefs.n_words == len(rounds)


def test_ticks_between_which_no_length_moved_are_snapshots_of_one_kind(toy):
    strategy, snapshot = begun(toy)
    alike, kinds = Alike(), set()
    for tick in range(10):
        rounds = judged(strategy, snapshot, toy, 0.4, slice(10 * tick, 10 * tick + 10))
        after = strategy.learn(rounds, 1_000_000 + tick * MINUTE_MS)
        kinds.add(id(alike.of(after)))
    assert len(kinds) == 1


def test_words_that_come_twice_raise_no_second_alarm(toy):
    strategy, snapshot = begun(toy, half_life_ms=0)
    rounds = judged(strategy, snapshot, toy, 0.4, slice(0, 30), arm=3)
    strategy.learn(rounds, 1_000_000)
    evidence = strategy.beliefs.evidence.copy()
    for k in range(1, 20):
        strategy.learn(rounds, 1_000_000 + k * MINUTE_MS)
    assert (strategy.beliefs.evidence == evidence).all()


def test_what_is_kept_of_rounds_is_bounded_by_their_age(toy):
    strategy, snapshot = begun(toy, closes_ms=HOUR_MS)
    rounds = judged(strategy, snapshot, toy, 0.4)
    strategy.learn(rounds, int(rounds.contexts.ts_ms[-1]))
    assert strategy._known
    strategy.learn(rounds.rows(slice(0, 0)), int(rounds.contexts.ts_ms[-1]) + 2 * HOUR_MS)
    assert not strategy._known
    assert not strategy.beliefs._heard


def test_learning_comes_after_beginning(toy):
    strategy, snapshot = begun(toy)
    rounds = judged(strategy, snapshot, toy, 0.5)
    with pytest.raises(RuntimeError, match="before begin"):
        Ours().learn(rounds, 0)


def test_static_goes_by_the_benchmarks_mean_and_takes_no_chances(toy):
    given = toy.course.snapshots[0][1]
    strategy = Fixed("static", explore=False, benchmark=True)
    snapshot = strategy.begin(given)
    made = strategy.choose(snapshot, toy.course.batch)
    assert (made.propensity == 1.0).all()
    score = made.contexts.score(made.contexts.prior_quality)
    rows = np.arange(len(score))
    assert (score.max(axis=1) - score[rows, made.arm] < 1e-5).all()
    assert strategy.learn(judged(strategy, snapshot, toy, 0.0), 1_000_000) is None


def test_a_mode_is_asked_of_every_request_whatever_it_asked_for(toy):
    given = toy.course.snapshots[0][1]
    cheap, good = Fixed("cost", "cost"), Fixed("quality", "quality")
    costs = [s.choose(s.begin(given), toy.course.batch).contexts for s in (cheap, good)]
    assert (costs[0].weights[:, 1] > 0.9).all()
    assert (costs[1].weights[:, 0] > 0.9).all()
