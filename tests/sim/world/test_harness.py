"""The harness checks itself: importance weighting recovers the truth that the world declares.

Learning study, section 2d: a simulator whose truth is not of the rewards it draws makes every estimator look
biased. For every reward model the mean over replications must lie within four standard errors.
"""

import numpy as np
import pytest

from p402.evaluation.estimators import evaluate
from p402.evaluation.logged import SCALE, LoggedBatch
from p402_datasets import paretobandit
from p402_datasets.errors import MissingData
from sim.strategies.named import named
from sim.world import presets, run
from sim.world.spec import Bernoulli, Beta, Drift, Gaussian, Graded, Outage, Sessions, Worth
from tests.sim.world.small import ALDER, BIRCH, CHEAP, DEAR, a_world, changed

SEEDS = range(5)
KINDS = (Bernoulli(), Beta(concentration=4), Gaussian(sd=0.35), Graded(sd=0.3))


def a_hard_world(reward):
    """Means near both ends, where clipping matters, failures of every kind, a drift and an outage."""
    models = (
        changed(CHEAP, reward=reward, quality={"chat": 0.04, "code": 0.5}),
        changed(DEAR, reward=reward, quality={"chat": 0.97, "code": 0.8}, length_slope=0.03),
    )
    providers = (
        changed(
            ALDER,
            failures={"error": 0.05, "overloaded": 0.03, "hang": 0.02, "cut": 0.05},
            drifts=(Drift(at_h=2, until_h=5, quality=-0.4),),
        ),
        changed(BIRCH, outages=(Outage(at_h=3, hours=1),), rpm=4),
    )
    tenant = changed(a_world().tenants[0], caps_output=0.3, max_output=300)
    return a_world(
        hours=5,
        tick_s=3600.0,
        models=models,
        providers=providers,
        tenants=(tenant,),
        sessions=Sessions(),
        worth=Worth(quality=1.0, cost=0.0),
    )


def gap_of(table, truth, arm=None):
    """IPS on realised first-arm quality less the truth, of the logging policy or of always taking an arm.

    Its variance too: of each row's contribution to the difference, sessions being single requests.
    """
    rows = [r for r in table.to_pylist() if r["status"] != "refused"]
    arms = sorted({r["arm"] for r in rows})
    n, k, every = len(rows), len(arms), np.arange(len(rows))
    action = np.array([arms.index(r["arm"]) for r in rows])
    propensity = np.array([r["propensity"] for r in rows])
    reward = np.array([r["quality"] if r["served"] == r["arm"] else 0.0 for r in rows])
    count = np.round(propensity * SCALE).astype(int)
    batch = LoggedBatch(action, reward, count, np.ones((n, k), bool), every, np.ones(n), np.zeros(n, int))
    target = np.zeros((n, k))
    if arm is None:
        target += ((1 - propensity) / (k - 1))[:, None]
        target[every, action] = propensity
    else:
        target[:, arms.index(arm)] = 1.0
    (estimate,) = evaluate(batch, target, names=("ips",))
    gaps = target[every, action] / propensity * reward - np.array([r[truth] for r in rows])
    assert estimate.value - np.mean([r[truth] for r in rows]) == pytest.approx(gaps.mean(), abs=1e-12)
    return gaps.mean(), gaps.var() / n


@pytest.mark.parametrize("reward", KINDS, ids=lambda r: type(r).__name__)
def test_on_policy_ips_recovers_the_declared_truth(reward):
    spec = a_hard_world(reward)
    _within_four_errors([gap_of(run(spec, named("random")(), seed), "value") for seed in SEEDS])


def test_on_policy_ips_recovers_the_truth_of_real_rows():
    try:
        spec = changed(presets["table"], hours=1.0, worth=Worth(quality=1.0, cost=0.0))
    except MissingData as error:
        pytest.skip(str(error))
    assert spec.split == paretobandit.TEST
    _within_four_errors([gap_of(run(spec, named("random")(), seed), "value") for seed in SEEDS])


def test_ips_of_another_policy_recovers_the_best_that_the_world_declares():
    """In a world where one arm is the best of all at every moment, always taking it is worth `best`."""
    models = (changed(CHEAP, reward=Bernoulli()), changed(DEAR, reward=Bernoulli()))
    quiet = (changed(ALDER, quality=0.05), changed(BIRCH, failures={"error": 0.2}))
    spec = a_world(
        hours=4, models=models, providers=quiet, sessions=Sessions(), worth=Worth(quality=1.0, cost=0.0)
    )
    runs = [run(spec, named("random")(), seed) for seed in SEEDS]
    _within_four_errors([gap_of(table, "best", "alder/dear") for table in runs])


def _within_four_errors(gaps):
    means, variances = np.array(gaps).T
    error = np.sqrt(variances.sum()) / len(gaps)
    assert 0 < error < 0.06
    assert abs(means.mean()) <= 4 * error
