"""How the events of some segments become Parquet files, the same bytes for the same segments.

One file for each kind and hour (a day, of imported calls), named after the segments it came from, which its
footer lists too.
It knows nothing of manifests or of who deletes what.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from p402.errors import StoreError
from p402.store.atomic import publish, sync_folder, temporary_beside
from p402.store.manifest import PARQUET, Part
from p402.store.schema import HOUR_MS, SCHEMAS, tables_of
from p402.store.segments import SEALED, parse

_INPUTS: Final = b"p402.inputs"
_ROW_GROUP: Final = 1 << 17
_HOURS: Final = {"imported": 24}
"""Hours in one file of a kind, where it is not 1: other systems' logs come months at a time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Segments read together: rows by (kind, hour), and what was none."""

    names: list[str]
    rows: dict[tuple[str, int], list[pa.Table]]
    quarantine: dict[str, list[bytes]]
    bytes_of: dict[str, int]
    torn: int
    malformed: int


def read_batch(root: Path, names: list[str]) -> Batch:
    """Take sealed segments apart."""
    rows: dict[tuple[str, int], list[pa.Table]] = {}
    quarantine: dict[str, list[bytes]] = {}
    bytes_of: dict[str, int] = {}
    torn = malformed = 0
    for name in names:
        for parsed in parse((root / SEALED / name).read_bytes()):
            tables, unfit = tables_of(parsed.events)
            bad = [*parsed.malformed, *unfit]
            torn += bool(parsed.torn)
            malformed += len(bad)
            if bad or parsed.torn:
                quarantine.setdefault(name, []).extend([*bad, parsed.torn] if parsed.torn else bad)
            for kind, size in parsed.bytes_of.items():
                bytes_of[kind] = bytes_of.get(kind, 0) + size
            for kind, table in tables.items():
                for hour, part in _by_hour(table, _HOURS.get(kind, 1)):
                    rows.setdefault((kind, hour), []).append(part)
    return Batch(names, rows, quarantine, bytes_of, torn, malformed)


def _by_hour(table: pa.Table, hours: int) -> Iterator[tuple[int, pa.Table]]:
    """Rows by the hour in which their file begins; `hours` divides a day."""
    slots = pc.divide(table["ts_ms"], HOUR_MS * hours)
    for slot in sorted(pc.unique(slots).to_pylist()):
        yield slot * hours, table.filter(pc.equal(slots, slot))


def write_parts(root: Path, batch: Batch, step: Callable[[str], None]) -> list[Part]:
    """Write and sync the batch's files; `step` is called after each."""
    stem = "part-" + hashlib.sha256("\n".join(batch.names).encode()).hexdigest()
    metadata = {_INPUTS: msgspec.json.encode(batch.names)}
    written: list[Part] = []
    for (kind, hour), tables in sorted(batch.rows.items(), key=lambda item: item[0]):
        at = datetime.fromtimestamp(hour * HOUR_MS / 1000, tz=UTC)
        path = f"{PARQUET}/kind={kind}/dt={at:%Y-%m-%d}/hr={at:%H}/{stem}.parquet"
        table = pa.concat_tables(tables).cast(SCHEMAS[kind].with_metadata(metadata))
        _write_part(root / path, table)
        span = pc.min_max(table["ts_ms"]).as_py()
        written.append(
            Part(
                path=path,
                kind=kind,
                sha256=hash_of(root / path),
                rows=table.num_rows,
                size_bytes=(root / path).stat().st_size,
                min_ts_ms=span["min"],
                max_ts_ms=span["max"],
            )
        )
        step("written")
    return written


def _write_part(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        pq.write_table(table, temporary, compression="zstd", compression_level=6, row_group_size=_ROW_GROUP)
        publish(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    for folder in list(path.parents)[1:4]:  # the partition's own name must be durable too
        sync_folder(folder)


def inputs_of(path: Path) -> list[str]:
    """Names of the segments that a file was made from.

    Raises
    ------
    StoreError
        It cannot be read, so nothing says whether its segments are still there.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
        return msgspec.json.decode(metadata.get(_INPUTS, b'["?"]'), type=list[str])
    except (OSError, pa.ArrowException, msgspec.DecodeError) as reason:
        said = str(reason).partition("\n")[0]
        raise StoreError(
            f"{path} is in no manifest and cannot be read: {said}; expected what a compaction that was cut "
            f"short had finished; move it away: segments that are still in {SEALED}/ are taken in again"
        ) from reason


def hash_of(path: Path) -> str:
    """SHA-256, hex, of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
