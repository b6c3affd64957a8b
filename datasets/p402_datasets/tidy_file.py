"""A tidy Parquet file of the user's own, or a folder of such files, as one source."""

from pathlib import Path

import polars as pl

from p402_datasets import tidy as form
from p402_datasets.errors import MissingData


def tidy(path: Path) -> pl.DataFrame:
    """The rows of a file, or of all Parquet files of a folder.

    Raises
    ------
    MissingData
        There is no such file.
    CorruptData
        A file is no Parquet, or lacks a column.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise MissingData(f"{path} holds no Parquet file; expected one of columns {', '.join(form.COLUMNS)}")
    return pl.concat([form.read(file) for file in files])
