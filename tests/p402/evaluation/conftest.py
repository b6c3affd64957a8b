from dataclasses import dataclass

import numpy as np
import pytest

from p402.evaluation.logged import SCALE, LoggedBatch


@dataclass(frozen=True)
class World:
    """Bernoulli rewards whose means are declared; sessions share a task; propensities are whole counts.

    Everything that an estimator may not know (`truth`) follows from `means` alone.
    """

    means: np.ndarray  # (tasks, K)
    behaviour: np.ndarray  # (tasks, K) counts, rows sum to 2**24
    length: int = 3  # rounds a session
    wobble: float = 0.0  # how much a session shifts all its means

    def log(self, sessions: int, seed: int, missing: float = 0.0) -> LoggedBatch:
        rng = np.random.default_rng(seed)
        n, tasks = sessions * self.length, len(self.means)
        session = np.repeat(rng.integers(-(2**62), 2**62, sessions), self.length)
        task = np.repeat(rng.integers(0, tasks, sessions), self.length)
        shift = np.repeat(rng.choice([-self.wobble, self.wobble], sessions), self.length)
        draw = rng.integers(0, SCALE, n)
        action = (draw[:, None] >= np.cumsum(self.behaviour[task], axis=1)).sum(axis=1)
        reward = (rng.random(n) < self.means[task, action] + shift).astype(float)
        observed = np.where(rng.random(n) < missing, 0.0, 1.0 / (1.0 - missing))
        return LoggedBatch(
            action=action,
            reward=np.where(observed > 0, reward, 0.0),
            count=self.behaviour[task, action],
            eligible=self.behaviour[task] > 0,
            session=session,
            observed=observed,
            task=task,
        )

    def truth(self, target: np.ndarray) -> float:
        """Value of a (tasks, K) target policy: tasks are uniform, shifts have mean 0."""
        return float((target * self.means).sum(axis=1).mean())


def counts(probs) -> np.ndarray:
    whole = np.floor(np.asarray(probs) * SCALE).astype(np.int64)
    rows = np.arange(len(whole))
    whole[rows, whole.argmax(axis=1)] += SCALE - whole.sum(axis=1)
    return whole


@pytest.fixture
def world() -> World:
    means = np.array([[0.9, 0.6, 0.5, 0.2], [0.3, 0.7, 0.5, 0.6]])
    behaviour = counts([[0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]])
    return World(means, behaviour, wobble=0.1)


@pytest.fixture
def target() -> np.ndarray:
    return counts([[0.85, 0.05, 0.05, 0.05], [0.05, 0.75, 0.05, 0.15]]) / SCALE


@pytest.fixture
def whole_counts():
    return counts


@pytest.fixture
def make_world():
    return World
