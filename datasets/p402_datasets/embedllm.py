"""EmbedLLM: right or wrong of 112 open models on some 36,000 prompts.

CSV files `train.csv`, `val.csv` and `test.csv`, a row for each prompt and model: `prompt_id`, `model_name`,
`category`, `label` (1 or 0), `prompt`. Neither tokens nor costs are in them. Some prompts stand in
several categories: rows that name one prompt and model twice are averaged.

Source: RZ412/EmbedLLM on Hugging Face, Apache-2.0; Zhuang et al., arXiv:2410.02223; columns read 2026-11-26
from public readers of the files.
"""

from pathlib import Path
from typing import Final

import polars as pl

from p402_datasets.errors import CorruptData, MissingData
from p402_datasets.tidy import shaped

SOURCE: Final = "embedllm"
REPOSITORY: Final = "https://huggingface.co/datasets/RZ412/EmbedLLM"
NAMES: Final = ("train.csv", "val.csv", "test.csv")
COLUMNS: Final = ("prompt_id", "model_name", "category", "label", "prompt")


def tidy(folder: Path) -> pl.DataFrame:
    """The tidy rows of the CSV files in a folder, or of one; the split is the file's name.

    Raises
    ------
    MissingData
        There is no such file.
    CorruptData
        A file is not of the published form.
    """
    files = [folder] if folder.is_file() else [folder / name for name in NAMES if (folder / name).is_file()]
    if not files:
        raise MissingData(f"{folder} holds none of {', '.join(NAMES)}; expected them from {REPOSITORY}")
    return pl.concat([_rows(path) for path in files])


def _rows(path: Path) -> pl.DataFrame:
    try:
        lazy = pl.scan_csv(path, infer_schema=False)
        lacking = [name for name in COLUMNS if name not in lazy.collect_schema()]
        if lacking:
            raise CorruptData(f"{path}: found no {', '.join(lacking)}; expected columns {', '.join(COLUMNS)}")
        label = pl.col("label").str.strip_chars().cast(pl.Float64)
        frame = lazy.select(*COLUMNS[:3], label, "prompt").collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise CorruptData(f"{path}: {str(error).partition(chr(10))[0]}; expected EmbedLLM's CSV") from error
    split = path.stem
    frame = frame.group_by("prompt_id", "model_name", maintain_order=True).agg(
        pl.col("category").first(), pl.col("prompt").first(), pl.col("label").mean()
    )
    return shaped(
        frame.select(
            pl.lit(SOURCE).alias("source"),
            (pl.lit(f"{split}-") + pl.col("prompt_id")).alias("prompt_id"),
            pl.col("category").alias("task"),
            "prompt",
            pl.col("model_name").alias("model"),
            pl.col("label").alias("quality"),
            pl.lit(split).alias("split"),
        ),
        str(path),
    )
