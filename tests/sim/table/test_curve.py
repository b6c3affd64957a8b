"""Curves are edges of hulls, and areas are what geometry says."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.table.curve import Point, corners_of, curve_of, singles_of

SINGLES = (Point("cheap", 1.0, 0.5), Point("dear", 9.0, 0.9))

points = st.lists(
    st.builds(Point, st.just("p"), st.floats(1.0, 9.0), st.floats(0.0, 1.0)), min_size=1, max_size=12
)


def test_the_mix_of_two_models_is_the_line_between_them():
    curve = curve_of(SINGLES, SINGLES)
    assert curve.edge == ((1.0, 0.5), (9.0, 0.9))
    assert abs(curve.area_linear - 0.7) < 1e-12
    # the mean over ln c of 0.5 + 0.05 (c - 1), c from 1 to 9
    assert abs(curve.area - (0.45 + 0.05 * 8 / np.log(9))) < 1e-6


def test_a_better_point_lifts_the_curve_and_a_worse_one_does_not():
    base = curve_of(SINGLES, SINGLES)
    lifted = curve_of([*SINGLES, Point("p", 2.0, 0.85)], SINGLES)
    below = curve_of([*SINGLES, Point("p", 5.0, 0.6)], SINGLES)
    assert lifted.area > base.area
    assert lifted.area_linear > base.area_linear
    assert (below.area, below.area_linear) == (base.area, base.area_linear)


def test_a_policy_that_is_always_cheap_stays_where_it_is():
    curve = curve_of([Point("p", 1.0, 0.5)], SINGLES)
    assert abs(curve.area - 0.5) < 1e-12
    assert abs(curve.area_linear - 0.5) < 1e-12


def test_a_policy_that_is_always_dear_is_joined_with_the_cheapest_model():
    assert curve_of([SINGLES[1]], SINGLES).area == curve_of(SINGLES, SINGLES).area


@given(points)
@settings(max_examples=100, deadline=None)
def test_no_point_lies_above_the_edge_and_the_edge_never_falls(given_points):
    corners = corners_of([*given_points, SINGLES[0]])
    x, y = np.array(corners).T
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) > 0).all()
    for point in given_points:
        at = np.interp(point.cost_usd, x, y)
        assert point.quality <= at + 1e-9
    slopes = np.diff(y) / np.diff(x)
    assert (np.diff(slopes) <= 1e-6 * np.abs(slopes[:-1])).all()


@given(points, points)
@settings(max_examples=60, deadline=None)
def test_more_points_never_lower_the_area(some, more):
    few, many = curve_of(some, SINGLES), curve_of([*some, *more], SINGLES)
    assert many.area >= few.area - 1e-9
    assert many.area_linear >= few.area_linear - 1e-9
    assert 0.0 <= few.area <= 1.0


def test_single_models_are_their_means():
    quality, cost = np.array([[0.2, 1.0], [0.4, 0.6]]), np.array([[1.0, 3.0], [2.0, 5.0]])
    cheap, dear = singles_of(("a", "b"), quality, cost)
    assert abs(cheap.quality - 0.3) < 1e-12
    assert (cheap.label, cheap.cost_usd) == ("a", 1.5)
    assert (dear.label, dear.cost_usd, dear.quality) == ("b", 4.0, 0.8)
