"""Every estimator and MRDR's weights beside `obp`'s on its synthetic bandit data; prints JSON.

Runs in `.venv/peers`: `python -m tests.peers.obp_synthetic`.
"""

import json
import warnings

import numpy as np
from obp.dataset import SyntheticBanditDataset, logistic_reward_function
from obp.ope import RegressionModel
from sklearn.linear_model import LogisticRegression, Ridge

from p402.evaluation.logged import LoggedBatch
from p402.evaluation.ridge import Ridge as OurRidge
from p402.evaluation.training import Split, mrdr_weight
from tests.peers.side_by_side import batch_of, compared, counts_of, rows_that_sum_to_one

SEED, ROUNDS, ARMS = 12_345, 10_000, 10

WEIGHTS: list[np.ndarray] = []
"""What `obp` hands its base model, fit by fit."""


class Overheard(Ridge):
    """Ridge regression that notes the weights it is fitted with."""

    def fit(self, X, y, sample_weight=None):  # noqa: N803
        WEIGHTS.append(sample_weight)
        return super().fit(X, y, sample_weight=sample_weight)


def ridge_apart(batch: LoggedBatch, context: np.ndarray, weight: np.ndarray, penalty: float) -> float:
    """How far our ridge lies from scikit-learn's, step by step, when all rounds teach all."""
    everything = Split(np.zeros(batch.n, np.int64), np.ones((1, 1), dtype=bool))
    ours = OurRidge(context, penalty).fitted(batch, everything, weight)
    counted = weight / weight.mean()
    x = np.concatenate([np.ones((batch.n, 1)), context], axis=1)
    mean = np.average(batch.reward, weights=counted)
    line = Ridge(alpha=penalty, fit_intercept=False).fit(x, batch.reward - mean, sample_weight=counted)
    left = batch.reward - mean - line.predict(x)
    theirs = np.empty_like(ours)
    for arm in range(batch.n_arms):
        mine = batch.action == arm
        own = Ridge(alpha=penalty, fit_intercept=False).fit(x[mine], left[mine], sample_weight=counted[mine])
        theirs[:, arm] = mean + line.predict(x) + own.predict(x)
    return float(np.max(np.abs(ours - np.clip(theirs, 0.0, 1.0))))


def main() -> None:
    data = SyntheticBanditDataset(
        n_actions=ARMS,
        dim_context=5,
        reward_type="binary",
        reward_function=logistic_reward_function,
        random_state=SEED,
    )
    log = data.obtain_batch_bandit_feedback(n_rounds=ROUNDS)
    q_true = log["expected_reward"]
    sharp = np.exp(8.0 * q_true)
    target = rows_that_sum_to_one(sharp)
    count = counts_of(log["pscore"])
    batch = batch_of(log["action"], log["reward"], count, np.ones((ROUNDS, ARMS), dtype=bool))
    words = {
        "context": log["context"],
        "action": log["action"],
        "reward": log["reward"],
        "pscore": batch.propensity,
    }
    plain = RegressionModel(n_actions=ARMS, base_model=LogisticRegression(max_iter=1_000))
    q_hat = plain.fit_predict(**words, n_folds=3, random_state=SEED)[:, :, 0]
    robust = RegressionModel(n_actions=ARMS, base_model=Overheard(), fitting_method="mrdr")
    q_mrdr = robust.fit_predict(**words, n_folds=1, action_dist=target[:, :, None])[:, :, 0]
    found = compared(batch, target, q_hat, q_mrdr)
    ours = mrdr_weight(batch, target)
    found["mrdr_weight_max_rel_diff"] = float(np.max(np.abs(ours / WEIGHTS[0] - 1.0)))
    found["ridge_max_abs_diff"] = ridge_apart(batch, log["context"], ours, 10.0)
    found["truth"] = float((target * q_true).sum(axis=1).mean())
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
