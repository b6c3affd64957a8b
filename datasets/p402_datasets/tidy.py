"""One row for each prompt and model: the form that every source is brought into, and the table made of it.

Columns: `task, prompt, model, quality[, source, prompt_id, input_tokens, output_tokens, cost_usd, split]`;
`task` is the source's own name of the benchmark, tokens and cost are null where the source has none. A
Parquet file of these columns is a source too. An arm without an outcome is an error, unless its prompt is
asked to be left out. It knows nothing of any source's own files.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from p402_datasets.errors import CorruptData, DatasetError, MissingData, MissingOutcome
from p402_datasets.outcomes import OutcomeTable, Prompt, prompt_id
from p402_datasets.tasks import UNKNOWN, task_of

COLUMNS: Final[dict[str, pl.DataType]] = {
    "source": pl.String(),
    "prompt_id": pl.String(),
    "task": pl.String(),
    "prompt": pl.String(),
    "model": pl.String(),
    "quality": pl.Float64(),
    "input_tokens": pl.Int64(),
    "output_tokens": pl.Int64(),
    "cost_usd": pl.Float64(),
    "split": pl.String(),
}
"""Columns of the tidy form, in order."""

OPTIONAL: Final = frozenset({"source", "prompt_id", "input_tokens", "output_tokens", "cost_usd", "split"})
NEEDED: Final = tuple(name for name in COLUMNS if name not in OPTIONAL)
ALL: Final = "all"
"""Split of a source that has none."""

_FEW: Final = 3


@dataclass(frozen=True, slots=True)
class About:
    """What a table says of its source: its name, its licence, and the day its form was read."""

    source: str
    licence: str
    read_on: str


def shaped(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    """The tidy columns of a frame in their types and order; an optional one that is absent is null.

    An absent `source` is the name given here, and an absent `prompt_id` is the text's own id.

    Raises
    ------
    CorruptData
        A column is missing, or holds what its type cannot.
    """
    missing = [name for name in NEEDED if name not in frame.columns]
    if missing:
        raise CorruptData(
            f"{source}: found columns {', '.join(frame.columns)}; expected {', '.join(missing)} as well"
        )
    absent: dict[str, pl.Expr | pl.Series] = {
        name: pl.lit(source if name == "source" else None) for name in COLUMNS if name not in frame.columns
    }
    if "prompt_id" in absent:
        absent["prompt_id"] = pl.Series([prompt_id(str(text)) for text in frame["prompt"]], dtype=pl.String())
    try:
        return frame.with_columns(**absent).select(pl.col(n).cast(kind) for n, kind in COLUMNS.items())
    except pl.exceptions.PolarsError as error:
        raise CorruptData(
            f"{source}: {str(error).partition(chr(10))[0]}; expected the tidy columns"
        ) from error


def read(path: Path) -> pl.DataFrame:
    """A tidy Parquet file.

    Raises
    ------
    MissingData
        There is no such file.
    CorruptData
        It is no Parquet, or lacks a column.
    """
    if not path.is_file():
        raise MissingData(f"{path} is no file; expected a Parquet file of the columns {', '.join(COLUMNS)}")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        said = str(error).partition("\n")[0]
        raise CorruptData(f"{path}: {said}; expected a Parquet file of tidy outcomes") from error
    return shaped(frame, str(path))


def to_table(frame: pl.DataFrame, about: About, *, drop_incomplete: bool = False) -> OutcomeTable:
    """The full-information table of tidy rows.

    Prompts come in the order of their first row, models in that of theirs. Of prompts with the same text the
    first is kept. A cost of 0 is no bill, and counts as missing.

    Parameters
    ----------
    drop_incomplete
        Leave out prompts of which some model has no outcome, and say so in the table's notes.

    Raises
    ------
    MissingOutcome
        A model has no outcome on a prompt, and such prompts are not to be left out.
    DatasetError
        There is no row, a model has two outcomes on one prompt, or a value is out of range.
    """
    if frame.is_empty():
        raise DatasetError(f"{about.source}: found no row; expected outcomes")
    notes: list[str] = []
    prompts = frame.unique("prompt_id", keep="first", maintain_order=True)
    models = frame["model"].unique(maintain_order=True).to_list()
    place = {key: k for k, key in enumerate(prompts["prompt_id"].to_list())}
    row = np.array([place[key] for key in frame["prompt_id"].to_list()], np.int64)
    index = {model: k for k, model in enumerate(models)}
    column = np.array([index[model] for model in frame["model"].to_list()], np.int64)
    cell = row * len(models) + column
    if len(np.unique(cell)) != len(cell):
        twice = frame.filter(pl.struct("prompt_id", "model").is_duplicated()).row(0, named=True)
        raise DatasetError(
            f"{about.source}: {twice['model']} has two outcomes on prompt {twice['prompt_id']}; expected one"
        )
    shape = len(place), len(models)
    quality = _spread(frame["quality"], cell, shape)
    cost = _spread(frame["cost_usd"], cell, shape)
    cost[cost == 0.0] = np.nan
    tokens = [_spread(frame[name], cell, shape) for name in ("input_tokens", "output_tokens")]
    has_costs = not bool(np.isnan(cost).all())
    kept = _complete(
        about, models, prompts, [quality, *([cost] if has_costs else [])], drop_incomplete, notes
    )
    kept = _first_of_each_text(prompts["prompt"].to_list(), kept, notes)
    if not kept:
        raise DatasetError(f"{about.source}: no prompt has an outcome of every model; name fewer models")
    keep = np.array(kept, np.int64)
    has_tokens = not any(bool(np.isnan(counts[keep]).any()) for counts in tokens)
    notes += [
        f"{what} are unknown" for what, has in (("tokens", has_tokens), ("costs", has_costs)) if not has
    ]
    rows = prompts.select("prompt", "task", "split").rows()
    made = tuple(_prompt(*rows[i]) for i in kept)
    _say_unknown({p.benchmark for p in made}, notes)
    unknown = np.zeros((len(kept), len(models)), np.int64)
    into, out = (np.maximum(counts[keep], 1).astype(np.int64) if has_tokens else unknown for counts in tokens)
    return OutcomeTable(
        source=about.source,
        licence=about.licence,
        read_on=about.read_on,
        prompts=made,
        models=tuple(models),
        quality=quality[keep],
        cost_usd=cost[keep] if has_costs else np.full(unknown.shape, np.nan),
        prompt_tokens=into,
        output_tokens=out,
        has_costs=has_costs,
        has_tokens=has_tokens,
        notes=tuple(notes),
    )


def of_table(table: OutcomeTable) -> pl.DataFrame:
    """The tidy rows of a table."""
    n, k = len(table.prompts), len(table.models)
    prompts = [prompt for prompt in table.prompts for _ in range(k)]
    columns: dict[str, object] = {
        "source": [table.source] * (n * k),
        "prompt_id": [p.id for p in prompts],
        "task": [p.benchmark for p in prompts],
        "prompt": [p.text for p in prompts],
        "model": list(table.models) * n,
        "quality": table.quality.reshape(-1),
        "split": [p.split for p in prompts],
    }
    if table.has_costs:
        columns["cost_usd"] = table.cost_usd.reshape(-1)
    if table.has_tokens:
        columns |= {
            "input_tokens": table.prompt_tokens.reshape(-1),
            "output_tokens": table.output_tokens.reshape(-1),
        }
    return shaped(pl.DataFrame(columns), table.source)


def _spread(values: pl.Series, cell: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Values at their cells, NaN elsewhere."""
    out = np.full(shape[0] * shape[1], np.nan)
    out[cell] = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return out.reshape(shape)


def _complete(
    about: About,
    models: list[str],
    prompts: pl.DataFrame,
    known: list[NDArray[np.float64]],
    drop: bool,  # noqa: FBT001 - the caller's own word
    notes: list[str],
) -> list[int]:
    """Rows without a hole; with holes and nothing to be left out, an error."""
    holes: NDArray[np.bool_] = np.logical_or.reduce([np.isnan(values) for values in known])
    bad: NDArray[np.bool_] = np.logical_or.reduce(holes, axis=1)
    count = int(bad.sum())
    if count and not drop:
        i, j = np.argwhere(holes)[0].tolist()
        raise MissingOutcome(
            f"{about.source}: {count:,} of {len(bad):,} prompts lack an outcome, first of {models[j]} on "
            f"{prompts['prompt_id'][i]}; every model needs one on every prompt: drop the incomplete "
            "prompts, or name fewer models"
        )
    if count:
        notes.append(f"{count:,} of {len(bad):,} prompts were left out: some model has no outcome on them")
    return np.flatnonzero(~bad).tolist()


def _first_of_each_text(texts: list[str], rows: list[int], notes: list[str]) -> list[int]:
    seen: set[str] = set()
    kept = []
    for i in rows:
        if texts[i] not in seen:
            seen.add(texts[i])
            kept.append(i)
    if len(kept) < len(rows):
        notes.append(f"{len(rows) - len(kept):,} prompts were left out: their text is an earlier one's")
    return kept


def _prompt(text: str, benchmark: str, split: str | None) -> Prompt:
    return Prompt(prompt_id(text), text, benchmark, task_of(benchmark) or UNKNOWN, split or ALL)


def _say_unknown(benchmarks: set[str], notes: list[str]) -> None:
    unknown = sorted(name for name in benchmarks if task_of(name) is None)
    if unknown:
        shown = ", ".join(unknown[:_FEW]) + (", ..." if len(unknown) > _FEW else "")
        notes.append(f"benchmarks of no known task count as {UNKNOWN}: {shown}")
