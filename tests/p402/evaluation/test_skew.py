"""Hall's transformation evens a lopsided spread, and never makes an interval shorter."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.evaluation.estimators import evaluate
from p402.evaluation.intervals import freedom_of, normal, stderr_of
from p402.evaluation.logged import SCALE, LoggedBatch
from p402.evaluation.skew import evened, tilt_of, untilted


def hall(ratio, tilt):
    return ratio + tilt * (ratio**2 / 3 + 1 / 6) + tilt**2 * ratio**3 / 27


@given(st.floats(-6, 6), st.floats(-2, 2).filter(lambda a: abs(a) > 1e-3))
def test_what_is_untilted_is_the_ratio_whose_transform_it_was(quantile, tilt):
    assert hall(untilted(quantile, tilt), tilt) == pytest.approx(quantile, abs=1e-6)


@given(st.floats(-6, 6), st.floats(-1e-5, 1e-5))
def test_with_hardly_any_tilt_hardly_anything_changes(quantile, tilt):
    assert untilted(quantile, tilt) == pytest.approx(quantile, abs=1e-3)


def test_the_tilt_is_the_third_moment_over_the_root_of_the_number():
    totals = np.array([3.0, -1.0, -1.0, -1.0])
    assert tilt_of(totals) == pytest.approx(6.0 / 3.0**1.5 / 2.0)
    assert tilt_of(-totals) == -tilt_of(totals)
    assert tilt_of(np.zeros(4)) == 0.0


@pytest.mark.parametrize("power", [-1_070, -500, 3, 1_000])
def test_the_tilt_has_no_unit_however_small_the_totals(power):
    totals = np.array([3.0, -1.0, -1.0, -1.0])
    assert tilt_of(np.ldexp(totals, power)) == tilt_of(totals)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=40), st.sampled_from([0.001, 0.05, 0.2]))
def test_it_is_never_shorter_than_students_on_either_side(values, alpha):
    totals = np.array(values) - np.mean(values)
    stderr = stderr_of(totals, len(totals))
    freedom = freedom_of(totals)
    plain = normal(0.5, stderr, freedom + 1, alpha)
    found = evened(0.5, stderr, totals, freedom, alpha)
    assert found.lower <= plain.lower
    assert found.upper >= plain.upper


def test_units_that_are_seldom_far_below_lengthen_the_lower_side_alone():
    totals = np.array([1.0] * 19 + [-19.0])
    stderr = stderr_of(totals, 20)
    plain, found = normal(0.0, stderr, 20), evened(0.0, stderr, totals, 19)
    assert found.lower < plain.lower
    assert found.upper == plain.upper


def test_where_nothing_is_known_the_bounds_stay_infinite():
    found = evened(0.5, math.inf, np.zeros(1), 1)
    assert (found.lower, found.upper) == (-math.inf, math.inf)


def test_rare_losses_are_covered_more_often():
    """Rewards of 1 with a loss in 25 rounds: Student's misses are nearly all above the truth."""
    chance = np.random.Generator(np.random.Philox(1))
    truth, n, held = 0.96, 150, np.zeros(2)
    for _ in range(2_000):
        rewards = (chance.random(n) < truth).astype(float)
        value = rewards.mean()
        totals = rewards - value
        stderr, freedom = stderr_of(totals, n), freedom_of(totals)
        plain, found = normal(value, stderr, freedom + 1), evened(value, stderr, totals, freedom)
        held += plain.lower <= truth <= plain.upper, found.lower <= truth <= found.upper
    student, hall_ = held / 2_000
    assert student < 0.95
    assert hall_ > student + 0.01


def test_what_estimates_print_is_lengthened():
    n = 400
    batch = LoggedBatch(
        action=np.zeros(n, np.int64),
        reward=np.where(np.arange(n) < 12, 0.0, 1.0),
        count=np.full(n, SCALE),
        eligible=np.ones((n, 1), np.bool_),
        session=np.arange(n),
        observed=np.ones(n),
        task=np.zeros(n, np.int64),
    )
    (found,) = evaluate(batch, np.ones((n, 1)), names=("ips",))
    assert "widened for skew" in found.method
    assert found.value - found.lower > 1.1 * (found.upper - found.value)
