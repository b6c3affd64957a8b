"""The reward laws: what is drawn has exactly the expectation that is declared."""

from itertools import repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.world.chance import Chance, Stream, beta, normal
from sim.world.rewards import (
    clip,
    clipped_mean,
    draw,
    expected,
    mean_of,
    quantile_of,
    share_below,
)
from sim.world.spec import Bernoulli, Beta, Gaussian, Graded, Rows, Spread

GRID = [(i + 0.5) / 200 for i in range(200)]
"""Midpoints: means over them are integrals to about 1e-3."""

means = st.floats(-0.4, 1.4)
sds = st.sampled_from((0.0, 0.05, 0.2, 0.6))


@settings(max_examples=40)
@given(
    means,
    sds,
    st.sampled_from((Bernoulli(), Gaussian(sd=0.25), Gaussian(sd=0.0), Graded(), Rows(column="x"))),
)
def test_the_expectation_is_the_integral_of_what_is_drawn(mean, difficulty, reward):
    us = np.array(GRID)
    hard = [mean + difficulty * normal(u) for u in GRID[::10]] if difficulty else [mean]
    drawn = np.mean([[draw(reward, m, u, repeat(0.5)) for u in us[::2]] for m in hard])
    assert drawn == pytest.approx(expected(reward, mean, difficulty), abs=0.03)


@pytest.mark.parametrize("mean", [-0.2, 0.0, 0.05, 0.4, 0.97, 1.0, 1.3])
def test_a_beta_reward_has_its_mean(mean):
    chance = Chance(4)
    reward = Beta(concentration=3)
    drawn = [draw(reward, mean, 0.5, chance.uniforms(Stream.GAMMA, i, 0, 0, 0)) for i in range(1500)]
    se = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - expected(reward, mean, 0.0)) <= 4 * se + 1e-12
    assert min(drawn) >= 0
    assert max(drawn) <= 1


def test_a_beta_of_small_parameters_has_its_mean_and_variance():
    chance = Chance(5)
    drawn = [beta(0.3, 0.6, chance.uniforms(Stream.GAMMA, i, 1, 0, 0)) for i in range(4000)]
    assert np.mean(drawn) == pytest.approx(1 / 3, abs=0.025)
    assert np.var(drawn) == pytest.approx((1 / 3) * (2 / 3) / 1.9, abs=0.012)


@given(means, st.floats(0, 2))
def test_a_clipped_mean_is_a_mean_of_what_lies_in_the_unit(mean, sd):
    assert -1e-12 <= clipped_mean(mean, sd) <= 1 + 1e-12
    assert clipped_mean(mean, 0.0) == clip(mean)


@given(st.floats(0.0, 1.0), st.floats(0.01, 0.6))
def test_a_clipped_mean_is_symmetric(mean, sd):
    assert clipped_mean(mean, sd) + clipped_mean(1 - mean, sd) == pytest.approx(1.0, abs=1e-9)


@settings(max_examples=40)
@given(
    st.floats(1, 1000),
    st.sampled_from((0.0, 0.1, 0.6, 1.5)),
    st.floats(0.1, 0.9),
    st.floats(1.1, 20),
    st.floats(0.3, 3),
    st.data(),
)
def test_a_bounded_law_has_the_mean_of_its_quantiles(median, sigma, low, high, factor, data):
    law = Spread(median=median, sigma=sigma, least=median * low, most=median * high)
    values = np.array([quantile_of(law, normal((i + 0.5) / 1000)) for i in range(1000)]) * factor
    assert values.mean() == pytest.approx(mean_of(law, factor), rel=1e-2)
    x = data.draw(st.floats(median * low / 2, median * high * 1.5))
    assert np.mean(values <= x * factor * (1 + 1e-12)) == pytest.approx(share_below(law, x), abs=4e-3)


def test_grades_are_levels_only():
    reward = Graded(levels=(0.0, 0.3, 1.0), sd=0.4)
    assert {draw(reward, 0.5, u, repeat(0.5)) for u in GRID} == {0.0, 0.3, 1.0}


@given(
    st.sampled_from((Spread(median=100, sigma=0.6, least=10, most=900), Spread(median=50))),
    st.sampled_from((0.5, 1.0, 2.5)),
    st.floats(1, 2_000),
)
def test_a_mean_under_a_cap_is_that_of_answers_that_end_at_it(law, factor, cap):
    drawn = [min(quantile_of(law, normal((i + 0.5) / 2_000)) * factor, cap) for i in range(2_000)]
    assert mean_of(law, factor, cap) == pytest.approx(np.mean(drawn), rel=2e-3)
