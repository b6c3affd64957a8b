"""The far side of a world: one attempt is one answer of its laws, and its time passes on the virtual clock.

What an arm answers to a request at an attempt is keyed by these alone. What it waits depends on what else
the provider serves: calls beyond its slots stand in line, first come first served, and calls beyond its rate
are refused by the minute. The port's conformance is the flow's own types; it opens no socket.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heapreplace
from math import sqrt
from typing import Final, Self

from p402.ports import WARM_MS, Call, Completion, Failure, Stream, Usage
from sim.world.answers import Answer, body_of, first_event, last_event
from sim.world.chance import Chance, normal
from sim.world.chance import Stream as Draw
from sim.world.clock import Until, VirtualClock
from sim.world.rewards import draw, quantile_of
from sim.world.rounds import Round
from sim.world.spec import ProviderSpec, WorldSpec
from sim.world.traffic import Asked
from sim.world.truth import Truth

AT_ONCE_MS: Final = 50.0
"""Until a refusal or an error that needs no model."""

SHARED: Final = sqrt(0.5)
"""Of an answer's length, on the normal scale: half its variance is the request's, half the arm's."""

GRAIN: Final = 128
CACHED_FROM: Final = 1_024
"""Prompt caches keep whole blocks of so many tokens, from so many on: OpenAI's published figures (2026)."""

MINUTE_MS: Final = 60_000
DAY_H: Final = 24


@dataclass(slots=True)
class _Provider:
    """What a provider remembers: who is served, calls of the minute, prompts that are warm."""

    spec: ProviderSpec
    free_ms: list[float]
    minute: int = -1
    calls: int = 0
    warm: OrderedDict[int, tuple[int, float]] = field(default_factory=OrderedDict)

    def is_spent(self, now_ms: float) -> bool:
        """Whether it takes no further call in this minute."""
        rpm = self.spec.rpm
        return rpm is not None and self.minute == int(now_ms // MINUTE_MS) and self.calls >= rpm

    def count(self, now_ms: float) -> None:
        """Take a call into the minute's number."""
        minute = int(now_ms // MINUTE_MS)
        if minute != self.minute:
            self.minute, self.calls = minute, 0
        self.calls += 1

    def begin(self, now_ms: float, service_ms: float) -> float:
        """When a call gets its slot."""
        if not self.free_ms:
            return now_ms
        begins = max(now_ms, self.free_ms[0])
        heapreplace(self.free_ms, begins + service_ms)
        return begins

    def cached(self, session: int, tokens: int, now_ms: float) -> int:
        """Tokens of a session's prompt that are warm; the prompt is warm from now on."""
        if self.spec.cache_read_factor is None or tokens < CACHED_FROM:
            return 0
        while self.warm and next(iter(self.warm.values()))[1] < now_ms - WARM_MS:
            self.warm.popitem(last=False)
        known, _ = self.warm.pop(session, (0, now_ms))
        self.warm[session] = tokens, now_ms
        return min(known, tokens - 1) // GRAIN * GRAIN if known >= CACHED_FROM else 0


@dataclass(frozen=True, slots=True)
class _Answer:
    """What comes of an attempt: first content and end on the clock; a failure ends it."""

    first_ms: float
    ends_ms: float
    usage: Usage
    failure: Failure | None
    begins: bool
    """Whether content came."""
    said: Answer | None = None
    whole: bool = True
    """Whether no output cap cut it short."""


class SimUpstream:
    """The upstream port of a world.

    Parameters
    ----------
    rounds
        Requests under way, by id: read for what is asked, and noted what was answered.
    """

    def __init__(
        self,
        spec: WorldSpec,
        truth: Truth,
        clock: VirtualClock,
        chance: Chance,
        rounds: Mapping[str, Round],
    ) -> None:
        self._truth, self._clock, self._chance, self._rounds = truth, clock, chance, rounds
        self._tasks = {task.name: task for task in spec.tasks}
        self._start_hour = spec.start.hour + spec.start.minute / 60
        self._start_ms = spec.start_ms
        self._providers = {p.name: _Provider(p, [0.0] * (p.slots or 0)) for p in spec.providers}
        self._limited = tuple(p for p in self._providers.values() if p.spec.rpm is not None)

    async def complete(self, call: Call) -> Completion | Failure:
        """Answer a call as a whole."""
        answer = self._attempt(call)
        await Until(answer.ends_ms)
        if answer.failure is not None:
            return answer.failure
        assert answer.said is not None, "what does not fail says something"
        return Completion(body_of(answer.said, whole=answer.whole), answer.usage)

    async def open_stream(self, call: Call) -> Stream | Failure:
        """Answer a call piece by piece; there are two pieces, the first token and the rest."""
        answer = self._attempt(call)
        await Until(answer.first_ms)
        if answer.failure is not None and not answer.begins:
            return answer.failure
        return _Stream(answer, self._clock)

    def _attempt(self, call: Call) -> _Answer:
        """Draw what comes of a call that is sent now."""
        now, round_ = self._clock.ms, self._rounds[call.request_id]
        asked, attempt = round_.asked, round_.calls
        arm = self._truth.index[f"{call.provider}/{call.model}"]
        provider, epoch = self._providers[call.provider], self._truth.at(now)
        if attempt == 0:
            round_.epoch, round_.cap = epoch, call.output_cap or asked.request.max_output
            round_.spent = tuple([p.spec.name for p in self._limited if p.is_spent(now)])
        round_.calls, round_.quality = attempt + 1, None
        if epoch.out[arm]:
            return self._refusal(call, now, 503, provider.spec.retry_after_s)
        if provider.is_spent(now):
            return self._refusal(call, now, 429, (MINUTE_MS - now % MINUTE_MS) / 1000)
        provider.count(now)
        u = self._chance.draws(Draw.ANSWER, asked.session.number, asked.turn, arm, attempt)
        kind = _kind(provider.spec.failures, u[0])
        if kind == "error":
            return self._refusal(call, now, 500, None)
        if kind == "overloaded":
            return self._refusal(call, now, 529, provider.spec.retry_after_s)
        if kind == "hang":
            ends = now + provider.spec.hang_ms
            text = f"simulated provider {call.provider} sent no byte in time"
            failure = Failure("PROVIDER_TIMEOUT", 504, text, fail_over=True, counts=True)
            return _Answer(ends, ends, NOTHING, failure, begins=False)
        return self._answer(call, round_, provider, arm, u, cut=kind == "cut")

    def _answer(
        self, call: Call, round_: Round, provider: _Provider, arm: int, u: tuple[float, ...], *, cut: bool
    ) -> _Answer:
        now, asked, spec, truth = self._clock.ms, round_.asked, provider.spec, self._truth
        model, epoch = truth.model[arm], truth.at(now)
        whole = self._length(asked, arm, u[3])
        cap = min(model.output_limit, call.output_cap or asked.request.max_output or model.output_limit)
        output = min(whole, cap)
        load = spec.hourly_load[int(self._start_hour + (now - self._start_ms) / 3_600_000) % DAY_H]
        ttft = (
            quantile_of(spec.ttft_ms, normal(u[1])) * load * (spec.tail_factor if u[2] < spec.tail else 1.0)
        )
        writes = 1000.0 * output / spec.tokens_per_s * load * (0.5 if cut else 1.0)
        begins = provider.begin(now, ttft + writes)
        first, ends = begins + ttft, begins + ttft + writes
        prompt = truth.prompt_of(asked, arm) or call.prompt_tokens
        if cut:
            usage = Usage(prompt=prompt, output=max(1, output // 2), estimated=True)
            text = f"simulated provider {call.provider} ended its answer half way"
            failure = Failure("PROVIDER_ERROR", 502, text, fail_over=True, counts=True, usage=usage)
            return _Answer(first, ends, usage, failure, begins=True)
        mean = truth.mean(epoch, arm, asked) + truth.difficulty(asked)
        more = self._chance.uniforms(Draw.GAMMA, asked.session.number, asked.turn, arm, round_.calls)
        round_.quality = 0.0 if output < whole else draw(model.reward, mean, u[4], more)
        cached = provider.cached(asked.session.number, prompt, now)
        usage = Usage(prompt=prompt, output=output, cached=cached)
        said = Answer(round_.id, truth.arms[arm], asked.question, round_.quality)
        return _Answer(first, ends, usage, None, begins=True, said=said, whole=output == whole)

    def _length(self, asked: Asked, arm: int, u: float) -> int:
        real = self._truth.length_of(asked, arm)
        if real is not None:
            return real
        z = SHARED * (asked.length + normal(u))
        tokens = quantile_of(self._tasks[asked.session.task].output, z) * self._truth.model[arm].verbosity
        return max(1, round(tokens))

    def _refusal(self, call: Call, now: float, status: int, retry_s: float | None) -> _Answer:
        limited = status == 429
        failure = Failure(
            "RATE_LIMIT_EXCEEDED" if limited else "PROVIDER_ERROR",
            429 if limited else 502,
            f"simulated provider {call.provider} answered with status {status}",
            fail_over=True,
            counts=True,
            retry_after_ms=None if retry_s is None else int(retry_s * 1000),
        )
        return _Answer(now + AT_ONCE_MS, now + AT_ONCE_MS, NOTHING, failure, begins=False)


NOTHING: Final = Usage(prompt=0, output=0)


class _Stream:
    """An answer under way: its words at once, and its end when its law says."""

    def __init__(self, answer: _Answer, clock: VirtualClock) -> None:
        self._answer, self._clock = answer, clock
        self._ended = False
        self._told = 0
        self.warnings: tuple[str, ...] = ()

    @property
    def usage(self) -> Usage:
        """Of the whole answer: nobody here leaves earlier."""
        return self._answer.usage

    @property
    def failure(self) -> Failure | None:
        """Why it broke, once it ended."""
        return self._answer.failure if self._ended else None

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> bytes:
        """Its words, then its end; the end alone where it breaks."""
        said = self._answer.said
        self._told += 1
        if said is not None and self._told == 1:
            return first_event(said)
        if not self._ended:
            await Until(self._answer.ends_ms)
            self._ended = True
            if said is not None:
                return last_event(whole=self._answer.whole)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Nothing is open."""


def _kind(failures: Mapping[str, float], u: float) -> str | None:
    for kind, share in sorted(failures.items()):
        if u < share:
            return kind
        u -= share
    return None
