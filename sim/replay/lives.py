"""What live state a row saw: a worker's deltas, folded up to the one that the row cites.

A worker starts at 0 with nothing measured, and each delta replaces the columns of the arms that moved.
`LiveFold` goes through all deltas once, in order; `Lives` keeps a worker's as numbers, for any order.
Both refuse what the deltas do not lead to, in the same words. Neither knows where deltas come from.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from p402.errors import StoreError
from p402.events import ArmLive
from p402.routing.live import RATIO_ONE, LiveState

MOST_MOVES: Final = 1 << 22
"""Moves of arms kept as numbers at once, 22 bytes each; workers beyond that are read again when asked for."""

COLUMNS: Final = ("open_circuit", "ttft_ms", "error_rate", "half_open", "output_ratio")
_DEFAULTS: Final = {"half_open": False, "output_ratio": RATIO_ONE}


class LiveGap(StoreError):
    """A row cites live state that its worker's deltas do not lead to."""


class Delta(NamedTuple):
    """A worker's change of live state to `seq`."""

    worker: str
    seq: int
    arms: Mapping[str, ArmLive]


class Live(Protocol):
    """A worker's live table as of `seq`."""

    @property
    def seq(self) -> int: ...  # noqa: D102 - as the class says

    @property
    def table(self) -> Mapping[str, ArmLive]: ...  # noqa: D102 - as the class says

    def on(self, index: Mapping[str, int]) -> LiveState:
        """Its columns over a snapshot's arms."""
        ...


class State(NamedTuple):
    """A worker's live table as of `seq`, by arm id."""

    seq: int
    table: Mapping[str, ArmLive]

    def on(self, index: Mapping[str, int]) -> LiveState:
        """Its columns over a snapshot's arms."""
        return LiveState.project(self.seq, self.table, index)


class Fold(Protocol):
    """Gives the live state of a worker."""

    def at(self, worker: str, seq: int) -> Live:
        """Table of `worker` after its delta `seq`; raises `LiveGap`."""
        ...


def _unknown(worker: str, seq: int, broken: str) -> LiveGap:
    return LiveGap(
        f"live state of worker {worker!r} at seq {seq} is unknown: {broken}; expected every "
        f"delta from 1 to {seq} once; restore the segment or Parquet file that held it"
    )


def _missing(seq: int) -> str:
    return f"delta {seq} is not in the log"


def _twice(seq: int) -> str:
    return f"two deltas have seq {seq}, so two processes used one worker's name"


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
            self._broken = _missing(self._seq + 1)
        if self._broken:
            raise _unknown(worker, seq, self._broken)
        return State(seq, self._table)

    def _begin(self, worker: str) -> None:
        while self._next is not None and self._next.worker < worker:
            self._next = next(self.deltas, None)
        self._worker, self._seq, self._table, self._broken = worker, 0, {}, ""

    def _take(self, delta: Delta) -> None:
        if self._broken:
            return
        if delta.seq <= self._seq:
            self._broken = _twice(delta.seq)
        elif delta.seq > self._seq + 1:
            self._broken = _missing(self._seq + 1)
        else:
            self._seq, self._table = delta.seq, self._table | dict(delta.arms)


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """One worker's deltas as numbers.

    Attributes
    ----------
    seq
        (m,) of each delta, ascending; of equals, the first logged comes first.
    start
        (m + 1,) where each delta's moves begin, and the end.
    arms
        Arms that ever moved.
    arm
        (k,) which one moved.
    values
        Its live columns from then on, each (k,), by the names of `COLUMNS`.
    """

    seq: NDArray[np.int64]
    start: NDArray[np.int64]
    arms: tuple[str, ...]
    arm: NDArray[np.int32]
    values: Mapping[str, NDArray[Any]]

    @property
    def sound(self) -> int:
        """How many deltas lead on without a gap or a double."""
        off = np.flatnonzero(self.seq != np.arange(1, len(self.seq) + 1))
        return int(off[0]) if len(off) else len(self.seq)


class Folded(NamedTuple):
    """A worker's live table as of `seq`: of each arm, which move was its last, -1 for none."""

    seq: int
    moves: Moves
    last: NDArray[np.int64]

    @property
    def table(self) -> dict[str, ArmLive]:
        """By arm id."""
        return {
            self.moves.arms[code]: ArmLive(**{name: self.moves.values[name][move].item() for name in COLUMNS})
            for code, move in enumerate(self.last.tolist())
            if move >= 0
        }

    def on(self, index: Mapping[str, int]) -> LiveState:
        """Its columns over a snapshot's arms."""
        place = np.array([index.get(arm, -1) for arm in self.moves.arms], np.int64)
        there = np.flatnonzero((self.last >= 0) & (place >= 0))
        move, at = self.last[there], place[there]
        found = {name: self.moves.values[name][move] for name in COLUMNS}
        half = _spread(found["half_open"], at, len(index), np.bool_)
        ratio = np.full(len(index), float(RATIO_ONE))
        ratio[at] = found["output_ratio"]
        return LiveState(
            self.seq,
            _spread(found["open_circuit"], at, len(index), np.bool_),
            _spread(found["ttft_ms"], at, len(index), np.float64),
            _spread(found["error_rate"], at, len(index), np.float64),
            half if half.any() else None,
            ratio if (ratio != RATIO_ONE).any() else None,
        )


def _spread(values: NDArray[Any], at: NDArray[np.int64], n: int, kind: type) -> NDArray[Any]:
    out: NDArray[Any] = np.zeros(n, kind)
    out[at] = values
    return out


class Lives:
    """Live states of workers, in any order; cheap where a worker's come ascending.

    Parameters
    ----------
    source
        Gives the deltas of a worker: a table of `seq`, `ts_ms` and `arms`, in any order.
    """

    def __init__(self, source: Callable[[str], pa.Table]) -> None:
        self._source = source
        self._kept: dict[str, Moves] = {}
        self._held = 0
        self._worker: str | None = None
        self._folded: Folded | None = None

    def at(self, worker: str, seq: int) -> Folded:
        """Table of `worker` after its delta `seq`; raises `LiveGap` as `LiveFold.at` does."""
        moves = self._moves(worker)
        count = int(np.searchsorted(moves.seq, seq, side="right"))
        sound = moves.sound if count else 0
        if count > sound:
            found = int(moves.seq[sound])
            raise _unknown(worker, seq, _twice(found) if found <= sound else _missing(sound + 1))
        if count < seq:
            raise _unknown(worker, seq, _missing(count + 1))
        began, last = 0, np.full(len(moves.arms), -1, np.int64)
        before = self._folded
        if before is not None and before.moves is moves and 0 <= before.seq <= seq:
            began, last = int(moves.start[before.seq]), before.last.copy()
        stop = int(moves.start[max(count, 0)])
        last[moves.arm[began:stop]] = np.arange(began, stop)  # of one arm's moves the last one stays
        self._folded = Folded(seq, moves, last)
        return self._folded

    def _moves(self, worker: str) -> Moves:
        found = self._kept.get(worker)
        if found is None:
            found = moves_of(self._source(worker))
            self._held += len(found.arm)
            while self._kept and self._held > MOST_MOVES:
                self._held -= len(self._kept.pop(next(iter(self._kept))).arm)
            self._kept[worker] = found
        return found


def moves_of(deltas: pa.Table) -> Moves:
    """One worker's deltas as numbers; a delta that was logged twice at one moment counts once."""
    if not deltas.num_rows:
        deltas = _NOTHING
    deltas = deltas.combine_chunks()
    seq, ts_ms = (deltas.column(name).to_numpy() for name in ("seq", "ts_ms"))
    order = np.lexsort((ts_ms, seq))
    seq, ts_ms = seq[order], ts_ms[order]
    fresh = np.ones(len(seq), np.bool_)
    fresh[1:] = (seq[1:] != seq[:-1]) | (ts_ms[1:] != ts_ms[:-1])
    arms = deltas.column("arms").take(pa.array(order[fresh])).combine_chunks()
    offsets = np.asarray(arms.offsets, np.int64)
    names = pc.dictionary_encode(arms.keys)
    items = arms.items
    values = {name: _values(items, name)[offsets[0] : offsets[-1]] for name in COLUMNS}
    codes = names.indices.to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]]
    known = tuple(names.dictionary.to_pylist())
    return Moves(seq[fresh], offsets - offsets[0], known, codes.astype(np.int32), values)


def _values(items: pa.StructArray, name: str) -> NDArray[Any]:
    """A live column of every move; null and what an old file lacks are the default."""
    if name not in {field.name for field in items.type}:
        return np.full(len(items), _DEFAULTS[name])
    column = items.field(name)
    if column.null_count:
        column = column.fill_null(_DEFAULTS.get(name, 0))
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return found


_ITEM: Final = pa.struct([(name, pa.int64()) for name in COLUMNS])
_NOTHING: Final = pa.table(
    {
        "seq": pa.array([], pa.int64()),
        "ts_ms": pa.array([], pa.int64()),
        "arms": pa.array([], pa.map_(pa.string(), _ITEM)),
    }
)
