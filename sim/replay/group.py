"""Logged rows that can be decided in one batch: one snapshot, the live states they saw, their columns.

A chunk of rows becomes groups here, and what cannot be decided again becomes `Lost`, with the reason. It
knows nothing of where rows come from or what is done with them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from p402.errors import InvalidInput
from p402.events import RowInputs
from p402.routing.batch import RequestBatch
from p402.routing.columns import Asked, InputColumns, batch_of, misfits
from p402.routing.compiled import Snapshot
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from p402.store.schema import inputs_of
from sim.replay import columns as arrow
from sim.replay.lives import Folded, LiveGap, Lives, projected

Int = NDArray[np.int64]

_NEAR: Final = 1 << 20
"""Numbers that lie so near each other are told apart by a table, not by sorting."""

UNFIT: Final = (InvalidInput, ValueError, KeyError, IndexError, OverflowError, TypeError)
"""What a row that was never decided as it is logged may raise on the way to a batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows decided under one snapshot.

    Attributes
    ----------
    table
        What else was asked of each row.
    given
        What `decide` read of each row, as logged.
    columns
        The same, as it becomes a batch.
    key, ours
        Keys of chance, (n, 2), and whether the id is one that gives a key.
    states, live_row
        `states[live_row[i]]` is what the worker of row i had measured.
    """

    snapshot: str
    table: pa.Table
    given: pa.StructArray
    columns: InputColumns
    key: NDArray[np.uint64]
    ours: NDArray[np.bool_]
    states: Sequence[Folded]
    live_row: Int

    def __len__(self) -> int:
        """Rows."""
        return len(self.columns)

    @property
    def inputs(self) -> list[RowInputs]:
        """Row inputs one by one, made anew each time: slow where rows are many."""
        return [inputs_of(row) for row in self.given.to_pylist()]

    def column(self, name: str) -> list[Any]:
        """One column of the query, as plain values."""
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def batch(
        self, snapshot: Snapshot, inputs: Sequence[RowInputs] | None = None, *, asked: Asked | None = None
    ) -> RequestBatch:
        """Everything `decide` needs.

        Parameters
        ----------
        inputs
            Other row inputs than the logged ones: as if the rows had been asked so.
        asked
            The same, where only some columns change: without a Python value a row.

        Raises
        ------
        InvalidInput, ValueError, KeyError, IndexError, OverflowError, TypeError
            A row cannot have been decided as it is logged (`UNFIT`).
        """
        used, live_row = distinct(self.live_row, len(self.states))
        lives = projected([self.states[k] for k in used.tolist()], snapshot.index)
        if inputs is not None:
            return to_batch(snapshot, self.column("id"), inputs, lives, live_row.tolist())
        columns = self.columns if asked is None else asked.of(self.columns)
        odd = np.flatnonzero(misfits(snapshot, columns) | ~self.ours)
        if not len(odd):
            return batch_of(snapshot, self.key, columns, lives, live_row)
        self._told(snapshot, odd, asked, lives, live_row)  # raises where one of them cannot be decided
        return self._told(snapshot, np.arange(len(self)), asked, lives, live_row)

    def _told(
        self, snapshot: Snapshot, rows: Int, asked: Asked | None, lives: tuple[LiveState, ...], live_row: Int
    ) -> RequestBatch:
        """The batch of some rows, read one by one."""
        found = self.take(rows)
        told = found.inputs
        if asked is not None:
            told = [asked.one(row, i) for row, i in zip(told, rows.tolist(), strict=True)]
        return to_batch(snapshot, found.column("id"), told, lives, live_row[rows].tolist())

    def row(self, i: int) -> "Group":
        """One row as a group of its own."""
        return self.part(i, i + 1)

    def part(self, start: int, stop: int) -> "Group":
        """Some of the rows as a group of their own."""
        rows, n = slice(start, stop), stop - start
        return self._cut(self.table.slice(start, n), self.given.slice(start, n), rows)

    def take(self, rows: Int) -> "Group":
        """The rows of these numbers as a group of their own."""
        return self._cut(self.table.take(rows), self.given.take(pa.array(rows)), rows)

    def _cut(self, table: pa.Table, given: pa.StructArray, rows: slice | Int) -> "Group":
        columns, live_row = self.columns.rows(rows), self.live_row[rows]
        return Group(
            self.snapshot, table, given, columns, self.key[rows], self.ours[rows], self.states, live_row
        )


@dataclass(frozen=True, slots=True, eq=False)
class Lost:
    """Rows that cannot be decided again, and why."""

    table: pa.Table
    why: str

    def __len__(self) -> int:
        """Rows."""
        return int(self.table.num_rows)


def grouped(table: pa.Table, lives: Lives, most_lives: int) -> Iterator[Group | Lost]:
    """Rows by snapshot, in their order, with the live state that each saw.

    Parameters
    ----------
    table
        `worker`, `live_seq`, `snapshot`, `id`, `inputs` and what else the caller wants.
    lives
        The live states of the log's workers.
    most_lives
        Live states at once; of more, rows go in halves.
    """
    if not table.num_rows:
        return
    table = table.combine_chunks()
    live, cited = _cited(table)
    if len(cited) > most_lives and table.num_rows > 1:
        half = table.num_rows // 2
        for part in (table.slice(0, half), table.slice(half)):
            yield from grouped(part, lives, most_lives)
        return
    states = lives.many(cited)
    lost = {k: str(state) for k, state in enumerate(states) if isinstance(state, LiveGap)}
    rest = table.drop_columns(["inputs"])
    fit = np.ones(table.num_rows, np.bool_)
    for k, why in lost.items():
        rows = np.flatnonzero(live == k)
        fit[rows] = False
        yield Lost(rest.take(rows), why)
    given = table.column("inputs").chunk(0)
    columns = arrow.inputs(given)
    for row in np.flatnonzero(columns.odd & fit).tolist():
        if why := _unread(given[row].as_py()):
            fit[row] = False
            yield Lost(rest.slice(row, 1), why)
    key, ours = arrow.keys(table.column("id").chunk(0))
    snapshots = pc.dictionary_encode(table.column("snapshot").chunk(0))
    code = snapshots.indices.to_numpy()
    for number, snapshot in enumerate(snapshots.dictionary.to_pylist()):
        rows = np.flatnonzero((code == number) & fit)
        if not len(rows):
            continue
        used, live_row = distinct(live[rows], len(states))
        known = [state for k in used.tolist() if not isinstance(state := states[k], LiveGap)]
        if len(rows) == table.num_rows:
            yield Group(snapshot, rest, given, columns, key, ours, known, live_row)
            continue
        part, there = columns.rows(rows), pa.array(rows)
        yield Group(
            snapshot, rest.take(there), given.take(there), part, key[rows], ours[rows], known, live_row
        )


def _cited(table: pa.Table) -> tuple[Int, list[tuple[str, int]]]:
    """Which live state each row cites, and the states by worker and seq, ascending."""
    workers = pc.dictionary_encode(table.column("worker").chunk(0))
    names = workers.dictionary.to_pylist()
    by_name = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), np.int64)
    rank[by_name] = np.arange(len(names))
    worker = rank[workers.indices.to_numpy()]
    seq = table.column("live_seq").chunk(0).to_numpy()
    first, spread = int(seq.min()), int(seq.max()) - int(seq.min()) + 1
    if spread <= _NEAR:
        seqs, place = np.arange(first, first + spread), seq - first
    else:
        seqs, place = np.unique(seq, return_inverse=True)
    cited, live = distinct(worker * len(seqs) + place, len(names) * len(seqs))
    told = [(names[by_name[k // len(seqs)]], int(seqs[k % len(seqs)])) for k in cited.tolist()]
    return live, told


def distinct(codes: Int, size: int) -> tuple[Int, Int]:
    """Codes below `size` that occur, ascending, and each one's place among them."""
    if size > _NEAR:
        used, place = np.unique(codes, return_inverse=True)
        return used, place
    there = np.zeros(size, np.bool_)
    there[codes] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[codes]


def _unread(given: dict[str, Any] | None) -> str:
    """Why a log row has no row inputs; nothing where it has. Null stands for a field's default."""
    try:
        inputs_of(given or {})
    except msgspec.ValidationError as error:
        return f"row inputs cannot be read: {error}; expected what the gateway logs"
    return ""
