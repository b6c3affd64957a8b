"""The TOML that offers the simulated providers says what the world does."""

import tomllib
from decimal import Decimal

import numpy as np

from p402.catalog.benchmarks import parse_benchmarks
from p402.routing.spec import TASKS
from p402.settings import read_settings
from p402_datasets.outcomes import OutcomeTable
from sim.providers.config import benchmarks_toml, providers_toml
from sim.providers.world import World


def test_every_arm_is_offered_at_the_price_that_is_billed(small: OutcomeTable) -> None:
    world = World(7, small)
    read = tomllib.loads(providers_toml(world, "http://127.0.0.1:1"), parse_float=Decimal)["providers"]
    assert sum(len(p["models"]) for p in read.values()) == len(world.providers) * len(world.models) >= 24
    for name, provider in read.items():
        assert provider["simulated"] is True
        assert provider["api_key"].startswith("sim-")
        assert provider["base_url"] == f"http://127.0.0.1:1/{name}/v1"
        for model in provider["models"]:
            prices = world.prices(name, model["id"])
            assert model["input_usd_per_mtok"] * 1_000_000 == prices.input
            assert model["output_usd_per_mtok"] * 1_000_000 == prices.output
            reuse = model.get("cache_read_usd_per_mtok")
            assert (None if reuse is None else reuse * 1_000_000) == prices.cache_read
            assert model["output_limit"] <= model["context_window"]


def test_benchmarks_are_the_means_of_the_val_split_only(small: OutcomeTable) -> None:
    quality = small.quality.copy()
    test_rows = [i for i, p in enumerate(small.prompts) if p.split != "val"]
    quality[test_rows] = 0.0  # what the test split holds must not show
    changed = OutcomeTable(
        source=small.source,
        licence=small.licence,
        read_on=small.read_on,
        prompts=small.prompts,
        models=small.models,
        quality=quality,
        cost_usd=small.cost_usd,
        prompt_tokens=small.prompt_tokens,
        output_tokens=small.output_tokens,
    )
    read = tomllib.loads(benchmarks_toml(changed))["benchmark"]
    assert [(b["model"], b["task"], b["score"], b["n"]) for b in read] == [
        ("llama-3.1-8b-instruct", "math", 0.4, 10),
        ("mistral-large-2512", "math", 0.8, 10),
        ("gemini-2.5-pro", "math", 0.9, 10),
    ]
    assert all(
        b["source"].endswith("val split, mean judge reward") and b["licence"] == "CC0-1.0" for b in read
    )


def test_real_benchmarks_have_a_score_for_every_model_and_task_of_the_wheel(table: OutcomeTable) -> None:
    read = tomllib.loads(benchmarks_toml(table))["benchmark"]
    assert sum(b["n"] for b in read) == 3 * 1_785
    assert {b["date"] for b in read} == {"2026-11-22"}
    assert np.all([0 < b["score"] <= 1 for b in read])


def test_benchmarks_and_offers_meet_on_the_models_name(small: OutcomeTable) -> None:
    offers = tomllib.loads(providers_toml(World(7, small), "http://127.0.0.1:1"))["providers"]
    families = {m["model_family"] for p in offers.values() for m in p["models"]}
    assert families == {b["model"] for b in tomllib.loads(benchmarks_toml(small))["benchmark"]}


def test_the_gateway_reads_both_files(table: OutcomeTable) -> None:
    world = World(7, table)
    document = tomllib.loads(providers_toml(world, "http://127.0.0.1:8499"), parse_float=Decimal)
    settings = read_settings(document, {})
    assert set(settings.providers) == set(world.providers)
    assert len(parse_benchmarks(tomllib.loads(benchmarks_toml(table)), TASKS)) == 15
