import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from p402.evaluation.intervals import (
    bootstrap,
    by_session,
    chi_square_tail,
    clustered_stderr,
    empirical_bernstein,
    normal,
    student_quantile,
)


@pytest.mark.parametrize("probability", [0.9, 0.95, 0.975, 0.995])
@pytest.mark.parametrize("freedom", [5, 10, 30, 1_000, 1_000_000])
def test_student_s_quantile_is_within_a_percent(probability, freedom):
    assert student_quantile(probability, freedom) == pytest.approx(
        stats.t.ppf(probability, freedom), rel=0.01
    )


@pytest.mark.parametrize("freedom", [1, 2])
@pytest.mark.parametrize("probability", [0.01, 0.5, 0.9, 0.975, 0.995])
def test_student_s_quantile_of_two_or_three_units_is_exact(probability, freedom):
    assert student_quantile(probability, freedom) == pytest.approx(
        float(stats.t.ppf(probability, freedom)), rel=1e-9, abs=1e-12
    )


def test_student_s_quantile_of_four_units_is_within_a_percent():
    assert student_quantile(0.975, 3) == pytest.approx(float(stats.t.ppf(0.975, 3)), rel=0.01)


@given(st.floats(1e-3, 1_500), st.integers(1, 300))
def test_the_chi_square_tail_is_scipy_s(statistic, freedom):
    assert chi_square_tail(statistic, freedom) == pytest.approx(
        float(stats.chi2.sf(statistic, freedom)), rel=1e-8, abs=1e-13
    )


def test_the_chi_square_tail_at_its_edges():
    assert chi_square_tail(0.0, 3) == 1.0
    assert chi_square_tail(5.0, 0) == 1.0
    assert 0.0 <= chi_square_tail(5_000.0, 3) < 1e-300


def test_the_clustered_error_of_rows_alone_is_the_usual_one():
    values = np.random.default_rng(0).random(500)
    stderr, groups = clustered_stderr(values - values.mean(), np.arange(500))
    assert groups == 500
    assert stderr == pytest.approx(values.std(ddof=1) / math.sqrt(500), rel=1e-12)


def test_copying_every_row_within_its_session_adds_no_certainty():
    values = np.random.default_rng(1).random(300)
    once, _ = clustered_stderr(values - values.mean(), np.arange(300))
    thrice = np.repeat(values, 3)
    again, groups = clustered_stderr(thrice - thrice.mean(), np.repeat(np.arange(300), 3))
    assert groups == 300
    assert again == pytest.approx(once, rel=1e-12)


def clusters(seed, sessions=60, size=4):
    rng = np.random.default_rng(seed)
    common = np.repeat(rng.random(sessions), size)
    values = np.where(rng.random(sessions * size) < 0.5, common, rng.random(sessions * size))
    return values, np.repeat(np.arange(sessions), size)


def test_the_bernstein_interval_never_misses_more_than_it_says():
    missed = 0
    for seed in range(300):
        values, session = clusters(seed)
        found = empirical_bernstein(values, session, (0.0, 1.0), 0.05)
        missed += not found.lower <= 0.5 <= found.upper
    assert missed / 300 <= 0.05


def test_the_bernstein_interval_shrinks_and_is_wider_than_the_normal():
    few, many = clusters(1, 200), clusters(1, 20_000)
    wide, narrow = (empirical_bernstein(*part, (0.0, 1.0)) for part in (few, many))
    assert narrow.upper - narrow.lower < 0.2 * (wide.upper - wide.lower)
    values, session = many
    stderr, groups = clustered_stderr(values - values.mean(), session)
    usual = normal(float(values.mean()), stderr, groups)
    assert narrow.lower < usual.lower < usual.upper < narrow.upper


def test_the_bernstein_interval_follows_its_formula():
    values, session = np.array([0.2, 0.4, 0.9, 1.0, 0.1]), np.array([0, 0, 1, 2, 2])
    units = [0.6 * 3 / 5, 0.9 * 3 / 5, 1.1 * 3 / 5]
    lift = math.log(4 / 0.2)
    reach = math.sqrt(2 * np.var(units, ddof=1) * lift / 3) + 7 * (2 * 3 / 5 * 20.0) * lift / (3 * 2)
    found = empirical_bernstein(values, session, (-10.0, 10.0), 0.2)
    assert found.lower == pytest.approx(max(-10.0, 0.52 - reach))
    assert (found.lower, found.upper) == (-10.0, 10.0)
    long = np.tile(values, 400), np.arange(2_000)
    assert empirical_bernstein(*long, (0.0, 1.0), 0.2).upper == pytest.approx(
        0.52 + math.sqrt(2 * np.var(long[0], ddof=1) * lift / 2_000) + 7 * lift / (3 * 1_999), rel=1e-9
    )


@pytest.mark.parametrize("bounds", [(0.3, 1.0), (0.0, 0.5), (1.0, 0.0), (0.0, math.inf)])
def test_bounds_that_do_not_hold_are_refused(bounds):
    with pytest.raises(ValueError, match="bounds"):
        empirical_bernstein(np.array([0.1, 0.9]), np.array([0, 1]), bounds)


def test_the_bootstrap_agrees_with_the_clustered_error_and_repeats():
    values, session = clusters(2, 800)
    stderr, groups = clustered_stderr(values - values.mean(), session)
    usual = normal(float(values.mean()), stderr, groups)
    found, again = (bootstrap(values, session, np.random.default_rng(5)) for _ in range(2))
    assert found == again
    assert found.lower == pytest.approx(usual.lower, abs=0.2 * stderr)
    assert found.upper == pytest.approx(usual.upper, abs=0.2 * stderr)


def test_one_session_bounds_nothing():
    values, session = np.array([0.1, 0.9]), np.array([4, 4])
    assert bootstrap(values, session, np.random.default_rng(0)).lower == -math.inf
    assert normal(0.5, clustered_stderr(values - 0.5, session)[0], 1).upper == math.inf
    assert empirical_bernstein(values, session, (0.0, 1.0)).lower == 0.0


def test_sessions_are_summed_by_hash():
    totals, sizes = by_session(np.array([1.0, 2.0, 4.0]), np.array([9, -3, 9]))
    assert (totals.tolist(), sizes.tolist()) == ([2.0, 5.0], [1.0, 2.0])


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, math.nan])
def test_an_error_rate_outside_0_and_1_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha is"):
        normal(0.5, 0.1, 100, alpha)
