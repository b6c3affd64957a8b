"""The yardsticks that learn are the textbook's means, bounds, regressions and neighbours; each round once."""

import numpy as np
import pytest

from sim.strategies.learners import EpsilonGreedy, Knn, LinUcb, Ucb1
from tests.sim.strategies.conftest import some_contexts, some_rounds

LEARNERS = [EpsilonGreedy, Ucb1, LinUcb, Knn]


def flat(n, k, **changes):
    """Contexts in which nothing but quality tells arms apart."""
    return some_contexts(
        n,
        k,
        **{
            "prior_quality": np.full((n, k), 0.5),
            "cost_score": np.full((n, k), 0.5),
            "weights": np.tile([1.0, 0.0, 0.0], (n, 1)),
        }
        | changes,
    )


def taught(make, quality=(0.2, 0.9, 0.4), n=240, seed=0):
    """A learner that saw each arm n / 3 times."""
    policy, k = make(), len(quality)
    rng = np.random.default_rng(seed)
    action = np.arange(n) % k
    said = np.clip(np.array(quality)[action] + rng.normal(0, 0.05, n), 0, 1)
    policy.learn(some_rounds(flat(n, k, seed=seed), action, said))
    return policy


@pytest.mark.parametrize("make", LEARNERS)
def test_what_proved_best_is_taken(make):
    made = taught(make).probabilities(flat(8, 3, first=10_000))
    assert (made.argmax(axis=1) == 1).all()
    assert (made.max(axis=1) >= 0.95).all()


@pytest.mark.parametrize("make", LEARNERS)
def test_probabilities_sum_to_one_over_who_may_serve(make):
    eligible = np.random.default_rng(2).random((30, 3)) < 0.6
    eligible[0] = False
    made = taught(make).probabilities(flat(30, 3, first=10_000, eligible=eligible))
    assert (made[~eligible] == 0).all()
    assert np.abs(made.sum(axis=1) - eligible.any(axis=1)).max() < 1e-12


@pytest.mark.parametrize("make", LEARNERS)
def test_the_same_word_twice_is_one_word_and_a_later_one_replaces_it(make):
    seen = flat(60, 3)
    action = np.arange(60) % 3
    quality = np.random.default_rng(1).random(60)
    at_once, twice, revised = make(), make(), make()
    at_once.learn(some_rounds(seen, action, quality))
    for _ in range(2):
        twice.learn(some_rounds(seen, action, quality))
    revised.learn(some_rounds(seen, action, 1 - quality))
    revised.learn(some_rounds(seen, action, quality))
    ask = flat(40, 3, first=10_000, seed=9)
    want = at_once.probabilities(ask)
    assert np.abs(twice.probabilities(ask) - want).max() < 1e-12
    assert np.abs(revised.probabilities(ask) - want).max() < 1e-9


@pytest.mark.parametrize("make", LEARNERS)
def test_who_was_not_judged_teaches_nothing(make):
    ask = flat(10, 3, first=10_000)
    silent, fresh = make(), make()
    silent.learn(some_rounds(flat(60, 3), np.arange(60) % 3, np.nan))
    assert (silent.probabilities(ask) == fresh.probabilities(ask)).all()


@pytest.mark.parametrize("make", LEARNERS)
def test_what_was_learned_stays_with_the_arms_name(make):
    policy = taught(make)
    turned = flat(6, 4, first=10_000, arms=("p1/m1", "p2/new", "p0/m0", "p0/m2"))
    if make is Ucb1:
        assert (policy.probabilities(turned).argmax(axis=1) == 1).all()  # never taken: comes first
    else:
        assert (policy.probabilities(turned).argmax(axis=1) == 0).all()


def test_epsilon_greedy_learns_each_task_apart_and_explores_evenly():
    policy = EpsilonGreedy(epsilon=0.1, prior=1.0)
    seen = flat(4, 2, task=np.array([0, 0, 1, 1]))
    policy.learn(some_rounds(seen, [0, 1, 0, 1], [1.0, 0.0, 0.0, 1.0]))
    made = policy.probabilities(flat(2, 2, task=np.array([0, 1]), first=100))
    assert np.allclose(made, [[0.95, 0.05], [0.05, 0.95]])


def test_ucb1_tries_every_arm_first_then_goes_by_its_bound():
    policy = Ucb1()
    assert policy.probabilities(flat(1, 3)).argmax() == 0
    policy.learn(some_rounds(flat(1, 3), [0], [0.9]))
    assert policy.probabilities(flat(1, 3)).argmax() == 1
    policy.learn(some_rounds(flat(29, 3, first=50), [1] * 28 + [2], [0.9] * 28 + [0.5]))
    bounds = [
        0.9 + np.sqrt(2 * np.log(30)),
        0.9 + np.sqrt(2 * np.log(30) / 28),
        0.5 + np.sqrt(2 * np.log(30)),
    ]
    assert policy.probabilities(flat(1, 3, first=200)).argmax() == np.argmax(bounds) == 0


def test_linucb_is_the_ridge_regression_and_bound_of_its_paper():
    rng = np.random.default_rng(6)
    seen = flat(80, 2, seed=3, prior_quality=rng.random((80, 2)))
    action, quality = rng.integers(0, 2, 80), rng.random(80)
    policy = LinUcb(alpha=0.3)
    policy.learn(some_rounds(seen, action, quality))
    ask = flat(25, 2, seed=4, first=10_000, prior_quality=rng.random((25, 2)))
    bound = np.empty((25, 2))
    for k in range(2):
        x = seen.features[action == k]
        a = np.eye(x.shape[1]) + x.T @ x
        b = x.T @ (quality - seen.prior_quality[np.arange(80), action])[action == k]
        for i, row in enumerate(ask.features):
            width = np.sqrt(row @ np.linalg.solve(a, row))
            bound[i, k] = ask.prior_quality[i, k] + row @ np.linalg.solve(a, b) + 0.3 * width
    assert (policy.probabilities(ask).argmax(axis=1) == bound.argmax(axis=1)).all()
    assert 0 < bound.argmax(axis=1).sum() < 25


def test_neighbours_are_of_the_arm_and_near():
    policy = Knn(k=2, epsilon=0.0)
    seen = flat(8, 2, task=np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    features = np.zeros_like(seen.features)
    features[:, 0] = 1.0
    features[:4, 1] = 1.0
    features[4:, 2] = 1.0
    seen = flat(8, 2, features=features)
    policy.learn(some_rounds(seen, [0, 0, 1, 1] * 2, [1, 1, 0, 0, 0, 0, 1, 1]))
    made = policy.probabilities(flat(2, 2, features=features[[0, 4]], first=100))
    assert made.argmax(axis=1).tolist() == [0, 1]


def test_neighbours_forget_the_oldest():
    policy = Knn(memory=30)
    policy.learn(some_rounds(flat(100, 3), np.arange(100) % 3, 0.5))
    assert len(policy._rows) == 30
