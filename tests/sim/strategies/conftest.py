"""Contexts and rounds to try policies on, and toy courses that are made once."""

from functools import lru_cache

import numpy as np
import pytest

from p402.ids import key_of, request_id
from p402.routing.spec import TASKS
from sim.strategies.contract import Contexts, Rounds
from tests.sim.strategies.toy import a_toy

START_MS = 1_780_000_000_000


def some_contexts(n=6, k=4, seed=0, first=0, **changes):
    rng = np.random.default_rng(seed)
    cost = rng.uniform(1e-5, 1e-2, (n, k))
    features = np.zeros((n, 1 + len(TASKS)))
    task = rng.integers(0, 3, n)
    features[:, 0] = 1.0
    features[np.arange(n), 1 + task] = 1.0
    columns = {
        "arms": tuple(f"p{i % 2}/m{i}" for i in range(k)),
        "providers": tuple(f"p{i % 2}" for i in range(k)),
        "models": tuple(f"m{i}" for i in range(k)),
        "feature_names": ("bias", *(f"task_{t}" for t in TASKS)),
        "features": features,
        "task": task,
        "prompt_tokens": np.full(n, 500.0),
        "expected_output": np.full(n, 200.0),
        "weights": np.tile([0.5, 0.5, 0.0], (n, 1)),
        "eligible": np.ones((n, k), bool),
        "cost_usd": cost,
        "cost_score": 2e-3 / (2e-3 + cost),
        "ttft_ms": np.full((n, k), 400.0),
        "speed_score": np.full((n, k), 0.5),
        "error_rate": np.zeros((n, k)),
        "prior_quality": rng.uniform(0.3, 0.9, (n, k)),
        "session": np.arange(n),
        "ts_ms": START_MS + first + np.arange(n),
        "key": np.array([key_of(request_id(START_MS + first + i, 7 * i)) for i in range(n)], np.uint64),
    } | changes
    return Contexts(**columns)


def some_rounds(contexts, action, quality):
    n = len(contexts)
    quality = np.broadcast_to(np.asarray(quality, float), n).copy()
    return Rounds(
        contexts=contexts,
        action=np.broadcast_to(np.asarray(action), n).astype(np.int64),
        propensity=np.ones(n),
        quality=quality,
        cost_usd=np.full(n, 1e-3),
        latency_ms=np.full(n, 500.0),
        failed=np.zeros(n, bool),
        output_tokens=np.full(n, np.nan),
    )


@pytest.fixture(scope="session")
def toys():
    return lru_cache(maxsize=4)(a_toy)
