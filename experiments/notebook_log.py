"""A log for the notebooks where no demonstration has run: the real flow over the simulated providers.

In one process, on virtual time: the flow, the law of the daily cap, the log's writer and the world of
`p402 sim providers` are the product's own; only the sockets are left out. Three days of three
tenants, some thousand rounds, with failover, failed attempts that were billed, and judged outcomes.
The same seed gives the same log but for the names of its segments.
"""

import asyncio
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np

from p402.answer import Completed, Metadata, Rejected
from p402.assemble import START_WEIGHTS, Assembly, assemble
from p402.catalog.benchmarks import parse_benchmarks
from p402.events import Reward
from p402.flow.chat import Flow, Ports
from p402.flow.state import WorkerState
from p402.ports import Call, Completion, Failure, Stream, Usage
from p402.request import ChatRequest
from p402.routing.compiled import compile_snapshot
from p402.routing.spec import TASKS
from p402.settings import read_settings
from p402.store.catalog import load_catalog
from p402.store.settled import require_log
from p402.store.task_head import load_head
from p402.store.writer import LogWriter
from p402_datasets.outcomes import OutcomeTable
from p402_datasets.paretobandit import TEST, load
from sim.drawn.contexts import request_of
from sim.memory import MemoryGuard
from sim.providers.config import benchmarks_toml, providers_toml
from sim.providers.world import Ask, World
from sim.world.clock import VirtualClock

START_MS: Final = 1_795_132_800_000
"""2026-11-20 00:00 UTC."""

PAUSE_MS: Final = 90_000
"""Mean time between two sessions: 2,400 rounds take about three days."""

LONGEST: Final = 6
"""Rounds of the longest session."""

TENANTS: Final[Mapping[str, tuple[str, ...]]] = {
    "default": ("balanced", "balanced", "cost", "quality", "speed"),
    "lab": ("quality", "balanced"),
    "shop": ("cost", "speed"),
}
"""Modes that each tenant's sessions use, as often as they stand here."""

LATEST: Final = Path("var/demo/latest/log")
"""Where `p402 demo` leaves the log of its last run."""

SETTINGS: Final = """
[tenants.default]
baseline_model = "gemini-2.5-pro"
[tenants.lab]
baseline_model = "gemini-2.5-pro"
[tenants.shop]
baseline_model = "mistral-large-2512"
fee_bps = 100
"""


@dataclass(slots=True)
class WorldUpstream:
    """The far side without a socket: one attempt is one answer of the world, and its time passes."""

    world: World
    clock: VirtualClock
    quality: dict[str, float] = field(default_factory=dict)
    """Judge's reward of the last answer to a request."""
    _attempts: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _served: dict[str, int] = field(default_factory=dict)

    async def complete(self, call: Call) -> Completion | Failure:
        """Answer a call. An answer that breaks is billed for what had been written: half of it."""
        prompt = call.body["messages"][-1]["content"]
        asked = (call.provider, call.model, prompt)
        answer = self.world.answer(
            Ask(
                provider=call.provider,
                model=call.model,
                prompt=prompt,
                attempt=self._attempts.get(asked, 0),
                served=self._served.get(call.provider, 0),
                elapsed_s=(self.clock.ms - START_MS) / 1000,
                cap=call.output_cap,
            )
        )
        self._attempts[asked] = self._attempts.get(asked, 0) + 1
        self._served[call.provider] = self._served.get(call.provider, 0) + 1
        self.clock.ms += answer.ttft_ms
        if answer.failure is None:
            self.clock.ms += answer.generation_ms
            self.quality[call.request_id] = answer.quality
            usage = Usage(
                prompt=answer.prompt_tokens,
                output=answer.output_tokens,
                cached=answer.cached_tokens,
                reasoning=answer.reasoning_tokens,
            )
            return Completion(b"{}", usage)
        broke = answer.failure.value in {"cut", "error_event"}
        half = Usage(answer.prompt_tokens, answer.output_tokens // 2, estimated=True)
        text = f"simulated {answer.failure.value} of {call.provider}"
        return Failure(
            "PROVIDER_ERROR", 502, text, fail_over=True, counts=True, usage=half if broke else None
        )

    async def open_stream(self, call: Call) -> Stream | Failure:  # noqa: ARG002 - the port's form
        """Refuse: the traffic of the notebooks is not streamed."""
        return Failure("PROVIDER_ERROR", 502, "not streamed here", fail_over=False, counts=False)


def write_log(root: Path, rounds: int = 2_400, seed: int = 402) -> tuple[Metadata, ...]:
    """Write a log under `root` and give the metadata of every answer, as a client would have seen it.

    Parameters
    ----------
    rounds
        Requests to make, 1 or more; those that fail on every attempt are in the log only.
    seed
        Keys all chance.
    """
    with ThreadPoolExecutor(1) as thread:  # a notebook's own thread already runs an event loop
        return thread.submit(lambda: asyncio.run(_write(root, rounds, seed))).result()


async def _write(root: Path, rounds: int, seed: int) -> tuple[Metadata, ...]:
    table = load()
    world, clock = World(seed, table), VirtualClock(START_MS)
    made = assembly_of(world, table)
    upstream = WorldUpstream(world, clock)
    guard = MemoryGuard(lambda tenant: made.tenants[tenant].limits, clock.now_ms)
    chance = np.random.Generator(np.random.Philox(seed))
    answers: list[Metadata] = []
    with LogWriter(root, "w0", clock.now_ms) as log:
        state = WorkerState("w0", compile_snapshot(made.spec), load_head())
        flow = Flow(Ports(clock, log, guard, upstream), state, dict(made.upstream_model))
        for tenant, request in _traffic(table, rounds, clock, chance):
            answer = await flow.chat(request, made.tenants[tenant], clock.monotonic_ms())
            if isinstance(answer, Rejected):
                continue
            assert isinstance(answer, Completed)
            answers.append(answer.metadata)
            made_id = answer.metadata.request_id
            if chance.random() < 0.9:
                worth = upstream.quality[made_id]
                status = "accepted" if worth >= 0.5 else "rejected"
                now = clock.now_ms()
                reward = Reward(
                    ts_ms=now, id=made_id, tenant=tenant, source="judge", status=status, quality=worth
                )
                flow.outcome(made.tenants[tenant], reward)
    return tuple(answers)


def assembly_of(world: World, table: OutcomeTable) -> Assembly:
    """What a gateway in front of the simulated providers would start with."""
    text = providers_toml(world, "http://127.0.0.1:1") + SETTINGS
    settings = read_settings(tomllib.loads(text, parse_float=Decimal), {})
    scores = parse_benchmarks(tomllib.loads(benchmarks_toml(table), parse_float=Decimal), TASKS)
    return assemble(load_catalog(), settings, scores, START_WEIGHTS, START_MS)


def _traffic(
    table: OutcomeTable, rounds: int, clock: VirtualClock, chance: np.random.Generator
) -> Iterator[tuple[str, ChatRequest]]:
    """Requests with their tenants; time passes between them."""
    texts = [prompt.text for prompt in table.split(TEST).prompts]
    names = sorted(TENANTS)
    number = made = 0
    while made < rounds:
        clock.ms += float(chance.exponential(PAUSE_MS * (LONGEST + 1) / 2))
        tenant = names[int(chance.integers(len(names)))]
        modes = TENANTS[tenant]
        mode = modes[int(chance.integers(len(modes)))]
        session = f"{tenant}-{mode}-{number:04d}"
        number += 1
        for _ in range(min(rounds - made, int(chance.integers(1, LONGEST + 1)))):
            clock.ms += float(chance.exponential(20_000.0))
            yield tenant, request_of(texts[int(chance.integers(len(texts)))], mode, session)
            made += 1


def open_log(environ: Mapping[str, str], folder: Path, scratch: Path) -> Path:
    """The log that a notebook reads: `P402_DEMO_LOG`, else the last demonstration's, else a fresh one.

    Parameters
    ----------
    folder
        Where `var/` lies, or a folder below it.
    scratch
        Folder for the fresh log.

    Raises
    ------
    StoreError
        `P402_DEMO_LOG` names no folder.
    """
    named = environ.get("P402_DEMO_LOG")
    if named:
        require_log(Path(named))
        return Path(named)
    for root in (folder, *folder.parents):
        found = root / LATEST
        if found.is_dir():
            return found
    write_log(scratch)
    return scratch
