"""RouterBench's outcomes, from a converted table: never from its pickles.

What is published are pandas pickles, which can run any code when they are read, so they are refused. Somebody
who trusts one converts it once, in an environment with pandas, to the same columns as Parquet or CSV:
`sample_id`, `prompt` (the text, or the `repr` of a list of turns), `eval_name`, and for each model its score
under its own name and its cost in USD under `MODEL|total_cost`. Other columns are passed over.

Source: withmartian/routerbench on Hugging Face, no licence stated; Hu et al., arXiv:2403.12031; columns read
2026-11-26 from public readers of the file.
"""

import ast
from contextlib import suppress
from pathlib import Path
from typing import Final

import polars as pl

from p402_datasets.errors import CorruptData, MissingData
from p402_datasets.tidy import shaped

SOURCE: Final = "routerbench"
COST: Final = "|total_cost"
PICKLES: Final = (".pkl", ".pickle")
FORMS: Final = (".parquet", ".csv")
CONVERT: Final = (
    'convert it where you trust it: python -c "import pandas as pd; '
    "d = pd.read_pickle('routerbench_0shot.pkl'); d[[c for c in d.columns if not "
    "c.endswith('model_response')]]"
    ".astype({'prompt': str}).to_parquet('routerbench_0shot.parquet')\""
)


def tidy(folder: Path) -> pl.DataFrame:
    """The tidy rows of a converted table in a folder, or of one such file.

    Raises
    ------
    MissingData
        There is no table, or only a pickle; the message says how to convert it.
    CorruptData
        The columns are not RouterBench's.
    """
    files = [folder] if folder.is_file() else sorted(p for p in folder.glob("*") if p.suffix in FORMS)
    pickles = [p for p in ([folder] if folder.is_file() else sorted(folder.glob("*"))) if p.suffix in PICKLES]
    files = [p for p in files if p.suffix in FORMS]
    if not files and pickles:
        raise MissingData(
            f"{pickles[0]} is a pickle, which can run any code when it is read, and is not read here; "
            f"{CONVERT}"
        )
    if not files:
        raise MissingData(f"{folder} holds no RouterBench table; expected a .parquet or .csv; {CONVERT}")
    return pl.concat([_rows(path) for path in files]).unique(
        ["prompt_id", "model"], keep="first", maintain_order=True
    )


def _rows(path: Path) -> pl.DataFrame:
    try:
        frame = (
            pl.read_parquet(path)
            if path.suffix == ".parquet"
            else pl.read_csv(path, infer_schema_length=None)
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        said = str(error).partition("\n")[0]
        raise CorruptData(f"{path}: {said}; expected RouterBench's columns as Parquet or CSV") from error
    models = [name.removesuffix(COST) for name in frame.columns if name.endswith(COST)]
    lacking = [c for c in ("sample_id", "prompt", "eval_name", *models) if c not in frame.columns]
    if lacking or not models:
        raise CorruptData(
            f"{path}: found columns {', '.join(frame.columns[:8])}; expected "
            f"{', '.join(lacking) or f'MODEL{COST}'}"
        )
    prompts = [_text(value) for value in frame["prompt"].to_list()]
    parts = [
        pl.DataFrame(
            {
                "source": SOURCE,
                "prompt_id": frame["sample_id"].cast(pl.String),
                "task": frame["eval_name"],
                "prompt": prompts,
                "model": model,
                "quality": frame[model].cast(pl.Float64, strict=False),
                "cost_usd": frame[model + COST].cast(pl.Float64, strict=False),
            }
        )
        for model in models
    ]
    return shaped(pl.concat(parts), str(path))


def _text(value: object) -> str:
    """The prompt's text; turns, as a list or as the `repr` of one, are joined."""
    if isinstance(value, str) and value[:1] == "[":
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            value = ast.literal_eval(value)
    if isinstance(value, list):
        return "\n\n".join(str(turn) for turn in value)
    return str(value)
