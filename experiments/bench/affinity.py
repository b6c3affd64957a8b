"""What a session's affinity saves and what it costs: the same conversations with and without it.

Conversations grow turn by turn over a long common prefix. Each provider keeps a session's prompt warm for
five minutes after it served it, and charges warm tokens at its price of a cache read: real list prices of the
catalogue. Three rules see the same arrivals, pauses and lengths, on virtual time:

- affinity: as shipped, a warm arm costs less and is preferred (`switch_cost`);
- prices: the warm arm's lower cost alone;
- none: sessions unknown to the router; what is warm is so by chance.

Benefit: cost of a session. Cost: expected quality given up, by the same scores that routing goes by.
"""

import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np

from experiments.bench.figure import Figure
from experiments.notebook_log import START_MS
from p402.answer import Completed
from p402.assemble import START_WEIGHTS, assemble
from p402.catalog.benchmarks import Benchmark
from p402.events import AnyEvent
from p402.flow.chat import Flow
from p402.flow.state import WorkerState
from p402.ports import WARM_MS, Call, Completion, Failure, Ports, Stream, Usage
from p402.request import ChatRequest, Options, Tenant, Transcript
from p402.routing.compiled import Snapshot, compile_snapshot
from p402.settings import read_settings
from p402.store.catalog import load_catalog
from p402.store.task_head import load_head
from sim.memory import MemoryGuard
from sim.world.clock import Until, VirtualClock, run_all

SESSIONS: Final = 400
SEED: Final = 402
RULES: Final = ("affinity", "prices", "none")
MODES: Final = ("balanced", "quality", "cost")
ARMS: Final = {
    "anthropic/claude-sonnet-5-5": 0.84,
    "google/gemini-4-argon": 0.85,
    "openai/gpt-6-sol": 0.83,
    "moonshotai/kimi-k3.1-pro": 0.82,
    "deepseek/deepseek-v4-pro": 0.76,
    "mistral/mistral-large-4": 0.72,
}
"""Arms at list price, and a made-up score of each: near each other at the top, as flagships are."""

PREFIX_TOKENS: Final = 6_000
"""System prompt and tools that each conversation begins with, the session's own."""

TURN_TOKENS: Final = (200, 1_000)
"""A user's words with what a tool gave: least and most, uniform."""

ANSWER_TOKENS: Final = 300
TURNS: Final = (3, 15)
PAUSE_MS: Final = (40_000.0, 1.2)
"""Between an answer and the next turn: median and sigma, log-normal; 5 % outlast a warm cache."""

ARRIVE_WITHIN_MS: Final = 6 * 3_600_000
BYTES_PER_TOKEN: Final = 4
GRAIN: Final = 128
"""Warm tokens are counted in such blocks, as providers do."""

DRAWS: Final = 2_000


@dataclass(slots=True)
class Session:
    """What one conversation came to."""

    cost_nano: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    switches: int = 0
    turns: int = 0
    score: float = 0.0
    last: str = ""


def run() -> list[Figure]:
    """Play every mode under every rule, in under a minute."""
    figures: list[Figure] = []
    for mode in MODES:
        played = {rule: play(mode, rule) for rule in RULES}
        figures += _figures(mode, played)
    return figures


def play(mode: str, rule: str, sessions: int = SESSIONS, seed: int = SEED) -> list[Session]:
    """Conversations of a mode under a rule; the same seed gives the same conversations under each."""
    snapshot, tenant = world(rule)
    clock = VirtualClock(START_MS)
    guard = MemoryGuard(lambda _: tenant.limits, clock.now_ms)
    flow = Flow(
        Ports(clock, _Nowhere(), guard, _Providers(clock)), WorkerState("w0", snapshot, load_head()), {}
    )
    done = [Session() for _ in range(sessions)]

    async def conversation(number: int) -> None:
        chance = np.random.Generator(np.random.Philox(key=[seed, number]))
        await Until(clock.ms + float(chance.uniform(0, ARRIVE_WITHIN_MS)))
        tokens, session = PREFIX_TOKENS, done[number]
        for turn in range(int(chance.integers(*TURNS))):
            tokens += int(chance.integers(*TURN_TOKENS))
            answer = await flow.chat(_request(mode, rule, number, turn, tokens), tenant, clock.monotonic_ms())
            assert isinstance(answer, Completed), answer
            _add(session, answer)
            tokens += ANSWER_TOKENS
            median, sigma = PAUSE_MS
            await Until(clock.ms + median * float(np.exp(sigma * chance.standard_normal())))

    run_all(clock, [conversation(number) for number in range(sessions)])
    return done


def _add(session: Session, answer: Completed) -> None:
    told = answer.metadata
    assert told.cost_nano is not None, "every arm here has its price"
    arm = told.attempts[-1].arm
    session.cost_nano += told.cost_nano
    session.prompt_tokens += told.input_tokens or 0
    session.cached_tokens += told.cached_tokens
    session.switches += session.turns > 0 and arm != session.last
    session.turns += 1
    session.score += ARMS[arm]
    session.last = arm


def _request(mode: str, rule: str, number: int, turn: int, tokens: int) -> ChatRequest:
    """One turn; where sessions are unknown, each turn is a session of its own to the router."""
    known = f"s{number}" if rule != "none" else f"s{number}t{turn}"
    return ChatRequest(
        model=None,
        options=Options(mode=mode, task="code", session_id=known),
        transcript=Transcript(
            system="",
            first_user="Go on.",
            last_user="Go on.",
            text_bytes=tokens * BYTES_PER_TOKEN,
            turns=2 * turn + 1,
            images=0,
            has_tools=False,
            has_schema=False,
            binds_family=False,
        ),
        stream=False,
        include_usage=False,
        max_output=4 * ANSWER_TOKENS,
        n=1,
        body={"session": number},
    )


@dataclass(slots=True)
class _Providers:
    """Providers that keep a session's prompt warm for a while, each for itself."""

    clock: VirtualClock
    warm: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)

    async def complete(self, call: Call) -> Completion | Failure:
        """Answer at once, and say how much of the prompt was warm."""
        place = (call.provider, call.body["session"])
        tokens, at_ms = self.warm.get(place, (0, -float(WARM_MS)))
        fresh = self.clock.ms - at_ms > WARM_MS
        cached = 0 if fresh else min(tokens, call.prompt_tokens) // GRAIN * GRAIN
        self.warm[place] = (call.prompt_tokens, self.clock.ms)
        return Completion(b"{}", Usage(prompt=call.prompt_tokens, output=ANSWER_TOKENS, cached=cached))

    async def open_stream(self, call: Call) -> Stream | Failure:  # noqa: ARG002 - the port's form
        """Refuse: nothing is streamed here."""
        return Failure("PROVIDER_ERROR", 502, "not streamed here", fail_over=False, counts=False)


class _Nowhere:
    """A log that keeps nothing."""

    def append(self, event: AnyEvent) -> None:
        """Let it go."""


@lru_cache(maxsize=len(RULES))
def world(rule: str) -> tuple[Snapshot, Tenant]:
    """A snapshot of the arms with their scores under a rule, and a tenant that explores."""
    providers: dict[str, list[str]] = {}
    for arm in ARMS:
        provider, _, model = arm.partition("/")
        providers.setdefault(provider, []).append(model)
    text = "".join(
        f'[providers.{name}]\nsimulated = true\nbase_url = "http://127.0.0.1:1/v1"\napi_key = "bench"\n'
        f"models = {models}\n"
        for name, models in providers.items()
    )
    text += "[tenants.default]\ndaily_cap_usd = 100000\nrequests_per_hour = 1000000\nmax_in_flight = 10000\n"
    settings = read_settings(tomllib.loads(text, parse_float=Decimal), {})
    day = datetime.fromtimestamp(START_MS / 1_000, UTC).date().isoformat()
    scores = [Benchmark(arm, "code", score, 1_000, "made up", day, None) for arm, score in ARMS.items()]
    made = assemble(load_catalog(), settings, scores, START_WEIGHTS, START_MS)
    spec = made.spec
    if rule != "affinity":
        spec = msgspec.structs.replace(spec, policy=msgspec.structs.replace(spec.policy, switch_cost=0))
    return compile_snapshot(spec), made.tenants["default"]


def _figures(mode: str, played: dict[str, list[Session]]) -> list[Figure]:
    figures: list[Figure] = []
    for rule, sessions in played.items():
        turns = sum(s.turns for s in sessions)
        name = f"{mode}, {rule}"
        figures += [
            Figure(f"cost of a session, {name}", _usd(sessions).mean() * 100, "cents"),
            Figure(f"prompt tokens served warm, {name}", _warm(sessions), ""),
            Figure(f"turns at another arm than the last, {name}", _switched(sessions), ""),
            Figure(f"expected quality, {name}", sum(s.score for s in sessions) / turns, ""),
        ]
    for rule in RULES[:-1]:
        saved, low, high = saving(played[rule], played["none"])
        figures += [
            Figure(f"saved by {rule}, {mode}", saved, ""),
            Figure(f"the same, lower end of 95 %, {mode}, {rule}", low, "", least=0.0),
            Figure(f"the same, upper end of 95 %, {mode}, {rule}", high, ""),
        ]
    return figures


def _usd(sessions: list[Session]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.array([s.cost_nano for s in sessions]) / 1e9


def _warm(sessions: list[Session]) -> float:
    return sum(s.cached_tokens for s in sessions) / sum(s.prompt_tokens for s in sessions)


def _switched(sessions: list[Session]) -> float:
    return sum(s.switches for s in sessions) / max(1, sum(s.turns - 1 for s in sessions))


def saving(ours: list[Session], others: list[Session], seed: int = SEED) -> tuple[float, float, float]:
    """Share of cost saved, with a 95 % bootstrap interval over sessions, paired."""
    own, other = _usd(ours), _usd(others)
    chance = np.random.Generator(np.random.Philox(seed))
    drawn = chance.integers(len(own), size=(DRAWS, len(own)))
    shares = 1 - own[drawn].sum(axis=1) / other[drawn].sum(axis=1)
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(1 - own.sum() / other.sum()), float(low), float(high)
