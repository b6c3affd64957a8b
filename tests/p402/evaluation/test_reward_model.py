import numpy as np
import pytest

from p402.evaluation.logged import SCALE, LoggedBatch
from p402.evaluation.reward_model import cross_fitted, shrunk
from p402.evaluation.training import folds_of


def slow(batch, folds, shrinkage):
    """The same model, written again with loops over rows."""
    fold = folds_of(batch.session, folds)
    out = np.empty((batch.n, batch.n_arms))
    for i in range(batch.n):
        others = [j for j in range(batch.n) if fold[j] != fold[i]]
        w = sum(batch.observed[j] for j in others)
        overall = sum(batch.observed[j] * batch.reward[j] for j in others) / w if w else 0.5
        for k in range(batch.n_arms):
            mine = [j for j in others if batch.action[j] == k]
            arm = (sum(batch.observed[j] * batch.reward[j] for j in mine) + shrinkage * overall) / (
                sum(batch.observed[j] for j in mine) + shrinkage
            )
            same = [j for j in mine if batch.task[j] == batch.task[i]]
            out[i, k] = (sum(batch.observed[j] * batch.reward[j] for j in same) + shrinkage * arm) / (
                sum(batch.observed[j] for j in same) + shrinkage
            )
    return out


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_the_table_is_the_shrunk_mean_of_other_sessions(world, missing):
    batch = world.log(30, 1, missing)
    np.testing.assert_allclose(cross_fitted(batch, folds=3, shrinkage=4.0), slow(batch, 3, 4.0), atol=1e-12)


def test_a_session_s_rewards_never_reach_its_own_rows(world):
    batch = world.log(60, 2)
    session = batch.session[0]
    mine = batch.session == session
    flipped = LoggedBatch(
        batch.action,
        np.where(mine, 1.0 - batch.reward, batch.reward),
        batch.count,
        batch.eligible,
        batch.session,
        batch.observed,
        batch.task,
    )
    before, after = cross_fitted(batch), cross_fitted(flipped)
    np.testing.assert_array_equal(before[mine], after[mine])
    assert not np.array_equal(before, after)


def test_it_finds_the_means_given_enough_rounds(world):
    batch = world.log(8_000, 3)
    assert np.abs(cross_fitted(batch) - world.means[batch.task]).max() < 0.06


def test_task_indices_may_be_sparse(world):
    batch = world.log(50, 4)
    sparse = LoggedBatch(
        batch.action,
        batch.reward,
        batch.count,
        batch.eligible,
        batch.session,
        batch.observed,
        batch.task * 10**12,
    )
    np.testing.assert_array_equal(cross_fitted(batch), cross_fitted(sparse))


def test_with_nothing_to_learn_from_it_says_half():
    batch = LoggedBatch([0], [1.0], [SCALE], [[True, True]], [3], [1.0], [0])
    assert cross_fitted(batch).tolist() == [[0.5, 0.5]]


def test_an_arm_never_taken_has_the_global_mean():
    table = shrunk(np.array([[8.0, 0.0], [2.0, 0.0]]), np.array([[8.0, 0.0], [0.0, 0.0]]), 1.0)
    assert table[:, 1].tolist() == [0.8, 0.8]
    assert 0.0 < table[1, 0] < 0.8 < table[0, 0] < 1.0


def test_folds_are_of_nearly_equal_size_and_follow_the_session():
    session = np.repeat(np.arange(10_000), 2)
    fold = folds_of(session, 5)
    assert (fold[::2] == fold[1::2]).all()
    assert np.bincount(fold[::2]).min() > 1_800


@pytest.mark.parametrize("bad", [{"folds": 1}, {"shrinkage": 0.0}, {"shrinkage": float("nan")}])
def test_settings_that_would_leak_or_divide_by_nothing_are_refused(world, bad):
    with pytest.raises(ValueError, match="expected"):
        cross_fitted(world.log(5, 5), **bad)
