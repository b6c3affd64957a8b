"""Whether an interval that is printed without a warning is as good as it says, where many are not."""

import numpy as np
import pytest

from p402.evaluation.estimators import compare, evaluate
from p402.evaluation.logged import SCALE, LoggedBatch
from p402.evaluation.reward_model import cross_fitted

TASKS = 6


def softmax(scores, temperature):
    powers = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def a_trial(seed, arms, sessions, floor, kind):
    """A router-like log of short sessions, a target, and both policies' exact values."""
    rng = np.random.Generator(np.random.Philox(seed))
    means = np.clip(rng.normal(0.7, 0.12, arms) + rng.normal(0.0, 0.1, (TASKS, arms)), 0.02, 0.98)
    believed = np.clip(means + rng.normal(0.0, 0.1, means.shape), 0.0, 1.0)
    behaviour = (1.0 - floor) * softmax(believed, 0.03) + floor / arms
    counts = np.floor(behaviour * SCALE).astype(np.int64)
    counts[np.arange(TASKS), counts.argmax(axis=1)] += SCALE - counts.sum(axis=1)
    behaviour = counts / SCALE
    if kind == "near":
        target = 0.7 * behaviour + 0.3 * softmax(means, 0.03)
    elif kind == "far":
        near_enough = np.clip(means + rng.normal(0.0, 0.06, means.shape), 0.0, 1.0)
        target = (1.0 - floor) * softmax(near_enough, 0.03) + floor / arms
    else:
        target = np.zeros_like(means)
        target[np.arange(TASKS), believed.argmax(axis=1)] = 1.0
    task = np.repeat(rng.integers(0, TASKS, sessions), 2)
    n = 2 * sessions
    draw = rng.integers(0, SCALE, n)
    action = (draw[:, None] >= np.cumsum(counts[task], axis=1)).sum(axis=1)
    batch = LoggedBatch(
        action=action,
        reward=(rng.random(n) < means[task, action]).astype(float),
        count=counts[task, action],
        eligible=counts[task] > 0,
        session=np.repeat(np.arange(sessions), 2),
        observed=np.ones(n),
        task=task,
    )
    values = tuple(float((policy * means).sum(axis=1).mean()) for policy in (target, behaviour))
    return batch, target[task], behaviour[task], values


def trials(reps):
    cells = [
        (arms, sessions, floor, kind)
        for arms in (3, 12)
        for sessions in (300, 2_000)
        for floor in (0.01, 0.05, 0.2)
        for kind in ("near", "far", "greedy")
    ]
    for rep in range(reps):
        for place, cell in enumerate(cells):
            yield a_trial(rep * len(cells) + place, *cell)


@pytest.mark.slow
def test_at_least_93_percent_of_95_percent_intervals_without_a_warning_hold_the_truth():
    hits = {"clean": [], "warned": []}
    for batch, target, behaviour, (value, before) in trials(8):
        q = cross_fitted(batch)
        found = [(e, value) for e in evaluate(batch, target, q, names=("snips", "dr", "sndr"))]
        found += [(compare(batch, target, behaviour, model), value - before) for model in (q, None)]
        for estimate, truth in found:
            side = "warned" if estimate.warnings else "clean"
            hits[side].append(estimate.lower <= truth <= estimate.upper)
    assert len(hits["clean"]) > 0.25 * len(hits["warned"])
    assert np.mean(hits["clean"]) >= 0.93
    assert np.mean(hits["warned"]) < np.mean(hits["clean"]) - 0.02
