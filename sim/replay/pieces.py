"""Pieces of a log that can each be read alone: row groups of Parquet files, and segments not compacted yet.

A partition is named by what it holds: file, row group and the file's hash, or segments and the size that each
had. Pieces of one log have an order that follows from their names, and together they show every row. Whoever
has the log's folder can read a piece with what is here, in any process.
It knows nothing of groups, snapshots or what deltas mean.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from p402.errors import StoreError
from p402.events import AnyEvent
from p402.store import manifest as manifests
from p402.store.damage import damage_of
from p402.store.reader import uncompacted, unread
from p402.store.schema import DEFAULTS, SCHEMAS, STRUCTS, tables_of
from p402.store.segments import CHUNK, read_segment

CHOICE_KINDS: Final = ("decision", "attempt")
"""Kinds of events that are a choice with its row inputs."""

BUNDLE_BYTES: Final = 64 << 20
"""Bytes of segments in one partition, or a single segment."""

_CODED: Final = ("worker", "snapshot", "arm", "tenant", "task", "baseline", "status", "code", "source")
"""Columns of few different names, which are read as codes."""

_CODED_INPUTS: Final = ("mode", "policy", "previous_arm", "model", "family")

_ID_ROWS: Final = 1 << 17

_decode = msgspec.json.Decoder(AnyEvent).decode


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """Some rows of one kind of event.

    Attributes
    ----------
    log
        The log's folder.
    path, row_group
        Parquet file under the log, and which row group; empty and -1 where it is of segments.
    segments
        Names, and bytes of each that count.
    digest
        Names the content: the file's SHA-256, or one of the segments' names and sizes.
    rows
        Rows that reading it gives; of segments, lines that may be of this kind.
    drop
        Positions of rows that another place of the log has as well, and counts.
    """

    log: str
    kind: str
    path: str
    row_group: int
    segments: tuple[tuple[str, int], ...]
    digest: str
    rows: int
    drop: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """A name for the content of this partition, and of no other."""
        text = f"{self.kind} {self.path} {self.row_group} {self.digest} {list(self.drop)}"
        return hashlib.sha256(text.encode()).hexdigest()


def pieces_of(log: Path, kinds: Sequence[str]) -> list[list[Partition]]:
    """Every piece of the log as it now is, by kind; a row that was logged twice is in both its places.

    Raises
    ------
    StoreError
        There is no such folder, its manifest cannot be used, or a Parquet file is damaged.
    """
    manifest, segments = uncompacted(log)
    return [
        [*_in_parquet(log, kind, manifest.of_kind(kind)), *_in_segments(log, kind, segments)]
        for kind in kinds
    ]


def _in_parquet(log: Path, kind: str, parts: Sequence[manifests.Part]) -> Iterator[Partition]:
    for part in parts:
        with _reading(log, log / part.path), pq.ParquetFile(log / part.path) as file:
            counts = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        for number, rows in enumerate(counts):
            if rows:
                yield Partition(str(log), kind, part.path, number, (), part.sha256, rows)


def _in_segments(log: Path, kind: str, segments: Sequence[tuple[str, int]]) -> Iterator[Partition]:
    bundle: list[tuple[str, int]] = []
    for i, (name, size) in enumerate(segments):
        bundle.append((name, size))
        if sum(size for _, size in bundle) >= BUNDLE_BYTES or i == len(segments) - 1:
            digest = hashlib.sha256(msgspec.json.encode(bundle)).hexdigest()
            made = Partition(str(log), kind, "", -1, tuple(bundle), digest, 0)
            rows = sum(len(lines) for lines in lines_of(made))
            if rows:
                yield replace(made, rows=rows)
            bundle = []


def rows_of(partition: Partition, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
    """Rows of a partition in their order, in tables of these columns.

    Raises
    ------
    StoreError
        It is damaged, or was compacted away since it was named.
    """
    drop = np.array(partition.drop, np.int64)
    for position, table in _tables(partition, columns, chunk_rows):
        kept = table
        if len(drop) and (twice := np.isin(position, drop)).any():
            kept = table.filter(pa.array(~twice))
        if kept.num_rows:
            yield _whole(kept, partition.kind, columns)


def _tables(
    partition: Partition, columns: Sequence[str], chunk_rows: int
) -> Iterator[tuple[np.ndarray[Any, np.dtype[np.int64]], pa.Table]]:
    """Every row with its position."""
    if partition.path:
        start = 0
        for table in _parquet(partition, columns, chunk_rows):
            yield np.arange(start, start + table.num_rows), table
            start += table.num_rows
        return
    start = 0
    for lines in lines_of(partition):
        yield from _decoded(partition.kind, lines, start, columns)
        start += len(lines)


def _parquet(partition: Partition, columns: Sequence[str], chunk_rows: int) -> Iterator[pa.Table]:
    log, path = Path(partition.log), Path(partition.log) / partition.path
    with _reading(log, path), pq.ParquetFile(path, read_dictionary=_codes(path)) as file:
        there = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(
            chunk_rows, row_groups=[partition.row_group], columns=there, use_threads=False
        ):
            yield pa.Table.from_batches([batch])


def _codes(path: Path) -> list[str]:
    """Columns of a file to be read as codes."""
    wanted = {*_CODED, *(f"inputs.{name}" for name in _CODED_INPUTS)}
    schema = pq.read_metadata(path).schema
    return [name for i in range(len(schema)) if (name := schema.column(i).path) in wanted]


def _whole(table: pa.Table, kind: str, columns: Sequence[str]) -> pa.Table:
    """The columns in their order; one that an old file lacks is its default."""
    found = []
    for name in columns:
        default = DEFAULTS[kind].get(name)
        if name in table.column_names:
            column = table.column(name)
        else:
            column = pa.chunked_array([pa.nulls(table.num_rows, SCHEMAS[kind].field(name).type)])
        if column.null_count and isinstance(default, bool | int | float | str):
            column = column.fill_null(default)
        found.append(column)
    return pa.table(found, names=list(columns))


def lines_of(partition: Partition) -> Iterator[list[bytes]]:
    """Lines of a partition's segments that are, or may be, of its kind, some thousands at a time.

    Raises
    ------
    StoreError
        A segment was compacted away since the partition was named.
    """
    own = b'{"kind":"%s"' % partition.kind.encode()
    others = tuple(b'{"kind":"%s"' % kind.encode() for kind in STRUCTS if kind != partition.kind)
    for name, size in partition.segments:
        data = read_segment(Path(partition.log), name)
        if data is None:
            raise StoreError(
                f"{partition.log}: segment {name} was compacted while the log was read; expected a pause: "
                f"try again, or compact first"
            )
        lines = data[:size].split(b"\n")[:-1]  # what follows the last newline was never acknowledged
        for start in range(0, len(lines), CHUNK):
            chunk = lines[start : start + CHUNK]
            yield [line for line in chunk if line.startswith(own) or (line and not line.startswith(others))]


def event_in(kind: str, line: bytes) -> AnyEvent | None:
    """The event of a line; None where it is none of that kind."""
    try:
        event = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return event if isinstance(event, STRUCTS[kind]) else None


def _decoded(
    kind: str, lines: Sequence[bytes], start: int, columns: Sequence[str]
) -> Iterator[tuple[np.ndarray[Any, np.dtype[np.int64]], pa.Table]]:
    """Events of lines as one table, or one for each event where one of them fits no column."""
    told = [(start + i, event) for i, line in enumerate(lines) if (event := event_in(kind, line)) is not None]
    if not told:
        return
    tables, unfit = tables_of(event for _, event in told)
    if not unfit:
        yield np.array([i for i, _ in told]), tables[kind].select(list(columns))
        return
    for i, event in told:
        tables, _ = tables_of([event])
        if kind in tables:
            yield np.array([i]), tables[kind].select(list(columns))


def deltas_of(log: Path) -> Callable[[str], pa.Table]:
    """Where the deltas of a worker's live state are: `seq`, `ts_ms` and `arms` of each that the log has.

    The pieces are named once, when a worker is first asked for.
    """
    named: list[Partition] = []
    wanted = ("worker", "seq", "ts_ms", "arms")

    def deltas(worker: str) -> pa.Table:
        if not named:
            named.extend(pieces_of(log, ["live"])[0])
        found = [SCHEMAS["live"].empty_table().select(list(wanted))]
        for partition in named:
            for table in rows_of(partition, wanted, CHUNK):
                mine = table.filter(pc.equal(table.column("worker").cast(pa.string()), worker))
                if mine.num_rows:
                    found.append(mine.cast(found[0].schema))
        return pa.concat_tables(found)

    return deltas


@contextmanager
def _reading(log: Path, path: Path) -> Iterator[None]:
    """What fails in reading a Parquet file is a `StoreError` that names it, if it is damaged."""
    try:
        yield
    except (OSError, pa.ArrowException) as reason:
        raise damage_of(log) or unread(path, reason) from reason


def raw_rows_of(partition: Partition, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Rows of a Parquet file's row group, those to be dropped as well."""
    for _, table in _tables(partition, columns, _ID_ROWS):
        yield table
