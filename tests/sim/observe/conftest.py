"""Traffic that is observed, and the same traffic routed, where every arm's true lengths are known."""

import random
from dataclasses import dataclass, field
from math import exp
from pathlib import Path

import pytest

from p402.ports import Completion, Failure, Usage
from p402.routing.scale import param
from tests.sim.house import DOLLAR, PROMPTS, Answered, House, a_spec, a_tenant

LARGE_SHARE = 0.8
"""Of sessions, those that name the large model; the others name the small one."""

BASE = dict(zip(PROMPTS, ((900, 300), (150, 500), (2_500, 120), (40, 60)), strict=True))
"""Prompt and mean output tokens of each prompt at a model of verbosity 1."""

SPREAD = 0.6
"""Standard deviation of ln(length) about its mean."""

OFTEN = (0.2, 0.1, 0.3, 0.4)
"""How often each prompt begins a session."""


@dataclass
class Known:
    """Providers of known verbosity; without `rng` every answer has its mean length.

    `failing` calls of a hundred fail, and were billed for their prompt.
    """

    clock: object
    verbosity: dict[str, float]
    rng: random.Random | None = None
    failing: int = 0
    fail_over: bool = False
    cached: float = 0.0
    asked: str = ""
    met: int = 0
    calls: list = field(default_factory=list)

    def _usage(self, call):
        self.clock.ms += 300
        prompt, mean = BASE[self.asked]
        mean *= self.verbosity[call.model]
        noise = 0.0 if self.rng is None else self.rng.gauss(0, SPREAD) - SPREAD**2 / 2
        return Usage(prompt=prompt, output=max(1, round(mean * exp(noise))), cached=int(self.cached * prompt))

    def _fails(self):
        self.met += 1
        return self.met * self.failing % 100 < self.failing

    async def complete(self, call):
        self.calls.append(call)
        usage = self._usage(call)
        if self._fails():
            billed = Usage(prompt=usage.prompt, output=0)
            return Failure(
                "PROVIDER_ERROR", 502, "broke", fail_over=self.fail_over, counts=False, usage=billed
            )
        return Completion(b"{}", usage)

    async def open_stream(self, call):
        self.calls.append(call)
        return Answered(self._usage(call))


@dataclass
class Traffic:
    """A house whose clients name their models; `verbosity` of each model is the truth."""

    root: Path
    verbosity: dict[str, float]
    seed: int = 0
    exploration: bool = False
    large_share: float = LARGE_SHARE
    word: str = "observe"
    switch_cost: float = 0.05

    def __post_init__(self):
        self.house = House(self.root, self.seed)
        self.spec = a_spec(switch_cost=param(self.switch_cost))
        self.rng = random.Random(self.seed + 7)
        self.upstream = Known(self.house.clock, self.verbosity, random.Random(self.seed + 8))
        self.house.upstream = self.upstream
        self.flow = self.house.worker("w", self.house.stored(self.spec))
        self.tenant = a_tenant(route_named_models=self.word, exploration=self.exploration)
        self.sessions = 0

    def ask(self, model, prompt, session, **options):
        self.upstream.asked = prompt
        options.setdefault("tenant", self.tenant)
        return self.house.ask(self.flow, model=model, prompt=prompt, session_id=session, **options)

    def session(self, gap_ms=20_000):
        """One to four turns about one thing with one model."""
        self.sessions += 1
        model = "large" if self.rng.random() < self.large_share else "small"
        (prompt,) = self.rng.choices(PROMPTS, OFTEN)
        told = []
        for turn in range(self.rng.randrange(1, 5)):
            self.house.clock.ms += gap_ms
            told.append(self.ask(model, prompt, f"s{self.sessions}", stream=turn % 2 == 1))
        return told

    def sessions_of(self, count):
        for _ in range(count):
            self.session()
        self.house.close()
        return self


def _truth(root, verbosity, mode, large_share):
    """Mean USD a round that is paid by name, and that is paid when the same round is routed in `mode`.

    Taken from the real flow with `route_named_models = "on"` and answers of mean length: cost is linear in
    length. Two turns a session, the second of which finds its session warm where it was routed.
    """
    paid = routed = 0.0
    for k, prompt in enumerate(PROMPTS):
        for model, share in (("large", large_share), ("small", 1 - large_share)):
            if not share:
                continue
            for word, sign in (("off", 0), ("on", 1)):
                with_word = Traffic(root / f"{mode}-{k}-{model}-{word}", verbosity, word=word)
                with_word.upstream.rng = None
                costs = []
                tenant = a_tenant(route_named_models=word, exploration=False, default_mode=mode)
                for turn in range(2):
                    told = with_word.ask(model, prompt, "s", stream=turn == 1, tenant=tenant)
                    costs.append(told.cost_nano / DOLLAR)
                with_word.house.close()
                mean = OFTEN[k] * share * sum(costs) / 2
                paid, routed = (paid, routed + mean) if sign else (paid + mean, routed)
    return paid, routed


@pytest.fixture(scope="session")
def truth(tmp_path_factory):
    def truth(verbosity, mode, large_share=LARGE_SHARE):
        return _truth(tmp_path_factory.mktemp("truth"), verbosity, mode, large_share)

    return truth


@pytest.fixture(scope="session")
def traffic_of():
    return Traffic


@pytest.fixture(scope="session")
def seen_once(tmp_path_factory):
    """A log of 120 sessions of which both models were called, closed."""
    return Traffic(
        tmp_path_factory.mktemp("seen"), {"large": 1.0, "small": 1.6}, exploration=True
    ).sessions_of(120)
