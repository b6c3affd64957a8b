"""The middle of what was measured lately, whatever came before and however far out one value lies."""

from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.routing.quantile import Decayed

MS = st.floats(1.0, 100_000.0)


def of(*values: float) -> Decayed:
    made = Decayed()
    for value in values:
        made.add(value)
    return made


@given(MS)
def test_of_one_value_every_quantile_is_that_value(value: float) -> None:
    made = of(value)
    for share in (0.1, 0.5, 0.9):
        assert made.quantile(share) == pytest.approx(value)


@given(st.lists(MS, min_size=1, max_size=200), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_quantiles_rise_and_lie_within_what_was_seen(values: list[float], one: float, other: float) -> None:
    made = of(*values)
    low, high = sorted((one, other))
    found = (min(values), made.quantile(low), made.quantile(high), max(values))
    assert all(a <= b * (1 + 1e-9) for a, b in pairwise(found))


@given(st.lists(st.floats(100.0, 200.0), min_size=3, max_size=9))
def test_of_a_few_values_it_is_near_their_median(values: list[float]) -> None:
    found = of(*values).quantile(0.5)
    assert found == pytest.approx(median(values), rel=1.0)


def test_one_answer_ten_times_as_slow_moves_it_little_where_it_would_move_a_mean_by_half() -> None:
    steady = [300.0] * 20
    assert of(*steady, 3_000.0).quantile(0.5) == pytest.approx(300.0, rel=0.15)


def test_it_follows_within_some_ten_calls() -> None:
    made = of(*[300.0] * 200, *[900.0] * 10)
    assert made.quantile(0.5) == pytest.approx(900.0, rel=0.15)


def test_nothing_has_no_middle_and_what_is_out_of_range_counts_at_its_end() -> None:
    assert of().quantile(0.5) == 0.0
    assert of(0.001, 250_000.0).quantile(0.4) == pytest.approx(0.001)
    assert of(1e9).quantile(0.5) == pytest.approx(1e9)


def test_weights_are_scaled_back_and_nobody_sees_it() -> None:
    long, short = of(*[300.0, 500.0, 700.0] * 2_000), of(*[300.0, 500.0, 700.0] * 50)
    for share in (0.1, 0.5, 0.9):
        assert long.quantile(share) == pytest.approx(short.quantile(share), rel=1e-6)
