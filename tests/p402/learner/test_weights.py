import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from p402.learner.weights import LEAST, MOST, ONE, START, STEP, Weights, within_reach


@st.composite
def any_weights(draw):
    cost = draw(st.integers(0, ONE))
    quality = draw(st.integers(0, ONE - cost))
    return Weights(cost, quality, ONE - cost - quality)


def outside(value):
    return max(LEAST - value, value - MOST, 0)


@given(any_weights())
def test_no_reachable_weight_moves_by_more_than_a_twentieth(current):
    for weights in within_reach(current):
        assert sum(weights.parts) == ONE
        assert weights != current
        for now, then in zip(current.shares, weights.shares, strict=True):
            assert abs(now - then) <= 0.05


@given(any_weights())
def test_reach_never_leaves_the_bounds_nor_goes_further_outside(current):
    for weights in within_reach(current):
        before = outside(current.cost) + outside(current.quality)
        assert outside(weights.cost) + outside(weights.quality) <= before


@given(st.integers(LEAST, MOST), st.data())
def test_a_step_taken_inside_can_be_taken_back(cost, data):
    quality = data.draw(st.integers(LEAST, max(LEAST, min(MOST, ONE - cost))))
    current = Weights(min(cost, ONE - quality), quality, max(0, ONE - cost - quality))
    assert all(current in within_reach(there) for there in within_reach(current))


def test_from_the_start_four_ways_are_open_as_speed_cannot_fall_below_zero():
    assert START.shares == (0.5, 0.5, 0.0)
    ways = {
        tuple((b - a) // STEP for a, b in zip(START.parts, w.parts, strict=True)) for w in within_reach(START)
    }
    assert ways == {(-1, 0, 1), (-1, 1, 0), (0, -1, 1), (1, -1, 0)}


def test_walking_one_way_ends_at_the_bound():
    weights = START
    for _ in range(30):
        weights = max(within_reach(weights))
    assert weights.cost <= MOST
    assert weights.quality >= LEAST
    assert weights.cost > 0.74 * ONE


@pytest.mark.parametrize("parts", [(1, 2, 3), (-1, ONE, 1), (ONE, ONE, 0)])
def test_weights_that_do_not_sum_to_one_are_refused(parts):
    with pytest.raises(ValueError, match="weights are"):
        Weights(*parts)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_numbers_become_the_nearest_weights(cost, quality, speed):
    total = cost + quality + speed
    assume(total > 1e-9)
    found = Weights.of(cost, quality, speed)
    for share, value in zip(found.shares, (cost, quality, speed), strict=True):
        assert abs(share - value / total) <= 2 / ONE


@pytest.mark.parametrize("bad", [(-1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (float("inf"), 1.0, 1.0)])
def test_numbers_that_are_no_weights_are_refused(bad):
    with pytest.raises(ValueError, match="not all 0"):
        Weights.of(*bad)


def test_a_step_of_nothing_is_refused():
    with pytest.raises(ValueError, match="step is 0"):
        within_reach(START, step=0)
