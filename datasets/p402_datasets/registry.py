"""Every data set that P402 can read, where it is from, and where it lies.

An entry says source, licence, columns, units and how the tidy form is made of them; `load` finds its files (a
path that the user has, else the cache folder) and makes the table. What comes in a wheel is read where the
wheel is installed, and is never downloaded here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, cast

import polars as pl

from p402.errors import nearest
from p402_datasets import embedllm, llmrouterbench, routellm, sprout
from p402_datasets.errors import DatasetError, MissingData
from p402_datasets.fetch import Wanted, check
from p402_datasets.outcomes import OutcomeTable
from p402_datasets.tidy import About, to_table

CACHE: Final = Path("var/datasets")
"""Where downloads lie, a folder for each data set."""

HUB: Final = "{}/resolve/main/{}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One data set.

    Attributes
    ----------
    holds
        `outcomes` (every arm's outcome on every prompt) or `logged` (one arm's, with its propensity).
    licence
        SPDX expression, or `NOASSERTION` where the source states none: look before you pass anything on.
    read_on
        Day on which its form was read.
    files
        What `fetch` gets; empty where it comes in a wheel or from the user alone.
    columns, tidied
        What is in it, in which units, and how the tidy form is made.
    by_hand
        How to get it without `fetch`.
    module
        Where its reader `tidy(path)` is; empty where it is read otherwise.
    """

    name: str
    title: str
    holds: str
    home: str
    licence: str
    read_on: str
    columns: str
    tidied: str
    by_hand: str
    files: tuple[Wanted, ...] = ()
    module: str = ""


def _hub(repository: str, names: Sequence[str], folder: str = "") -> tuple[Wanted, ...]:
    return tuple(Wanted(name, HUB.format(repository, folder + name)) for name in names)


_ENTRIES: Final = (
    Entry(
        name="paretobandit",
        title="judge rewards and bills of three 2026 models, 3,609 prompts",
        holds="outcomes",
        home="https://pypi.org/project/paretobandit/",
        licence="Apache-2.0",
        read_on="2026-11-22",
        columns="prompt, benchmark, reward 0 to 1, bill in USD",
        tidied="tokens are derived from the bill and the price list; see p402_datasets.paretobandit",
        by_hand="install the wheel: python -m pip install --no-deps --require-hashes -r datasets/wheels.txt",
    ),
    Entry(
        name="open-bandit",
        title="logged rounds of two policies on three campaigns, 10,000 each, with exact propensities",
        holds="logged",
        home="https://pypi.org/project/obp/",
        licence="Apache-2.0 (package), CC-BY-4.0 (data)",
        read_on="2026-11-26",
        columns="item, position 1 to 3, click 0 or 1, propensity, time, affinities",
        tidied="columns for p402.evaluation.LoggedBatch; see p402_datasets.open_bandit",
        by_hand=(
            "`pip download --no-deps --ignore-requires-python obp==0.5.7`, unpack it, and pass the folder as "
            "--path; or have the package installed"
        ),
    ),
    Entry(
        name="routerbench",
        title="scores and costs of 11 models on 36,497 prompts (0-shot)",
        holds="outcomes",
        home="https://huggingface.co/datasets/withmartian/routerbench",
        licence="NOASSERTION",
        read_on="2026-11-26",
        columns="sample_id, prompt, eval_name, MODEL (score 0 to 1), MODEL|total_cost (USD)",
        tidied="as they are; turns are joined; only from Parquet or CSV, never from a pickle; no tokens",
        by_hand=(
            "it is published as pickles, which can run any code and are not read here: convert "
            "routerbench_0shot.pkl to Parquet where you trust it (`p402 datasets show routerbench` has the "
            "line), and put the result into the folder"
        ),
        module="p402_datasets.routerbench",
    ),
    Entry(
        name="sprout",
        title="judge scores and tokens of 13 models on some 44,000 prompts",
        holds="outcomes",
        home=sprout.REPOSITORY,
        licence="NOASSERTION",
        read_on="2026-11-26",
        columns="key, dataset, prompt, MODEL {score 0 to 1, num_input_tokens, num_output_tokens}",
        tidied="as they are; the split is the file's; no costs: give prices to OutcomeTable.priced",
        by_hand=f"download data/*.parquet of {sprout.REPOSITORY} (some 580 MB) into the folder",
        files=_hub(sprout.REPOSITORY, sprout.NAMES, "data/"),
        module="p402_datasets.sprout",
    ),
    Entry(
        name="routellm",
        title="GPT-4 and Mixtral-8x7B, right or wrong on MMLU and GSM8K, 15,361 prompts",
        holds="outcomes",
        home=routellm.REPOSITORY,
        licence="Apache-2.0",
        read_on="2026-11-26",
        columns="prompt, MODEL (True or False)",
        tidied="True is 1.0; neither tokens nor costs",
        by_hand=f"copy routellm/evals of {routellm.REPOSITORY} into the folder",
        files=tuple(Wanted(name, f"{routellm.RAW}/{name}") for name in routellm.NAMES),
        module="p402_datasets.routellm",
    ),
    Entry(
        name="embedllm",
        title="112 open models, right or wrong on some 36,000 prompts",
        holds="outcomes",
        home=embedllm.REPOSITORY,
        licence="Apache-2.0",
        read_on="2026-11-26",
        columns="prompt_id, model_name, category, label 0 or 1, prompt",
        tidied="rows of one prompt and model are averaged; the split is the file's; no tokens, no costs",
        by_hand=f"download train.csv, val.csv and test.csv of {embedllm.REPOSITORY} into the folder",
        files=_hub(embedllm.REPOSITORY, embedllm.NAMES),
        module="p402_datasets.embedllm",
    ),
    Entry(
        name="llmrouterbench",
        title="score, tokens and cost of 33 models on 21 benchmarks",
        holds="outcomes",
        home=llmrouterbench.REPOSITORY,
        licence="NOASSERTION",
        read_on="2026-11-26",
        columns="index, origin_query, score, prompt_tokens, completion_tokens, cost (USD)",
        tidied="costs and token counts of 0 are unknown; a model's last run on a benchmark; name the models",
        by_hand=f"download {llmrouterbench.ARCHIVE} (1.3 GB) of {llmrouterbench.REPOSITORY} into the folder",
        files=_hub(llmrouterbench.REPOSITORY, (llmrouterbench.ARCHIVE,)),
        module="p402_datasets.llmrouterbench",
    ),
    Entry(
        name="tidy",
        title="a Parquet file of your own: one row for each prompt and model",
        holds="outcomes",
        home="your own",
        licence="your own",
        read_on="2026-11-26",
        columns=(
            "task, prompt, model, quality 0 to 1[, source, prompt_id, input_tokens, output_tokens, cost_usd, "
            "split]; tokens and cost may be null"
        ),
        tidied="as it is",
        by_hand="pass the file as --path",
        module="p402_datasets.tidy_file",
    ),
)

DATASETS: Final[dict[str, Entry]] = {entry.name: entry for entry in _ENTRIES}
"""Every entry by name."""


def entry_of(name: str) -> Entry:
    """The entry of a name.

    Raises
    ------
    DatasetError
        There is none; the message names the nearest.
    """
    found = DATASETS.get(name)
    if found is None:
        raise DatasetError(
            f"found no data set {name!r}{nearest(name, tuple(DATASETS))}; expected one of "
            f"{', '.join(DATASETS)}"
        )
    return found


def place_of(entry: Entry, path: Path | None = None, cache: Path = CACHE) -> Path:
    """Where an entry's files are looked for."""
    return cache / entry.name if path is None else path


def tidy(name: str, path: Path | None = None, cache: Path = CACHE) -> pl.DataFrame:
    """The tidy rows of a data set.

    Raises
    ------
    MissingData
        Its files are not there; the message says how to get them and where to put them.
    CorruptData
        They are not of the published form, or not those of the first download.
    DatasetError
        There is no such data set, or it is not of outcomes.
    """
    entry = entry_of(name)
    place = place_of(entry, path, cache)
    if not entry.module:
        raise DatasetError(f"{name} is not read from files of the cache; {entry.by_hand}")
    if not place.exists():
        get = f"run `p402 datasets fetch {name}`, or {entry.by_hand}" if entry.files else entry.by_hand
        raise MissingData(f"{place} is not there; {get}; or pass what you have as --path")
    if path is None:
        check(place, [wanted.name for wanted in entry.files])
    reader = cast("Callable[[Path], pl.DataFrame]", import_module(entry.module).tidy)
    return reader(place)


def load(
    name: str,
    path: Path | None = None,
    *,
    cache: Path = CACHE,
    models: Sequence[str] | None = None,
    drop_incomplete: bool = False,
) -> OutcomeTable:
    """The full-information table of a data set.

    Parameters
    ----------
    path
        A folder or file that the user has; None looks into the cache.
    models
        Only these; None takes all.
    drop_incomplete
        Leave out prompts of which some model has no outcome, and say so in the table's notes.

    Raises
    ------
    MissingData, CorruptData, DatasetError
        As `tidy`.
    MissingOutcome
        A model has no outcome on a prompt, and such prompts are not to be left out.
    """
    entry = entry_of(name)
    if name == "paretobandit":
        wheel = import_module("p402_datasets.paretobandit")
        table = cast("OutcomeTable", wheel.load())
        return table if models is None else table.only(models)
    frame = tidy(name, path, cache)
    if models is not None:
        known = frame["model"].unique(maintain_order=True).to_list()
        lacking = [model for model in models if model not in known]
        if lacking:
            raise DatasetError(
                f"{name} has no model {lacking[0]!r}{nearest(lacking[0], tuple(known))}; "
                f"expected some of {', '.join(known)}"
            )
        frame = frame.filter(pl.col("model").is_in(list(models)))
    about = About(entry.name, entry.licence, entry.read_on)
    return to_table(frame, about, drop_incomplete=drop_incomplete)
