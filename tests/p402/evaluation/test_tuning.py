import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.evaluation.fits import dr
from p402.evaluation.traded import switch_dr
from p402.evaluation.tuning import FACTOR, FINEST, caps_for, chosen, slope, strengths_for


def test_slope_takes_the_last_candidate_that_agrees_with_all_before():
    assert slope([0.5, 0.52, 0.55, 0.9], [0.3, 0.2, 0.1, 0.01]) == 2
    assert slope([0.5, 0.9, 0.5], [0.01, 0.005, 0.001]) == 0  # what agrees again after a break is not taken
    assert slope([0.5], [0.1]) == 0
    assert slope([0.5, 0.5], [0.1, 0.1]) == 1


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_the_choice_agrees_with_every_wider_candidate_it_passed(candidates):
    values, widths = zip(*candidates, strict=True)
    found = slope(values, widths)
    for j in range(len(values)):
        if widths[j] > widths[found]:
            assert abs(values[j] - values[found]) <= widths[found] + FACTOR * widths[j] + 1e-12


@pytest.mark.parametrize(("values", "widths"), [([], []), ([0.1], [])])
def test_nothing_to_choose_from_is_refused(values, widths):
    with pytest.raises(ValueError, match="expected one or more"):
        slope(values, widths)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_caps_run_from_none_to_below_the_least_weight_in_powers_of_two(weights):
    weight = np.array(weights)
    caps = caps_for(weight)
    assert caps[0] == math.inf
    assert len(caps) <= FINEST + 2
    if weight.max() > 0.0:
        assert caps[1] > weight.max() >= caps[2] or len(caps) == 2
        assert all(math.frexp(cap)[0] == 0.5 for cap in caps[1:])
        assert list(caps) == sorted(caps, reverse=True)
    assert strengths_for(weight)[0] == math.inf
    assert list(strengths_for(weight)) == sorted(strengths_for(weight), reverse=True)


def heavy(seed, wrong):
    """Rows of which few have weights of about 100, and a model that is right or far off on those."""
    rng = np.random.default_rng(seed)
    n = 4_000
    rare = rng.random(n) < 0.005
    weight = np.where(rare, 100.0, 0.5 / 0.995)
    truth = np.where(rare, 0.9, 0.4)
    reward = (rng.random(n) < truth).astype(float)
    q = np.where(rare, 0.9 - wrong, 0.4)
    return (reward, weight, q, np.full(n, 0.5 * (0.9 - wrong) + 0.5 * 0.4)), np.arange(n)


def test_a_good_model_is_switched_to_and_a_bad_one_is_not():
    columns, session = heavy(0, wrong=0.0)
    cap, fit = chosen(lambda cap: switch_dr(*columns, cap), caps_for(columns[1]), session)
    assert cap < 100.0
    assert np.var(fit.influence) < 0.2 * np.var(dr(*columns).influence)
    columns, session = heavy(0, wrong=0.9)
    cap, fit = chosen(lambda cap: switch_dr(*columns, cap), caps_for(columns[1]), session)
    assert cap > 100.0
    assert fit.value == dr(*columns).value


def test_the_chosen_switch_has_less_squared_error_than_dr_over_many_logs():
    squares = {"dr": 0.0, "switch": 0.0}
    for seed in range(60):
        columns, session = heavy(seed, wrong=0.0)
        _, fit = chosen(lambda cap, c=columns: switch_dr(*c, cap), caps_for(columns[1]), session)
        squares["switch"] += (fit.value - 0.65) ** 2
        squares["dr"] += (dr(*columns).value - 0.65) ** 2
    assert squares["switch"] < 0.5 * squares["dr"]
