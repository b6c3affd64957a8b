"""SPROUT: judge scores and token counts of 13 models on some 44,000 prompts.

Parquet with `key`, `dataset`, `prompt`, and for each model a struct of `score` in [0, 1], `num_input_tokens`
and `num_output_tokens`; its `response` is never read. It has no prices: `OutcomeTable.priced` makes costs
of the tokens.

Source: CARROT-LLM-Routing/SPROUT on Hugging Face; Somerstep et al., arXiv:2502.03261; columns read 2026-11-26
from public readers of the files.
"""

from pathlib import Path
from typing import Final

import polars as pl

from p402_datasets.errors import CorruptData, MissingData
from p402_datasets.tidy import shaped

SOURCE: Final = "sprout"
REPOSITORY: Final = "https://huggingface.co/datasets/CARROT-LLM-Routing/SPROUT"
SPLITS: Final = ("train", "validation", "test")
NAMES: Final = (
    *(f"train-{k:05d}-of-00003.parquet" for k in range(3)),
    "validation-00000-of-00001.parquet",
    "test-00000-of-00001.parquet",
)
FIELDS: Final = ("score", "num_input_tokens", "num_output_tokens")


def tidy(folder: Path) -> pl.DataFrame:
    """The tidy rows of all Parquet files in a folder, or of one; the split is the beginning of its name.

    Raises
    ------
    MissingData
        There is no such file.
    CorruptData
        The columns are not SPROUT's.
    """
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.parquet"))
    files.sort(
        key=lambda path: (SPLITS.index(_split(path)) if _split(path) in SPLITS else len(SPLITS), path.name)
    )
    if not files:
        raise MissingData(f"{folder} holds no Parquet file; expected {', '.join(NAMES)}, of {REPOSITORY}")
    return pl.concat([_rows(path) for path in files])


def _split(path: Path) -> str:
    return path.name.partition("-")[0].removesuffix(".parquet")


def _rows(path: Path) -> pl.DataFrame:
    try:
        lazy = pl.scan_parquet(path)
        schema = lazy.collect_schema()
        models = [n for n, kind in schema.items() if isinstance(kind, pl.Struct) and _has_fields(kind)]
        lacking = [name for name in ("key", "dataset", "prompt") if name not in schema]
        if lacking or not models:
            raise CorruptData(
                f"{path}: found columns {', '.join(list(schema)[:8])}; expected "
                f"{', '.join(lacking) or 'models'}"
            )
        fields = [pl.col(m).struct.field(f).alias(f"{m}|{f}") for m in models for f in FIELDS]
        frame = lazy.select("key", "dataset", "prompt", *fields).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise CorruptData(f"{path}: {str(error).partition(chr(10))[0]}; expected SPROUT's Parquet") from error
    parts = [
        pl.DataFrame(
            {
                "source": SOURCE,
                "prompt_id": frame["key"].cast(pl.String),
                "task": frame["dataset"],
                "prompt": frame["prompt"],
                "model": model,
                "quality": frame[f"{model}|score"].cast(pl.Float64),
                "input_tokens": frame[f"{model}|num_input_tokens"].cast(pl.Int64),
                "output_tokens": frame[f"{model}|num_output_tokens"].cast(pl.Int64),
                "split": _split(path),
            }
        )
        for model in models
    ]
    return shaped(pl.concat(parts), str(path))


def _has_fields(kind: pl.Struct) -> bool:
    return {field.name for field in kind.fields} >= set(FIELDS)
