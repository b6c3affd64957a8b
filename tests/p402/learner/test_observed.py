"""Who is judged seldom stands for more, and silence is no evidence."""

import numpy as np

from p402.learner.observed import Observed
from p402.learner.reward import OBSERVED_FLOOR


def told(shares, each=1000, seed=0):
    """Successes of cells judged with these shares."""
    rng, made = np.random.default_rng(seed), Observed()
    for (task, arm), share in shares.items():
        for _ in range(each):
            made.count(task, arm, new=True, judged=bool(rng.random() < share))
    return made


def test_before_anything_was_seen_every_word_weighs_one():
    made = Observed()
    assert made.weight(np.array([0, 1]), ["a", "b"], np.array([False, True])).tolist() == [1.0, 1.0]


def test_weights_are_inverse_to_how_often_a_cell_is_judged():
    made = told({(0, "a"): 0.2, (1, "a"): 0.8, (0, "b"): 0.5})
    seldom, often = made.weight(np.array([0, 1]), ["a", "a"], np.zeros(2, bool))
    assert 3.5 < seldom / often < 4.2


def test_the_mean_weight_of_what_was_judged_is_about_one():
    shares = {(0, "a"): 0.2, (1, "a"): 0.8, (0, "b"): 0.5}
    made = told(shares)
    counts = np.array([made.judged[cell] for cell in shares])
    weights = made.weight(np.array([t for t, _ in shares]), [a for _, a in shares], np.zeros(3, bool))
    assert abs((counts * weights).sum() / counts.sum() - 1) < 0.05


def test_weighted_means_are_unbiased_where_tasks_are_judged_unequally():
    rng, made = np.random.default_rng(4), Observed()
    worth, share = np.array([0.3, 0.9]), np.array([0.15, 0.9])
    task = rng.integers(0, 2, 6000)
    judged = rng.random(6000) < share[task]
    for t, j in zip(task.tolist(), judged.tolist(), strict=True):
        made.count(t, "a", new=True, judged=j)
    weight = made.weight(task[judged], ["a"] * judged.sum(), np.zeros(judged.sum(), bool))
    weighted = (weight * worth[task[judged]]).sum() / weight.sum()
    assert abs(weighted - worth[task].mean()) < 0.02
    assert abs(worth[task[judged]].mean() - worth[task].mean()) > 0.15


def test_a_failure_is_certain_and_stands_for_itself():
    made = told({(0, "a"): 0.25})
    failed, judged = made.weight(np.array([0, 0]), ["a", "a"], np.array([True, False]))
    assert abs(failed - 0.25) < 0.05
    assert abs(judged - 1.0) < 1e-12


def test_no_word_stands_for_more_than_the_floor_lets_it():
    made = told({(0, "a"): 0.001, (0, "b"): 1.0})
    assert made.share(0, "a") == OBSERVED_FLOOR


def test_a_judgement_that_comes_later_is_counted_then():
    made = Observed()
    made.count(0, "a", new=True, judged=False)
    assert made.overall == OBSERVED_FLOOR
    made.count(0, "a", new=False, judged=True)
    assert made.overall == 1.0
    assert made.successes[0, "a"] == 1.0
