from itertools import pairwise
from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.compare.student import holm, two_sided

PS = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 29, 100, 1_001])
@pytest.mark.parametrize("statistic", [0.0, 0.1, 1.0, 1.96, 3.3, -2.5, 8.0])
def test_a_p_value_is_that_of_student(statistic, freedom):
    expected = 2.0 * stats.t.sf(abs(statistic), freedom)
    assert two_sided(statistic, freedom) == pytest.approx(expected, abs=1e-12)


def test_what_is_infinitely_improbable_has_p_0_and_what_is_not_known_has_none():
    assert two_sided(inf, 3) == 0.0
    assert isnan(two_sided(nan, 3))
    assert isnan(two_sided(1.0, 0))


def test_holm_gives_the_textbook_answer():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_what_was_not_tested_is_not_counted():
    adjusted = holm([0.02, nan, 0.03])
    assert adjusted[0] == pytest.approx(0.04)
    assert isnan(adjusted[1])


@given(PS)
def test_an_adjusted_p_is_never_smaller_and_never_beyond_bonferroni(ps):
    for p, adjusted in zip(ps, holm(ps), strict=True):
        assert p <= adjusted <= min(1.0, p * len(ps)) + 1e-15


@given(PS, st.randoms())
def test_holm_does_not_depend_on_the_order_of_tests(ps, chance):
    order = list(range(len(ps)))
    chance.shuffle(order)
    shuffled = holm([ps[i] for i in order])
    assert shuffled == [holm(ps)[i] for i in order]


@given(PS)
def test_the_order_of_p_values_stays(ps):
    adjusted = holm(ps)
    by_raw = sorted(range(len(ps)), key=lambda i: ps[i])
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(by_raw))
