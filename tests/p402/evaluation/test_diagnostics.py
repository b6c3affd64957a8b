import numpy as np
import pytest

from p402.evaluation.diagnostics import (
    calibration_by_bin,
    effective_size,
    largest_share,
    propensity_calibration,
    sample_ratio,
    support_gap,
)
from p402.evaluation.logged import SCALE, LoggedBatch, NoPropensity


def test_effective_size_is_the_count_of_equal_weights():
    assert effective_size(np.full(7, 3.0)) == pytest.approx(7.0)
    assert effective_size(np.array([1.0, 0.0, 0.0])) == 1.0
    assert effective_size(np.zeros(3)) == 0.0
    assert largest_share(np.array([-3.0, 1.0])) == 0.75
    assert largest_share(np.zeros(2)) == 0.0


def test_honest_propensities_are_calibrated_and_false_ones_are_not(world):
    scores = [propensity_calibration(world.log(500, seed)).z for seed in range(40)]
    assert np.max(np.abs(scores)) < 4.5
    assert abs(np.mean(scores)) < 4 / 40**0.5
    batch = world.log(500, 1)
    false = LoggedBatch(
        batch.action,
        batch.reward,
        np.maximum(batch.count // 2, 1),
        batch.eligible,
        batch.session,
        batch.observed,
        batch.task,
    )
    calibration = propensity_calibration(false)
    assert calibration.expected == 4.0
    assert calibration.seen > 7.0
    assert calibration.z > 10.0


def test_a_deterministic_log_is_calibrated_by_construction(make_world, whole_counts):
    sure = make_world(np.array([[0.5, 0.5]]), whole_counts([[1.0, 0.0]]))
    found = propensity_calibration(sure.log(50, 0))
    assert (found.seen, found.expected, found.z) == (1.0, 1.0, 0.0)


def test_the_ratio_test_rejects_honest_logs_no_more_than_it_says(world):
    ps = []
    for seed in range(200):
        batch = world.log(150, seed)
        ps.append(sample_ratio(batch, world.behaviour[batch.task] / SCALE).p_value)
    assert np.mean(np.array(ps) < 0.05) < 0.05 + 4 * (0.05 * 0.95 / 200) ** 0.5
    assert 0.4 < np.mean(ps) < 0.6  # uniform under the null: neither lax nor shy


def test_the_ratio_test_is_as_sharp_for_a_confident_policy(make_world, whole_counts):
    """Rows that each favour another arm: Pearson's statistic would see equal totals and miss it."""
    confident = make_world(np.full((2, 2), 0.5), whole_counts([[0.99, 0.01], [0.01, 0.99]]))
    batch = confident.log(1_000, 3)
    honest = confident.behaviour[batch.task] / SCALE
    assert sample_ratio(batch, honest).p_value > 1e-4
    lied = np.where(honest > 0.5, [0.999, 0.97], [0.03, 0.001])
    lied /= lied.sum(axis=1, keepdims=True)
    assert sample_ratio(batch, lied).p_value < 1e-3


def test_an_arm_that_could_not_be_taken_but_was_has_p_value_0(make_world, whole_counts):
    open_world = make_world(np.array([[0.5, 0.5, 0.5]]), whole_counts([[0.5, 0.3, 0.2]]))
    batch = open_world.log(100, 4)
    found = sample_ratio(batch, np.tile([0.6, 0.4, 0.0], (batch.n, 1)))
    assert (found.p_value, found.worst_arm) == (0.0, 2)


def test_rare_arms_are_pooled_and_a_single_choice_tests_nothing(make_world, whole_counts):
    sure = make_world(np.array([[0.5, 0.5]]), whole_counts([[1.0, 0.0]]))
    batch = sure.log(100, 5)
    found = sample_ratio(batch, sure.behaviour[batch.task] / SCALE)
    assert (found.freedom, found.p_value) == (0, 1.0)


def test_the_support_gap_is_the_mass_outside(make_world, whole_counts):
    closed = make_world(np.array([[0.5, 0.5, 0.5]]), whole_counts([[0.5, 0.5, 0.0]]))
    batch = closed.log(20, 6)
    assert support_gap(batch, np.tile([0.25, 0.5, 0.25], (batch.n, 1))) == 0.25
    assert support_gap(batch, closed.behaviour[batch.task] / SCALE) == 0.0


def test_bins_hold_every_pair_once_and_their_expectations_add_up(world):
    batch = world.log(300, 7)
    probs = world.behaviour[batch.task] / SCALE
    bins = calibration_by_bin(batch, probs)
    assert sum(b.pairs for b in bins) == np.count_nonzero(probs)
    assert sum(b.seen for b in bins) == batch.n
    assert sum(b.expected for b in bins) == pytest.approx(batch.n, rel=1e-12)
    assert [(b.low, b.high) for b in bins] == [(0.0625, 0.125), (0.125, 0.25), (0.25, 0.5)]


def test_a_probability_on_an_edge_lies_below_it(make_world, whole_counts):
    even = make_world(np.full((1, 5), 0.5), whole_counts([[0.5, 0.25, 0.125, 0.0625, 0.0625]]))
    batch = even.log(20, 8)
    bins = calibration_by_bin(batch, even.behaviour[batch.task] / SCALE)
    assert [b.high for b in bins] == [0.0625, 0.125, 0.25, 0.5]
    sure = make_world(np.full((1, 2), 0.5), whole_counts([[1.0, 0.0]]))
    batch = sure.log(20, 9)
    (only,) = calibration_by_bin(batch, sure.behaviour[batch.task] / SCALE)
    assert (only.low, only.high, only.seen, only.z) == (0.5, 1.0, batch.n, 0.0)


def test_an_honest_log_is_calibrated_in_every_bin_and_a_floor_that_was_not_applied_shows_in_its_own(
    make_world, whole_counts
):
    floored = make_world(np.full((1, 4), 0.5), whole_counts([[0.94, 0.03, 0.02, 0.01]]))
    scores = []
    for seed in range(60):
        batch = floored.log(300, seed)
        scores += [b.z for b in calibration_by_bin(batch, floored.behaviour[batch.task] / SCALE)]
    assert abs(np.mean(scores)) < 4 / len(scores) ** 0.5
    assert 0.8 < np.std(scores) < 1.2
    bare = make_world(np.full((1, 4), 0.5), whole_counts([[0.94, 0.0597, 0.0002, 0.0001]]))
    batch = bare.log(1_000, 10)
    bins = calibration_by_bin(batch, np.tile([0.94, 0.03, 0.02, 0.01], (batch.n, 1)))
    off = {(b.low, b.high): b.z for b in bins}
    assert abs(off[0.5, 1.0]) < 4
    assert off[0.015625, 0.03125] > 0
    assert off[0.0078125, 0.015625] < -4


def test_rounds_without_propensities_cannot_be_calibrated(world):
    batch = world.log(10, 11)
    null = LoggedBatch(
        batch.action,
        batch.reward,
        np.zeros_like(batch.count),
        batch.eligible,
        batch.session,
        batch.observed,
        batch.task,
    )
    probs = world.behaviour[batch.task] / SCALE
    for question in (
        propensity_calibration,
        lambda b: calibration_by_bin(b, probs),
        lambda b: sample_ratio(b, probs),
    ):
        with pytest.raises(NoPropensity):
            question(null)
