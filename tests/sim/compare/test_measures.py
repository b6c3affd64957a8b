from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.compare.measures import (
    ALL,
    BY_GROUP,
    COMPARED,
    COST,
    COST_TOTAL,
    FAILED,
    P50,
    QUALITY,
    REFUSED,
    REGRET,
    REGRET_TOTAL,
    SAVING,
    VALUE,
    Ratio,
    influence,
    measured,
)
from tests.sim.compare.made import a_run, a_table

RATIOS = [measure for measure in COMPARED if isinstance(measure, Ratio)]


@pytest.fixture(scope="module")
def four():
    """Ok, failed, refused, and ok without a known direct cost."""
    return a_run(
        status=["ok", "failed", "refused", "ok"],
        cost_nano=[1_000_000_000, 500_000_000, 0, 3_000_000_000],
        direct_nano=[4_000_000_000, 1_000_000_000, None, None],
        quality=[0.9, 0.0, None, 0.6],
        value=[0.5, 0.4, None, 0.3],
        regret=[0.1, 0.2, 0.0, 0.3],
        latency_ms=[100.0, 900.0, None, 300.0],
    )


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (REGRET, 150.0), (REGRET_TOTAL, 0.6), (VALUE, 0.4), (QUALITY, 0.5), (COST, 1_500.0),
        (COST_TOTAL, 4.5), (SAVING, 1.0 - 1.5 / 5.0), (FAILED, 1.0 / 3.0), (REFUSED, 0.25), (P50, 200.0),
    ],
)  # fmt: skip
def test_each_measure_is_what_it_says(four, measure, expected):
    assert measured(measure, four) == pytest.approx(expected)


def test_a_mask_is_a_run_of_its_own(four):
    mask = np.array([True, False, True, False])
    assert measured(QUALITY, four, mask) == 0.9
    assert measured(REFUSED, four, mask) == 0.5
    assert isnan(measured(QUALITY, four, np.array([False, False, True, False])))
    assert isnan(measured(P50, four, np.array([False, True, True, False])))


@pytest.mark.parametrize("measure", RATIOS, ids=lambda m: m.name)
def test_influences_sum_to_nothing_and_scale_with_the_measure(measure):
    run = a_table("static", 3)
    moved = influence(measure, run)
    assert moved.shape == (len(run),)
    assert float(np.add.reduce(moved)) == pytest.approx(0.0, abs=1e-6 * measure.scale)


@pytest.mark.parametrize("measure", RATIOS, ids=lambda m: m.name)
def test_the_linearised_error_is_that_of_the_bootstrap(measure):
    run = a_table("static", 4, 2_000)
    alone = influence(measure, run)
    stderr = sqrt(float(np.add.reduce(alone * alone))) / len(run)
    above, below = measure.parts(run)
    chance = np.random.default_rng(1)
    drawn = chance.integers(0, len(run), (400, len(run)))
    again = measure.scale * above[drawn].sum(axis=1) / below[drawn].sum(axis=1)
    assert again.std() == pytest.approx(stderr, rel=0.15)


@given(st.floats(0.1, 10.0))
def test_a_measure_of_one_request_is_that_requests(cost):
    run = a_run(status=["ok"], cost_nano=[round(cost * 1e9)], direct_nano=[20_000_000_000])
    assert measured(COST, run) == pytest.approx(1_000.0 * round(cost * 1e9) / 1e9)


def test_where_nothing_counts_nothing_moves(four):
    gone = np.array([False, False, True, False])
    assert influence(QUALITY, four, gone).tolist() == [0.0]


def test_names_are_unique_and_each_has_its_estimand():
    assert len({measure.name for measure in ALL}) == len(ALL)
    assert all(len(measure.estimand) > 20 for measure in ALL)
    assert set(BY_GROUP) <= set(COMPARED)
