from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from sim.compare.paired import difference, one_run, over_seeds, reduction, within_runs

NUMBER = st.floats(-1e3, 1e3).map(lambda x: round(x, 6))
PAIRS = st.lists(st.tuples(NUMBER, NUMBER), min_size=2, max_size=12)


def leaves_zero_out(gap):
    return gap.lower > 0.0 or gap.upper < 0.0


def sides(pairs):
    return [a for a, _ in pairs], [b for _, b in pairs]


def same(a, b):
    return all(
        getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-9, abs=1e-7)
        for name in ("value", "lower", "upper")
    )


@given(PAIRS)
def test_swapping_the_strategies_flips_the_signs(pairs):
    ours, theirs = sides(pairs)
    there, back = difference(ours, theirs), difference(theirs, ours)
    assert (there.value, there.lower, there.upper) == pytest.approx((-back.value, -back.upper, -back.lower))
    assert there.p == pytest.approx(back.p)
    assert (back.negated.lower, back.negated.upper) == pytest.approx((there.lower, there.upper))


@given(PAIRS, NUMBER)
def test_what_is_added_to_both_leaves_the_difference(pairs, constant):
    ours, theirs = sides(pairs)
    moved = difference([a + constant for a in ours], [b + constant for b in theirs])
    assert same(moved, difference(ours, theirs))


@given(PAIRS, st.randoms())
def test_the_order_of_seeds_changes_no_bit(pairs, chance):
    shuffled = list(pairs)
    chance.shuffle(shuffled)
    assert difference(*sides(shuffled)) == difference(*sides(pairs))


@given(PAIRS)
def test_an_interval_holds_its_value_and_agrees_with_its_p(pairs):
    assume(len(pairs) >= 6)  # below, the quantile is an expansion and the p-value exact
    gap = difference(*sides(pairs))
    assert gap.lower <= gap.value <= gap.upper
    if not 0.045 < gap.p < 0.055:
        assert leaves_zero_out(gap) == (gap.p < 0.05)


def test_the_interval_is_the_paired_t_test():
    chance = np.random.default_rng(5)
    ours, theirs = chance.normal(1.0, 1.0, 10), chance.normal(0.5, 1.0, 10)
    gap, expected = difference(ours.tolist(), theirs.tolist()), stats.ttest_rel(ours, theirs)
    bounds = expected.confidence_interval(0.95)
    assert gap.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (gap.lower, gap.upper) == pytest.approx((bounds.low, bounds.high), rel=0.02)
    assert gap.units == 10


def test_pairing_takes_the_seeds_own_luck_away():
    luck = np.random.default_rng(1).normal(0.0, 100.0, 10)
    gap = difference((luck + 1.0 + 0.01 * np.arange(10)).tolist(), luck.tolist())
    alone = over_seeds((luck + 1.0).tolist())
    assert gap.lower > 0.9
    assert alone.upper - alone.lower > 1_000.0 * (gap.upper - gap.lower)


def test_over_seeds_95_of_100_intervals_hold_the_truth():
    chance = np.random.default_rng(20261126)
    held = 0
    for _ in range(1_000):
        gaps = chance.normal(0.3, 1.0, 10)
        at = over_seeds(gaps.tolist())
        held += at.lower <= 0.3 <= at.upper
    assert 930 <= held <= 970  # 3 standard errors about 950 are 21


def test_one_seed_says_nothing_of_another():
    gap = difference([3.0], [1.0])
    assert (gap.value, gap.lower, gap.upper, gap.units) == (2.0, -inf, inf, 1)
    assert isnan(gap.p)
    assert not leaves_zero_out(gap)


def test_a_seed_without_either_is_left_out():
    assert difference([1.0, nan, 3.0], [0.0, 5.0, nan]).units == 1
    assert difference([nan], [1.0]).units == 0
    assert not leaves_zero_out(difference([nan], [1.0]))


def test_rounding_is_no_difference():
    gap = difference([0.1 + 0.2, 0.3, 0.3], [0.3, 0.3, 0.3])
    assert (gap.value, gap.p) == (0.0, 1.0)
    assert not leaves_zero_out(gap)


def test_a_difference_that_is_the_same_on_every_seed_is_certain():
    gap = difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    assert (gap.lower, gap.upper, gap.p) == (1.0, 1.0, 0.0)


def test_a_reduction_is_a_share_of_the_others():
    assert reduction([25.0, 50.0], [100.0, 100.0]).value == pytest.approx(0.625)
    assert reduction([1.0], [0.0]).units == 0


def test_within_a_run_the_error_is_that_of_session_sums():
    chance = np.random.default_rng(2)
    session = np.repeat(np.arange(40), 5)
    shared = np.repeat(chance.normal(0.0, 1.0, 40), 5)
    ours, theirs = shared + chance.normal(0.2, 0.1, 200), chance.normal(0.0, 0.1, 200)
    moved = ours - ours.mean(), theirs - theirs.mean()
    run = one_run(float(ours.mean()), float(theirs.mean()), moved, session)
    means = (ours - theirs).reshape(40, 5).mean(axis=1)
    assert run.stderr == pytest.approx(means.std(ddof=1) / np.sqrt(40))
    assert run.sessions == 40
    alone = within_runs([run])
    assert alone.value == pytest.approx(means.mean())
    both = within_runs([run, run])
    assert both.units == 80
    assert both.upper - both.lower == pytest.approx((alone.upper - alone.lower) / np.sqrt(2), rel=0.05)


def test_within_runs_without_any_nothing_is_known():
    assert within_runs([]).units == 0
