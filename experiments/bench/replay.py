"""How fast a log is verified, and how many bytes a round takes on disk.

A synthetic log of real prompts' row inputs over the simulated providers' arms: decided in one batch
by the very `decide` that replay checks, written, compacted, then verified as `p402 replay --verify`
does. The outcome of every round is one answered attempt.
"""

import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from experiments.bench.figure import Figure
from experiments.notebook_log import START_MS, assembly_of
from p402.commands.log import GOAL_MIB
from p402.events import AttemptResult, Decision, Outcome, RowInputs
from p402.flow.plan import make_plan
from p402.flow.state import WorkerState
from p402.ids import request_id
from p402.routing.compiled import Snapshot, compile_snapshot, parts_of
from p402.routing.decide import decide
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from p402.store import manifest as manifests
from p402.store.compactor import compact
from p402.store.components import ComponentStore
from p402.store.task_head import load_head
from p402.store.writer import LogWriter
from p402_datasets.paretobandit import TEST, load
from sim.drawn.contexts import request_of
from sim.providers.world import World
from sim.replay.verify import verify
from sim.world.clock import VirtualClock

ROUNDS: Final = 20_000
PROMPTS: Final = 400
WORKER: Final = "w0"
MIB: Final = 1 << 20


def run() -> list[Figure]:
    """Measure in about 15 seconds."""
    return measure(ROUNDS)


def measure(rounds: int) -> list[Figure]:
    """Figures of a log of so many rounds."""
    with tempfile.TemporaryDirectory(prefix="p402-bench-") as folder:
        log, store = Path(folder) / "log", Path(folder) / "store"
        write(log, store, rounds)
        compact(log)
        began = time.perf_counter()
        result = verify(log, store, lambda _done, _total: None)
        seconds = time.perf_counter() - began
        manifest = manifests.load(log)
        kept = sum(part.size_bytes for part in manifest.parts)
    wrong = float(result.mismatched + result.unverified + abs(result.rows - rounds))
    return [
        Figure(f"replay --verify, {rounds:,} rounds", rounds / seconds, "rows/s"),
        Figure("log per million rounds", kept / rounds * 1e6 / MIB, "MiB", most=float(GOAL_MIB)),
        Figure("rows that replay does not confirm", wrong, "", most=0.0),
    ]


def write(log: Path, store: Path, rounds: int) -> None:
    """A log of so many rounds, and the snapshot that it cites."""
    table = load()
    made = assembly_of(World(0, table), table)
    snapshot = compile_snapshot(made.spec)
    ComponentStore(store).put_snapshot(parts_of(made.spec))
    state, tenant = WorkerState(WORKER, snapshot, load_head()), made.tenants["default"]
    texts = [prompt.text for prompt in table.split(TEST).prompts[:PROMPTS]]
    modes = ("balanced", "balanced", "cost", "quality", "speed")
    clock = VirtualClock(START_MS)
    plans = [
        make_plan("", request_of(text, modes[i % len(modes)], f"bench-{i // 4}"), tenant, state, START_MS)
        for i, text in enumerate(texts)
    ]
    ids = [request_id(START_MS + i * 20, clock.random_bits()) for i in range(rounds)]
    inputs = [plans[i % len(plans)].inputs for i in range(rounds)]
    chosen = _decided(snapshot, ids, inputs)
    with LogWriter(log, WORKER, clock.now_ms) as writer:
        for i, (arm, count, eligible, explored) in enumerate(chosen):
            name, ts_ms = snapshot.spec.arms.arm[arm], START_MS + i * 20
            plan = plans[i % len(plans)]
            writer.append(
                Decision(
                    ts_ms=ts_ms,
                    id=ids[i],
                    tenant=tenant.name,
                    session=f"{plan.session}-{i // len(plans)}",
                    worker=WORKER,
                    snapshot=snapshot.id,
                    live_seq=0,
                    inputs=inputs[i],
                    arm=name,
                    count=count,
                    n_eligible=eligible,
                    n_explored=explored,
                    task=plan.signals.task,
                    baseline=None if plan.baseline is None else plan.baseline[1],
                    simulated=True,
                )
            )
            writer.append(_outcome(ids[i], tenant.name, name, inputs[i], ts_ms + 900))


def _decided(snapshot: Snapshot, ids: list[str], inputs: list[RowInputs]) -> list[list[int]]:
    live = LiveState.at_start(snapshot.n_arms)
    batch = to_batch(snapshot, ids, inputs, (live,), [0] * len(ids))
    found = decide(snapshot, batch)
    columns: list[list[int]] = np.stack(
        [found.arm, found.count, found.n_eligible, found.n_explored], axis=1
    ).tolist()
    return columns


def _outcome(made: str, tenant: str, arm: str, inputs: RowInputs, ts_ms: int) -> Outcome:
    latency = 300.0 + int(made[-4:], 16) % 5_000 / 7
    attempt = AttemptResult(
        arm=arm,
        status="ok",
        prompt_tokens=inputs.prompt_tokens,
        output_tokens=inputs.expected_output,
        cost_nano=inputs.prompt_tokens * 100 + inputs.expected_output * 400,
        price_pico=[100_000, 100_000, 400_000],
        latency_ms=round(latency, 3),
        ttfb_ms=round(latency, 3),
    )
    return Outcome(
        ts_ms=ts_ms,
        id=made,
        tenant=tenant,
        status="ok",
        arm=arm,
        attempts=[attempt],
        cost_nano=attempt.cost_nano,
        direct_nano=inputs.expected_output * 10_000,
        prompt_tokens=inputs.prompt_tokens,
        output_tokens=inputs.expected_output,
        latency_ms=round(latency + 0.7, 3),
        provider_latency_ms=round(latency, 3),
        ttfb_ms=round(latency, 3),
        overhead_ms=0.7,
    )
