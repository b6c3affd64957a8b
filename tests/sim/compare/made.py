"""A small honest world for tests: rounds drawn from a declared truth, on common random numbers.

Requests, and what an arm would answer to one, depend on the seed; a strategy is a rule that picks arms with a
skill of its own, getting better with time where it learns. Truth is known: utility is the arm's.
"""

import os
import signal
import time

import numpy as np
import pyarrow as pa

from sim.compare.job import Job
from sim.compare.rounds import run_of
from sim.compare.setting import Happening, Setting

ARMS = 6
START_MS = 1_795_392_000_000
DAY_MS = 86_400_000
SKILL = {"static": 0.0, "epsilon-greedy": 0.35, "linucb": 0.6, "p402": 0.9}
TASKS = ("chat", "code", "math")
TENANTS = ("acme", "birch", "cedar")


def rounds(strategy: str, seed: int, n: int = 600) -> pa.Table:
    """A run's table; `strategy` is a name of `SKILL`, or any other, which is as `static` is."""
    world = np.random.default_rng([seed, 1])
    quality = world.uniform(0.3, 0.95, (len(TASKS), ARMS))
    cost_usd = np.exp(world.uniform(-8.0, -4.0, ARMS))
    worth = 0.5 * quality + 0.5 * 0.002 / (0.002 + cost_usd)
    traffic = np.random.default_rng([seed, 2])
    t_ms = np.sort(traffic.integers(START_MS, START_MS + DAY_MS, n))
    task, tenant = traffic.integers(0, len(TASKS), n), traffic.integers(0, len(TENANTS), n)
    session = traffic.integers(0, max(2, n // 4), n)
    noise, luck = traffic.normal(0.0, 0.15, (n, ARMS)), traffic.uniform(size=(n, ARMS))
    slow = np.exp(traffic.normal(6.5, 0.6, (n, ARMS)))
    chance = np.random.default_rng([seed, 3, sum(map(ord, strategy))])
    skill = SKILL.get(strategy, 0.0) * np.minimum(1.0, np.arange(n) / (0.3 * n))
    best = np.argmax(worth[task], axis=1)
    arm = np.where(chance.uniform(size=n) < skill, best, chance.integers(0, ARMS, n))
    row = np.arange(n)
    refused = traffic.uniform(size=n) < 0.01
    failed = (luck[row, arm] < 0.03) & ~refused
    gone = refused | failed
    value = 0.97 * worth[task, arm]
    top = 0.97 * worth[task, best]
    answered = np.clip(quality[task, arm] + noise[row, arm], 0.0, 1.0)
    nano = np.rint(cost_usd[arm] * 1e9).astype(np.int64)
    return pa.table(
        {
            "seed": np.full(n, seed),
            "strategy": [strategy] * n,
            "t_ms": t_ms,
            "id": [f"{seed:04d}-{i:06d}" for i in range(n)],
            "tenant": [TENANTS[i] for i in tenant],
            "session": [f"s{i}" if i % 5 else None for i in session],
            "task": [TASKS[i] for i in task],
            "mode": ["balanced"] * n,
            "arm": [None if r else f"sim-{a}/model" for r, a in zip(refused, arm, strict=True)],
            "status": np.where(refused, "refused", np.where(failed, "failed", "ok")),
            "cost_nano": np.where(gone, 0, nano),
            "direct_nano": np.where(gone, 0, int(cost_usd.max() * 1.5e9)),
            "latency_ms": pa.array(slow[row, arm], mask=refused),
            "quality": pa.array(np.where(failed, 0.0, answered), mask=refused),
            "value": pa.array(value, mask=refused),
            "best": pa.array(top, mask=refused),
            "regret": np.where(refused, 0.0, top - value),
        }
    )


def play(job: Job) -> pa.Table:
    """What another process runs: the spec's bytes are the number of requests, or a misfortune's name."""
    order = job.spec.decode()
    if order == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "raises":
        raise ZeroDivisionError("a strategy of someone's own")
    if order == "sleeps" and job.seed:
        time.sleep(60.0)
    return rounds(job.strategy, job.seed, int(order) if order.isdigit() else 200)


def setting(**more) -> Setting:
    given = {
        "name": "small", "invented": "Simulated: nothing here is real",
        "about": "A small world of tests.", "sha256": "ab" * 32,
        "start_ms": START_MS, "hours": 24.0,
        "arms": ARMS, "providers": ARMS, "models": 1, "tenants": 3, "baseline": "model",
        "worth": "half quality, half cost score; 0 for a failure",
        "happenings": (
            Happening(START_MS + DAY_MS // 2, "sim-2 gets worse by 0.15"),
            Happening(START_MS + 3 * DAY_MS // 4, "sim-4 costs a third"),
        ),
    }  # fmt: skip
    return Setting(**(given | more))


def a_columns(**more):
    """Four requests; columns may be replaced."""
    n = next((len(values) for values in more.values()), 4)
    status = more.get("status", ["ok"] * n)
    refused = [one == "refused" for one in status]
    given = {
        "t_ms": [START_MS + i for i in range(n)], "id": [f"r{i}" for i in range(n)], "tenant": ["acme"] * n,
        "session": ["s"] * n, "task": ["chat"] * n, "mode": ["balanced"] * n,
        "arm": [None if r else "sim-1/model" for r in refused], "status": status, "cost_nano": [1_000] * n,
        "direct_nano": [2_000] * n, "latency_ms": [None if r else 100.0 for r in refused],
        "quality": [None if r else 0.5 for r in refused], "value": [None if r else 0.5 for r in refused],
        "best": [None if r else 0.5 for r in refused], "regret": [0.0] * n,
    }  # fmt: skip
    return given | more


def a_run(strategy="mine", seed=3, **more):
    """A run of such requests."""
    return run_of(pa.table(a_columns(**more)), strategy, seed)


def a_table(strategy, seed, n=600):
    """A run drawn from the declared truth."""
    return run_of(rounds(strategy, seed, n), strategy, seed)
