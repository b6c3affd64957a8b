"""A tidy file as a priced table: what a drawing needs and a file may lack is filled in, and nothing else.

`p402_datasets` reads it and refuses what is no table. Here it gets a `val` split for the prior, tokens where
they are unknown, and prices. It knows nothing of arms, contexts or chance.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from p402_datasets.errors import CorruptData
from p402_datasets.outcomes import OutcomeTable, Prompt
from p402_datasets.paretobandit import VAL, ListPrice, estimate_tokens
from p402_datasets.tidy import About, read, to_table
from sim.drawn.priced import Priced

VAL_SHARE: Final = 4
"""Where a file names no `val` split, one prompt in so many, by its id, is of it: the prior is of those."""

USUAL_OUTPUT: Final = 256
"""Mean output tokens taken where a source has none: only expected costs hang on it."""


def filled(path: Path, *, complete: bool = False) -> Priced:
    """A tidy Parquet file with all that a log is drawn from; models ascend by name.

    Raises
    ------
    CorruptData, MissingOutcome
        As `sim.drawn.tables.open_table`.
    """
    frame = _with_tokens(read(path))
    about = About(path.stem, "see the file's own source", "at the time of drawing")
    table = to_table(frame, about, drop_incomplete=complete)
    if not table.has_costs:
        raise CorruptData(f"{path}: no outcome has a cost; expected cost_usd, in USD above 0")
    table = replace(table.only(sorted(table.models)), prompts=_split(table.prompts))
    splits = {prompt.split for prompt in table.prompts}
    if len(splits) < 2:
        raise CorruptData(
            f"{path}: all {len(table.prompts)} prompts are of split {splits.pop()!r}; expected {VAL!r} "
            "for priors, and another for traffic: mend `split`, or add prompts"
        )
    dropped = frame["prompt"].n_unique() - len(table.prompts)
    return Priced(path.stem, table, prices_of(table), billed=False, dropped=dropped)


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


def _split(prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
    if any(prompt.split == VAL for prompt in prompts):
        return prompts
    return tuple(
        replace(prompt, split=VAL if int(prompt.id, 16) % VAL_SHARE == 0 else "test") for prompt in prompts
    )


def _with_tokens(frame: pl.DataFrame) -> pl.DataFrame:
    """Unknown input by the text's length; output as many of 256 as the cost is of its model's mean cost."""
    texts = frame["prompt"].unique().to_list()
    estimates = pl.DataFrame(
        {"prompt": texts, "estimate": list(map(estimate_tokens, texts))},
        schema={"prompt": pl.String, "estimate": pl.Int64},
    )
    share = (USUAL_OUTPUT * pl.col("cost_usd") / pl.col("cost_usd").mean().over("model")).round()
    return (
        frame.join(estimates, on="prompt", how="left", maintain_order="left")
        .with_columns(
            pl.coalesce("input_tokens", "estimate"),
            pl.coalesce("output_tokens", share.fill_nan(1).clip(1).cast(pl.Int64)),
        )
        .drop("estimate")
    )
