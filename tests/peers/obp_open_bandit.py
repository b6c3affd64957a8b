"""Every estimator beside `obp`'s on the Open Bandit data in its package; prints JSON, statistics alone.

The uniform-random logs of three campaigns of a fashion shop value the Thompson sampling that ran beside
them. `python -m tests.peers.obp_open_bandit > tests/golden/peers/open_bandit.json` freezes the statistics;
no row of the data (CC BY 4.0, ZOZO, Saito et al., NeurIPS 2021 Datasets and Benchmarks) is kept.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import obp
import polars as pl
from obp.policy import BernoulliTS

from p402.evaluation.reward_model import cross_fitted
from p402.evaluation.training import mrdr_weight
from tests.peers.side_by_side import batch_of, compared, counts_of, rows_that_sum_to_one

ARMS = {"all": 80, "men": 34, "women": 46}
PLACES = 3
DRAWS = 20_000


def read(policy: str, campaign: str) -> pl.DataFrame:
    path = Path(obp.__file__).parent / "dataset" / "obd" / policy / campaign / f"{campaign}.csv"
    return pl.read_csv(path, columns=["item_id", "position", "click", "propensity_score"])


def valued(campaign: str) -> dict:
    log, arms = read("random", campaign), ARMS[campaign]
    action, place = log["item_id"].to_numpy(), log["position"].to_numpy() - 1
    count = counts_of(log["propensity_score"].to_numpy())
    policy = BernoulliTS(
        n_actions=arms, len_list=PLACES, is_zozotown_prior=True, campaign=campaign, random_state=12_345
    )
    shares = policy.compute_batch_action_dist(n_rounds=1, n_sim=DRAWS)[0]  # (K, places)
    target = rows_that_sum_to_one(np.ascontiguousarray(shares.T[place]))
    batch = batch_of(action, log["click"].to_numpy(), count, np.ones((log.height, arms), bool), task=place)
    q_hat = cross_fitted(batch)
    q_mrdr = cross_fitted(batch, weight=mrdr_weight(batch, target))
    on_policy = read("bts", campaign)["click"].to_numpy()
    return compared(batch, target, q_hat, q_mrdr, place) | {
        "clicks": int(batch.reward.sum()),
        "on_policy": float(on_policy.mean()),
        "on_policy_stderr": float(on_policy.std(ddof=1) / len(on_policy) ** 0.5),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps({campaign: valued(campaign) for campaign in ARMS}, indent=1))
