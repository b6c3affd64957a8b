"""The promises about modes and metadata, on the real catalogue: P3 to P10."""

import tomllib
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

import pytest

from p402.answer import Metadata
from p402.assemble import START_WEIGHTS, assemble
from p402.catalog.benchmarks import Benchmark
from p402.catalog.defaults import COST_CHAIN
from p402.events import Decision
from p402.routing.scale import PARAM_ONE
from p402.settings import read_settings
from p402.store.catalog import load_catalog
from tests.p402.flow.world import (
    Play,
    World,
    a_request,
    a_transcript,
    broke,
    finish,
)
from tests.p402.routing.reviewed import REASONING

PROVIDERS = ("anthropic", "deepseek", "google", "groq", "openai")
TOML = "".join(f'[providers.{p}]\nbase_url = "http://127.0.0.1:1/v1"\napi_key = "k"\n' for p in PROVIDERS)
NOW = 1_795_384_000_000  # 2026-11-22
SCORES = (
    # Not measured: numbers a test made up, so that the arms differ by task.
    Benchmark("claude-opus-4-6", "code", 0.92, 500, "made up by a test", "2026-11-22", None),
    Benchmark("claude-opus-4-6", "reasoning", 0.94, 500, "made up by a test", "2026-11-22", None),
    Benchmark("gpt-5.4", "reasoning", 0.85, 500, "made up by a test", "2026-11-22", None),
    Benchmark("gpt-5.4", "math", 0.95, 500, "made up by a test", "2026-11-22", None),
    Benchmark("gpt-5.4", "code", 0.80, 500, "made up by a test", "2026-11-22", None),
    Benchmark("gemini-3.1-pro-preview", "knowledge", 0.90, 500, "made up by a test", "2026-11-22", None),
    Benchmark("gemini-3.1-pro-preview", "math", 0.70, 500, "made up by a test", "2026-11-22", None),
)


@lru_cache
def assembly(benchmarks=SCORES):
    settings = read_settings(tomllib.loads(TOML, parse_float=Decimal), {})
    return assemble(load_catalog(), settings, benchmarks, START_WEIGHTS, NOW)


def world(*script, benchmarks=SCORES):
    made = assembly(benchmarks)
    return World(*script, spec=made.spec)


TENANT = replace(assembly().tenants["default"], exploration=False)


def ask(where, *, tenant=TENANT, **kw):
    return where.ask(a_request(**kw), tenant)


def served(**kw):
    return ask(world(), **kw).metadata


class TestP3OneField:
    def test_p3_each_mode_is_a_choice_of_its_own(self):
        arms = {}
        for mode in ("cost", "quality", "speed", "balanced"):
            told = served(mode=mode, task="code")
            assert told.routing_mode == mode
            arms[mode] = f"{told.provider}/{told.model}"
        assert arms["cost"] == "deepseek/deepseek-flash"
        assert arms["quality"] == "anthropic/claude-opus-4-6"
        assert arms["speed"].startswith("groq/")
        assert len({arms["cost"], arms["quality"], arms["speed"]}) == 3

    def test_p3_balanced_is_the_default(self):
        where = world()
        assert ask(where).metadata.routing_mode == "balanced"
        assert where.decision.inputs.mode == "balanced"
        assert ask(world(), tenant=replace(TENANT, default_mode="speed")).metadata.routing_mode == "speed"

    def test_p3_weights_of_ones_own_move_the_choice_from_cheap_to_good_to_fast(self):
        prices = {}
        for name, weights in {
            "cheap": (0, 1, 0),
            "half": (0.5, 0.5, 0),
            "good": (1, 0, 0),
            "fast": (0, 0, 1),
        }.items():
            where = world()
            told = ask(where, weights=weights, task="code").metadata
            assert where.decision.inputs.mode == "custom"
            assert sum(where.decision.inputs.weights) == PARAM_ONE
            prices[name] = (told.cost_nano, told.provider)
        assert prices["cheap"][0] < prices["good"][0]
        assert prices["cheap"][0] <= prices["half"][0] <= prices["good"][0]
        assert prices["fast"][1] == "groq"

    def test_p3_more_weight_on_cost_never_chooses_dearer(self):
        costs = [
            served(weights=(1 - w / 20, w / 20, 0), task="code", dry_run=True).cost_nano for w in range(21)
        ]
        assert costs == sorted(costs, reverse=True)
        assert costs[0] > costs[-1]


class TestP4Cost:
    def test_p4_the_chain_is_tried_first_and_in_order(self):
        where = world(Play(failure=broke()))
        ask(where, mode="cost")
        assert tuple(a.arm for a in where.outcome.attempts) == COST_CHAIN

    def test_p4_what_the_chain_cannot_serve_goes_to_the_cheapest_of_the_rest(self):
        for gone in range(1, 4):
            chain = [
                arm
                for arm in COST_CHAIN
                if arm.split("/")[0] not in [c.split("/")[0] for c in COST_CHAIN[:gone]]
            ]
            excluded = tuple(c.split("/")[0] for c in COST_CHAIN[:gone])
            where = world(Play(failure=broke()))
            answer = ask(where, mode="cost", exclude_providers=excluded, explain=True)
            tried = [a.arm for a in answer.attempts]
            assert tried[: len(chain)] == chain
            rest = tried[len(chain) :]
            assert rest
            costs = [expected_cost(where, arm) for arm in rest]
            eligible = [v for v in views_of(excluded) if v not in COST_CHAIN]
            assert costs == sorted(costs)
            assert costs[0] == min(expected_cost(where, arm) for arm in eligible)

    def test_p4_a_chain_without_room_for_the_prompt_is_no_chain(self):
        where = world()
        told = ask(where, mode="cost", require_capabilities=("vision",), explain=True).metadata
        reasons = {v.arm: v.reason for v in told.considered}
        first = next(arm for arm in COST_CHAIN if reasons[arm] in (None, "outside_exploration"))
        assert f"{told.provider}/{told.model}" == first != COST_CHAIN[0]
        assert reasons[COST_CHAIN[0]] == "capability_missing"


def views_of(excluded):
    told = ask(world(), mode="cost", exclude_providers=excluded, explain=True).metadata
    return [v.arm for v in told.considered if v.score is not None]


def expected_cost(where, arm):
    row = where.decision.inputs
    k = where.snapshot.index[arm]
    prices = where.snapshot.spec.prices
    return prices.input[k] * row.prompt_tokens + prices.output[k] * row.expected_output


class TestP5Quality:
    @pytest.mark.parametrize(
        ("prompt", "task", "model"),
        [
            ("Write a Python function that parses a date.", "code", "claude-opus-4-6"),
            ("How many apples are left if I eat 3 of 12?", "math", "gpt-5.4"),
            ("What is the capital of Mongolia?", "knowledge", "gemini-3.1-pro-preview"),
            ("Prove step by step that the square root of 2 is irrational.", "reasoning", "claude-opus-4-6"),
        ],
    )
    def test_p5_the_best_score_for_the_prompts_task_is_called(self, prompt, task, model):
        told = served(mode="quality", transcript=a_transcript(prompt), max_output=None)
        assert (told.task, told.model) == (task, model)

    def test_p5_reasoning_and_multi_step_work_gets_the_top_ranked_model(self):
        told = [served(mode="quality", transcript=a_transcript(p), max_output=None) for p in REASONING]
        assert Counter(t.model for t in told) == {"claude-opus-4-6": len(REASONING)}
        assert sum(t.task == "reasoning" for t in told) == 25


class TestP6Speed:
    def test_p6_the_prior_favours_dedicated_hardware_and_a_slow_measurement_loses(self):
        where = world(Play(takes_ms=3_000.0, events=1))
        first = ask(where, mode="speed", stream=True)[-1].metadata
        assert first.provider == "groq"
        where.clock.ms += 2_000
        slow = f"{first.provider}/{first.model}"
        second = ask(where, mode="speed", stream=True)[-1].metadata
        assert f"{second.provider}/{second.model}" != slow
        assert where.log.of(Decision)[-1].live_seq == 1

    def test_p6_a_fast_measurement_wins_over_the_prior(self):
        where = world(Play(takes_ms=40.0, events=1))
        only = tuple(p for p in PROVIDERS if p != "openai")
        ask(where, mode="speed", stream=True, exclude_providers=only)
        where.clock.ms += 2_000
        assert ask(where, mode="speed", stream=True)[-1].metadata.provider == "openai"


class TestP7Balanced:
    def test_p7_it_starts_at_half_and_half_and_stays_without_outcomes(self):
        where = world()
        for _ in range(50):
            where.clock.ms += 10 * 60_000
            ask(where)
        mode = where.state.snapshot.spec.policy.variants[0][3]
        assert (mode.quality, mode.cost, mode.speed) == (PARAM_ONE // 2, PARAM_ONE // 2, 0)
        assert {d.snapshot for d in where.log.of(Decision)} == {where.snapshot.id}
        assert len({d.arm for d in where.log.of(Decision)}) == 1

    def test_p7_it_is_the_same_choice_as_half_and_half_asked_for(self):
        assert served(task="math").model == served(weights=(0.5, 0.5, 0), task="math").model


@pytest.mark.parametrize("mode", ["cost", "quality", "speed", "balanced"])
def test_p8_failover_needs_no_word_from_the_caller_in_any_mode(mode):
    where = world(Play(failure=broke()), Play(failure=broke("PROVIDER_TIMEOUT", 504)), Play())
    told = ask(where, mode=mode).metadata
    assert [a.status for a in told.attempts] == ["failed", "failed", "ok"]
    assert len({a.arm for a in told.attempts}) == 3


class TestP9Metadata:
    MAY_BE_NONE = ("cache_entry", "cache_similarity", "considered", "session_remaining_nano")

    def told(self, stream, **kw):
        where = world(Play(takes_ms=250.0, events=3))
        where.clock.ms = 5_000.0
        answer = ask(where, stream=stream, **kw)
        return (answer[-1].metadata if stream else answer.metadata), where

    @pytest.mark.parametrize("stream", [False, True])
    def test_p9_every_answer_carries_all_of_it(self, stream):
        told, where = self.told(stream)
        for name in Metadata.__struct_fields__:
            assert name in self.MAY_BE_NONE or getattr(told, name) is not None, name
        assert told.request_id == where.outcome.id == where.decision.id
        assert told.tenant_id == "default"
        arm = where.snapshot.index[where.decision.arm]
        assert told.provider == where.snapshot.spec.arms.provider[arm]
        assert told.model == where.snapshot.spec.arms.model[arm]  # its name, the same at every provider
        assert told.baseline_model == "gpt-5.4"
        assert told.direct_nano > told.cost_nano > 0
        assert (told.input_tokens, told.output_tokens) == (20, 10)
        assert told.snapshot_id == where.snapshot.id
        assert 0 < told.propensity <= 1
        assert not told.simulated

    def test_p9_latencies_of_a_whole_answer_add_up(self):
        told, _ = self.told(stream=False)
        assert (told.latency_ms, told.provider_latency_ms, told.overhead_ms) == (250.0, 250.0, 0.0)
        assert told.ttfb_ms == told.attempts[0].ttfb_ms == 250.0

    def test_p9_latencies_of_a_stream_add_up(self):
        told, _ = self.told(stream=True)
        assert told.ttfb_ms == told.attempts[0].ttfb_ms == 250.0
        assert told.latency_ms == told.provider_latency_ms == 290.0
        assert told.overhead_ms == 0.0

    def test_p9_what_failed_before_counts_as_the_providers_time_and_cost(self):
        where = world(Play(failure=broke(), takes_ms=70.0), Play(takes_ms=30.0))
        told = ask(where).metadata
        assert told.provider_latency_ms == 100.0
        assert [a.latency_ms for a in told.attempts] == [70.0, 30.0]

    @pytest.mark.parametrize("stream", [False, True])
    def test_p9_a_stream_and_a_whole_answer_are_billed_alike(self, stream):
        told, _ = self.told(stream, mode="quality", task="code")
        other, _ = self.told(not stream, mode="quality", task="code")
        assert (told.cost_nano, told.direct_nano) == (other.cost_nano, other.direct_nano)


class TestP10Overhead:
    """What the gateway adds, apart from its providers; how much it is, `p402 bench gateway` measures."""

    @staticmethod
    def asked(where, arrived_ms, **kw):
        async def earlier():
            answer = await where.flow.chat(a_request(**kw), TENANT, arrived_ms)
            if not kw.get("stream"):
                return answer.metadata
            return [item async for item in answer.events][-1].metadata

        return finish(earlier())

    @pytest.mark.parametrize("stream", [False, True])
    def test_p10_time_before_dispatch_is_the_gateways_however_slow_the_provider(self, stream):
        for takes_ms in (1.0, 100.0, 60_000.0):
            where = world(Play(takes_ms=takes_ms))
            where.clock.ms = 500.0
            told = self.asked(where, 480.0, stream=stream)
            assert told.overhead_ms == 20.0
            assert told.latency_ms == told.provider_latency_ms + 20.0

    def test_p10_attempts_that_failed_are_the_providers_time_too(self):
        where = world(Play(failure=broke(), takes_ms=900.0), Play(takes_ms=30.0))
        where.clock.ms = 500.0
        told = self.asked(where, 495.0)
        assert (told.provider_latency_ms, told.overhead_ms) == (930.0, 5.0)


def test_the_catalogues_own_prices_make_the_bill():
    where = world()
    told = where.ask(a_request("gpt-5.4"), TENANT).metadata
    k = where.snapshot.index["openai/gpt-5.4"]
    prices = where.snapshot.spec.prices
    assert told.cost_nano == -(-(20 * prices.input[k] + 10 * prices.output[k]) // 1000)
    assert told.direct_nano == told.cost_nano  # the named model is its own baseline
