"""The law of the simulated world: repeatable, and true to the real outcomes."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import ConfigError, ModelNotFound
from p402_datasets.outcomes import OutcomeTable
from sim.providers.laws import list_price
from sim.providers.spec import MODELS, PROVIDERS, Drift, Failure, Outage
from sim.providers.world import Ask, World

NAMES = [p.name for p in PROVIDERS]
IDS = [m.id for m in MODELS]

asks = st.builds(
    Ask,
    provider=st.sampled_from(NAMES),
    model=st.sampled_from(IDS),
    prompt=st.text(max_size=80),
    other_bytes=st.integers(0, 5_000),
    warm_bytes=st.integers(0, 5_000),
    attempt=st.integers(0, 5),
    served=st.integers(0, 1_000),
    elapsed_s=st.floats(0, 100),
    cap=st.none() | st.integers(1, 500),
    n=st.integers(1, 4),
)


def test_there_are_at_least_24_arms_plainly_marked_and_all_different() -> None:
    assert len(PROVIDERS) >= 8
    assert len(PROVIDERS) * len(MODELS) >= 24
    assert all(p.name.startswith("sim-") for p in PROVIDERS)
    assert len({(p.price_factor, p.latency) for p in PROVIDERS}) == len(PROVIDERS)
    assert any(p.drift and p.drift.quality_delta for p in PROVIDERS)
    assert any(p.drift and p.drift.price_factor != 1 for p in PROVIDERS)
    assert any(p.outages for p in PROVIDERS)
    assert {kind for p in PROVIDERS for kind in p.failures} == set(Failure)


@given(ask=asks)
def test_the_same_question_has_the_same_answer_in_another_world_of_the_same_seed(
    ask: Ask, small: OutcomeTable
) -> None:
    assert World(11, small).answer(ask) == World(11, small).answer(ask)


@given(ask=asks)
def test_answers_stay_in_range(ask: Ask, small: OutcomeTable) -> None:
    answer = World(3, small).answer(ask)
    assert 0 <= answer.quality <= 1
    assert 0 <= answer.cached_tokens < answer.prompt_tokens
    assert 0 <= answer.reasoning_tokens <= answer.output_tokens
    assert answer.visible_tokens * ask.n + answer.reasoning_tokens == answer.output_tokens
    assert answer.ttft_ms > 0
    assert ask.cap is None or answer.output_tokens <= ask.cap * ask.n


def test_another_seed_changes_chance_but_no_outcome(small: OutcomeTable) -> None:
    ask = Ask("sim-alder", IDS[1], small.prompts[0].text)
    one, two = World(1, small).answer(ask), World(2, small).answer(ask)
    assert one.ttft_ms != two.ttft_ms
    assert (one.quality, one.cost_pico) == (two.quality, two.cost_pico)


def test_without_drift_quality_is_the_tables_reward_on_every_prompt(world: World) -> None:
    for column, model in enumerate(MODELS):
        for row, prompt in enumerate(world.table.prompts):
            answer = world.answer(Ask("sim-alder", model.id, prompt.text))
            assert answer.matched
            assert answer.quality == world.table.quality[row, column]


def test_at_list_price_the_bill_is_the_real_bill_on_every_prompt(world: World) -> None:
    for column, model in enumerate(MODELS):
        for row, prompt in enumerate(world.table.prompts):
            answer = world.answer(Ask("sim-alder", model.id, prompt.text))
            assert answer.cost_pico == round(world.table.cost_usd[row, column] * 1e12)


def test_a_providers_bill_is_the_real_bill_times_its_price_factor(world: World) -> None:
    prompt = world.table.prompts[17].text
    for provider in PROVIDERS:
        for model in MODELS:
            base = world.answer(Ask("sim-alder", model.id, prompt))
            answer = world.answer(Ask(provider.name, model.id, prompt))
            assert answer.cost_pico == base.cost_pico * provider.price_factor
            asked = list_price(model.output_usd_per_mtok, provider)
            assert world.prices(provider.name, model.id).output == asked * 1_000_000


def test_drift_begins_at_its_request_and_stays(small: OutcomeTable) -> None:
    worse = replace(PROVIDERS[0], drift=Drift(10, quality_delta=-0.3, price_factor=Decimal(2)))
    world = World(7, small, [worse])
    before, after = (world.answer(Ask(worse.name, IDS[0], small.prompts[0].text, served=n)) for n in (9, 10))
    assert (before.drifted, after.drifted) == (False, True)
    assert before.quality == pytest.approx(0.4)
    assert after.quality == pytest.approx(0.1)
    assert after.cost_pico == 2 * before.cost_pico


def test_drift_never_leaves_the_scale(small: OutcomeTable) -> None:
    awful = replace(PROVIDERS[0], drift=Drift(0, quality_delta=-2.0))
    assert World(7, small, [awful]).answer(Ask(awful.name, IDS[0], "x")).quality == 0


def test_an_outage_begins_and_ends(small: OutcomeTable) -> None:
    away = replace(PROVIDERS[0], failures={}, outages=(Outage(5, 8),))
    world = World(7, small, [away])
    seen = [world.answer(Ask(away.name, IDS[0], "x", elapsed_s=s)).failure for s in (4.9, 5.0, 7.9, 8.0)]
    assert seen == [None, Failure.UNAVAILABLE, Failure.UNAVAILABLE, None]


def test_failures_come_at_their_rates_and_another_attempt_draws_anew(small: OutcomeTable) -> None:
    larch = next(p for p in PROVIDERS if p.name == "sim-larch")
    world = World(7, small)
    seen = [
        world.answer(Ask("sim-larch", IDS[1], f"prompt {i}", attempt=i % 3)).failure for i in range(20_000)
    ]
    for kind, rate in larch.failures.items():
        assert seen.count(kind) / len(seen) == pytest.approx(rate, abs=4 * (rate / len(seen)) ** 0.5)
    again = [world.answer(Ask("sim-larch", IDS[1], "prompt", attempt=i)).failure for i in range(200)]
    assert len(set(again)) > 1


def test_latency_has_the_median_it_says(small: OutcomeTable) -> None:
    world = World(7, small)
    for provider in PROVIDERS:
        seen = [world.answer(Ask(provider.name, IDS[0], f"prompt {i}")).ttft_ms for i in range(1_000)]
        tail = provider.latency.tail_rate
        assert np.median(seen) == pytest.approx(provider.latency.ttft_ms, rel=0.06 + tail)


def test_an_unknown_prompt_is_marked_and_follows_the_models_own_distribution(world: World) -> None:
    answers = [[world.answer(Ask("sim-alder", m, f"unknown {i}")) for m in IDS] for i in range(2_000)]
    assert not any(a.matched for row in answers for a in row)
    means = np.mean([[a.quality for a in row] for row in answers], axis=0)
    assert means == pytest.approx(world.table.quality.mean(axis=0), abs=0.02)
    drawn = np.array([[a.quality for a in row] for row in answers])
    real = np.corrcoef(world.table.quality.T)[0, 1]
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(real, abs=0.1)


def test_an_answer_cut_by_its_cap_is_worth_nothing_and_says_so(small: OutcomeTable) -> None:
    world = World(7, small)
    whole = world.answer(Ask("sim-alder", IDS[0], small.prompts[0].text, cap=20))
    cut = world.answer(Ask("sim-alder", IDS[0], small.prompts[0].text, cap=19))
    assert (whole.truncated, cut.truncated) == (False, True)
    assert (whole.quality, cut.quality, cut.output_tokens) == (0.4, 0.0, 19)


def test_only_a_provider_that_caches_reports_and_discounts_cached_tokens(small: OutcomeTable) -> None:
    world = World(7, small)
    cold, warm = (Ask("sim-oak", IDS[1], "x", other_bytes=4_000, warm_bytes=b) for b in (0, 4_000))
    assert world.answer(cold).cached_tokens == 0
    assert world.answer(warm).cached_tokens == 992  # whole blocks of 16
    assert world.answer(warm).cost_pico < world.answer(cold).cost_pico
    assert world.answer(replace(warm, provider="sim-alder")).cached_tokens == 0


@pytest.mark.parametrize(("provider", "model"), [("sim-aldr", IDS[0]), ("sim-alder", "gemini-2.5")])
def test_an_unknown_name_is_answered_with_the_nearest(provider: str, model: str, small: OutcomeTable) -> None:
    with pytest.raises(ModelNotFound, match="did you mean"):
        World(7, small).answer(Ask(provider, model, "x"))


@pytest.mark.parametrize(
    ("seed", "providers", "models", "said"),
    [
        (-1, PROVIDERS, MODELS, "seed"),
        (7, PROVIDERS[:1] * 2, MODELS, "same name"),
        (7, [replace(PROVIDERS[0], failures={Failure.CUT: 0.7, Failure.HANG: 0.4})], MODELS, "at most 1"),
        (7, PROVIDERS, [replace(MODELS[0], outcomes="nobody/nothing")], "the table has"),
    ],
)
def test_a_world_that_makes_no_sense_is_refused(
    seed: int, providers: list, models: list, said: str, small: OutcomeTable
) -> None:
    with pytest.raises(ConfigError, match=said):
        World(seed, small, providers, models)
