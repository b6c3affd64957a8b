"""Which rows the log has for a replay, and what live state each of them saw.

Rows come by worker and live state, so one pass over the deltas gives every row its columns: a
worker starts at 0 with nothing measured, and each delta replaces the columns of the arms that moved. Rows
go out in groups of one snapshot and few live states, ready to be decided in one batch.
Memory is bounded by a chunk and one worker's table, however long the log is.
It knows nothing of what is done with the rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, NamedTuple

import duckdb
import msgspec
import pyarrow as pa

from p402.errors import InvalidInput, StoreError
from p402.events import ArmLive, RowInputs
from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from p402.store.schema import arms_of, inputs_of

CHUNK_ROWS: Final = 65_536

MAX_LIVES: Final = 64
"""Live states in one batch: `decide` stacks them all for each of its chunks."""

UNFIT: Final = (InvalidInput, ValueError, KeyError, IndexError, OverflowError, TypeError)
"""What a row that was never decided as it is logged may raise on the way to a batch."""

_DELTAS: Final = "SELECT worker, seq, arms FROM live ORDER BY worker, seq, ts_ms"


class LiveGap(StoreError):
    """A row cites live state that its worker's deltas do not lead to."""


class Delta(NamedTuple):
    """A worker's change of live state to `seq`."""

    worker: str
    seq: int
    arms: Mapping[str, ArmLive]


class State(NamedTuple):
    """A worker's live table as of `seq`, by arm id."""

    seq: int
    table: Mapping[str, ArmLive]


@dataclass(slots=True)
class LiveFold:
    """Live tables out of deltas, which come by worker and seq; ask in that order too."""

    deltas: Iterator[Delta]
    _next: Delta | None = field(init=False)
    _worker: str | None = None
    _seq: int = 0
    _table: dict[str, ArmLive] = field(default_factory=dict)
    _broken: str = ""

    def __post_init__(self) -> None:
        self._next = next(self.deltas, None)

    def at(self, worker: str, seq: int) -> State:
        """Table of `worker` after its delta `seq`; 0 is its start, nothing measured.

        Raises
        ------
        LiveGap
            A delta up to `seq` is missing, or there are two of one number.
        """
        if worker != self._worker:
            self._begin(worker)
        while self._next is not None and self._next.worker == worker and self._next.seq <= seq:
            self._take(self._next)
            self._next = next(self.deltas, None)
        if not self._broken and self._seq < seq:
            self._broken = f"delta {self._seq + 1} is not in the log"
        if self._broken:
            raise LiveGap(
                f"live state of worker {worker!r} at seq {seq} is unknown: {self._broken}; expected every "
                f"delta from 1 to {seq} once; restore the segment or Parquet file that held it"
            )
        return State(seq, self._table)

    def _begin(self, worker: str) -> None:
        while self._next is not None and self._next.worker < worker:
            self._next = next(self.deltas, None)
        self._worker, self._seq, self._table, self._broken = worker, 0, {}, ""

    def _take(self, delta: Delta) -> None:
        if self._broken:
            return
        if delta.seq <= self._seq:
            self._broken = f"two deltas have seq {delta.seq}, so two processes used one worker's name"
        elif delta.seq > self._seq + 1:
            self._broken = f"delta {self._seq + 1} is not in the log"
        else:
            self._seq, self._table = delta.seq, self._table | dict(delta.arms)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows decided under one snapshot.

    Attributes
    ----------
    table
        What else the query asked of each row.
    inputs
        What `decide` read of each row.
    states, live_row
        `states[live_row[i]]` is what the worker of row i had measured.
    """

    snapshot: str
    table: pa.Table
    inputs: Sequence[RowInputs]
    states: Sequence[State]
    live_row: Sequence[int]

    def __len__(self) -> int:
        """Rows."""
        return len(self.inputs)

    def column(self, name: str) -> list[Any]:
        """One column of the query, as plain values."""
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def batch(self, snapshot: Snapshot, inputs: Sequence[RowInputs] | None = None) -> RequestBatch:
        """Everything `decide` needs; with other `inputs`, as if the rows had been asked so.

        Raises
        ------
        InvalidInput, ValueError, KeyError, IndexError, OverflowError, TypeError
            A row cannot have been decided as it is logged (`UNFIT`).
        """
        lives = tuple(LiveState.project(s.seq, s.table, snapshot.index) for s in self.states)
        rows = self.inputs if inputs is None else inputs
        return to_batch(snapshot, self.column("id"), rows, lives, self.live_row)

    def row(self, i: int) -> "Group":
        """One row as a group of its own."""
        return self.part(i, i + 1)

    def part(self, start: int, stop: int) -> "Group":
        """Some of the rows as a group of their own."""
        table = self.table.slice(start, stop - start)
        return Group(self.snapshot, table, self.inputs[start:stop], self.states, self.live_row[start:stop])


@dataclass(frozen=True, slots=True, eq=False)
class Lost:
    """Rows that cannot be decided again, and why."""

    table: pa.Table
    why: str

    def __len__(self) -> int:
        """Rows."""
        return int(self.table.num_rows)


def groups(
    con: duckdb.DuckDBPyConnection, query: str, params: Sequence[Any] = (), chunk_rows: int = CHUNK_ROWS
) -> Iterator[Group | Lost]:
    """Rows of a query over the log's views, with their live state.

    Parameters
    ----------
    con
        From `p402.store.reader.connect`: rows and deltas are of the same instant.
    query
        Gives `worker`, `live_seq`, `snapshot`, `id`, `inputs` and what else the caller wants.
    chunk_rows
        Rows held as Python values at once.
    """
    fold = LiveFold(_deltas(con.cursor()))
    ordered = f"SELECT * FROM ({query}) ORDER BY worker, live_seq, snapshot, id"  # noqa: S608 - our queries
    reader = con.cursor().sql(ordered, params=list(params)).to_arrow_reader(chunk_rows)
    for batch in reader:
        yield from _grouped(pa.Table.from_batches([batch]), fold)


def _deltas(con: duckdb.DuckDBPyConnection) -> Iterator[Delta]:
    for batch in con.sql(_DELTAS).to_arrow_reader(CHUNK_ROWS):
        for row in batch.to_pylist():
            yield Delta(row["worker"], row["seq"], arms_of(row["arms"]))


@dataclass(slots=True)
class _Pending:
    """Rows of one snapshot that wait to be a group."""

    rows: list[int] = field(default_factory=list)
    inputs: list[RowInputs] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    live_row: list[int] = field(default_factory=list)

    def add(self, row: int, inputs: RowInputs, state: State) -> None:
        if not self.states or self.states[-1] is not state:
            self.states.append(state)
        self.rows.append(row)
        self.inputs.append(inputs)
        self.live_row.append(len(self.states) - 1)

    def group(self, snapshot: str, table: pa.Table) -> Group:
        return Group(snapshot, table.take(self.rows), self.inputs, self.states, self.live_row)


def _grouped(table: pa.Table, fold: LiveFold) -> Iterator[Group | Lost]:
    given = table.column("inputs").to_pylist()
    cited = list(zip(table.column("worker").to_pylist(), table.column("live_seq").to_pylist(), strict=True))
    snapshots = table.column("snapshot").to_pylist()
    rest = table.drop_columns(["inputs"])
    pending: dict[str, _Pending] = {}
    for (worker, seq), run in groupby(range(len(cited)), key=cited.__getitem__):
        rows = list(run)
        try:
            state = fold.at(worker, seq)
        except LiveGap as gap:
            yield Lost(rest.take(rows), str(gap))
            continue
        for row in rows:
            inputs = _inputs(given[row])
            if isinstance(inputs, str):
                yield Lost(rest.take([row]), inputs)
                continue
            waiting = pending.setdefault(snapshots[row], _Pending())
            if len(waiting.states) == MAX_LIVES and waiting.states[-1] is not state:
                yield waiting.group(snapshots[row], rest)
                waiting = pending[snapshots[row]] = _Pending()
            waiting.add(row, inputs, state)
    for snapshot, waiting in pending.items():
        yield waiting.group(snapshot, rest)


def _inputs(given: Mapping[str, Any] | None) -> RowInputs | str:
    """Row inputs of a log row, or why it has none; null stands for a field's default."""
    try:
        return inputs_of(given or {})
    except msgspec.ValidationError as error:
        return f"row inputs cannot be read: {error}; expected what the gateway logs"
