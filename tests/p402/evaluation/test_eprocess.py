import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.evaluation.eprocess import BETS, EProcess, session_means

UNIT = (0.0, 1.0)


def chance(seed):
    return np.random.Generator(np.random.Philox(seed))


@pytest.mark.parametrize("side", ["greater", "less", "both"])
def test_without_an_effect_it_is_ever_crossed_no_more_often_than_alpha(side):
    crossed, reps = 0, 250
    for seed in range(reps):
        values = (chance(seed).random(1_000) < 0.3).astype(float)
        crossed += EProcess(UNIT, 0.3, side, alpha=0.1).update(values).crossed
    assert crossed / reps <= 0.1
    assert crossed > 0  # a test that never fires would pass as well


@pytest.mark.parametrize(
    ("side", "mean"), [("greater", 0.36), ("less", 0.24), ("both", 0.36), ("both", 0.24)]
)
def test_an_effect_is_found(side, mean):
    found = 0
    for seed in range(20):
        values = (chance(seed).random(3_000) < mean).astype(float)
        found += EProcess(UNIT, 0.3, side).update(values).crossed
    assert found >= 18


def test_a_mean_on_the_null_s_side_is_no_evidence():
    values = (chance(1).random(5_000) < 0.2).astype(float)
    found = EProcess(UNIT, 0.3, "greater").update(values)
    assert found.log_e < -2.0
    assert not found.crossed


@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0.05, 0.95))
def test_its_money_is_the_average_of_twelve_bettors_and_two_sides_are_halves(values, null):
    process = {
        side: EProcess(UNIT, null, side).update(np.array(values)) for side in ("greater", "less", "both")
    }
    up = [math.prod(1 + share / null * (v - null) for v in values) for share in BETS]
    down = [math.prod(1 - share / (1 - null) * (v - null) for v in values) for share in BETS]
    expected = {"greater": sum(up) / 12, "less": sum(down) / 12, "both": (sum(up) + sum(down)) / 24}
    for side, money in expected.items():
        assert process[side].log_e == pytest.approx(math.log(money), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 59))
def test_it_does_not_matter_how_values_are_batched(values, cut):
    start = EProcess(UNIT, 0.4, "both", alpha=0.2)
    at_once = start.update(np.array(values))
    in_two = start.update(np.array(values[:cut])).update(np.array(values[cut:]))
    one_by_one = start
    for value in values:
        one_by_one = one_by_one.update([value])
    for other in (in_two, one_by_one):
        assert other.count == at_once.count == len(values)
        assert other.log_e == pytest.approx(at_once.log_e, abs=1e-9)
        assert other.log_peak == pytest.approx(at_once.log_peak, abs=1e-9)


def test_what_has_crossed_has_crossed_and_the_p_value_is_of_the_peak():
    risen = EProcess(UNIT, 0.5).update(np.ones(30))
    fallen = risen.update(np.zeros(60))
    assert risen.crossed
    assert fallen.crossed
    assert fallen.log_e < 0.0 < risen.log_e
    assert fallen.p_value == risen.p_value == pytest.approx(math.exp(-risen.log_e))
    assert EProcess(UNIT, 0.5).p_value == 1.0
    assert not replace(risen, alpha=1e-12).crossed


def test_chunks_are_only_a_matter_of_memory():
    values = chance(5).random(10_000)
    process = EProcess((-1.0, 2.0), 0.5, "both")
    whole, parts = process.update(values), process
    for part in np.array_split(values, 7):
        parts = parts.update(part)
    assert whole.log_e == pytest.approx(parts.log_e, abs=1e-8)
    assert process.update(np.array([])) == process


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EProcess(UNIT, 0.0), "null is 0.0: expected strictly between"),
        (lambda: EProcess(UNIT, 1.5), "outside their bounds"),
        (lambda: EProcess(UNIT, 0.5, "up"), "expected greater, less or both"),
        (lambda: EProcess(UNIT, 0.5, alpha=0.0), "alpha is"),
        (lambda: EProcess(UNIT, 0.5).update([0.5, 1.2]), "outside their bounds"),
        (lambda: EProcess(UNIT, 0.5).update([math.nan]), "values hold nan"),
    ],
)
def test_what_would_void_the_test_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_sessions_count_once_in_the_order_they_close():
    values = np.array([1.0, 0.0, 0.5, 1.0, 0.0])
    session = np.array([7, 3, 7, 9, 3])
    assert session_means(values, session).tolist() == [0.75, 1.0, 0.0]


def test_sessions_taken_for_rows_would_cry_wolf_and_their_means_do_not():
    wolf = {"rows": 0, "means": 0}
    for seed in range(60):
        rng = chance(seed)
        session = np.repeat(np.arange(100), 20)
        values = np.repeat((rng.random(100) < 0.5).astype(float), 20)
        wolf["rows"] += EProcess(UNIT, 0.5, "both").update(values).crossed
        wolf["means"] += EProcess(UNIT, 0.5, "both").update(session_means(values, session)).crossed
    assert wolf["rows"] > 30
    assert wolf["means"] <= 3
