"""The rows of an exported file, each with its line, and the lines that are none.

JSON lines, a JSON array (or an object whose `data` is one), and CSV with a header; each also gzipped. The
file's name tells which, else its first byte. JSON lines and CSV are read a line at a time, an array whole.
It knows nothing of what a row means.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from p402.errors import StoreError

JSON_LINES: Final = frozenset({".jsonl", ".ndjson"})
MAX_CELL: Final = 1 << 26
"""Characters of one CSV cell: long prompts are cells."""

_BOM: Final = b"\xef\xbb\xbf"
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True, slots=True)
class Row:
    """A row's fields. `line` is the file's line, from 1; of a JSON array, the element's number."""

    line: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bad:
    """A line that is no row, and why."""

    line: int
    why: str


def rows_of(path: Path) -> Iterator[Row | Bad]:
    """Every line of a file, as a row or as damage; blank lines are neither.

    Raises
    ------
    StoreError
        The file cannot be read.
    """
    try:
        with _opened(path) as file:
            match _form(path, file):
                case "lines":
                    yield from _json_lines(file)
                case "json":
                    yield from _json(file)
                case _:
                    yield from _csv(file)
    except (OSError, EOFError, zlib.error) as error:  # the latter two: a gzip file that was cut, or damaged
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StoreError(
            f"{path}: {said}; expected an export: JSON lines, JSON or CSV, plain or .gz"
        ) from error


def _opened(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def _form(path: Path, file: BinaryIO) -> str:
    name = path.with_suffix("") if path.suffix == ".gz" else path
    if name.suffix in JSON_LINES:
        return "lines"
    if name.suffix == ".csv":
        return "csv"
    start = file.read(4096).removeprefix(_BOM).lstrip()
    file.seek(0)
    return "json" if start[:1] in {b"[", b"{"} else "csv"


def _json_lines(file: BinaryIO) -> Iterator[Row | Bad]:
    for number, line in enumerate(file, 1):
        data = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
        if data:
            yield _row(number, data)


def _row(number: int, data: bytes) -> Row | Bad:
    try:
        found = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Bad(number, f"no JSON: {error}")
    if not isinstance(found, dict):
        return Bad(number, f"found {_kind(found)}, expected an object")
    return Row(number, found)


def _json(file: BinaryIO) -> Iterator[Row | Bad]:
    """An array, an object that wraps one, one object, or JSON lines under another name."""
    data = file.read().removeprefix(_BOM)
    try:
        found = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        file.seek(0)
        yield from _json_lines(file)
        return
    if isinstance(found, dict):
        found = found["data"] if isinstance(found.get("data"), list) else [found]
    for number, value in enumerate(found, 1):
        if isinstance(value, dict):
            yield Row(number, value)
        else:
            yield Bad(number, f"found {_kind(value)}, expected an object")


def _csv(file: BinaryIO) -> Iterator[Row | Bad]:
    csv.field_size_limit(MAX_CELL)
    text = TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _cells(text)
    finally:
        text.detach()  # the file is its opener's to close


def _cells(text: TextIOWrapper) -> Iterator[Row | Bad]:
    reader = csv.reader(text)
    header = next(reader, [])
    while True:
        begins = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Bad(begins, f"no CSV: {error}")
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            yield Bad(begins, f"found {len(cells)} cells, expected {len(header)} as in the header")
        elif any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell if not cell.isascii()):
            yield Bad(begins, "found a byte that is not UTF-8; save the file as UTF-8")
        else:
            yield Row(begins, dict(zip(header, cells, strict=True)))


def _kind(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
