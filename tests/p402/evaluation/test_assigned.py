import math

import numpy as np
import pytest
from scipy import stats

from p402.evaluation.assigned import difference
from p402.evaluation.assignment import assign


def chance(seed):
    return np.random.Generator(np.random.Philox(seed))


def hashes(n, seed=0):
    return chance(seed).integers(-(2**62), 2**62, n)


def experiment(seed, effect, sessions=300):
    """Sessions of one to eight rounds; long ones earn less; their rounds share a mean."""
    rng = chance(seed)
    size = rng.integers(1, 9, sessions)
    session = np.repeat(hashes(sessions, seed + 10_000), size)
    group = assign(session, (0.5, 0.5), 77)
    mean = np.repeat(rng.normal(0.7 - 0.03 * size, 0.1), size) + effect * group
    return rng.normal(mean, 0.1), session, group


@pytest.mark.parametrize("weighs", ["per_round", "per_session"])
def test_the_interval_covers_the_effect_and_rows_taken_for_units_would_not(weighs):
    reps, covered, naive = 300, 0, 0
    for seed in range(reps):
        reward, session, group = experiment(seed, 0.05)
        found = difference(reward, session, group, weighs=weighs)
        covered += found.lower <= 0.05 <= found.upper
        simple = stats.ttest_ind(
            reward[group == 1], reward[group == 0], equal_var=False
        ).confidence_interval()
        naive += simple.low <= 0.05 <= simple.high
    assert abs(covered / reps - 0.95) < 4 * math.sqrt(0.05 * 0.95 / reps)
    assert naive < covered - 20


def test_means_of_sessions_are_welch_s_test_of_them():
    reward, session, group = experiment(1, 0.02)
    found = difference(reward, session, group, weighs="per_session")
    means = {
        g: np.array([reward[session == s].mean() for s in np.unique(session[group == g])]) for g in (0, 1)
    }
    known = stats.ttest_ind(means[1], means[0], equal_var=False)
    assert found.value == pytest.approx(means[1].mean() - means[0].mean(), rel=1e-12)
    assert found.value / found.stderr == pytest.approx(known.statistic, rel=1e-9)
    low, high = known.confidence_interval()
    assert (found.lower, found.upper) == (pytest.approx(low, rel=0.02), pytest.approx(high, rel=0.02))


def test_rounds_are_weighed_by_session_length_and_the_two_figures_differ():
    reward, session = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 1.0]), np.array([1, 2, 2, 2, 3, 4])
    group = np.array([0, 0, 0, 0, 1, 1])
    per_round = difference(reward, session, group, weighs="per_round")
    per_session = difference(reward, session, group, weighs="per_session")
    assert (per_round.current.value, per_session.current.value) == (0.25, 0.5)
    assert per_round.estimand != per_session.estimand
    assert "few_sessions" in per_round.warnings[0]


def test_copying_every_round_within_its_session_adds_no_certainty():
    reward, session, group = experiment(2, 0.0)
    once = difference(reward, session, group)
    twice = difference(*(np.repeat(column, 2) for column in (reward, session, group)))
    assert twice.stderr == pytest.approx(once.stderr, rel=1e-12)
    assert twice.new.rounds == 2 * once.new.rounds


def test_lost_sessions_are_noticed_and_honest_shares_are_not():
    reward, session, group = experiment(3, 0.0, 2_000)
    assert difference(reward, session, group).warnings == ()
    kept = (group == 0) | (session % 5 != 0)
    lost = difference(reward[kept], session[kept], group[kept])
    assert lost.ratio_p < 1e-3
    assert lost.warnings[0].startswith("sample_ratio")
    assert difference(reward, session, group, shares=(0.9, 0.1)).ratio_p < 1e-9


def test_an_empty_group_leaves_the_difference_unknown():
    reward, session, _ = experiment(4, 0.0)
    found = difference(reward, session, np.zeros(len(reward), np.int64))
    assert math.isnan(found.value)
    assert (found.lower, found.upper) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r, s, g: (r, s, 1 - 2 * g), "expected 0 .current. and 1 .new."),
        (lambda r, s, g: (r, s, np.arange(len(g)) % 2), "is in both groups"),
        (lambda r, s, g: (r[1:], s, g), "expected one of each a round"),
        (lambda r, s, g: (np.where(np.arange(len(r)) == 4, np.nan, r), s, g), r"reward\[4\] is no number"),
    ],
)
def test_what_is_no_experiment_on_sessions_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        difference(*change(*experiment(5, 0.0)))
