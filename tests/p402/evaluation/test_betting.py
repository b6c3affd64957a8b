import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.evaluation.betting import betting
from p402.evaluation.intervals import empirical_bernstein


def chance(seed):
    return np.random.Generator(np.random.Philox(seed))


@pytest.mark.parametrize("mean", [0.05, 0.6])
def test_the_betting_interval_misses_no_more_than_it_says_on_bernoulli_rewards(mean):
    missed, reps = 0, 200
    for seed in range(reps):
        values = (chance(seed).random(120) < mean).astype(float)
        found = betting(values, np.arange(120), (0.0, 1.0), 0.1)
        missed += not found.lower <= mean <= found.upper
    assert missed / reps <= 0.1
    assert missed > 0  # wide without end would pass as well


def lengths(seed, sessions=150):
    """Sessions of one to six rounds whose rounds share a mean; the mean of a round is 0.4."""
    rng = chance(seed)
    size = rng.integers(1, 7, sessions)
    mean = np.repeat(rng.choice([0.1, 0.7], sessions), size)
    return (rng.random(size.sum()) < mean).astype(float), np.repeat(np.arange(sessions) * 7 - 99, size)


def test_it_holds_for_sessions_of_any_length():
    missed = 0
    for seed in range(100):
        found = betting(*lengths(seed), (0.0, 1.0), 0.1)
        missed += not found.lower <= 0.4 <= found.upper
    assert missed / 100 <= 0.1


def test_it_is_never_much_wider_than_empirical_bernstein_and_far_shorter_on_few_rows():
    for n, share in ((100, 0.7), (1_000, 0.8), (20_000, 1.0)):
        values = (chance(n).random(n) < 0.05).astype(float)
        bet, bernstein = (f(values, np.arange(n), (0.0, 1.0)) for f in (betting, empirical_bernstein))
        assert bet.upper - bet.lower < share * (bernstein.upper - bernstein.lower)


@settings(max_examples=60)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=60),
    st.floats(-5, 5),
    st.floats(0.1, 10),
    st.integers(1, 20),
)
def test_it_moves_and_stretches_with_its_values(values, shift, scale, sessions):
    array, session = np.array(values), np.arange(len(values)) % sessions
    plain = betting(array, session, (0.0, 1.0))
    moved = array * scale + shift
    found = betting(np.clip(moved, shift, shift + scale), session, (shift, shift + scale))
    assert found.lower == pytest.approx(shift + scale * plain.lower, abs=1e-6 * scale)
    assert found.upper == pytest.approx(shift + scale * plain.upper, abs=1e-6 * scale)
    assert 0.0 <= plain.lower <= plain.upper <= 1.0


def test_turning_the_values_round_turns_the_interval_round():
    values, session = lengths(7)
    found, turned = betting(values, session, (0.0, 1.0)), betting(1.0 - values, session, (0.0, 1.0))
    assert turned.lower == pytest.approx(1.0 - found.upper, abs=1e-9)
    assert turned.upper == pytest.approx(1.0 - found.lower, abs=1e-9)


def wealth(values, m, alpha):
    """The largest wealth of who bets that the mean is above m, one value at a time, by the paper."""
    total, count, spread, best, money = 0.5, 1.0, 0.25, 0.0, 0.0
    for value in values:
        bet = min(math.sqrt(2 * math.log(2 / alpha) / (len(values) * spread / count)), 0.5 / m)
        money += math.log1p(bet * (value - m))
        best = max(best, money)
        total += value
        count += 1.0
        spread += (value - total / count) ** 2
    return best


def test_its_lower_bound_is_where_the_paper_s_bettor_has_made_2_over_alpha():
    values = chance(3).random(80)
    found = betting(values, np.arange(80), (0.0, 1.0), 0.05)
    bar = math.log(2 / 0.05)
    assert wealth(values, found.lower - 1e-6, 0.05) >= bar > wealth(values, found.lower + 1e-6, 0.05)


@pytest.mark.parametrize("bounds", [(0.3, 1.0), (1.0, 0.0), (0.0, math.inf)])
def test_bounds_that_do_not_hold_are_refused(bounds):
    with pytest.raises(ValueError, match="bounds"):
        betting(np.array([0.1, 0.9]), np.array([0, 1]), bounds)
