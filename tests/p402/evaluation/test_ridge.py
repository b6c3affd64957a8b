import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.evaluation.estimators import evaluate
from p402.evaluation.logged import SCALE, LoggedBatch
from p402.evaluation.reward_model import Table, cross_fitted
from p402.evaluation.ridge import Ridge, solved
from p402.evaluation.training import Split, by_epoch, by_fold


def linear(seed, n=3_000, d=3, arms=4):
    """Rewards linear in features, each arm by a line of its own, under an even log."""
    rng = np.random.Generator(np.random.Philox(seed))
    x = rng.random((n, d))
    lines = rng.random((arms, d)) * 0.8 / d + 0.05
    means = x @ lines.T + 0.1
    action = rng.integers(0, arms, n)
    batch = LoggedBatch(
        action=action,
        reward=(rng.random(n) < means[np.arange(n), action]).astype(float),
        count=np.full(n, SCALE // arms),
        eligible=np.ones((n, arms), bool),
        session=np.repeat(np.arange(n // 3), 3),
        observed=np.ones(n),
        task=np.zeros(n, np.int64),
    )
    return batch, x, means


def everything(batch):
    return Split(np.zeros(batch.n, np.int64), np.ones((1, 1), dtype=bool))


def by_least_squares(batch, x, weight, penalty):
    """The three steps once more, with numpy's solver."""
    ones = np.concatenate([np.ones((batch.n, 1)), x], axis=1)
    mean = np.average(batch.reward, weights=weight)

    def line(rows, left):
        a = (ones[rows] * weight[rows, None]).T @ ones[rows] + penalty * np.eye(ones.shape[1])
        return np.linalg.solve(a, (ones[rows] * weight[rows, None]).T @ left[rows])

    base = line(slice(None), batch.reward - mean)
    left = batch.reward - mean - ones @ base
    own = np.stack([line(batch.action == k, left) for k in range(batch.n_arms)])
    return np.clip(mean + ones @ base[:, None] + ones @ own.T, 0.0, 1.0)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(0, 4), st.floats(0.1, 50.0))
def test_its_lines_are_the_least_squares_solver_s(seed, d, penalty):
    batch, x, _ = linear(seed, 120, d, 3) if d else linear(seed, 120, 1, 3)
    x = x if d else x[:, :0]
    weight = np.random.default_rng(seed).random(batch.n)
    found = Ridge(x, penalty).fitted(batch, everything(batch), weight)
    assert found == pytest.approx(by_least_squares(batch, x, weight / weight.mean(), penalty), abs=1e-9)


@given(st.integers(1, 12), st.integers(0, 2**32))
def test_cholesky_solves(d, seed):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(3, d, d))
    matrix = half @ half.transpose(0, 2, 1) + 0.1 * np.eye(d)
    right = rng.normal(size=(3, d))
    expected = np.linalg.solve(matrix, right[:, :, None])[:, :, 0]
    assert solved(matrix, right) == pytest.approx(expected, rel=1e-6, abs=1e-8)
    alone = np.concatenate([solved(matrix[i : i + 1], right[i : i + 1]) for i in range(3)])
    assert (alone == solved(matrix, right)).all()


def test_no_row_is_predicted_by_its_own_session():
    batch, x, _ = linear(1, 600)
    split = by_fold(batch, 4)
    before = Ridge(x).fitted(batch, split)
    turned = batch.reward.copy()
    turned[split.group == 2] = 1.0 - turned[split.group == 2]
    changed = LoggedBatch(
        batch.action, turned, batch.count, batch.eligible, batch.session, batch.observed, batch.task
    )
    after = Ridge(x).fitted(changed, split)
    assert (after[split.group == 2] == before[split.group == 2]).all()
    assert (after[split.group == 1] != before[split.group == 1]).any()
    assert ((before >= 0.0) & (before <= 1.0)).all()


@pytest.mark.parametrize("model", [Table(), None])
def test_epochs_are_taught_by_the_past_and_the_first_by_nobody(model):
    batch, x, _ = linear(2, 600)
    epoch = np.arange(600) // 200
    found = (model or Ridge(x)).fitted(batch, by_epoch(batch, epoch))
    assert (found[epoch == 0] == 0.5).all()
    assert (found[epoch == 1] != 0.5).any()


def test_with_features_that_matter_it_lies_nearer_the_truth_than_the_table_and_dr_gains_by_it():
    batch, x, means = linear(3, 6_000)
    table, ridge = cross_fitted(batch), Ridge(x).fitted(batch, by_fold(batch, 5))
    assert np.mean((ridge - means) ** 2) < 0.4 * np.mean((table - means) ** 2)
    target = np.zeros_like(means)
    target[np.arange(batch.n), means.argmax(axis=1)] = 1.0
    by_table, by_ridge = (evaluate(batch, target, q, names=("dr",))[0] for q in (table, ridge))
    assert by_ridge.stderr < by_table.stderr
    truth = float(means.max(axis=1).mean())
    assert abs(by_ridge.value - truth) < 4 * by_ridge.stderr


def test_an_arm_of_no_rounds_keeps_to_the_line_of_all_and_unmatured_rounds_teach_nothing():
    batch, x, _ = linear(4, 600)
    silent = np.where(batch.action == 3, 0.0, 1.0)
    batch = LoggedBatch(
        batch.action, batch.reward, batch.count, batch.eligible, batch.session, silent, batch.task
    )
    found = Ridge(x).fitted(batch, everything(batch))
    ones = np.concatenate([np.ones((600, 1)), x], axis=1)
    kept = silent > 0
    mean = batch.reward[kept].mean()
    a = ones[kept].T @ ones[kept] + 10.0 * np.eye(4)
    base = np.linalg.solve(a, ones[kept].T @ (batch.reward[kept] - mean))
    assert found[:, 3] == pytest.approx(np.clip(mean + ones @ base, 0, 1), abs=1e-9)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: Ridge(x[:, 0]), "expected .rounds, features."),
        (lambda x: Ridge(np.where(x == x[5], np.nan, x)), r"features\[5\]"),
        (lambda x: Ridge(x, 0.0), "penalty is 0"),
        (
            lambda x: Ridge(x[:-1]).fitted(linear(5, 60)[0], by_fold(linear(5, 60)[0], 2)),
            "59 rows of features",
        ),
    ],
)
def test_features_that_do_not_fit_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make(linear(5, 60)[1])
