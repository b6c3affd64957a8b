"""How much of a daily cap agents can use before holds alone refuse one, strict and predicted.

300 agents, each with one call in flight and none with `max_tokens`, spend a tenant's $3,000 as fast as
their answers come. The flow, its guard's law in memory and its amounts are the product's own; time is
virtual, so that no figure depends on the machine. Agents stop when the day is spent, so that whether
it passed its cap, and by how much, is seen as well.
"""

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

import numpy as np

from experiments.bench.figure import Figure
from experiments.notebook_log import START_MS
from p402.answer import Rejected
from p402.assemble import START_WEIGHTS, assemble
from p402.errors import Refusal
from p402.events import AnyEvent, Outcome
from p402.flow.chat import Flow
from p402.flow.state import WorkerState
from p402.guard.daily import OVER_HELD
from p402.limits import HOLD_PREDICTED, HOLD_STRICT, Limits, Scope
from p402.ports import Call, Completion, Failure, Hold, Ports, Stream, Usage
from p402.request import ChatRequest, Options, Tenant, Transcript
from p402.routing.compiled import Snapshot, compile_snapshot
from p402.settings import read_settings
from p402.store.catalog import load_catalog
from p402.store.task_head import load_head
from p402_datasets.paretobandit import load
from sim.memory import MemoryGuard
from sim.world.clock import Until, VirtualClock, run_all

AGENTS: Final = 300
CAP_USD: Final = 3_000
SEEDS: Final = (1, 2, 3)
PROMPT_BYTES: Final = 40_000
"""Of one call's transcript: some 10,000 tokens."""

TOKENS_A_SECOND: Final = 100.0
TTFT_MS: Final = 1_000.0
RETRY_MS: Final = 1_000.0
"""An agent that only holds refused asks again after this; one that the day refuses stops."""

KNOWN: Final = 5_000
"""Answers that a warm worker has seen before."""

MEDIAN: Final = 300
SIGMA: Final = 1.0
"""Log-normal lengths: median 300 tokens, mean 495, 99.9th percentile 6,600."""

DEAR: Final = "openai/gpt-5.5-pro"
USUAL: Final = "anthropic/claude-opus-5"
THINKS: Final = "google/gemini-2.5-pro"

Lengths = Callable[[np.random.Generator, float], int]
"""Tokens of the next answer, given the share of the cap that is spent."""


@dataclass(frozen=True, slots=True)
class Case:
    """A traffic.

    Attributes
    ----------
    arm
        Whom the agents' calls go to, at the catalogue's list price.
    lengths
        How long answers are.
    known
        Answers that the worker has seen before the day.
    most, over
        Gates of predicted holds: share of the cap that the day may cost, and of calls that may pass theirs.
    """

    name: str
    arm: str
    lengths: Lengths
    known: int = KNOWN
    most: float = 1.001
    over: float | None = 0.001


@dataclass(slots=True)
class Day:
    """What one run of a case came to, as shares of the cap.

    Attributes
    ----------
    at_first
        Spent when the guard first refused a call that only holds stood in the way of.
    at_refusal
        Spent when a caller first got that refusal: until then, such a call was given a lowered output cap.
    spent
        Spent once every call had ended; above 1 the cap was passed.
    calls, lowered
        Answers, and those of them whose output cap what was left of the day had lowered.
    predicted, over, over_nano, worst_nano
        Calls held by prediction, those that cost more, by how much in all and at most.
    """

    at_first: float | None = None
    at_refusal: float | None = None
    spent: float = 0.0
    calls: int = 0
    lowered: int = 0
    predicted: int = 0
    over: int = 0
    over_nano: int = 0
    worst_nano: int = 0


def run() -> list[Figure]:
    """Play every case by both rules, in about three minutes."""
    figures = []
    for case in cases():
        for rule in (HOLD_STRICT, HOLD_PREDICTED):
            days = [play(case, rule, seed) for seed in SEEDS]
            figures += _figures(case, rule, days)
    return figures


def cases() -> tuple[Case, ...]:
    """The traffics that are played."""
    return (
        Case("log-normal, usual arm", USUAL, log_normal),
        Case("log-normal, dear arm", DEAR, log_normal),
        Case("real lengths, dear arm", DEAR, real),
        Case("new worker, dear arm", DEAR, log_normal, known=0),
        Case("three times as long from half the cap on, dear arm", DEAR, longer, most=1.01, over=None),
    )


def log_normal(chance: np.random.Generator, spent: float) -> int:  # noqa: ARG001 - the form of all lengths
    """Skewed lengths that stay as they are."""
    return max(1, round(MEDIAN * float(np.exp(SIGMA * chance.standard_normal()))))


def longer(chance: np.random.Generator, spent: float) -> int:
    """The same, and three times as long once half of the cap is spent: nobody's past knows it."""
    return log_normal(chance, spent) * (1 if spent < 0.5 else 3)


def real(chance: np.random.Generator, spent: float) -> int:  # noqa: ARG001 - the form of all lengths
    """Lengths of a reasoning model's answers to 3,609 benchmark prompts, drawn with replacement."""
    known = _real()
    return int(known[int(chance.integers(len(known)))])


def play(case: Case, rule: str, seed: int, *, agents: int = AGENTS, cap_usd: int = CAP_USD) -> Day:
    """One day of a case under a rule; the same seed gives the same day."""
    snapshot, tenant = _world(case.arm, rule, agents, cap_usd)
    clock, chance, day = VirtualClock(START_MS), np.random.Generator(np.random.Philox(seed)), Day()
    guard = _Guard(tenant.limits, clock, day)
    limit = int(snapshot.output_limit.item(snapshot.index[case.arm]))
    usual = min(snapshot.spec.policy.default_max_output, limit)
    state = WorkerState("w0", snapshot, load_head())
    upstream = _Upstream(clock, day, usual, lambda: case.lengths(chance, guard.share))
    flow = Flow(Ports(clock, _Tally(day), guard, upstream), state, {})
    for _ in range(case.known):
        state.lengths.learn(tenant.name, "chat", case.arm, case.lengths(chance, 0.0), whole=True)

    async def agent() -> None:
        while True:
            answer = await flow.chat(_REQUEST, tenant, clock.monotonic_ms())
            if not isinstance(answer, Rejected):
                day.calls += 1
            elif answer.refusal.code == OVER_HELD:
                if day.at_refusal is None:
                    day.at_refusal = guard.share
                await Until(clock.ms + RETRY_MS)
            else:
                return

    run_all(clock, [agent() for _ in range(agents)])
    day.spent = guard.share
    return day


_REQUEST: Final = ChatRequest(
    model=None,
    options=Options(mode="cost", task="chat"),
    transcript=Transcript(
        system="",
        first_user="Go on.",
        last_user="Go on.",
        text_bytes=PROMPT_BYTES,
        turns=1,
        images=0,
        has_tools=False,
        has_schema=False,
        binds_family=False,
    ),
    stream=False,
    include_usage=False,
    max_output=None,
    n=1,
    body={},
)


class _Guard(MemoryGuard):
    """The memory hand, which notes what was spent when only holds first stood in the way."""

    def __init__(self, limits: Limits, clock: VirtualClock, day: Day) -> None:
        super().__init__(lambda _: limits, clock.now_ms)
        self._day_of_case, self._cap_nano, self._spent_nano = day, limits.daily_cap_nano, 0

    @property
    def share(self) -> float:
        """Share of the cap that settled calls have spent."""
        return self._spent_nano / self._cap_nano

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        """Take the hand's own verdict, and note the first refusal by holds."""
        verdict = await super().reserve(tenant, request_id, amount_nano, expected_nano, scopes)
        first = self._day_of_case.at_first is None
        if first and isinstance(verdict, Refusal) and verdict.code == OVER_HELD:
            self._day_of_case.at_first = self.share
        return verdict

    def settle(self, hold: Hold, actual_nano: int) -> None:
        """Settle, and add up."""
        super().settle(hold, actual_nano)
        self._spent_nano += actual_nano


@dataclass(slots=True)
class _Upstream:
    """A provider whose answers are as long as they are told, or as their cap lets them be."""

    clock: VirtualClock
    day: Day
    usual_cap: int
    length: Callable[[], int]

    async def complete(self, call: Call) -> Completion | Failure:
        """Answer after the time that the tokens take."""
        cap = call.output_cap or self.usual_cap
        self.day.lowered += cap < self.usual_cap
        output = min(self.length(), cap)
        await Until(self.clock.ms + TTFT_MS + 1_000.0 * output / TOKENS_A_SECOND)
        return Completion(b"{}", Usage(prompt=call.prompt_tokens, output=output))

    async def open_stream(self, call: Call) -> Stream | Failure:  # noqa: ARG002 - the port's form
        """Refuse: nothing is streamed here."""
        return Failure("PROVIDER_ERROR", 502, "not streamed here", fail_over=False, counts=False)


@dataclass(slots=True)
class _Tally:
    """A log that keeps sums only."""

    day: Day

    def append(self, event: AnyEvent) -> None:
        """Count what was held by prediction and what passed it."""
        if not isinstance(event, Outcome) or event.bound_nano is None or event.hold_nano is None:
            return
        over = (event.cost_nano or 0) + event.fee_nano - event.hold_nano
        self.day.predicted += 1
        if over > 0:
            self.day.over += 1
            self.day.over_nano += over
            self.day.worst_nano = max(self.day.worst_nano, over)


@lru_cache(maxsize=16)
def _world(arm: str, rule: str, agents: int, cap_usd: int) -> tuple[Snapshot, Tenant]:
    """A snapshot of one arm at its list price, and the tenant whose agents call it."""
    provider, _, model = arm.partition("/")
    text = f"""
        [providers.{provider}]
        simulated = true
        base_url = "http://127.0.0.1:1/v1"
        api_key = "bench"
        models = ["{model}"]
        [tenants.default]
        daily_cap_usd = {cap_usd}
        requests_per_hour = 1_000_000_000
        max_in_flight = {agents}
        allow_providers = ["{provider}"]
        allow_models = ["{model}"]
        hold = "{rule}"
    """
    settings = read_settings(tomllib.loads(text, parse_float=Decimal), {})
    made = assemble(load_catalog(), settings, (), START_WEIGHTS, START_MS)
    return compile_snapshot(made.spec), made.tenants["default"]


@lru_cache(maxsize=1)
def _real() -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    table = load()
    return np.asarray(table.output_tokens[:, table.models.index(THINKS)])


def _figures(case: Case, rule: str, days: list[Day]) -> list[Figure]:
    """Figures of one case and rule: the worst of its seeds, and every overshoot."""
    name = f"{case.name}, {rule}"
    most = 1.0 if rule == HOLD_STRICT else case.most
    figures = [
        Figure(f"cap used when holds first stood in the way, {name}", _least(d.at_first for d in days), ""),
        Figure(f"cap used when they first refused a caller, {name}", _least(d.at_refusal for d in days), ""),
        Figure(f"answers with a lowered output cap, {name}", max(d.lowered / d.calls for d in days), ""),
        Figure(f"cap used in the end, {name}", max(d.spent for d in days), "", most=most),
    ]
    predicted = sum(day.predicted for day in days)
    if predicted:
        over, usd = sum(day.over for day in days) / predicted, sum(day.over_nano for day in days) / 1e9
        figures += [
            Figure(f"calls that passed their hold, {name}", over, "", most=case.over),
            Figure(f"by how much in a day, {name}", usd / len(days), "USD"),
            Figure(f"the greatest of them, {name}", max(day.worst_nano for day in days) / 1e9, "USD"),
        ]
    return figures


def _least(shares: Iterable[float | None]) -> float:
    """The smallest; what never happened counts as the whole cap."""
    return min(1.0 if share is None else share for share in shares)
