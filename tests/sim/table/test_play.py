"""A course is played in order, under what had arrived by then, and of the arms that were taken alone."""

from dataclasses import replace

import numpy as np
import pytest

from sim.strategies.baselines import Random, even
from sim.strategies.named import named
from sim.strategies.policy import PolicyStrategy
from sim.table.courses import Feedback, course_of
from sim.table.play import play
from tests.sim.strategies.toy import a_toy, regret


class Watcher:
    """Notes what it is told, and when it is asked."""

    def __init__(self):
        self.told, self.asked = [], []

    def probabilities(self, contexts):
        self.asked.append(contexts.ts_ms)
        return even(contexts)

    def learn(self, rounds):
        self.told.append(rounds)


def watched(course, **kw):
    policy = Watcher()
    played = play(PolicyStrategy("watcher", policy), course, **kw)
    return policy, played


def test_a_strategy_hears_of_what_it_took_once_it_is_due_and_of_nothing_else():
    toy = a_toy(1, n=400, delay_ms=3_600_000, judged=0.5)
    course = toy.course
    policy, played = watched(course, tick_ms=600_000)
    key_row = {tuple(pair): i for i, pair in enumerate(course.batch.key.tolist())}
    heard = []
    for rounds in policy.told:
        for i, pair in enumerate(rounds.contexts.key.tolist()):
            row = key_row[tuple(pair)]
            heard.append(row)
            assert rounds.action[i] == played.arm[row]
            assert rounds.propensity[i] == played.propensity[row]
            said = course.quality[row, played.arm[row]] if course.judged[row] else np.nan
            assert np.array_equal(rounds.quality[i], said, equal_nan=True)
    assert len(heard) == len(set(heard))
    last_tick = course.ts_ms[-1] // 600_000 * 600_000
    assert set(heard) == set(np.flatnonzero(course.due_ms <= last_tick).tolist())


def test_nothing_is_heard_before_it_is_due():
    course = a_toy(1, n=300, delay_ms=7_200_000).course

    class Clock(Watcher):
        def learn(self, rounds):
            self.told.append((rounds, len(self.asked)))

    policy = Clock()
    play(PolicyStrategy("clock", policy), course, tick_ms=600_000)
    assert policy.told
    for rounds, block in policy.told:
        assert (rounds.contexts.ts_ms + 7_200_000 <= policy.asked[block][0]).all()


def test_every_request_is_decided_once_in_order():
    course = a_toy(2, n=300).course
    policy, played = watched(course, tick_ms=3_600_000)
    assert np.array_equal(np.concatenate(policy.asked), course.ts_ms)
    assert (played.arm >= 0).all()
    assert np.abs(played.probabilities.sum(axis=1) - 1).max() < 1e-12


def test_a_strategy_that_learns_nothing_is_played_the_same_whatever_the_tick():
    course = a_toy(2, n=300).course
    one = play(named("balanced")(), course, tick_ms=60_000)
    other = play(named("balanced")(), course, tick_ms=86_400_000)
    assert np.array_equal(one.arm, other.arm)
    assert np.array_equal(one.probabilities, other.probabilities)


def test_a_run_is_the_same_when_it_is_run_again():
    course = a_toy(3, n=400).course
    runs = [play(named("p402")(), course, tick_ms=600_000) for _ in range(2)]
    assert np.array_equal(runs[0].arm, runs[1].arm)
    assert np.array_equal(runs[0].probabilities, runs[1].probabilities)


def test_a_new_price_is_known_from_its_row_on():
    toy = a_toy(4, n=200)
    policy, _ = watched(toy.course, tick_ms=600_000)
    later = toy.course.snapshots[1][0]
    assert later == 100
    ts = np.concatenate(list(policy.asked))
    assert any(block[0] == ts[later] for block in policy.asked)
    played = play(named("cheapest")(), toy.course)
    cost = toy.course.cost_usd
    assert (cost[np.arange(200), played.arm] <= cost.min(axis=1) * (1 + 1e-9)).all()


def test_regret_of_the_best_arm_is_none_and_of_chance_is_much():
    toy = a_toy(4, n=200)
    best = replace(play(PolicyStrategy("r", Random()), toy.course), arm=toy.value.argmax(axis=1))
    assert regret(toy, best).sum() == 0.0
    assert regret(toy, play(PolicyStrategy("r", Random()), toy.course)).mean() > 0.1


def test_declared_values_are_those_of_the_clipped_judgements():
    """On-policy means of what is realised meet the declared truth within four standard errors, by arm."""
    toy = a_toy(5, n=6_000, noise=0.3)
    course = toy.course
    half = 2e-6 * (course.batch.prompt_tokens + course.batch.expected_output)[:, None]
    realised = 0.5 * course.quality + 0.5 * half / (half + course.cost_usd)
    off = realised - toy.value
    z = off.mean(axis=0) / (off.std(axis=0, ddof=1) / np.sqrt(6_000))
    assert np.abs(z).max() < 4


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_a_missing_outcome_is_a_hard_error(field, hole):
    seeded = course_of(field, 0, (0.5, 0.5), Feedback())
    quality = seeded.course.quality.copy()
    quality[3, 1] = hole
    with pytest.raises(ValueError, match="1 not finite"):
        replace(seeded.course, quality=quality)
    with pytest.raises(ValueError, match="without a hole"):
        replace(seeded.course, cost_usd=seeded.course.cost_usd[:, :2])


def test_requests_out_of_order_are_refused(field):
    seeded = course_of(field, 0, (0.5, 0.5), Feedback())
    turned = seeded.course.batch.rows(np.arange(len(seeded.row))[::-1])
    with pytest.raises(ValueError, match="order of time"):
        replace(seeded.course, batch=turned)
