"""The gateway's configuration for the simulated providers, as TOML text.

Prices are those a provider asks before any drift. Benchmark scores are means of the outcome
table's val split only, so that traffic drawn from the test split is new to them.
"""

import json
from collections.abc import Iterator

from p402_datasets.outcomes import OutcomeTable, task_means
from p402_datasets.paretobandit import VAL
from sim.providers.laws import list_price
from sim.providers.spec import SimModel, SimProvider
from sim.providers.world import World


def providers_toml(world: World, root_url: str) -> str:
    """`[providers.*]` tables of every simulated provider behind `root_url`."""
    lines = [
        "# Simulated providers: they exist only on this machine. Answers are filler; quality, tokens and",
        f"# cost at list price are real outcomes of {world.table.source} ({world.table.licence}).",
    ]
    for provider in world.providers.values():
        lines.extend(_provider_lines(world, provider, root_url))
    return "\n".join(lines) + "\n"


def benchmarks_toml(table: OutcomeTable) -> str:
    """`[[benchmark]]` tables: mean reward per (model, task) of the val split."""
    known = table.split(VAL)
    source = f"{table.source} {VAL} split, mean judge reward"
    lines = [
        f"# Measured means of the {VAL} split of {table.source}.",
        "# The wheel carries no date: `date` is the day it was read.",
    ]
    for mean in task_means(known):
        lines += [
            "",
            "[[benchmark]]",
            f"model = {_text(model_family(mean.model))}",
            f"task = {_text(mean.task)}",
            f"score = {mean.score:.6f}",
            f"n = {mean.n}",
            f"source = {_text(source)}",
            f"date = {_text(table.read_on)}",
            f"licence = {_text(table.licence)}",
        ]
    return "\n".join(lines) + "\n"


def model_family(outcomes: str) -> str:
    """Name under which benchmarks and deployments of one model meet: its id without the maker."""
    return outcomes.rsplit("/", 1)[-1]


def _provider_lines(world: World, provider: SimProvider, root_url: str) -> Iterator[str]:
    yield ""
    yield f"[providers.{provider.name}]  # {provider.character}"
    yield 'dialect = "openai"'
    yield f"base_url = {_text(f'{root_url}/{provider.name}/v1')}"
    yield f"api_key = {_text(f'{provider.name}-key')}"
    yield "simulated = true"
    for model in world.models.values():
        yield from _model_lines(provider, model)


def _model_lines(provider: SimProvider, model: SimModel) -> Iterator[str]:
    paid = list_price(model.input_usd_per_mtok, provider)
    yield ""
    yield f"[[providers.{provider.name}.models]]"
    yield f"id = {_text(model.id)}"
    yield f"model_family = {_text(model_family(model.outcomes))}"
    yield f"family = {_text(model.family)}"
    yield f"context_window = {model.context_window}"
    yield f"output_limit = {model.output_limit}"
    yield f"capabilities = {json.dumps(list(model.capabilities))}"
    yield f"input_usd_per_mtok = {paid:f}"
    yield f"output_usd_per_mtok = {list_price(model.output_usd_per_mtok, provider):f}"
    if provider.cache_read_factor is not None:
        yield f"cache_read_usd_per_mtok = {(paid * provider.cache_read_factor).normalize():f}"


def _text(value: str) -> str:
    """Write a TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(value, ensure_ascii=False)
