"""A tidy Parquet file as a full-information table: one row for each prompt and model.

Columns `prompt, task, model, quality, cost_usd`, optionally `input_tokens, output_tokens, split`. It knows
nothing of arms, contexts or chance.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from p402_datasets import paretobandit
from p402_datasets.errors import CorruptData, MissingOutcome
from p402_datasets.outcomes import OutcomeTable, Prompt, prompt_id
from p402_datasets.paretobandit import VAL, ListPrice, estimate_tokens
from sim.drawn.priced import Priced

NEEDED: Final = ("prompt", "task", "model", "quality", "cost_usd")

VAL_SHARE: Final = 4
"""Where a file names no split, one prompt in so many, by its id, is `val`: the prior is of those."""

USUAL_OUTPUT: Final = 256
"""Mean output tokens taken where a source has none: only expected costs hang on it."""

_TASK_WORDS: Final = (
    ("code", ("code", "mbpp", "humaneval", "program", "computer")),
    ("math", ("math", "gsm", "arithmetic", "algebra", "counting")),
    ("translation", ("translat",)),
    ("summary", ("summar",)),
    ("extraction", ("extract",)),
    ("reasoning", ("reason", "bbh", "hellaswag", "winogrande", "logic")),
)
"""P402's task of a benchmark by a word in its name; all others are `knowledge`."""


def read_tidy(path: Path, *, complete: bool = False) -> Priced:
    """A tidy Parquet file; repeated texts are kept once.

    Raises
    ------
    CorruptData, MissingOutcome
        As `open_table`.
    """
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise CorruptData(
            f"{path}: {str(error).splitlines()[0]}; expected a Parquet file of {', '.join(NEEDED)}"
        ) from error
    lacking = [column for column in NEEDED if column not in frame.columns]
    if lacking:
        raise CorruptData(f"{path}: no column {', '.join(lacking)}; expected {', '.join(NEEDED)}")
    frame = _typed(path, frame)
    if any(frame[column].null_count() for column in NEEDED):
        raise CorruptData(
            f"{path}: a prompt, task, model, quality or cost is null; expected every outcome known: "
            f"drop those prompts first"
        )
    if frame.is_empty():
        raise CorruptData(f"{path}: found no row; expected one for each prompt and model")
    frame = frame.unique(["prompt", "model"], keep="first", maintain_order=True)
    models = tuple(sorted(frame["model"].unique().to_list()))
    whole = frame.group_by("prompt", maintain_order=True).agg(pl.len().alias("models"), pl.first("task"))
    short = whole.filter(pl.col("models") != len(models))
    if len(short) and not complete:
        raise MissingOutcome(
            f"{path}: {len(short)} of {len(whole)} prompts lack a model's outcome; expected all "
            f"{len(models)} models on every prompt: drop those prompts, or ask for the complete ones alone"
        )
    if len(short):
        whole = whole.filter(pl.col("models") == len(models))
        frame = frame.join(whole.select("prompt"), on="prompt", how="semi")
    splits = _splits(frame, whole)
    if len(set(splits)) < 2:
        raise CorruptData(
            f"{path}: all {len(splits)} prompts are of split {splits[0]!r}; expected some of {VAL!r}, which "
            "priors are made of, and some of another, which traffic is: mend `split`, or add prompts"
        )
    texts = whole["prompt"].to_list()
    prompts = tuple(
        Prompt(prompt_id(text), text, task, task_of(task), split)
        for text, task, split in zip(texts, whole["task"].to_list(), splits, strict=True)
    )
    row = {text: i for i, text in enumerate(texts)}
    column = {model: k for k, model in enumerate(models)}
    rows = np.array([row[text] for text in frame["prompt"].to_list()], np.int64)
    columns = np.array([column[model] for model in frame["model"].to_list()], np.int64)

    def placed(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
        out = np.zeros((len(prompts), len(models)), dtype)
        out[rows, columns] = values
        return out

    cost = placed(frame["cost_usd"].to_numpy(), np.float64)
    table = OutcomeTable(
        source=path.stem,
        licence="see the file's own source",
        read_on="at the time of drawing",
        prompts=prompts,
        models=models,
        quality=placed(frame["quality"].to_numpy(), np.float64),
        cost_usd=cost,
        prompt_tokens=_prompt_tokens(frame, texts, placed),
        output_tokens=_output_tokens(frame, cost, placed),
    )
    return Priced(path.stem, table, prices_of(table), billed=False, dropped=len(short))


def _typed(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """Texts as texts and numbers as numbers, or what cannot be read so."""
    kinds = dict.fromkeys(NEEDED[:3], pl.String) | dict.fromkeys(NEEDED[3:], pl.Float64)
    try:
        return frame.cast({name: kinds[name] for name in NEEDED})
    except pl.exceptions.PolarsError as error:
        raise CorruptData(
            f"{path}: {str(error).splitlines()[0]}; expected texts in {', '.join(NEEDED[:3])} and numbers in "
            f"{', '.join(NEEDED[3:])}"
        ) from error


def task_of(benchmark: str) -> str:
    """P402's task of a benchmark's name."""
    known = paretobandit.TASK_OF_BENCHMARK.get(benchmark)
    if known is not None:
        return known
    lower = benchmark.lower()
    return next((task for task, words in _TASK_WORDS if any(w in lower for w in words)), "knowledge")


def prices_of(table: OutcomeTable) -> Mapping[str, ListPrice]:
    """One price for input and output of each model, at which its `val` tokens cost what they did."""
    known = table.split(VAL)
    tokens = known.prompt_tokens + known.output_tokens
    found = {}
    for k, model in enumerate(table.models):
        usd = float(np.add.reduce(known.cost_usd[:, k])) / float(np.add.reduce(tokens[:, k]))
        price = max(Decimal(str(round(usd * 1e6, 6))), Decimal("0.000001"))
        found[model] = ListPrice(price, price)
    return found


def _splits(frame: pl.DataFrame, whole: pl.DataFrame) -> list[str]:
    if "split" in frame.columns:
        named = dict(zip(frame["prompt"].to_list(), frame["split"].to_list(), strict=True))
        if VAL in named.values():
            return [named[text] or "test" for text in whole["prompt"].to_list()]
    return [
        VAL if int(prompt_id(text), 16) % VAL_SHARE == 0 else "test" for text in whole["prompt"].to_list()
    ]


def _prompt_tokens(frame: pl.DataFrame, texts: list[str], placed: Any) -> NDArray[np.int64]:
    estimates = dict(zip(texts, map(estimate_tokens, texts), strict=True))
    given = frame["input_tokens"].to_list() if "input_tokens" in frame.columns else [None] * len(frame)
    known = [
        estimates[text] if count is None else max(1, count)
        for text, count in zip(frame["prompt"].to_list(), given, strict=True)
    ]
    found: NDArray[np.int64] = placed(np.array(known, np.int64), np.int64)
    return found


def _output_tokens(frame: pl.DataFrame, cost: NDArray[np.float64], placed: Any) -> NDArray[np.int64]:
    """Output tokens; where unknown, as many of 256 on average as the cost is of the model's mean cost."""
    mean = cost.mean(axis=0)  # a cost that is no positive number is refused by the table itself
    shared = np.divide(
        cost, mean, out=np.ones_like(cost), where=np.isfinite(cost) & np.isfinite(mean) & (mean > 0)
    )
    share = np.asarray(np.maximum(1, np.rint(USUAL_OUTPUT * shared)), np.int64)
    if "output_tokens" not in frame.columns:
        return share
    given = placed(frame["output_tokens"].cast(pl.Float64).to_numpy(), np.float64)
    found = np.where(np.isnan(given), share, np.maximum(1, np.nan_to_num(given)))
    return np.asarray(found, np.int64)
