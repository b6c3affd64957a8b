import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.events import Reward
from p402.learner.reward import (
    Judgement,
    Objective,
    Parts,
    judgement_of,
    observed_weight,
    reward_of,
    saving_of,
)

NAN = math.nan


def one(*, failed=False, quality=NAN, cost=NAN, direct=NAN, latency=0.0):
    return Parts(
        np.array([failed]), np.array([quality]), np.array([cost]), np.array([direct]), np.array([latency])
    )


@pytest.mark.parametrize(
    ("parts", "value", "matured"),
    [
        (one(quality=1.0, cost=0.0, direct=10.0), 1.0, True),
        (one(quality=0.8, cost=4.0, direct=10.0), 0.7, True),
        (one(quality=0.8, cost=40.0, direct=10.0), 0.4, True),  # dearer than direct saves nothing
        (one(quality=0.8, cost=4.0), 0.4, True),  # no baseline, no credit
        (one(quality=0.8, direct=10.0), 0.4, True),  # no price, no credit
        (one(quality=0.8, cost=0.0, direct=0.0), 0.4, True),
        (one(cost=0.0, direct=10.0), 0.0, False),  # cheap, but nobody said it was good
        (one(failed=True, quality=1.0, cost=0.0, direct=10.0), 0.0, True),  # the failover's praise
        (one(failed=True), 0.0, True),
        (one(quality=1.0, cost=0.0, direct=1.0, latency=15_000.0), 0.9, True),
        (one(quality=1.0, cost=0.0, direct=1.0, latency=10_000.0), 1.0, True),
        (one(quality=0.1, latency=1e9), 0.0, True),
        (one(quality=1.0, latency=NAN), 0.5, True),
    ],
)
def test_a_round_is_worth_its_first_arm_s_quality_and_saving(parts, value, matured):
    rewards = reward_of(parts)
    assert rewards.value[0] == pytest.approx(value)
    assert rewards.matured[0] == matured


@given(
    st.booleans(),
    st.floats(0, 1) | st.just(NAN),
    st.floats(0, 1e12) | st.just(NAN),
    st.floats(0, 1e12) | st.just(NAN),
    st.floats(0, 1e9),
    st.floats(0, 1),
)
def test_a_reward_lies_within_0_and_1_and_a_failure_is_worth_nothing(
    failed, quality, cost, direct, ms, share
):
    objective = Objective(quality_share=share, saving_share=1.0 - share, slo_ms=500.0, penalty_per_second=0.1)
    rewards = reward_of(one(failed=failed, quality=quality, cost=cost, direct=direct, latency=ms), objective)
    assert 0.0 <= rewards.value[0] <= 1.0
    assert rewards.matured[0] == (failed or not math.isnan(quality))
    assert rewards.judged[0] == (not failed and not math.isnan(quality))
    if failed:
        assert rewards.value[0] == 0.0


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 1e6))
def test_better_or_cheaper_is_never_worth_less(low, high, few, many):
    quality, cost = sorted((low, high)), sorted((few, many))
    worth = [reward_of(one(quality=q, cost=c, direct=1e6)).value[0] for q in quality for c in cost[::-1]]
    assert worth[0] <= worth[1] <= worth[3] + 1e-15
    assert worth[0] <= worth[2] <= worth[3] + 1e-15


def test_saving_is_a_share_of_the_named_baseline_s_cost():
    saved = saving_of(np.array([25.0, 200.0, 0.0]), np.array([100.0, 100.0, 100.0]))
    assert saved.tolist() == [0.75, 0.0, 1.0]


@pytest.mark.parametrize(
    ("column", "value"),
    [("quality", 1.01), ("quality", -0.1), ("cost", -1.0), ("latency", math.inf), ("direct", -1.0)],
)
def test_parts_out_of_range_are_refused(column, value):
    with pytest.raises(ValueError, match=r"\[0\] is"):
        one(**{column: value})


@pytest.mark.parametrize(
    "bad",
    [
        {"quality_share": 0.6},
        {"quality_share": -0.5, "saving_share": 1.5},
        {"slo_ms": -1.0},
        {"penalty_per_second": math.inf},
        {"penalty_per_second": math.nan},
    ],
)
def test_an_objective_that_means_nothing_is_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        Objective(**bad)


def observed(judged, failed, task, action, floor=0.1):
    n = len(judged)
    quality = np.where(judged, 0.5, NAN)
    parts = Parts(np.array(failed), quality, np.full(n, NAN), np.full(n, NAN), np.zeros(n))
    return observed_weight(
        reward_of(parts), np.array(failed), np.array(task), np.array(action), floor=floor
    ).tolist()


def test_judged_rounds_stand_for_the_unjudged_of_their_task_and_arm():
    judged = [True, False, True, True, False]
    assert observed(judged, [False] * 5, [0, 0, 0, 1, 1], [2, 2, 1, 2, 2]) == [2.0, 0.0, 1.0, 2.0, 0.0]


def test_failures_are_always_observed_and_do_not_dilute_the_rate():
    assert observed([True, False, False], [False, True, True], [0] * 3, [0] * 3) == [1.0, 1.0, 1.0]


def test_no_row_stands_for_more_than_the_floor_allows():
    assert observed([True] + [False] * 99, [False] * 100, [0] * 100, [0] * 100)[0] == 10.0
    with pytest.raises(ValueError, match="floor is 0"):
        observed([True], [False], [0], [0], floor=0.0)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_weights_of_each_arm_sum_to_its_rounds_when_any_was_judged(rows):
    judged, failed, task, action = (list(column) for column in zip(*rows, strict=True))
    weight = observed(judged, failed, task, action, floor=1e-9)
    for arm in set(action):
        mine = [i for i, row in enumerate(rows) if row[3] == arm]
        if any(judged[i] and not failed[i] for i in mine):
            assert sum(weight[i] for i in mine) == pytest.approx(len(mine))
        else:
            assert sum(weight[i] for i in mine) == sum(failed[i] for i in mine)


def test_a_task_that_nobody_judged_is_spoken_for_by_the_arms_other_tasks():
    judged, task, arm = [True, False, False, False, True], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1]
    assert observed(judged, [False] * 5, task, arm) == [4.0, 0.0, 0.0, 0.0, 1.0]


def test_a_task_that_was_judged_stands_for_itself_where_no_task_is_silent():
    judged, task = [True, False, True, True], [0, 0, 1, 1]
    assert observed(judged, [False] * 4, task, [0] * 4) == [2.0, 0.0, 1.0, 1.0]


def said(source, status="unknown", quality=None, ts_ms=0):
    return Reward(ts_ms=ts_ms, id="req", tenant="t", source=source, status=status, quality=quality)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], Judgement(None, None)),
        ([said("user", "pending_review")], Judgement(None, None)),
        ([said("user", "accepted")], Judgement(1.0, "user")),
        ([said("user", "accepted", 0.3)], Judgement(0.3, "user")),
        ([said("user", "rejected"), said("judge", quality=0.5)], Judgement(0.25, "judge+user")),
        ([said("user", "accepted", ts_ms=5), said("user", "rejected", ts_ms=3)], Judgement(1.0, "user")),
        ([said("user", "accepted"), said("user", "unknown")], Judgement(None, None)),
    ],
)
def test_the_last_word_of_each_source_counts(events, expected):
    assert judgement_of(events) == expected
