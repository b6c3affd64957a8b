"""A small world whose truth is known, logged by the real decision, writer and store; and a ready MLflow."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from experiments.learning.places import Places
from experiments.learning.publication import weights_of
from p402.events import ArmLive, AttemptResult, Decision, Live, Outcome, Reward, RowInputs
from p402.ids import request_id
from p402.registry.tracking import DATABASE
from p402.routing.compiled import compile_snapshot, parts_of
from p402.routing.decide import decide
from p402.routing.features import FEATURES
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from p402.routing.scale import FEATURE_ONE, param
from p402.routing.spec import (
    TASKS,
    Arms,
    Mode,
    Policy,
    Posterior,
    Prices,
    SnapshotSpec,
    TenantPolicy,
    Tenants,
)
from p402.store.components import ComponentStore
from p402.store.writer import LogWriter

NOON = 1_795_348_800_000  # 2026-11-22 12:00 UTC
HOUR = 3_600_000
N_ARMS = 4


def spec(weights=None) -> SnapshotSpec:
    """Four arms on a line: the dearer the better believed, so that 50/50 is nearly a tie."""
    quality, cost = (0.5, 0.5) if weights is None else (weights.quality / 2**20, weights.cost / 2**20)

    def mode(q, c, s):
        return Mode(
            quality=param(q), cost=param(c), speed=param(s), tolerance=param(0.3), explore=True,
            loss_cap=param(0.02), floor=param(0.01), cost_ratio=param(100.0),
        )  # fmt: skip

    worth = [0.9, 0.77, 0.63, 0.5]  # cost scores: c0 / (c0 + c)
    price = tuple(round(2_000_000 * (1 / s - 1)) for s in worth)
    believed = [0.4, 0.53, 0.67, 0.8]
    length = FEATURES.index("length")
    theta = []
    for k, q in enumerate(believed):
        row = [0] * len(FEATURES)
        row[0], row[length] = param(q), param(0.06 * (k - 1.5))  # rounds differ in which arm they favour
        theta.append(tuple(row))
    some = (None,) * N_ARMS
    return SnapshotSpec(
        arms=Arms(
            arm=tuple(f"p{k}/m" for k in range(N_ARMS)), provider=tuple(f"p{k}" for k in range(N_ARMS)),
            model=("m",) * N_ARMS, family=("f",) * N_ARMS, capabilities=(1,) * N_ARMS,
            context_window=(100_000,) * N_ARMS, output_limit=some, simulated=(True,) * N_ARMS,
        ),
        prices=Prices(
            input=price, cache_read=some, output=price, threshold=some,
            input_above=some, cache_read_above=some, output_above=some,
        ),
        posterior=Posterior(
            features=FEATURES, tasks=TASKS, theta=tuple(theta), sd=((0,) * len(TASKS),) * N_ARMS,
            output_ratio=(FEATURE_ONE,) * N_ARMS, ttft_ms=(300,) * N_ARMS, quality_source=("prior",) * N_ARMS,
        ),
        policy=Policy(
            salt=402, beta=0, cost_half_pico=2_000_000_000, ttft_half_ms=300, switch_cost=0, prefer_bonus=0,
            set_size=32, default_max_output=4096,
            variants=((mode(0, 1, 0), mode(1, 0, 0), mode(0, 0, 1), mode(quality, cost, 0)),),
        ),
        tenants=Tenants(policies=(TenantPolicy(name="default", denied=()),)),
    )  # fmt: skip


def write_log(places: Places, n: int, *, lead: float, judged=0.8, seed=1, begin=NOON, published=None) -> None:
    """Serve `n` balanced rounds and log them: `lead` is how much better the cheapest arm is than the dearest.

    With `lead` 0 every arm is as good as any, and nothing is known of savings.
    """
    rng = np.random.default_rng(seed)
    made = spec(None if published is None else weights_of(published))
    snapshot = compile_snapshot(made)
    store = ComponentStore(places.store)
    store.put_snapshot(parts_of(made))
    worker = f"w{seed}"
    slow = ArmLive(open_circuit=False, ttft_ms=900, error_rate=0)
    states = (
        LiveState.at_start(N_ARMS),
        LiveState.project(1, {"p1/m": slow}, snapshot.index),
    )
    ids, inputs, seqs = [], [], []
    for i in range(n):
        features = [0] * len(FEATURES)
        task = int(rng.integers(0, 3))
        features[0], features[1 + task] = FEATURE_ONE, FEATURE_ONE
        features[FEATURES.index("length")] = int(rng.integers(0, FEATURE_ONE))
        ids.append(request_id(begin + i, int.from_bytes(rng.bytes(10), "big")))
        seqs.append(int(i >= n // 2))
        inputs.append(
            RowInputs(
                mode="balanced",
                features=features,
                task=task,
                prompt_tokens=500,
                prompt_bound=600,
                expected_output=300,
                ceiling_pico=10**13,
            )
        )
    chosen = decide(snapshot, to_batch(snapshot, ids, inputs, states, seqs))
    with LogWriter(places.log, worker, lambda: begin) as log:
        for i in range(n):
            if i == n // 2:
                log.append(Live(ts_ms=begin + i, worker=worker, seq=1, arms={"p1/m": slow}))
            arm, tenant = int(chosen.arm[i]), f"tenant-{(i // 2) % 3}"
            log.append(
                Decision(
                    ts_ms=begin + i,
                    id=ids[i],
                    tenant=tenant,
                    session=f"s{i // 2}",
                    worker=worker,
                    snapshot=snapshot.id,
                    live_seq=seqs[i],
                    inputs=inputs[i],
                    arm=f"p{arm}/m",
                    count=int(chosen.count[i]),
                    n_eligible=int(chosen.n_eligible[i]),
                    n_explored=int(chosen.n_explored[i]),
                    task=TASKS[inputs[i].task],
                    baseline="m",
                    simulated=True,
                )
            )
            failed = rng.random() < 0.03
            cost = 1_000 * (1 + arm)
            result = AttemptResult(
                arm=f"p{arm}/m", status="failed" if failed else "ok", cost_nano=cost, latency_ms=900.0
            )
            log.append(
                Outcome(
                    ts_ms=begin + i,
                    id=ids[i],
                    tenant=tenant,
                    status="failed" if failed else "ok",
                    arm=None if failed else f"p{arm}/m",
                    attempts=[result],
                    cost_nano=cost,
                    direct_nano=5_000 if lead else None,
                    latency_ms=901.0,
                    provider_latency_ms=900.0,
                    overhead_ms=1.0,
                )
            )
            good = rng.random() < 0.5 + lead * (0.5 - arm / (N_ARMS - 1))
            if not failed and rng.random() < judged:
                log.append(
                    Reward(
                        ts_ms=begin + i + 1,
                        id=ids[i],
                        tenant=tenant,
                        source=f"judge-{int(rng.integers(2))}",
                        status="accepted" if good else "rejected",
                    )
                )


@dataclass(frozen=True)
class World:
    """Folders in `root`, with a log already in place if one was asked for."""

    places: Places

    def options(self) -> list[str]:
        """What `p402 learn` is called with; `--registry` and `--tracking` come last."""
        p = self.places
        return [
            "--log", str(p.log), "--store", str(p.store), "--registry", str(p.registry),
            "--tracking", str(p.tracking),
        ]  # fmt: skip

    def hand_options(self) -> list[str]:
        """The same for `promote` and `rollback`."""
        return self.options()[4:]


def places_in(root: Path) -> Places:
    return Places(root / "log", root / "store", root / "registry", root / "mlflow")


@pytest.fixture(scope="session")
def logs(tmp_path_factory):
    """Two logs, written once: `strong`, where cheap arms are much better, and `null`, where none is."""
    roots = {}
    for name, lead in (("strong", 0.8), ("null", 0.0)):
        roots[name] = tmp_path_factory.mktemp(name)
        write_log(places_in(roots[name]), 3_000, lead=lead)
    return roots


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """An MLflow database with its tables: making them takes two seconds."""
    import os

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("migrated") / DATABASE
    MlflowClient(tracking_uri=f"sqlite:///{path}", registry_uri=f"sqlite:///{path}")
    return path


@pytest.fixture
def world(tmp_path, logs, migrated):
    """A world with the named log (or none), of which nothing was learned yet."""

    def make(log=None, name="world") -> World:
        places = places_in(tmp_path / name)
        places.tracking.mkdir(parents=True)
        shutil.copy(migrated, places.tracking / DATABASE)
        if log is None:
            places.log.mkdir()
            places.store.mkdir()
        else:
            shutil.copytree(logs[log] / "log", places.log)
            shutil.copytree(logs[log] / "store", places.store)
        return World(places)

    return make


@pytest.fixture
def serve_more():
    """Log more rounds into a world."""
    return write_log
