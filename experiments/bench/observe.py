"""How long `p402 observe` takes over a long log, and how much memory.

A synthetic log of observed rounds over the simulated providers' arms: real prompts, and the tokens that
the named model really took for them; decided in one batch by the very `decide` that observe checks,
written and compacted. The command runs in a process of its own, whose peak memory is read.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from experiments.bench.figure import Figure
from experiments.notebook_log import START_MS, assembly_of
from p402.events import Attempt, AttemptResult, Decision, Outcome, RowInputs
from p402.flow.plan import Plan, choose, make_plan
from p402.flow.state import WorkerState
from p402.ids import request_id
from p402.routing.compiled import Snapshot, compile_snapshot, parts_of
from p402.routing.decide import decide
from p402.routing.live import LiveState
from p402.routing.pricing import cost_at, token_prices
from p402.routing.rows import to_batch
from p402.store.compactor import compact
from p402.store.components import ComponentStore
from p402.store.task_head import load_head
from p402.store.writer import LogWriter
from p402_datasets.outcomes import OutcomeTable
from p402_datasets.paretobandit import TEST, load
from sim.drawn.contexts import request_of
from sim.providers.world import World
from sim.world.clock import VirtualClock

ROUNDS: Final = 200_000
PROMPTS: Final = 400
NAMED: Final = ("gemini-2.5-pro", "mistral-large-2512")
NAMED_OFTEN: Final = 5
"""Of so many sessions all but one name the first model; that one names the other."""

PER_SESSION: Final = 4
GAP_MS: Final = 500
WORKER: Final = "w0"

KIB_PER_MIB: Final = 1_024


@dataclass(frozen=True, slots=True)
class _Call:
    """A prompt that names a model: its plan, who is called, and what it used."""

    plan: Plan
    watched: RowInputs
    attempt: AttemptResult


def run() -> list[Figure]:
    """Measure in about two minutes."""
    return measure(ROUNDS)


def measure(rounds: int) -> list[Figure]:
    """Figures of a log of so many rounds."""
    with tempfile.TemporaryDirectory(prefix="p402-bench-") as folder:
        log, store = Path(folder) / "log", Path(folder) / "store"
        write(log, store, rounds)
        compact(log)
        began = time.perf_counter()
        found, peak_mib = _observed(log, store, Path(folder) / "found.json")
        seconds = time.perf_counter() - began
    return [
        Figure(f"observe, four modes, {rounds:,} rounds", rounds / seconds, "rows/s"),
        Figure("peak memory of observe", peak_mib, "MiB"),
        Figure("observed rounds in no figure", float(rounds - found["valued"]), "", most=0.0),
    ]


def _observed(log: Path, store: Path, out: Path) -> tuple[dict[str, Any], float]:
    """What `p402 observe` says, and its peak memory in MiB."""
    command = [
        sys.executable,
        "-m",
        "p402.cli",
        "observe",
        "--log",
        str(log),
        "--store",
        str(store),
        "--json",
    ]
    with out.open("wb") as file:
        process = subprocess.Popen(command, stdout=file)  # noqa: S603 - our own command
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ValueError(f"p402 observe ended with {process.returncode}; expected 0: see its words above")
    found: dict[str, Any] = msgspec.json.decode(out.read_bytes())
    return found, used.ru_maxrss / KIB_PER_MIB


def write(log: Path, store: Path, rounds: int) -> None:
    """A log of so many observed rounds, and the snapshot that it cites."""
    table = load()
    made = assembly_of(World(0, table), table)
    snapshot = compile_snapshot(made.spec)
    ComponentStore(store).put_snapshot(parts_of(made.spec))
    state, clock = WorkerState(WORKER, snapshot, load_head()), VirtualClock(START_MS)
    tenant = made.tenants["default"]
    test = table.split(TEST)
    calls = []
    for i, prompt in enumerate(test.prompts[:PROMPTS]):
        model = NAMED[i // PER_SESSION % NAMED_OFTEN == 0]
        asked = request_of(prompt.text, "balanced", "s")
        asked = msgspec.structs.replace(
            asked, model=model, options=msgspec.structs.replace(asked.options, mode=None)
        )
        plan = make_plan(request_id(START_MS, i), asked, tenant, state, START_MS)
        calls.append(_call(plan, model, test, i))
    ids = [request_id(START_MS + i * GAP_MS, clock.random_bits()) for i in range(rounds)]
    chosen = _decided(snapshot, ids, [calls[i % len(calls)].watched for i in range(rounds)])
    with LogWriter(log, WORKER, clock.now_ms) as writer:
        for i, made_id in enumerate(ids):
            for event in _round(calls[i % len(calls)], i, made_id, chosen[i]):
                writer.append(event)


def _call(plan: Plan, model: str, table: OutcomeTable, row: int) -> _Call:
    named = choose(plan, plan.inputs, plan.live)
    assert named is not None, "the simulated providers offer every model to everyone"
    assert plan.watched is not None, "the default of a tenant is to observe"
    column = [name.rpartition("/")[2] for name in table.models].index(model)
    prompt, output = int(table.prompt_tokens[row, column]), int(table.output_tokens[row, column])
    prices = token_prices(plan.snapshot.spec.prices, named.arm, prompt)
    assert prices is not None, "only arms of known price are chosen"
    attempt = AttemptResult(
        arm=named.name,
        status="ok",
        prompt_tokens=prompt,
        output_tokens=output,
        cost_nano=cost_at(prices, prompt, 0, output),
        price_pico=list(prices),
        latency_ms=400.0,
        ttfb_ms=400.0,
    )
    return _Call(plan, plan.watched, attempt)


def _decided(snapshot: Snapshot, ids: Sequence[str], inputs: Sequence[RowInputs]) -> list[list[int]]:
    live = LiveState.at_start(snapshot.n_arms)
    found = decide(snapshot, to_batch(snapshot, ids, inputs, (live,), [0] * len(ids)))
    columns: list[list[int]] = np.stack(
        [found.arm, found.count, found.n_eligible, found.n_explored], axis=1
    ).tolist()
    return columns


def _round(call: _Call, i: int, made: str, chosen: Sequence[int]) -> tuple[Decision, Attempt, Outcome]:
    plan, ts_ms, (arm, count, eligible, explored) = call.plan, START_MS + i * GAP_MS, chosen
    decision = Decision(
        ts_ms=ts_ms,
        id=made,
        tenant=plan.tenant.name,
        session=f"s{i // PER_SESSION}",
        worker=WORKER,
        snapshot=plan.snapshot.id,
        live_seq=0,
        inputs=call.watched,
        arm=plan.snapshot.spec.arms.arm[arm],
        count=count,
        n_eligible=eligible,
        n_explored=explored,
        task=plan.signals.task,
        baseline=None if plan.baseline is None else plan.baseline[1],
        observe=True,
        simulated=True,
    )
    attempt = Attempt(
        ts_ms=ts_ms,
        id=made,
        attempt=0,
        worker=WORKER,
        snapshot=plan.snapshot.id,
        live_seq=0,
        inputs=plan.inputs,
        arm=call.attempt.arm,
    )
    outcome = Outcome(
        ts_ms=ts_ms + 900,
        id=made,
        tenant=plan.tenant.name,
        status="ok",
        arm=call.attempt.arm,
        attempts=[call.attempt],
        cost_nano=call.attempt.cost_nano,
        direct_nano=call.attempt.cost_nano,
        prompt_tokens=call.attempt.prompt_tokens,
        output_tokens=call.attempt.output_tokens,
        latency_ms=400.7,
        provider_latency_ms=400.0,
        overhead_ms=0.7,
    )
    return decision, attempt, outcome
