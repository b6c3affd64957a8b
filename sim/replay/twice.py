"""Which rows of a log are in it twice, so that each is read once: the first logged, as the views show.

Rows are told apart by 64 bits of their key, of so many rows at once that memory stays bounded; only rows
that share them are looked at again, whole. Nearly always there are none. It knows nothing of what rows mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from p402.store.schema import tables_of
from sim.replay.columns import identities, mixed
from sim.replay.pieces import Partition, event_in, lines_of, raw_rows_of

MOST_ROWS: Final = 1 << 22
"""Rows told apart at once, 8 bytes each and as many to sort them; a longer log takes more than one pass."""

_MIX: Final = np.uint64(0x9E37_79B9_7F4A_7C15)

Row = tuple[int, int, int]
"""When it was logged, which partition has it, and its position."""


class _Line(msgspec.Struct):
    """What tells a line apart from others of its kind."""

    id: str
    ts_ms: int
    attempt: int = 0


_light = msgspec.json.Decoder(_Line).decode


def without_doubles(pieces: Sequence[Partition]) -> list[Partition]:
    """Pieces of one kind, each with the rows to drop that another has first."""
    passes = max(1, -(-sum(piece.rows for piece in pieces) // MOST_ROWS))
    shared = [_shared(pieces, turn, passes) for turn in range(passes)]
    twice = np.concatenate(shared) if shared else np.zeros(0, np.uint64)
    if not len(twice):
        return list(pieces)
    first: dict[tuple[Any, ...], Row] = {}
    drop: dict[int, list[int]] = {}
    for number, piece in enumerate(pieces):
        for key, ts_ms, position in _rows(piece, twice):
            row = (ts_ms, number, position)
            kept = min(row, first.get(key, row))
            if key in first:
                _, where, which = max(row, first[key])
                drop.setdefault(where, []).append(which)
            first[key] = kept
    return [
        replace(piece, drop=tuple(sorted(gone)), rows=piece.rows - len(gone))
        if (gone := drop.get(i))
        else piece
        for i, piece in enumerate(pieces)
    ]


def _shared(pieces: Sequence[Partition], turn: int, passes: int) -> NDArray[np.uint64]:
    """Short keys, of every so many, that more than one row has."""
    found = []
    for piece in pieces:
        for short, _ in _short(piece):
            found.append(short if passes == 1 else short[short % np.uint64(passes) == turn])
    if not found:
        return np.zeros(0, np.uint64)
    every = np.sort(np.concatenate(found))
    return np.unique(every[1:][every[1:] == every[:-1]])


def _short(piece: Partition) -> Iterator[tuple[NDArray[np.uint64], pa.Table]]:
    """Short keys of all rows in order, with the table that they are of."""
    for table in _keyed(piece):
        short = mixed(identities(table.column("id").combine_chunks()))
        if "attempt" in table.column_names:
            short += table.column("attempt").to_numpy().astype(np.uint64) * _MIX
        yield short, table


def _keyed(piece: Partition) -> Iterator[pa.Table]:
    """`id`, `ts_ms`, `attempt` of kinds that have it, and `position` of every row."""
    columns = ("id", "ts_ms", "attempt") if piece.kind == "attempt" else ("id", "ts_ms")
    start = 0
    if piece.path:
        for table in raw_rows_of(piece, columns):
            place = pa.array(np.arange(start, start + table.num_rows))
            start += table.num_rows
            yield table.append_column("position", place)
        return
    for lines in lines_of(piece):
        told = [(start + i, line) for i, text in enumerate(lines) if (line := _told(text)) is not None]
        start += len(lines)
        if told:
            found = {
                "id": pa.array([line.id for _, line in told]),
                "ts_ms": pa.array([line.ts_ms for _, line in told], pa.int64()),
                "attempt": pa.array([line.attempt for _, line in told], pa.int64()),
                "position": pa.array([place for place, _ in told], pa.int64()),
            }
            yield pa.table({name: found[name] for name in (*columns, "position")})


def _told(line: bytes) -> _Line | None:
    try:
        return _light(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _rows(piece: Partition, twice: NDArray[np.uint64]) -> Iterator[tuple[tuple[Any, ...], int, int]]:
    """Key, time and position of the rows that have one of these short keys, and are rows."""
    for short, table in _short(piece):
        found = table.filter(pa.array(np.isin(short, twice)))
        sound = _sound(piece, found.column("position").to_pylist()) if not piece.path else None
        for row in found.to_pylist():
            if sound is None or row["position"] in sound:
                yield (row["id"], row.get("attempt")), row["ts_ms"], row["position"]


def _sound(piece: Partition, positions: Sequence[int]) -> set[int]:
    """Those of some lines that are events and fit their columns."""
    wanted, start, found = set(positions), 0, set()
    for lines in lines_of(piece) if wanted else ():
        for i, line in enumerate(lines, start):
            event = event_in(piece.kind, line) if i in wanted else None
            if event is not None and tables_of([event])[0]:
                found.add(i)
        start += len(lines)
    return found
