"""Logs made by the real flow, log writer and component store, on a clock and providers of the test's own."""

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path

from p402.answer import Completed, StreamEnd, Streaming
from p402.events import Reward
from p402.flow.chat import Flow, Ports
from p402.flow.state import WorkerState
from p402.ports import Completion, Failure, Usage
from p402.request import ChatRequest, Options, Tenant, Transcript, Weights
from p402.routing.compiled import compile_snapshot, parts_of
from p402.routing.features import FEATURES
from p402.routing.scale import PARAM_ONE, param
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
from p402.store.task_head import load_head
from p402.store.writer import LogWriter
from sim.memory import MemoryGuard
from tests.limits import capped

START_MS = 1_795_000_000_000
DOLLAR = 1_000_000_000
PROVIDERS = ("alder", "birch", "cedar", "elm", "fir")
MODELS = ("large", "small")
PROMPTS = (
    "Write a python function that parses a date.",
    "Solve 3x + 4 = 19 step by step.",
    "Summarize this letter in one paragraph.",
    "Good morning, how are you?",
)


def a_mode(quality, cost, speed, **changes):
    given = {
        "tolerance": param(0.6),
        "explore": True,
        "loss_cap": param(0.05),
        "floor": param(0.05),
        "cost_ratio": param(1000.0),
        "chain": (),
    } | changes
    return Mode(quality=param(quality), cost=param(cost), speed=param(speed), **given)


def a_spec(*, quality=0.5, seed=0, mode=None, providers=PROVIDERS[:4], **policy):
    """Two models at each provider; `quality` is balanced mode's weight."""
    rng = random.Random(seed)
    arms = sorted((f"{p}/{m}", p, m) for p in providers for m in MODELS)
    n = len(arms)
    base = {"large": 3_000_000, "small": 400_000}
    price = [int(base[m] * (0.7 + 0.2 * PROVIDERS.index(p))) for _, p, m in arms]
    balanced = mode or a_mode(quality, 1 - quality, 0)
    trial = a_mode(0.9, 0.1, 0)
    modes = (a_mode(0, 1, 0), a_mode(1, 0.001, 0), a_mode(0, 0.001, 1), balanced)
    given = {
        "salt": 0x402,
        "beta": param(0.5),
        "cost_half_pico": 2_000_000_000,
        "ttft_half_ms": 300,
        "switch_cost": param(0.05),
        "prefer_bonus": param(0.1),
        "set_size": 32,
        "default_max_output": 512,
        "variants": (modes, (*modes[:3], trial)),
    } | policy
    return SnapshotSpec(
        arms=Arms(
            arm=tuple(a for a, _, _ in arms),
            provider=tuple(p for _, p, _ in arms),
            model=tuple(m for _, _, m in arms),
            family=("open",) * n,
            capabilities=(127,) * n,
            context_window=(32_768,) * n,
            output_limit=(4_096,) * n,
            simulated=(True,) * n,
        ),
        prices=Prices(
            input=tuple(price),
            cache_read=tuple(p // 10 for p in price),
            output=tuple(4 * p for p in price),
            threshold=(None,) * n,
            input_above=(None,) * n,
            cache_read_above=(None,) * n,
            output_above=(None,) * n,
        ),
        posterior=Posterior(
            features=FEATURES,
            tasks=TASKS,
            theta=tuple(tuple(rng.randrange(PARAM_ONE // 3) for _ in FEATURES) for _ in arms),
            sd=tuple(tuple(rng.randrange(PARAM_ONE // 8) for _ in TASKS) for _ in arms),
            output_ratio=(4096,) * n,
            ttft_ms=(400,) * n,
            quality_source=("prior",) * n,
        ),
        policy=Policy(**given),
        tenants=Tenants(policies=(TenantPolicy(name="default", denied=()),)),
    )


@dataclass
class Clock:
    """Virtual time that each look moves on."""

    rng: random.Random
    ms: float = START_MS

    def now_ms(self):
        return int(self.ms)

    def monotonic_ms(self):
        self.ms += 1
        return self.ms

    def random_bits(self):
        return self.rng.getrandbits(80)


@dataclass
class Answered:
    """A short stream with a clean end."""

    usage: Usage
    failure: None = None
    warnings: tuple[str, ...] = ()

    async def __aiter__(self):
        yield b'data: {"choices": []}\n\n'

    async def aclose(self):
        pass


@dataclass
class Providers:
    """Each provider fails with its own probability and answers after its own time."""

    rng: random.Random
    clock: Clock
    failing: dict[str, float] = field(default_factory=lambda: {"birch": 0.3, "cedar": 0.9})

    def _meet(self, call):
        self.clock.ms += 40 * (1 + PROVIDERS.index(call.provider)) + self.rng.randrange(60)
        if self.rng.random() < self.failing.get(call.provider, 0):
            return Failure("PROVIDER_ERROR", 502, "broke", fail_over=True, counts=True)
        return None

    async def complete(self, call):
        return self._meet(call) or Completion(b"{}", Usage(prompt=100, output=50))

    async def open_stream(self, call):
        return self._meet(call) or Answered(Usage(prompt=100, output=50))


@dataclass
class House:
    """A log, a store, workers on them, and the traffic between."""

    root: Path
    seed: int = 0

    def __post_init__(self):
        self.rng = random.Random(self.seed)
        self.clock = Clock(random.Random(self.seed + 1))
        self.upstream = Providers(random.Random(self.seed + 2), self.clock)
        self.guard = MemoryGuard(lambda _tenant: capped(10**6 * DOLLAR), self.clock.now_ms)
        self.components = ComponentStore(self.store)
        self.writers = []

    @property
    def log(self):
        return self.root / "log"

    @property
    def store(self):
        return self.root / "store"

    def stored(self, spec):
        self.components.put_snapshot(parts_of(spec))
        return compile_snapshot(spec)

    def worker(self, name, snapshot):
        writer = LogWriter(self.log, name, self.clock.now_ms)
        self.writers.append(writer)
        ports = Ports(self.clock, writer, self.guard, self.upstream)
        return Flow(ports, WorkerState(name, snapshot, load_head()), {})

    def close(self):
        for writer in self.writers:
            writer.close()

    def ask(self, flow, *, model=None, stream=False, tenant=None, prompt=None, max_output=None, **options):
        """One request; gives its metadata, or None where it was refused or failed."""
        request = self.request(
            self.rng, model=model, stream=stream, prompt=prompt, max_output=max_output, **options
        )
        who = tenant or a_tenant()
        return asyncio.run(self._ask(flow, request, who))

    def request(self, rng, *, model=None, stream=False, prompt=None, max_output=None, **options):
        text = prompt or rng.choice(PROMPTS)
        return ChatRequest(
            model=model,
            options=Options(**options),
            transcript=Transcript("", text, text, len(text), 1, 0, False, False, False),
            stream=stream,
            include_usage=False,
            max_output=max_output,
            n=1,
            body={},
        )

    async def _ask(self, flow, request, tenant):
        answer = await flow.chat(request, tenant, self.clock.monotonic_ms())
        if isinstance(answer, Streaming):
            async for event in answer.events:
                if isinstance(event, StreamEnd):
                    return event.metadata
        return answer.metadata if isinstance(answer, Completed) else None

    def score(self, flow, request_id, quality):
        tenant = a_tenant()
        flow.outcome(
            tenant,
            Reward(
                ts_ms=self.clock.now_ms(),
                id=request_id,
                tenant=tenant.name,
                source="judge",
                status="accepted",
                quality=quality,
            ),
        )

    def mixed_traffic(self, flows, rounds):
        """Every kind of request there is, over the workers in turn."""
        for i in range(rounds):
            self.clock.ms += self.rng.randrange(400)
            options = {"mode": ("cost", "quality", "speed", "balanced", None)[i % 5]}
            if i % 7 == 0:
                options = {
                    "mode": "custom",
                    "weights": Weights(PARAM_ONE // 2, PARAM_ONE // 4, PARAM_ONE // 4),
                }
            if i % 11 == 0:
                options["exclude_providers"] = ("alder",)
            if 40 <= i < 60:  # only the provider that mostly fails is left: its breakers open
                options["exclude_providers"] = ("alder", "birch", "elm")
            if i % 13 == 0:
                options["prefer_providers"] = ("elm", "birch")
            if i % 3 == 0:
                options["session_id"] = f"s{i % 9}"
            tenant, model = a_tenant(), None
            if i % 10 == 9:
                tenant, model = a_tenant(route_named_models=("observe", "off")[i % 20 == 9]), "large"
                options.pop("mode")
                options.pop("weights", None)
            max_output = 200 if i % 4 == 0 else None
            self.ask(
                flows[i % len(flows)],
                model=model,
                stream=i % 2 == 0,
                tenant=tenant,
                max_output=max_output,
                **options,
            )


def a_tenant(**changes):
    given = {
        "name": "acme",
        "max_request_nano": 50 * DOLLAR,
        "limits": capped(10**6 * DOLLAR),
        "baseline_model": "large",
        "route_named_models": "observe",
        "exploration": True,
    } | changes
    return Tenant(**given)
