import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.guard.anomaly import CostHistory, observe, out_of_line, z_score

costs = st.lists(st.integers(1, 10**15), min_size=2, max_size=200)


def history_of(values) -> CostHistory:
    history = CostHistory()
    for value in values:
        history = observe(history, value)
    return history


@given(costs)
def test_running_moments_are_those_of_the_whole_list(values):
    history = history_of(values)
    logs = [math.log(value) for value in values]
    assert history.count == len(values)
    assert history.mean == pytest.approx(statistics.fmean(logs), abs=1e-9)
    assert history.sd == pytest.approx(statistics.stdev(logs), abs=1e-7)


@given(costs, st.integers(1, 10**15))
def test_the_score_is_that_of_the_statistics_module(values, cost):
    logs = [math.log(value) for value in values]
    sd = statistics.stdev(logs)
    found = z_score(history_of(values), cost, shortest=2)
    if sd < 1e-5:
        assert found is None or sd > 0
        return
    assert found == pytest.approx((math.log(cost) - statistics.fmean(logs)) / sd, rel=1e-4, abs=1e-4)


@given(costs, st.integers(1, 10**9), st.integers(2, 1000))
def test_scores_do_not_change_with_the_unit_of_money(values, cost, factor):
    plain = z_score(history_of(values), cost, shortest=2)
    scaled = z_score(history_of([v * factor for v in values]), cost * factor, shortest=2)
    if history_of(values).sd < 1e-3:
        return
    assert scaled == pytest.approx(plain, rel=1e-5, abs=1e-5)


@given(costs, st.integers(1, 10**14), st.integers(1, 10**14))
def test_a_dearer_call_never_scores_lower(values, one, other):
    low, high = sorted((one, other))
    history = history_of(values)
    cheap, dear = z_score(history, low, shortest=2), z_score(history, high, shortest=2)
    assert (cheap is None) == (dear is None)
    assert cheap is None or cheap <= dear


@given(st.lists(st.integers(1, 10**12), max_size=29), st.integers(1, 10**15))
def test_a_short_past_raises_no_alarm(values, cost):
    assert not out_of_line(history_of(values), cost)


@given(st.integers(1, 10**12), st.integers(30, 100), st.integers(1, 10**15))
def test_a_constant_past_raises_no_alarm(value, length, cost):
    assert z_score(history_of([value] * length), cost) is None


def test_p15_a_call_at_three_standard_deviations_is_out_of_line_and_below_it_is_not():
    history = history_of([1_000_000, 2_000_000] * 50)
    limit = math.exp(history.mean + 3.0 * history.sd)
    assert out_of_line(history, math.ceil(limit))
    assert not out_of_line(history, math.floor(limit))
    assert not out_of_line(history, 1), "a cheap call is never out of line"


def test_a_free_call_is_neither_scored_nor_remembered():
    history = history_of([5, 7] * 20)
    assert observe(history, 0) is history
    assert z_score(history, 0) is None


def test_a_negative_cost_is_refused():
    with pytest.raises(ValueError, match="nano-USD"):
        observe(CostHistory(), -1)
    with pytest.raises(ValueError, match="nano-USD"):
        z_score(CostHistory(), -1)
