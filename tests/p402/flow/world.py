"""The flow on ports that behave but do not wait: a clock that tests move, a log that can be full, a real
law of guarding, and providers that answer what a script says. One journal keeps the order of everything."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import orjson

from p402.answer import Streaming
from p402.cache.local import LocalCache
from p402.errors import DiskFull
from p402.events import Decision, Outcome
from p402.flow.chat import Flow
from p402.flow.state import WorkerState
from p402.ports import Call, Completion, Failure, Ports, Usage
from p402.request import ChatRequest, Options, Tenant, Transcript, Weights
from p402.routing.compiled import compile_snapshot
from p402.routing.features import FEATURES
from p402.routing.scale import FEATURE_ONE, PARAM_ONE, param
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
    capability_mask,
)
from p402.store.task_head import load_head
from sim.memory import MemoryGuard
from tests.limits import capped

HEAD = load_head()
DOLLAR = 1_000_000_000
NOON = 20_700 * 86_400_000 + 43_200_000
"""Noon UTC of some day, ms."""

PROMPT = "Tell me a little about the sea and the wind, and what you like about them."


@dataclass(frozen=True)
class Row:
    """One arm: prices in pico-USD per token (a million is 1 USD per million tokens)."""

    arm: str
    input: int | None
    output: int | None
    quality: float = 0.5
    cache_read: int | None = None
    ttft_ms: int = 500
    model: str = ""
    family: str = ""
    context: int | None = 32_000
    limit: int | None = 4_000
    can: tuple[str, ...] = ("chat", "function_calling")
    tier: tuple[int, int, int] | None = None
    """Threshold, and input and output price above it."""
    write: int | None = None
    write_1h: int | None = None
    contract: bool = False


ARMS = (
    Row("alpha/large", 5_000_000, 20_000_000, 0.9, 500_000, model="large", ttft_ms=900),
    Row("alpha/small", 300_000, 1_200_000, 0.6, model="small", ttft_ms=500),
    Row("beta/large", 4_500_000, 18_000_000, 0.88, 450_000, model="large", ttft_ms=700),
    Row("beta/small", 250_000, 1_000_000, 0.58, model="small", ttft_ms=400),
    Row("gamma/tiny", 50_000, 200_000, 0.4, model="tiny", ttft_ms=60),
    Row("lab/flagship", 10_000_000, 40_000_000, 0.95, model="flagship"),
)
REFERENCE = "lab/flagship"


def a_mode(quality, cost, speed, **changes):
    given = {
        "tolerance": param(0.02),
        "explore": True,
        "loss_cap": param(0.005),
        "floor": param(0.01),
        "cost_ratio": param(3.0),
    }
    return Mode(quality=param(quality), cost=param(cost), speed=param(speed), **(given | changes))


def a_spec(arms=ARMS, *, chain=(), denied=None, **policy):
    rows = sorted(arms, key=lambda r: r.arm)
    n = len(rows)
    modes = (
        a_mode(0.0, 1.0, 0.0, chain=tuple(chain)),
        a_mode(1.0, 0.001, 0.0),
        a_mode(0.0, 0.001, 1.0),
        a_mode(0.5, 0.5, 0.0, tolerance=param(0.3), loss_cap=param(0.02)),
    )
    given = {
        "salt": 402,
        "beta": param(0.5),
        "cost_half_pico": 2_000_000_000,
        "ttft_half_ms": 300,
        "switch_cost": param(0.05),
        "prefer_bonus": param(0.1),
        "set_size": 32,
        "default_max_output": 1_000,
        "variants": (modes,),
    } | policy
    hidden = tuple(r.arm for r in rows if r.arm == REFERENCE)
    denied = (
        {"default": hidden, "narrow": (*hidden, "beta/large", "beta/small")} if denied is None else denied
    )
    return SnapshotSpec(
        arms=Arms(
            arm=tuple(r.arm for r in rows),
            provider=tuple(r.arm.split("/")[0] for r in rows),
            model=tuple(r.model or r.arm.split("/")[1] for r in rows),
            family=tuple(r.family or r.arm.split("/")[0] for r in rows),
            capabilities=tuple(capability_mask(r.can) for r in rows),
            context_window=tuple(r.context for r in rows),
            output_limit=tuple(r.limit for r in rows),
            simulated=(True,) * n,
        ),
        prices=Prices(
            input=tuple(r.input for r in rows),
            cache_read=tuple(r.cache_read for r in rows),
            output=tuple(r.output for r in rows),
            threshold=tuple(None if r.tier is None else r.tier[0] for r in rows),
            input_above=tuple(None if r.tier is None else r.tier[1] for r in rows),
            cache_read_above=(None,) * n,
            output_above=tuple(None if r.tier is None else r.tier[2] for r in rows),
            cache_write=tuple(r.write for r in rows) if any(r.write for r in rows) else (),
            cache_write_1h=tuple(r.write_1h for r in rows) if any(r.write_1h for r in rows) else (),
            contract=tuple(r.contract for r in rows) if any(r.contract for r in rows) else (),
        ),
        posterior=Posterior(
            features=FEATURES,
            tasks=TASKS,
            theta=tuple((param(r.quality), *(0,) * (len(FEATURES) - 1)) for r in rows),
            sd=((param(0.05),) * len(TASKS),) * n,
            output_ratio=(FEATURE_ONE,) * n,
            ttft_ms=tuple(r.ttft_ms for r in rows),
            quality_source=("prior",) * n,
        ),
        policy=Policy(**given),
        tenants=Tenants(
            policies=tuple(TenantPolicy(name=k, denied=tuple(v)) for k, v in sorted(denied.items()))
        ),
    )


@lru_cache(1)
def _usual():
    return compile_snapshot(a_spec())


class Clock:
    """Time stands still until it is moved; chance counts."""

    def __init__(self, ms: float = 0.0) -> None:
        self.ms = ms
        self.drawn = 0

    def now_ms(self) -> int:
        return NOON + int(self.ms)

    def monotonic_ms(self) -> float:
        return self.ms

    def random_bits(self) -> int:
        self.drawn += 1
        return self.drawn * 0x9E37_79B9_7F4A_7C15_F39C


@dataclass
class Log:
    """Keeps events; `full(event, number)` says which append meets a full disk."""

    journal: list
    full: Callable[[object, int], bool] = lambda event, number: False
    error: type[Exception] = DiskFull
    asked: int = 0

    def append(self, event) -> None:
        self.asked += 1
        if self.full(event, self.asked):
            raise self.error("no space left on device")
        self.journal.append(event)

    def of(self, *kinds: type) -> list:
        return [e for e in self.journal if isinstance(e, kinds)]


class Pause:
    """One suspension, as an await of a socket or a thread would be."""

    def __await__(self):
        yield self


@dataclass(frozen=True)
class Settled:
    """A settlement, in the journal."""

    id: str
    nano: int
    held: int


class Guard(MemoryGuard):
    """The memory hand with suspensions, which checks its books at every step."""

    def __init__(self, cap, now_ms, journal):
        super().__init__(lambda tenant: capped(cap[0]), now_ms)
        self.cap, self.journal, self.holds = cap, journal, {}

    async def reserve(self, tenant, request_id, amount_nano, expected_nano=0, scopes=()):
        await Pause()
        verdict = await super().reserve(tenant, request_id, amount_nano, expected_nano, scopes)
        self._keep(verdict)
        return verdict

    async def top_up(self, hold, amount_nano):
        await Pause()
        verdict = await super().top_up(hold, amount_nano)
        self._keep(verdict)
        return verdict

    def settle(self, hold, actual_nano):
        self.journal.append(Settled(hold.id, actual_nano, self.holds[hold.id]))
        super().settle(hold, actual_nano)

    def _keep(self, verdict):
        if hasattr(verdict, "amount_nano"):
            self.holds[verdict.id] = verdict.amount_nano
        for day in self._days.values():
            assert day.held_nano >= 0
            assert day.spent_nano + day.held_nano <= self.cap[0]


@dataclass(frozen=True)
class Alerts:
    """Keeps what it is told."""

    journal: list

    def tell(self, alert) -> None:
        self.journal.append(alert)


USED = Usage(prompt=20, output=10)


@dataclass
class Play:
    """What a provider does with one call.

    Attributes
    ----------
    usage
        What the whole answer used; a callable is asked with the call.
    events
        Of a stream, before it ends or breaks.
    broken
        How a stream breaks after its events.
    raises
        An error that is nobody's to foresee.
    hangs
        Never answers, or never goes on after its events.
    """

    failure: Failure | None = None
    usage: Usage | Callable[[Call], Usage] = USED
    events: int = 2
    broken: Failure | None = None
    raises: Exception | None = None
    hangs: bool = False
    takes_ms: float = 100.0
    says: str | None = None
    """A whole answer's words, one event each where it is streamed; None answers a shell of one."""
    ended: str = "stop"

    @property
    def body(self) -> bytes:
        if self.says is None:
            return b'{"choices":[{}]}'
        message = {"role": "assistant", "content": self.says}
        choice = {"index": 0, "message": message, "finish_reason": self.ended}
        return orjson.dumps({"id": "c-1", "object": "chat.completion", "model": "m", "choices": [choice]})

    @property
    def pieces(self) -> list[bytes]:
        if self.says is None:
            return [b'data: {"choices":[]}\n\n'] * self.events
        words = [({"content": word}, None) for word in re.findall(r"\S+\s*", self.says)]
        return [
            b"data: %b\n\n"
            % orjson.dumps(
                {"id": "c-1", "model": "m", "choices": [{"index": 0, "delta": d, "finish_reason": e}]}
            )
            for d, e in [*words, ({}, self.ended)]
        ]


@dataclass(eq=False)
class Stream:
    """A stream under way."""

    clock: Clock
    play: Play
    usage: Usage
    failure: Failure | None = None
    given: int = 0
    closed: int = 0
    warnings: tuple[str, ...] = ()

    def __aiter__(self):
        return self

    async def __anext__(self) -> bytes:
        await Pause()
        self.clock.ms += 10
        pieces = self.play.pieces
        if self.given < len(pieces):
            self.given += 1
            return pieces[self.given - 1]
        if self.play.raises is not None:
            raise self.play.raises
        while self.play.hangs:
            await Pause()
        self.failure = self.play.broken
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1
        await Pause()


@dataclass
class Upstream:
    """Providers that follow a script, one entry a call; the last entry is played on."""

    clock: Clock
    journal: list
    script: list[Play]
    streams: list[Stream] = field(default_factory=list)
    left: int = 0

    @property
    def calls(self) -> list[Call]:
        return [e for e in self.journal if isinstance(e, Call)]

    async def _meet(self, call: Call) -> Play:
        self.journal.append(call)
        play = self.script[min(len(self.calls), len(self.script)) - 1]
        try:
            await Pause()
            self.clock.ms += play.takes_ms
            while play.hangs and (not call.stream or play.events == 0):
                await Pause()
        except asyncio.CancelledError:
            self.left += 1
            raise
        if play.raises is not None and (not call.stream or play.events == 0):
            raise play.raises
        return play

    async def complete(self, call: Call) -> Completion | Failure:
        play = await self._meet(call)
        return play.failure or Completion(play.body, _usage(play, call))

    async def open_stream(self, call: Call) -> Stream | Failure:
        play = await self._meet(call)
        if play.failure is not None:
            return play.failure
        self.streams.append(Stream(self.clock, play, _usage(play, call)))
        return self.streams[-1]


def _usage(play: Play, call: Call) -> Usage:
    return play.usage(call) if callable(play.usage) else play.usage


def broke(code="PROVIDER_ERROR", status=502, *, fail_over=True, counts=True, **kw) -> Failure:
    return Failure(code, status, "it broke", fail_over=fail_over, counts=counts, **kw)


BAD_REQUEST = broke("INVALID_INPUT", 400, fail_over=False, counts=False)


def a_tenant(**changes) -> Tenant:
    given = {
        "name": "default",
        "max_request_nano": 50 * DOLLAR,
        "limits": capped(1_000 * DOLLAR),
        "baseline_model": "flagship",
        "route_named_models": "observe",
        "exploration": False,
    } | changes
    return Tenant(**given)


def a_transcript(text=PROMPT, **changes) -> Transcript:
    given = {
        "system": "",
        "first_user": text,
        "last_user": text,
        "text_bytes": len(text.encode()),
        "turns": 1,
        "images": 0,
        "has_tools": False,
        "has_schema": False,
        "binds_family": False,
    } | changes
    return Transcript(**given)


def a_request(
    model=None, *, stream=False, max_output=200, n=1, transcript=None, weights=None, body=None, **options
) -> ChatRequest:
    if weights is not None:
        parts = [int(w * PARAM_ONE) for w in weights]
        options |= {"mode": "custom", "weights": Weights(parts[0], parts[1], PARAM_ONE - sum(parts[:2]))}
    return ChatRequest(
        model=model,
        options=Options(**options),
        transcript=transcript or a_transcript(),
        stream=stream,
        include_usage=False,
        max_output=max_output,
        n=n,
        body={"messages": []} if body is None else body,
    )


class World:
    """A worker and its hands."""

    def __init__(
        self,
        *script: Play,
        spec=None,
        cap=1_000 * DOLLAR,
        worker="w",
        lacks=None,
        sessions=None,
        cached=False,
    ) -> None:
        self.clock = Clock()
        self.journal: list = []
        self.log = Log(self.journal)
        self.cap = [cap]
        self.guard = Guard(self.cap, self.clock.now_ms, self.journal)
        self.upstream = Upstream(self.clock, self.journal, list(script) or [Play()])
        self.alerts = Alerts(self.journal)
        self.cache = LocalCache(self.clock.now_ms) if cached else None
        self.snapshot = _usual() if spec is None else compile_snapshot(spec)
        self.state = WorkerState(worker, self.snapshot, HEAD)
        self.flow = Flow(
            Ports(self.clock, self.log, self.guard, self.upstream, self.alerts, sessions, self.cache),
            self.state,
            {"alpha/large": "large-v7"},
            lacks or {},
        )

    def ask(self, request=None, tenant=None):
        """One request to its end: the answer, or a streamed answer's events."""
        return finish(self.client(request or a_request(), tenant or a_tenant()))

    async def client(self, request, tenant, leave_after: int | None = None):
        """A client that reads a stream to its end, or leaves after so many events."""
        answer = await self.flow.chat(request, tenant, self.clock.monotonic_ms())
        if not isinstance(answer, Streaming):
            return answer
        seen = []
        try:
            while leave_after is None or len(seen) < leave_after:
                try:
                    seen.append(await anext(answer.events))
                except StopAsyncIteration:
                    break
        finally:
            await answer.events.aclose()
        return seen

    def one(self, kind):
        """The only event of its kind."""
        found = self.log.of(kind)
        assert len(found) == 1, f"{len(found)} events of {kind.__name__}"
        return found[0]

    @property
    def decision(self) -> Decision:
        return self.one(Decision)

    @property
    def outcome(self) -> Outcome:
        return self.one(Outcome)

    @property
    def settled(self) -> list[Settled]:
        return [e for e in self.journal if isinstance(e, Settled)]

    def books(self, tenant="default") -> tuple[int, int]:
        """Nano-USD spent and held."""
        return finish(self.guard.spent(tenant))

    def kinds(self) -> list[str]:
        return [type(e).__name__ for e in self.journal]


def finish(coroutine, cancel_at: int | None = None, limit: int = 60):
    """Run a coroutine without a loop; its caller leaves at suspension `cancel_at`, or at `limit`."""
    step = 0
    try:
        while True:
            if step == cancel_at:
                coroutine.throw(asyncio.CancelledError())
            else:
                coroutine.send(None)
            step += 1
            if step == limit and cancel_at is None:
                cancel_at = step
    except StopIteration as end:
        return end.value


def billed(attempt) -> int:
    """A bill recomputed from nothing but tokens and the price row beside them, nano-USD."""
    if attempt.prompt_tokens is None:
        return 0
    into, read, out, write, hour = attempt.price_pico
    fresh = attempt.prompt_tokens - attempt.cached_tokens - attempt.cache_write_tokens
    pico = fresh * into + attempt.cached_tokens * read + attempt.output_tokens * out
    pico += (attempt.cache_write_tokens - attempt.cache_write_1h_tokens) * write
    pico += attempt.cache_write_1h_tokens * hour
    return pico // 1000 + (pico % 1000 > 0)
