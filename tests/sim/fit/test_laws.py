import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.fit.laws import jump_of, middle_of, slope_of, spread_of, tailed, two_way
from sim.fit.quality import before_clipping
from sim.world.rewards import expected, mean_of
from sim.world.spec import Bernoulli, Gaussian, Graded


def chance(seed):
    return np.random.Generator(np.random.Philox(seed))


@pytest.mark.parametrize("sigma", [0.3, 0.9, 1.3])
def test_a_spread_keeps_the_mean_and_the_spread_of_what_it_is_fitted_to(sigma):
    values = 400.0 * np.exp(sigma * chance(1).standard_normal(20_000))
    law = spread_of(values)
    assert law.sigma == pytest.approx(sigma, rel=0.03)
    assert mean_of(law) == pytest.approx(values.mean(), rel=0.03)


def test_a_middle_is_not_moved_by_a_few_calls_that_hang():
    values = 300.0 * np.exp(0.25 * chance(2).standard_normal(2_000))
    hung = np.concatenate([values, np.full(60, 60_000.0)])
    assert middle_of(hung).median == pytest.approx(300.0, rel=0.05)
    law = tailed(hung)
    assert law.share == pytest.approx(60 / 2_060, rel=0.1)
    assert law.factor == pytest.approx(200.0, rel=0.1)


@given(st.lists(st.floats(1.0, 1e5), min_size=1, max_size=40))
def test_every_spread_holds_its_median_within_its_bounds(values):
    for law in (spread_of(np.array(values)), middle_of(np.array(values))):
        assert law.least <= law.median <= law.most


def test_a_spread_of_nothing_is_none():
    assert spread_of(np.array([np.nan])) is None
    assert middle_of(np.array([])) is None


def test_a_slope_is_found_among_calls_that_hang():
    x = np.arange(1.0, 501.0)
    y = 200.0 + 8.0 * x
    y[::25] += 50_000.0
    assert slope_of(x, y) == pytest.approx(8.0, rel=0.01)
    assert slope_of(np.ones(10), np.arange(10.0)) == 0.0


def test_two_way_means_tell_tasks_from_models():
    draw = chance(3)
    row, column = draw.integers(0, 3, 6_000), draw.integers(0, 4, 6_000)
    rows, columns = np.array([5.0, 6.0, 4.0]), np.array([0.4, -0.3, 0.1, -0.2])
    found_rows, found = two_way(
        rows[row] + columns[column] + 0.1 * draw.standard_normal(6_000), row, column, (3, 4)
    )
    apart = (found_rows[:, None] + found) - (rows[:, None] + columns)
    assert np.abs(apart).max() < 0.03


def test_a_change_of_level_is_found_where_it_is():
    values = chance(4).standard_normal(600) * 0.3
    values[400:] -= 0.3
    jump = jump_of(values)
    assert abs(jump.at - 400) < 30
    assert jump.size == pytest.approx(-0.3, abs=0.08)


def test_steady_values_seldom_seem_to_change():
    alarms = sum(jump_of(chance(100 + k).standard_normal(500)) is not None for k in range(400))
    assert alarms <= 4


@pytest.mark.parametrize("law", [Bernoulli(), Gaussian(sd=0.25), Graded(sd=0.2)])
@given(mean=st.floats(0.05, 0.95))
def test_the_mean_before_clipping_gives_the_mean_after_it(law, mean):
    assert expected(law, before_clipping(law, mean), 0.0) == pytest.approx(mean, abs=1e-6)
