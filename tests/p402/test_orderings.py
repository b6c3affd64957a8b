"""What each mode prefers, prompt by prompt: orderings reviewed by hand, through the whole of routing.

Seven models that differ in what matters, and prompts that differ in what they ask. An order is
derived by hand from prices, scores and times, and not copied from what the code said; where a law changes
one, the change is to be argued here.
"""

import tomllib
from dataclasses import dataclass, field
from decimal import Decimal

import orjson
import pytest

from p402.answer import Completed
from p402.assemble import START_WEIGHTS, assemble
from p402.catalog.benchmarks import Benchmark
from p402.flow.chat import Flow
from p402.flow.state import WorkerState
from p402.ports import WARM_MS, Ports, Warmth
from p402.routing.compiled import compile_snapshot
from p402.routing.spec import TASKS
from p402.settings import read_settings
from p402.store.catalog import load_catalog
from p402.store.task_head import load_head
from serve.wire import parse_chat
from tests.p402.flow.world import Alerts, Clock, Guard, Log, Upstream

DAY = "2026-11-26"
NOW = 1_795_651_200_000


@dataclass(frozen=True)
class Model:
    """USD per million tokens in and out; scores by task, of 10,000 samples each; where it is served."""

    name: str
    into: float
    out: float
    scores: dict[str, float]
    provider: str = "lab"


def scored(rest: float, **named: float) -> dict[str, float]:
    return dict.fromkeys(TASKS, rest) | named


MODELS = (
    Model("frontier", 5.0, 25.0, scored(0.88, reasoning=0.95, writing=0.93)),
    Model("coder", 1.5, 7.5, scored(0.68, code=0.93)),
    Model("thinker", 2.0, 12.0, scored(0.70, math=0.96, reasoning=0.90)),
    Model("workhorse", 0.5, 1.5, scored(0.76)),
    Model("reader", 0.03, 2.0, scored(0.64)),
    Model("mini", 0.1, 0.4, scored(0.58)),
    Model("sprinter", 0.6, 0.8, scored(0.66), provider="groq"),
)
CAN = '["chat", "code", "reasoning", "function_calling", "json_schema"]'


def tables(provider: str) -> str:
    """The configuration of a provider and its models."""
    lines = [f"[providers.{provider}]", 'base_url = "http://127.0.0.1:1/v1"', 'api_key = "k"']
    for model in (m for m in MODELS if m.provider == provider):
        lines += [
            f"[[providers.{provider}.models]]",
            f'id = "{model.name}"',
            f'family = "{model.name}"',
            "context_window = 200000",
            "output_limit = 8000",
            f"capabilities = {CAN}",
            f"input_usd_per_mtok = {model.into}",
            f"output_usd_per_mtok = {model.out}",
            f"cache_read_usd_per_mtok = {model.into / 10}",
        ]
    return "\n".join(lines) + "\n"


CONFIG = tables("lab") + tables("groq")
SCORES = [
    Benchmark(m.name, task, score, 10_000, "made up by a test", DAY, None)
    for m in MODELS
    for task, score in m.scores.items()
]
LONG = "The committee met on Tuesday and heard the report of the treasurer in full. " * 1_000


@dataclass(frozen=True)
class Prompt:
    """A request and, by mode, the models in the order that they should be preferred in: all, or the first."""

    says: str
    task: str
    orders: dict[str, str]
    tools: bool = False
    live: dict[str, dict] = field(default_factory=dict)
    warm: str | None = None


PROMPTS = {
    # Cost: 150 tokens out and next to none in: the price of output alone.
    "a short question": Prompt(
        "What is the capital of Australia?",
        "knowledge",
        {
            "cost": "mini sprinter workhorse reader coder thinker frontier",
            "quality": "frontier workhorse thinker coder sprinter reader mini",
            "speed": "sprinter mini workhorse reader coder thinker frontier",
            "balanced": "mini",
        },
    ),
    # 20,000 tokens in: the price of input decides, and the reader becomes the cheapest.
    "a long report": Prompt(
        f"Summarize the following minutes in three sentences.\n\n{LONG}",
        "summary",
        {
            "cost": "reader mini workhorse sprinter coder thinker frontier",
            "quality": "frontier workhorse thinker coder sprinter reader mini",
            "balanced": "reader",
        },
    ),
    "a function": Prompt(
        "Write a Python function that merges two sorted lists without using sort().",
        "code",
        {"quality": "coder frontier workhorse thinker sprinter reader mini", "cost": "mini"},
    ),
    "a bug": Prompt(
        "Fix this bug:\n```python\ndef f(x):\n    return x + '1'\n```\nIt should add numbers.",
        "code",
        {"quality": "coder frontier"},
    ),
    "a sum": Prompt(
        "Solve the equation 3x^2 - 12x + 9 = 0 and compute the sum of its roots.",
        "math",
        {"quality": "thinker frontier workhorse coder sprinter reader mini", "cost": "mini"},
    ),
    "a word problem": Prompt(
        "A train travels 60 miles in 1.5 hours. How many miles does it travel in 4 hours?",
        "math",
        {"quality": "thinker frontier"},
    ),
    "a puzzle": Prompt(
        "Three friends sit left to right. Anna is not next to Bob. Deduce step by step who is in the middle.",
        "reasoning",
        {"quality": "frontier thinker workhorse coder sprinter reader mini"},
    ),
    "an essay": Prompt(
        "Write a short story about a lighthouse keeper who has never seen a ship.",
        "writing",
        {"quality": "frontier workhorse thinker coder sprinter reader mini"},
    ),
    "a translation": Prompt(
        "Translate into German: The meeting has been moved to Thursday afternoon.",
        "translation",
        {"quality": "frontier workhorse thinker", "cost": "mini sprinter workhorse reader coder"},
    ),
    "a list of names": Prompt(
        "Extract all named entities from this sentence and return JSON: Marie Curie was born in Warsaw.",
        "extraction",
        {"quality": "frontier workhorse thinker", "cost": "mini sprinter workhorse reader"},
    ),
    "small talk": Prompt(
        "Hey there, how are you today?",
        "chat",
        {"speed": "sprinter mini workhorse reader coder thinker frontier", "balanced": "mini"},
    ),
    "a tool": Prompt(
        "Book a table for two at eight.", "tools", {"quality": "frontier workhorse thinker"}, tools=True
    ),
    # Measured times: the dedicated hardware turned out slow, and a lab's arm quick.
    "a slow sprinter": Prompt(
        "Hey there, how are you today?",
        "chat",
        {"speed": "frontier mini workhorse reader coder thinker sprinter"},
        live={"groq/sprinter": {"ttft_ms": 900}, "lab/frontier": {"ttft_ms": 200}},
    ),
    # Half of the cheapest's calls fail: what is saved on the others is lost.
    "an arm that fails": Prompt(
        "What is the capital of Australia?",
        "knowledge",
        {"cost": "sprinter workhorse", "quality": "frontier"},
        live={"lab/mini": {"errors": 12, "calls": 24}},
    ),
    # The session's prompt is warm at the thinker: a tenth of its price.
    "a warm session": Prompt(
        f"Summarize the following minutes in three sentences.\n\n{LONG}",
        "summary",
        {"cost": "reader mini thinker workhorse sprinter coder frontier"},
        warm="lab/thinker",
    ),
}


def routed(prompt: Prompt, mode: str) -> Completed:
    settings = read_settings(tomllib.loads(CONFIG, parse_float=Decimal), {})
    made = assemble(load_catalog(), settings, SCORES, START_WEIGHTS, NOW)
    clock, journal = Clock(), []
    state = WorkerState("w", compile_snapshot(made.spec), load_head())
    now = clock.now_ms()
    for arm, seen in prompt.live.items():
        calls, errors = seen.get("calls", 8), seen.get("errors", 0)
        for i in range(calls):
            failed = i % max(1, calls // errors) == 0 if errors else False
            ttft_ms = None if failed else seen.get("ttft_ms", 600)
            state.health.observe(arm, now, failed=failed, ttft_ms=ttft_ms)
    if prompt.warm is not None:
        state.note("default", "s", Warmth(prompt.warm, 1_000_000, now - WARM_MS // 2))
    guard = Guard([1 << 60], clock.now_ms, journal)
    hands = Ports(clock, Log(journal), guard, Upstream(clock, journal, []), Alerts(journal))
    flow = Flow(hands, state, {})
    body: dict = {
        "messages": [{"role": "user", "content": prompt.says}],
        "p402": {"mode": mode, "explain": True, "session_id": "s"},
    }
    if prompt.tools:
        body["tools"] = [{"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}]
    answer = flow.route(parse_chat(orjson.dumps(body)), made.tenants["default"])
    assert isinstance(answer, Completed), answer
    return answer


@pytest.mark.parametrize(("name", "mode"), [(n, m) for n, p in PROMPTS.items() for m in p.orders])
def test_p3_to_p8_each_mode_prefers_what_it_promises(name: str, mode: str) -> None:
    prompt = PROMPTS[name]
    answer = routed(prompt, mode)
    assert answer.metadata.task == prompt.task
    views = answer.metadata.considered
    assert views is not None
    ranked = sorted((v for v in views if v.score is not None), key=lambda v: (-v.score, v.arm))
    wanted = prompt.orders[mode].split()
    assert [v.arm.split("/")[1] for v in ranked][: len(wanted)] == wanted
