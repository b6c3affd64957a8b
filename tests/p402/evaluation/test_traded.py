import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.evaluation.fits import dm, dr, ips
from p402.evaluation.traded import clip, clipped_ips, dros, shrink, switch, switch_dr


@st.composite
def rounds(draw):
    n, seed = draw(st.integers(1, 40)), draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    return rng.random(n), rng.exponential(2.0, n), rng.random(n), rng.random(n)


@given(rounds())
def test_an_infinite_bend_bends_nothing(columns):
    reward, weight, q_logged, q_target = columns
    assert clipped_ips(reward, weight, math.inf).value == ips(reward, weight).value
    exact = dr(reward, weight, q_logged, q_target)
    for fit in (switch_dr(*columns, math.inf), dros(*columns, math.inf)):
        assert (fit.value, fit.influence.tolist()) == (exact.value, exact.influence.tolist())


@given(rounds())
def test_a_bend_of_nothing_leaves_the_model_alone(columns):
    q_target = columns[3]
    for fit in (switch_dr(*columns, 0.0), dros(*columns, 0.0)):
        assert fit.value == pytest.approx(dm(q_target).value, abs=1e-15)
    assert clipped_ips(columns[0], columns[1], 0.0).value == 0.0


@given(rounds(), st.floats(0.0, 20.0))
def test_bent_weights_are_never_heavier_nor_above_their_bound(columns, bend):
    weight = columns[1]
    for bent in (clip(weight, bend), switch(weight, bend), shrink(weight, bend)):
        assert (bent <= weight * (1 + 1e-15)).all()
        assert (bent >= 0.0).all()
    assert clip(weight, bend).max() <= bend
    assert switch(weight, bend).max() <= bend
    assert shrink(weight, bend).max() <= math.sqrt(bend) / 2.0 + 1e-12


@given(rounds(), st.floats(0.01, 20.0))
def test_influences_of_bent_estimates_have_mean_0(columns, bend):
    reward, weight = columns[:2]
    for fit in (clipped_ips(reward, weight, bend), switch_dr(*columns, bend), dros(*columns, bend)):
        assert np.sum(fit.influence) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("bend", [-1.0, math.nan])
@pytest.mark.parametrize("function", [clip, switch, shrink])
def test_a_bend_that_is_none_is_refused(function, bend):
    with pytest.raises(ValueError, match="expected 0 or more"):
        function(np.ones(2), bend)
