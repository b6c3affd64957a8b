"""How fast `decide` is: one decision over 300 arms, and a million over 50, with the memory they take.

Row inputs of real prompts in every mode, over the catalogue's arms. It runs in a process of its own,
so that peak memory is that of the decisions and not of whatever was measured before.
"""

import json
import resource
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from experiments.bench.figure import Figure
from experiments.bench.gateway import configuration
from experiments.notebook_log import START_MS
from p402.assemble import START_WEIGHTS, assemble
from p402.events import RowInputs
from p402.flow.plan import make_plan
from p402.flow.state import WorkerState
from p402.ids import request_id
from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot, compile_snapshot
from p402.routing.decide import decide, decide_one
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from p402.settings import read_settings
from p402.store.catalog import load_catalog
from p402.store.task_head import load_head
from p402_datasets.paretobandit import TEST, load
from sim.drawn.contexts import request_of
from sim.world.clock import VirtualClock

ONE_ARMS: Final = 300
MANY_ARMS: Final = 50
MANY: Final = 1_000_000
BLOCK: Final = 20_000
"""Rows made one by one; the million is one batch, in which these repeat."""

MODES: Final = ("balanced", "balanced", "cost", "quality", "speed")


def run() -> list[Figure]:
    """Measure in about 10 seconds."""
    command = [sys.executable, "-m", "experiments.bench.decision"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=300)  # noqa: S603 - our own module
    found = json.loads(done.stdout)
    return [
        Figure(
            f"one decision over {ONE_ARMS} arms from its row inputs, median", found["one_us"], "us", most=60.0
        ),
        Figure("the same from columns, as replay decides a batch of one", found["batched_us"], "us"),
        Figure(f"decisions over {MANY_ARMS} arms, one core", found["rate"], "/s", least=500_000.0),
        Figure("peak memory they add", found["mib"], "MiB", most=300.0),
    ]


def measure(rows: int = MANY, block: int = BLOCK, tries: int = 1_500) -> dict[str, float]:
    """Figures by name."""
    made = world(ONE_ARMS)
    snapshot, live, rows_of = made.snapshot, made.live, made.inputs
    batches = [made.batch(1, i) for i in range(100)]
    one_us = _median_us(
        lambda i: decide_one(snapshot, made.ids[i], rows_of[i % len(rows_of)], live), min(tries, BLOCK)
    )
    batched_us = _median_us(lambda i: decide(snapshot, batches[i % 100]), tries)
    made = world(MANY_ARMS)
    block_of = made.batch(block, 0)
    before_mib = _peak_mib()
    many = block_of.rows(np.arange(rows) % block)
    began = time.process_time()
    decide(made.snapshot, many)
    rate = rows / (time.process_time() - began)
    return {"one_us": one_us, "batched_us": batched_us, "rate": rate, "mib": _peak_mib() - before_mib}


@dataclass(frozen=True, slots=True)
class World:
    """A snapshot, a live state, and what requests over it are made of."""

    snapshot: Snapshot
    live: LiveState
    inputs: list[RowInputs]
    ids: list[str]

    def batch(self, n: int, first: int) -> RequestBatch:
        """A batch of n rows, the first with that number."""
        numbers = range(first, first + n)
        rows = [self.inputs[i % len(self.inputs)] for i in numbers]
        ids = [self.ids[i % len(self.ids)] for i in numbers]
        return to_batch(self.snapshot, ids, rows, (self.live,), [0] * n)


def world(arms: int) -> World:
    """So many of the catalogue's arms, and real prompts in every mode."""
    text = configuration(Path(), "http://127.0.0.1:1", "no key", arms)
    settings = read_settings(tomllib.loads(text, parse_float=Decimal), {})
    made = assemble(load_catalog(), settings, (), START_WEIGHTS, START_MS)
    snapshot = compile_snapshot(made.spec)
    state, tenant, clock = (
        WorkerState("w0", snapshot, load_head()),
        made.tenants["default"],
        VirtualClock(START_MS),
    )
    inputs = [
        make_plan("", request_of(p.text, MODES[i % len(MODES)], f"s{i}"), tenant, state, START_MS).inputs
        for i, p in enumerate(load().split(TEST).prompts[:400])
    ]
    ids = [request_id(START_MS + i, clock.random_bits()) for i in range(BLOCK)]
    return World(snapshot, state.live, inputs, ids)


def _median_us(work: Callable[[int], object], tries: int) -> float:
    took = []
    for i in range(tries):
        began = time.perf_counter_ns()
        work(i)
        took.append(time.perf_counter_ns() - began)
    return median(took) / 1e3


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(measure()))
