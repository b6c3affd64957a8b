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

REPLICATIONS = 6
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
        hours=8,
        models=models,
        providers=providers,
        tenants=(tenant,),
        sessions=Sessions(),
        worth=Worth(quality=1.0, cost=0.0),
    )


def ips_of(table, arm=None):
    """IPS of the logging policy, or of always taking an arm, on realised first-arm quality."""
    rows = [r for r in table.to_pylist() if r["status"] != "refused"]
    arms = sorted({r["arm"] for r in rows})
    action = np.array([arms.index(r["arm"]) for r in rows])
    count = np.array([round(r["propensity"] * SCALE) for r in rows])
    reward = np.array([r["quality"] if r["served"] == r["arm"] else 0.0 for r in rows])
    n, k = len(rows), len(arms)
    eligible = np.ones((n, k), bool)
    batch = LoggedBatch(action, reward, count, eligible, np.arange(n), np.ones(n), np.zeros(n, int))
    target = np.zeros((n, k))
    if arm is None:
        target[np.arange(n), action] = count / SCALE
        target += (1 - count / SCALE)[:, None] / (k - 1) * (np.arange(k) != action[:, None])
    else:
        target[:, arms.index(arm)] = 1.0
    (estimate,) = evaluate(batch, target, names=("ips",))
    return estimate.value, rows


@pytest.mark.parametrize("reward", KINDS, ids=lambda r: type(r).__name__)
def test_on_policy_ips_recovers_the_declared_truth(reward):
    spec, gaps = a_hard_world(reward), []
    for seed in range(REPLICATIONS):
        value, rows = ips_of(run(spec, named("random")(), seed))
        gaps.append(value - np.mean([r["value"] for r in rows]))
    _within_four_errors(gaps)


def test_on_policy_ips_recovers_the_truth_of_real_rows():
    try:
        spec = changed(presets["table"], hours=2.0, worth=Worth(quality=1.0, cost=0.0))
    except MissingData as error:
        pytest.skip(str(error))
    assert spec.split == paretobandit.TEST
    gaps = []
    for seed in range(REPLICATIONS):
        value, rows = ips_of(run(spec, named("random")(), seed))
        gaps.append(value - np.mean([r["value"] for r in rows]))
    _within_four_errors(gaps)


def test_ips_of_another_policy_recovers_the_best_that_the_world_declares():
    """In a world where one arm is the best of all at every moment, always taking it is worth `best`."""
    models = (changed(CHEAP, reward=Bernoulli()), changed(DEAR, reward=Bernoulli()))
    quiet = (changed(ALDER, quality=0.05), changed(BIRCH, failures={"error": 0.2}))
    spec = a_world(
        hours=6, models=models, providers=quiet, sessions=Sessions(), worth=Worth(quality=1.0, cost=0.0)
    )
    gaps = []
    for seed in range(REPLICATIONS):
        value, rows = ips_of(run(spec, named("random")(), seed), "alder/dear")
        gaps.append(value - np.mean([r["best"] for r in rows]))
    _within_four_errors(gaps)


def _within_four_errors(gaps):
    error = np.std(gaps, ddof=1) / np.sqrt(len(gaps))
    assert 0 < error < 0.03
    assert abs(np.mean(gaps)) <= 4 * error
