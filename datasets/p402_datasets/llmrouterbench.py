"""LLMRouterBench: score, tokens and cost of 33 models on 21 benchmarks, in two settings.

JSON files `<benchmark>[/<split>]/<model>/<time>.json`, in an archive or unpacked, each with `records` of
`index`, `origin_query` or `prompt`, `score`, `prompt_tokens`, `completion_tokens` and `cost` in USD. The
`flagship` setting has 13 models with real costs; in the `open` one 20 models cost nothing that was billed, so
their costs are unknown. The models of a setting do not share all benchmarks: name those to be compared. Of
several runs of one model on one benchmark the last by name counts.

Source: NPULH/LLMRouterBench on Hugging Face (no licence stated there; the code says MIT); arXiv:2601.07206;
form read 2026-11-26 in the README of ynulihao/OpenRouterBench.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from p402_datasets.errors import CorruptData, MissingData
from p402_datasets.tidy import shaped

SOURCE: Final = "llmrouterbench"
REPOSITORY: Final = "https://huggingface.co/datasets/NPULH/LLMRouterBench"
ARCHIVE: Final = "bench-release.tar.gz"
ROOTS: Final = frozenset({"bench", "bench-release", "results"})
"""Folders above the benchmarks, which an archive or an unpacked copy may have."""


class _Record(msgspec.Struct):
    index: int | str
    score: float
    origin_query: Any = None
    prompt: Any = None
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    cost: float | None = None


class _Run(msgspec.Struct):
    records: list[_Record]


_decode = msgspec.json.Decoder(_Run).decode


def tidy(folder: Path) -> pl.DataFrame:
    """The tidy rows of an archive, or of a folder that holds it or what is in it.

    Raises
    ------
    MissingData
        There are no results.
    CorruptData
        A file is not of the published form.
    """
    runs: dict[tuple[str, str, str], tuple[str, pl.DataFrame]] = {}
    for name, data in _files(folder):
        place = _place(name)
        if place is None:
            continue
        before = runs.get(place)
        if before is None or before[0] < name:
            runs[place] = (name, _rows(place, data, name))
    if not runs:
        raise MissingData(f"{folder} holds no results; expected {ARCHIVE} of {REPOSITORY}, or what is in it")
    return pl.concat([runs[place][1] for place in sorted(runs)])


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    archive = folder if folder.is_file() else folder / ARCHIVE
    if archive.is_file():
        try:
            with tarfile.open(archive, "r:*") as tar:
                for member in tar:
                    file = (
                        tar.extractfile(member) if member.isfile() and member.name.endswith(".json") else None
                    )
                    if file is not None:
                        yield member.name, file.read()
        except (tarfile.TarError, EOFError, OSError) as error:
            raise CorruptData(f"{archive}: {error}; expected a tar archive of results") from error
        return
    for path in sorted(folder.rglob("*.json")):
        yield str(path.relative_to(folder)), path.read_bytes()


def _place(name: str) -> tuple[str, str, str] | None:
    """Benchmark, split (empty where there is none) and model of a file; None where it is no result."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    while parts and parts[0] in ROOTS:
        parts = parts[1:]
    match parts:
        case [benchmark, model, _]:
            return benchmark, "", model
        case [benchmark, split, model, _]:
            return benchmark, split, model
        case _:
            return None


def _rows(place: tuple[str, str, str], data: bytes, name: str) -> pl.DataFrame:
    benchmark, split, model = place
    try:
        records = _decode(data).records
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptData(f"{name}: {error}; expected an object with `records`") from error
    key = f"{benchmark}/{split}" if split else benchmark
    frame = pl.DataFrame(
        {
            "source": SOURCE,
            "prompt_id": [f"{key}-{record.index}" for record in records],
            "task": [benchmark] * len(records),
            "prompt": [_text(record) for record in records],
            "model": [model] * len(records),
            "quality": [record.score for record in records],
            "input_tokens": [_whole(record.prompt_tokens) for record in records],
            "output_tokens": [_whole(record.completion_tokens) for record in records],
            "cost_usd": [record.cost or None for record in records],
            "split": [split or None] * len(records),
        },
        schema_overrides={"cost_usd": pl.Float64, "quality": pl.Float64, "split": pl.String},
    )
    return shaped(frame.unique("prompt_id", keep="last", maintain_order=True), name)


def _text(record: _Record) -> str:
    said = record.origin_query or record.prompt
    return said if isinstance(said, str) else msgspec.json.encode(said).decode()


def _whole(count: float | None) -> int | None:
    return None if not count else round(count)
