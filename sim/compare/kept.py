"""Where finished runs lie, so that a comparison that was interrupted goes on where it was.

A run's file is written whole or not at all and carries its key; one with another key, or one that cannot be
read, is no run of ours and is played again. Only this module of the room touches runs on disk.
"""

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from p402.commands.run import BadQuestion
from p402.errors import DiskFull, P402Error
from sim.compare.job import Job

FOLDER: Final = "rounds"
KEY: Final = b"p402.run"


class NotWritable(BadQuestion):
    """The output folder cannot be written to."""


def prepare(out: Path) -> None:
    """Make the folders, take away what an interrupted write left, and try whether they can be written to.

    Raises
    ------
    NotWritable
        They cannot.
    """
    folder = out / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in (*out.glob("*.part"), *folder.glob("*.part")):
            if _is_left(part):
                part.unlink(missing_ok=True)
        probe = out / f"writable.{os.getpid()}.part"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise NotWritable(
            f"--out {out}: {error.strerror or error}; expected a folder that can be written to; "
            f"give another, or change its owner or mode"
        ) from error


def _is_left(part: Path) -> bool:
    """Whether a part is ours and its process is no more; another comparison may be at work here."""
    pid = part.suffixes[-2].removeprefix(".") if len(part.suffixes) > 1 else ""
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False


def path_of(out: Path, job: Job) -> Path:
    """Where a run's rounds lie."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", job.strategy)[:60]
    return out / FOLDER / f"{readable}-{job.seed}-{job.key[:12]}.parquet"


def is_kept(out: Path, job: Job) -> bool:
    """Whether this very run is finished and can be read."""
    try:
        metadata = pq.read_schema(path_of(out, job)).metadata or {}
    except (OSError, pa.ArrowException):
        return False
    return bool(metadata.get(KEY) == job.key.encode())


def keep(out: Path, job: Job, table: pa.Table) -> None:
    """Keep a run's rounds.

    Raises
    ------
    DiskFull
        The disk took no more; nothing of this run is kept.
    NotWritable
        The file cannot be written for another reason.
    """
    named = table.replace_schema_metadata({KEY: job.key.encode()})
    write_parquet(path_of(out, job), named)


def load(out: Path, job: Job, columns: Sequence[str]) -> pa.Table:
    """A finished run's rounds, those of the columns that its file has."""
    path = path_of(out, job)
    try:
        file = pq.ParquetFile(path)
        return file.read(columns=[name for name in columns if name in file.schema_arrow.names])
    except (OSError, pa.ArrowException) as error:
        raise P402Error(f"{path}: cannot be read: {error}; delete it and run the command again") from error


def remove(out: Path, job: Job) -> None:
    """Forget a run."""
    path_of(out, job).unlink(missing_ok=True)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        try:
            pq.write_table(table, part, compression="zstd")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise failure(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise failure(path, error) from error


def failure(path: Path, error: OSError) -> P402Error:
    """What an error of a write is called here."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(
            f"{path}: no space left; finished runs are kept: make room, or move the folder to a larger disk, "
            f"and run the command again"
        )
    return NotWritable(f"{path}: {error.strerror or error}; expected to write it; give another --out")
