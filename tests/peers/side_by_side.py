"""One set of rounds, valued by `obp` and by us, in the same process."""

import numpy as np

from p402.evaluation.estimators import evaluate
from p402.evaluation.fits import ALL_NAMES
from p402.evaluation.logged import LoggedBatch
from p402.evaluation.side import Bends
from tests.peers.made import ONE

BENDS = Bends(clip=5.0, switch=5.0, shrink=5.0)


def batch_of(action, reward, count, eligible, task=None) -> LoggedBatch:
    """Rounds each of which is a session of its own."""
    n = len(action)
    return LoggedBatch(
        action=action,
        reward=reward.astype(np.float64),
        count=count,
        eligible=eligible,
        session=np.arange(n),
        observed=np.ones(n),
        task=np.zeros(n, np.int64) if task is None else task,
    )


def counts_of(pscore: np.ndarray) -> np.ndarray:
    """Propensities as counts out of 2**24, which is what a log of ours holds; `obp` is shown the same."""
    return np.maximum(np.round(pscore * ONE), 1).astype(np.int64)


def rows_that_sum_to_one(probs: np.ndarray) -> np.ndarray:
    return probs / probs.sum(axis=1, keepdims=True)


def compared(batch, target, q_hat, q_mrdr, position=None) -> dict:
    """Every estimator at fixed bends: `{name: [ours, theirs]}` and the largest difference."""
    from obp.ope import (
        DirectMethod,
        DoublyRobust,
        DoublyRobustWithShrinkage,
        InverseProbabilityWeighting,
        SelfNormalizedDoublyRobust,
        SelfNormalizedInverseProbabilityWeighting,
        SwitchDoublyRobust,
    )

    position = np.zeros(batch.n, dtype=int) if position is None else position
    places = int(position.max()) + 1

    def placed(matrix):
        """`(n, K)` as `obp` wants it: `(n, K, places)`, of which it reads the row's own place."""
        return np.repeat(matrix[:, :, None], places, axis=2)

    plain = {
        "reward": batch.reward,
        "action": batch.action,
        "pscore": batch.propensity,
        "action_dist": placed(target),
        "position": position,
    }
    modelled = plain | {"estimated_rewards_by_reg_model": placed(q_hat)}
    theirs = {
        "ips": InverseProbabilityWeighting().estimate_policy_value(**plain),
        "snips": SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**plain),
        "dm": DirectMethod().estimate_policy_value(
            **{k: v for k, v in modelled.items() if k not in ("reward", "action", "pscore")}
        ),
        "dr": DoublyRobust().estimate_policy_value(**modelled),
        "sndr": SelfNormalizedDoublyRobust().estimate_policy_value(**modelled),
        "clipped_ips": InverseProbabilityWeighting(lambda_=5.0).estimate_policy_value(**plain),
        "switch_dr": SwitchDoublyRobust(lambda_=5.0).estimate_policy_value(**modelled),
        "dros": DoublyRobustWithShrinkage(lambda_=5.0).estimate_policy_value(**modelled),
        "mrdr": DoublyRobust().estimate_policy_value(
            **(plain | {"estimated_rewards_by_reg_model": placed(q_mrdr)})
        ),
    }
    ours = {e.name: e for e in evaluate(batch, target, q_hat, names=ALL_NAMES, q_mrdr=q_mrdr, bends=BENDS)}
    return {
        "values": {name: [ours[name].value, float(theirs[name])] for name in ALL_NAMES},
        "max_abs_diff": max(abs(ours[name].value - float(theirs[name])) for name in ALL_NAMES),
        "n": batch.n,
        "ess": ours["ips"].ess,
    }
