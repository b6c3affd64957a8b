"""Tallies of pieces say of all rounds what the one pass over all of them says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.evaluation.logged import LoggedBatch
from p402.evaluation.reward_model import cross_fitted
from p402.learner.reward import Parts, observed_weight, reward_of
from p402.learner.tally import Tally

TASKS, ARMS = ("write", "add", "code"), ("d", "a", "c", "b")


def some_rounds(rng, n, sessions=12):
    parts = Parts(
        failed=rng.random(n) < 0.2,
        quality=np.where(rng.random(n) < 0.5, rng.random(n), np.nan),
        cost_nano=rng.integers(0, 100, n).astype(float),
        direct_nano=np.full(n, 100.0),
        latency_ms=rng.random(n) * 20_000,
    )
    session = rng.integers(-(2**62), 2**62, sessions)[rng.integers(0, sessions, n)]
    return parts, rng.integers(0, len(TASKS), n), rng.integers(0, len(ARMS) - 1, n), session


def tally_of(rounds, rows):
    """Of some of the rounds, with only the names that occur, in another order."""
    parts, task, arm, session = rounds
    cut = Parts(*(getattr(parts, name)[rows] for name in Parts.__slots__))
    tasks, task = np.unique(task[rows], return_inverse=True)
    arms, arm = np.unique(arm[rows], return_inverse=True)
    return Tally.of(
        *(reward_of(cut), cut.failed),
        task=task,
        tasks=tuple(TASKS[k] for k in tasks),
        arm=arm,
        arms=tuple(ARMS[k] for k in arms),
        session=session[rows],
    )


def bits(tally):
    counts = (tally.failed, tally.answered, tally.judged, tally.worth)
    return tally.tasks, tally.arms, *(x.tobytes() for x in counts)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_weights_and_model_are_those_of_all_rounds_at_once(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n = data.draw(st.integers(1, 300))
    rounds = some_rounds(rng, n)
    parts, task, arm, session = rounds
    piece = rng.integers(0, data.draw(st.integers(1, 5)), n)
    tally = Tally.none()
    for k in rng.permutation(5):
        if (piece == k).any():
            tally = tally.plus(tally_of(rounds, np.flatnonzero(piece == k)))
    rewards = reward_of(parts)
    assert (tally.rounds, tally.matured) == (n, int(rewards.matured.sum()))
    assert tally.quality_outcomes == int(rewards.judged.sum())
    model = tally.model()
    at_task = np.array([model.tasks.index(TASKS[k]) for k in task])
    at_arm = np.array([model.arms.index(ARMS[k]) for k in arm])
    observed = model.observed(rewards, parts.failed, at_task, at_arm)
    assert observed.tolist() == observed_weight(rewards, parts.failed, task, arm).tolist()
    batch = LoggedBatch(
        *(arm, rewards.value, np.ones(n, np.int64), np.ones((n, len(ARMS)), bool), session, observed, task)
    )
    np.testing.assert_allclose(model.expected(session, at_task, ARMS), cross_fitted(batch), rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_pieces_may_be_added_in_any_order_and_grouping(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n = data.draw(st.integers(1, 100))
    rounds = some_rounds(rng, n)
    whole = bits(tally_of(rounds, np.arange(n)))
    piece = rng.integers(0, 6, n)
    parts = [tally_of(rounds, np.flatnonzero(piece == k)) for k in range(6) if (piece == k).any()]
    parts.append(Tally.none())
    while len(parts) > 1:
        a, b = (parts.pop(int(rng.integers(len(parts)))) for _ in range(2))
        parts.append(a.plus(b))
    assert bits(parts[0]) == whole


def test_an_arm_that_nobody_took_is_expected_to_earn_what_all_do():
    rounds = some_rounds(np.random.default_rng(3), 200, sessions=100)
    model = tally_of(rounds, np.arange(200)).model()
    found = model.expected(rounds[3], np.zeros(200, np.int64), ("b", "never heard of"))
    assert (found[:, 0] == found[:, 1]).all()  # "b" was never taken
    assert ((found > 0.0) & (found < 1.0)).all()


def test_of_no_rounds_nothing_is_known():
    none = Tally.none()
    assert none.rounds == none.matured == none.plus(none).rounds == 0
    assert none.model().expected(np.zeros(0, np.int64), np.zeros(0, np.int64), ("a",)).shape == (0, 1)
    with pytest.raises(IndexError):
        none.model().observed(
            reward_of(Parts(*([np.zeros(1, bool)] + [np.zeros(1)] * 4))),
            *(np.zeros(1, bool), np.zeros(1, np.int64), np.zeros(1, np.int64)),
        )
