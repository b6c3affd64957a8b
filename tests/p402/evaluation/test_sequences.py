import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.evaluation.intervals import clustered_stderr, normal
from p402.evaluation.sequences import AsymptoticSequence, rho_for

RHO = rho_for(1_000, 0.5)


def chance(seed):
    return np.random.Generator(np.random.Philox(seed))


def test_looking_at_every_step_it_is_wrong_no_more_often_than_it_says_where_a_normal_interval_is():
    reps, late = 100, 100
    wrong = {"sequence": 0, "normal": 0}
    for seed in range(reps):
        values = (chance(seed).random(3_000) < 0.3).astype(float)
        t = np.arange(1, 3_001)
        mean = np.cumsum(values) / t
        spread = np.cumsum(values**2) / t - mean**2
        inner = t * spread * RHO**2 + 1.0
        reach = np.sqrt(inner / (t**2 * RHO**2) * np.log(inner / 0.05**2))
        off = np.abs(mean - 0.3)[late:]
        wrong["sequence"] += bool((off > reach[late:]).any())
        wrong["normal"] += bool((off > 1.96 * np.sqrt(spread / t)[late:]).any())
        found = AsymptoticSequence(0.05, RHO).update(values[:2_000]).interval
        assert found.upper - found.lower == pytest.approx(2.0 * reach[1_999], rel=1e-9)
    assert wrong["sequence"] / reps <= 0.05
    assert wrong["normal"] / reps > 0.25


def test_it_is_as_wide_as_a_few_normal_intervals_about_the_same_mean():
    rng = chance(1)
    session = np.repeat(np.arange(1_000), 3)
    values = np.repeat(rng.random(1_000), 3) * 0.5 + rng.random(3_000) * 0.5
    stderr, groups = clustered_stderr(values - values.mean(), session)
    usual = normal(float(values.mean()), stderr, groups)
    found = AsymptoticSequence(0.05, rho_for(1_000, 0.2)).update_rows(values, session)
    assert found.value == pytest.approx(values.mean(), rel=1e-12)
    assert 1.2 < (found.interval.upper - found.interval.lower) / (usual.upper - usual.lower) < 2.0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(1, 39))
def test_streams_can_be_cut_and_merged(values, cut):
    sizes = 1.0 + np.arange(len(values)) % 3
    totals = np.array(values) * sizes
    start = AsymptoticSequence()
    whole = start.update(totals, sizes)
    merged = start.update(totals[:cut], sizes[:cut]).merge(start.update(totals[cut:], sizes[cut:]))
    assert merged.units == whole.units
    assert merged.interval.lower == pytest.approx(whole.interval.lower, abs=1e-9)
    assert merged.interval.upper == pytest.approx(whole.interval.upper, abs=1e-9)


def test_before_two_units_nothing_is_known():
    assert AsymptoticSequence().update([0.4]).interval.upper == math.inf
    assert math.isnan(AsymptoticSequence().value)


def test_it_is_tightest_about_when_it_was_asked_to_be():
    widths = {}
    for units in (100, 1_000, 10_000):
        rho = rho_for(units, 0.5)
        found = AsymptoticSequence(0.05, rho).update(np.tile([0.0, 1.0], 500)).interval
        widths[units] = found.upper - found.lower
    assert widths[1_000] == min(widths.values())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: AsymptoticSequence(rho=0.0), "rho is 0"),
        (lambda: AsymptoticSequence(alpha=2.0), "alpha is"),
        (lambda: AsymptoticSequence().update([1.0], [0.0]), "sizes above 0"),
        (lambda: AsymptoticSequence().update([1.0, 2.0], [1.0]), "expected as many"),
        (lambda: AsymptoticSequence().merge(AsymptoticSequence(alpha=0.1)), "expected the same of both"),
        (lambda: rho_for(0, 1.0), "expected 1 or more"),
    ],
)
def test_what_makes_no_sequence_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
