from dataclasses import dataclass

import numpy as np
import pytest

from p402.evaluation.logged import SCALE, LoggedBatch
from p402.learner.evidence import NO_SOURCE, Evidence
from p402.learner.reward import Objective, Parts, observed_weight, reward_of
from p402.learner.weights import START


@dataclass(frozen=True)
class Traffic:
    """Rounds of a world whose truth is known, and the policy that weights would have made of them.

    The policy scores arms by believed quality and by cheapness, prefers by inverse gap, and floors at
    1 %. What it believes need not be so: that is why weights can be wrong.
    """

    believed: np.ndarray  # (n, K)
    cheapness: np.ndarray  # (n, K)
    means: np.ndarray  # (n, K) expected reward, the truth
    evidence: Evidence

    def probabilities(self, weights) -> np.ndarray:
        cost, quality, _ = weights.shares
        return policy(quality * self.believed + cost * self.cheapness)

    def truth(self, weights) -> float:
        return float((self.probabilities(weights) * self.means).sum(axis=1).mean())


def policy(score) -> np.ndarray:
    n, k = score.shape
    rows, best = np.arange(n), score.argmax(axis=1)
    probs = 1.0 / (k + 200.0 * (score[rows, best][:, None] - score))
    probs[rows, best] = 0.0
    probs[rows, best] = 1.0 - probs.sum(axis=1)
    counts = np.floor((0.99 * probs + 0.01 / k) * SCALE)
    counts[rows, best] += SCALE - counts.sum(axis=1)
    return counts / SCALE


def traffic(
    n=8_000,
    seed=0,
    *,
    lead=0.0,
    judged=0.6,
    tenants=4,
    failing=0.02,
    sources=2,
    honest=None,
    current=START,
) -> Traffic:
    """`lead` > 0: cheap arms are better than believed by that much; 0: reward ignores the arm altogether.

    `honest`: tenants from this index on see no lead at all.
    """
    rng = np.random.default_rng(seed)
    k, size = 4, 2
    session = np.repeat(rng.integers(-(2**62), 2**62, n // size), size)
    tenant = np.repeat(rng.integers(0, tenants, n // size), size)
    task = np.repeat(rng.integers(0, 3, n // size), size)
    cheap = np.linspace(0.0, 1.0, k)
    believed = 1.0 - cheap + rng.normal(0.0, 0.08, (n, k))
    cheapness = np.tile(cheap, (n, 1))
    seen = np.full(n, lead)
    if honest is not None:
        seen[tenant >= honest] = 0.0
    quality = np.clip(0.5 + seen[:, None] * (cheap - 0.5), 0.0, 1.0)
    table = Traffic(believed, cheapness, quality, None)
    probs = table.probabilities(current)
    counts = np.rint(probs * SCALE).astype(np.int64)
    action = (rng.integers(0, SCALE, n)[:, None] >= np.cumsum(counts, axis=1)).sum(axis=1)
    rows = np.arange(n)
    failed = rng.random(n) < failing
    value = (rng.random(n) < quality[rows, action]).astype(float)
    known = rng.random(n) < judged
    parts = Parts(
        failed=failed,
        quality=np.where(known, value, np.nan),
        cost_nano=np.full(n, np.nan),
        direct_nano=np.full(n, np.nan),
        latency_ms=np.zeros(n),
    )
    rewards = reward_of(parts, Objective(quality_share=1.0, saving_share=0.0))
    batch = LoggedBatch(
        action=action,
        reward=rewards.value,
        count=counts[rows, action],
        eligible=np.ones((n, k), dtype=bool),
        session=session,
        observed=observed_weight(rewards, failed, task, action),
        task=task,
    )
    source = np.where(rewards.judged, rng.integers(0, sources, n), NO_SOURCE)
    evidence = Evidence(
        batch,
        rewards.judged,
        tenant,
        source,
        tuple(f"tenant-{i}" for i in range(tenants)),
        tuple(f"source-{i}" for i in range(sources)),
    )
    return Traffic(believed, cheapness, (1.0 - failing) * quality, evidence)


@pytest.fixture
def make_traffic():
    return traffic
