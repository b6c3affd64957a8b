"""Pieces of a log that can each be read alone: row groups of Parquet files, and segments not compacted yet.

A partition is named by what it holds: file, row group and the file's hash, or segments and the size that each
had. Pieces of one log have an order that follows from their names, and together they show every row. Whoever
has the log's folder can read a piece with what is here, in any process.
It knows nothing of groups, snapshots or what deltas mean.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
from p402.events import AnyEvent, RowInputs
from p402.store import manifest as manifests
from p402.store.damage import damage_of
from p402.store.schema import DEFAULTS, SCHEMAS, STRUCTS, tables_of
from p402.store.segments import CHUNK, read_segment
from p402.store.settled import uncompacted, unread

CHOICE_KINDS: Final = ("decision", "attempt")
"""Kinds of events that are a choice with its row inputs."""

BUNDLE_BYTES: Final = 64 << 20
"""Bytes of segments in one partition, or a single segment."""

_CODED: Final = frozenset(
    {"worker", "snapshot", "arm", "tenant", "task", "baseline", "status", "code", "source"}
    | {f"inputs.{name}" for name in ("mode", "policy", "previous_arm", "model", "family")}
)
"""Columns of few different names, which are read as codes."""

_DEFAULT_INPUTS: Final = {
    field.name: None if field.default is msgspec.NODEFAULT else field.default
    for field in msgspec.structs.fields(RowInputs)
    if not field.required
}

_ID_ROWS: Final = 1 << 15

_ITEM: Final = re.compile(r"^list\.element\.")
"""What a path says of a list's items."""

Within = Mapping[str, Collection[str]]
"""Fields by the column of records that has them."""

_decode = msgspec.json.Decoder(AnyEvent).decode


class Compacted(StoreError):
    """A segment lies in Parquet by now: name the log's pieces again."""


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


def rows_of(
    partition: Partition, columns: Sequence[str], chunk_rows: int, within: Within | None = None
) -> Iterator[pa.Table]:
    """Rows of a partition in their order, in tables of these columns.

    Parameters
    ----------
    within
        Of a column of records, the fields that the caller looks at; of a Parquet file no other is read.

    Raises
    ------
    StoreError
        It is damaged, or was compacted away since it was named.
    """
    drop = np.array(partition.drop, np.int64)
    for position, table in _tables(partition, columns, chunk_rows, within or {}):
        kept = table
        if len(drop) and (twice := np.isin(position, drop)).any():
            kept = table.filter(pa.array(~twice))
        if kept.num_rows:
            yield _whole(kept, partition.kind, columns)


def _tables(
    partition: Partition, columns: Sequence[str], chunk_rows: int, within: Within
) -> Iterator[tuple[np.ndarray[Any, np.dtype[np.int64]], pa.Table]]:
    """Every row with its position."""
    if partition.path:
        start = 0
        for table in _parquet(partition, columns, chunk_rows, within):
            yield np.arange(start, start + table.num_rows), table
            start += table.num_rows
        return
    start = 0
    for lines in lines_of(partition):
        yield from _decoded(partition.kind, lines, start, columns)
        start += len(lines)


def _parquet(
    partition: Partition, columns: Sequence[str], chunk_rows: int, within: Within
) -> Iterator[pa.Table]:
    log, path = Path(partition.log), Path(partition.log) / partition.path
    with _reading(log, path):
        metadata = pq.read_metadata(path)
        leaves = _leaves(metadata, partition.row_group, columns, within)
        coded = [leaf for leaf in leaves if leaf in _CODED]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=coded) as file:
            for batch in file.iter_batches(
                chunk_rows, row_groups=[partition.row_group], columns=leaves, use_threads=False
            ):
                yield pa.Table.from_batches([batch])


def _leaves(metadata: pq.FileMetaData, row_group: int, columns: Sequence[str], within: Within) -> list[str]:
    """Columns to be read of a row group: of row inputs, only the fields that a row uses."""
    found, group = [], metadata.row_group(row_group)
    for number in range(group.num_columns):
        column = group.column(number)
        top, *rest = column.path_in_schema.split(".")
        if top in within and _ITEM.sub("", ".".join(rest)).partition(".")[0] not in within[top]:
            continue
        if top in columns and not (
            top == "inputs" and _unused(column.statistics, rest[0], column.num_values)
        ):
            found.append(column.path_in_schema)
    return found


def _unused(statistics: pq.Statistics | None, name: str, values: int) -> bool:
    """Whether a field of row inputs has its default in every row, as its statistics tell."""
    if statistics is None or name not in _DEFAULT_INPUTS or not statistics.has_null_count:
        return False
    if statistics.null_count:
        return bool(statistics.null_count == values)  # null is the default, and so is a list without items
    return bool(statistics.has_min_max and statistics.min == statistics.max == _DEFAULT_INPUTS[name])


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
    Compacted
        A segment was compacted away since the partition was named.
    """
    own = b'{"kind":"%s"' % partition.kind.encode()
    others = tuple(b'{"kind":"%s"' % kind.encode() for kind in STRUCTS if kind != partition.kind)
    for name, size in partition.segments:
        data = read_segment(Path(partition.log), name)
        if data is None:
            raise Compacted(
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


def deltas_of(log: Path) -> Callable[[Sequence[str]], list[pa.Table]]:
    """Where workers' deltas of live state are: `worker`, `seq`, `ts_ms` and `arms` of each that the log has.

    The pieces are named when they are first asked for, and again where some were compacted since.
    """
    named: list[Partition] = []

    def deltas(workers: Sequence[str]) -> list[pa.Table]:
        for again in (True, False):
            named[:] = named or pieces_of(log, ["live"])[0]
            try:
                return _of_workers(named, workers)
            except Compacted:
                if not again:
                    raise
                named.clear()
        raise AssertionError

    return deltas


def _of_workers(pieces: Sequence[Partition], workers: Sequence[str]) -> list[pa.Table]:
    wanted = ("worker", "seq", "ts_ms", "arms")
    found: list[pa.Table] = []
    for partition in pieces:
        for table in rows_of(partition, wanted, CHUNK):
            of_them = pc.is_in(table.column("worker").cast(pa.string()), pa.array(workers, pa.string()))
            if pc.any(of_them).as_py():
                found.append(table.filter(of_them))
    return found


@contextmanager
def _reading(log: Path, path: Path) -> Iterator[None]:
    """What fails in reading a Parquet file is a `StoreError` that names it, if it is damaged."""
    try:
        yield
    except (OSError, pa.ArrowException) as reason:
        raise damage_of(log) or unread(path, reason) from reason


def raw_rows_of(partition: Partition, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Rows of a Parquet file's row group, those to be dropped as well."""
    for _, table in _tables(partition, columns, _ID_ROWS, {}):
        yield table
