"""What live state a row saw: a worker's deltas, folded up to the one that the row cites.

A worker starts at 0 with nothing measured, and each delta replaces the columns of the arms that moved. A
worker's deltas are kept as numbers, so that states are found for many rows at once and in any order.
It knows nothing of where deltas come from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

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
_KINDS: Final = {"open_circuit": bool, "half_open": bool}
_DEFAULTS: Final = {"half_open": False, "output_ratio": RATIO_ONE}


class LiveGap(StoreError):
    """A row cites live state that its worker's deltas do not lead to."""


def _unknown(worker: str, seq: int, broken: str) -> LiveGap:
    return LiveGap(
        f"live state of worker {worker!r} at seq {seq} is unknown: {broken}; expected every "
        f"delta from 1 to {seq} once; restore the segment or Parquet file that held it"
    )


def _missing(seq: int) -> str:
    return f"delta {seq} is not in the log"


def _twice(seq: int) -> str:
    return f"two deltas have seq {seq}, so two processes used one worker's name"


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
        Its live columns from then on, each (k + 1,), by the names of `COLUMNS`, as `LiveState` has them; the
        last is of an arm that never moved.
    sound
        How many deltas lead on without a gap or a double.
    """

    seq: NDArray[np.int64]
    start: NDArray[np.int64]
    arms: tuple[str, ...]
    arm: NDArray[np.int64]
    values: Mapping[str, NDArray[Any]]

    sound: int = field(init=False)

    def __post_init__(self) -> None:
        """Note once how far the deltas lead."""
        off = np.flatnonzero(self.seq != np.arange(1, len(self.seq) + 1))
        object.__setattr__(self, "sound", int(off[0]) if len(off) else len(self.seq))

    def known(self, seqs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the deltas lead to these."""
        count = np.searchsorted(self.seq, seqs, side="right")
        found: NDArray[np.bool_] = (count <= self.sound) & (count >= seqs)
        return found

    def why_not(self, seq: int) -> str:
        """Why nobody knows the state after a delta that they do not lead to."""
        count = int(np.searchsorted(self.seq, seq, side="right"))
        if count <= self.sound:
            return _missing(count + 1)
        found = int(self.seq[self.sound])
        return _twice(found) if found <= self.sound else _missing(self.sound + 1)


class Folded(NamedTuple):
    """A worker's live table as of `seq`: of each arm, which move was its last, -1 for none."""

    seq: int
    moves: Moves
    last: NDArray[np.int64]

    @property
    def table(self) -> dict[str, ArmLive]:
        """By arm id."""
        found: dict[str, ArmLive] = {}
        for code, move in enumerate(self.last.tolist()):
            if move >= 0:
                told: dict[str, Any] = {
                    name: _KINDS.get(name, int)(self.moves.values[name][move]) for name in COLUMNS
                }
                found[self.moves.arms[code]] = ArmLive(**told)
        return found


def projected(states: Sequence[Folded], index: Mapping[str, int]) -> tuple[LiveState, ...]:
    """Live columns of states over a snapshot's arms, in their order."""
    found: list[LiveState] = []
    for _, run in groupby(states, lambda state: id(state.moves)):
        found += _projected(list(run), index)
    return tuple(found)


def _projected(states: Sequence[Folded], index: Mapping[str, int]) -> list[LiveState]:
    """The same of one worker's states."""
    moves = states[0].moves
    column = np.full(len(index), len(moves.arms))  # the one after the last is of an arm that never moved
    for code, arm in enumerate(moves.arms):
        if arm in index:
            column[index[arm]] = code
    last = np.full((len(states), len(moves.arms) + 1), -1, np.int64)
    np.stack([state.last for state in states], out=last[:, :-1])
    move = last.take(column, axis=1)
    columns: dict[str, Any] = {name: moves.values[name][move] for name in COLUMNS}
    return LiveState.many([state.seq for state in states], **columns)


class Lives:
    """Live states of workers, in any order.

    Parameters
    ----------
    source
        Gives the deltas of some workers: tables of `worker`, `seq`, `ts_ms` and `arms`, in any order.
    """

    def __init__(self, source: Callable[[Sequence[str]], Sequence[pa.Table]]) -> None:
        self._source = source
        self._kept: dict[str, Moves] = {}
        self._base: dict[str, tuple[int, NDArray[np.int64]]] = {}
        self._held = 0

    def at(self, worker: str, seq: int) -> Folded:
        """Table of `worker` after its delta `seq`; 0 is its start, nothing measured.

        Raises
        ------
        LiveGap
            A delta up to `seq` is missing, or there are two of one number.
        """
        (found,) = self.many([(worker, seq)])
        if isinstance(found, LiveGap):
            raise found
        return found

    def many(self, cited: Sequence[tuple[str, int]]) -> list[Folded | LiveGap]:
        """Of each worker its table after its delta `seq`, or why nobody knows it; ascending by both."""
        self._read(list(dict.fromkeys(worker for worker, _ in cited)))
        found: list[Folded | LiveGap] = []
        for worker, run in groupby(cited, itemgetter(0)):
            found += self._of(worker, [seq for _, seq in run])
        return found

    def _read(self, workers: Sequence[str]) -> None:
        """Have these workers' deltas, and of others as many as there is room for."""
        missing = [worker for worker in workers if worker not in self._kept]
        if not missing:
            return
        deltas = [(table.column("worker").cast(pa.string()), table) for table in self._source(missing)]
        for worker in missing:
            moves = moves_of([table.filter(pc.equal(names, worker)) for names, table in deltas])
            self._kept[worker] = moves
            self._held += len(moves.arm)
        for worker in [name for name in self._kept if name not in workers]:
            if self._held <= MOST_MOVES:
                break
            self._held -= len(self._kept.pop(worker).arm)
            self._base.pop(worker, None)

    def _of(self, worker: str, seqs: Sequence[int]) -> list[Folded | LiveGap]:
        moves, asked = self._kept[worker], np.array(seqs, np.int64)
        known = moves.known(asked)
        count = np.maximum(asked[known], 0)
        before, start = self._base.get(worker, (0, None))
        if start is None or (len(count) and before > int(count[0])):
            before, start = 0, np.full(len(moves.arms), -1, np.int64)
        last = _last(moves, count, before, start)
        if len(count):
            self._base[worker] = int(count[-1]), last[-1]
        rows = iter(last)
        return [
            Folded(seq, moves, next(rows)) if sound else _unknown(worker, seq, moves.why_not(seq))
            for seq, sound in zip(seqs, known.tolist(), strict=True)
        ]


def _last(moves: Moves, count: NDArray[np.int64], before: int, known: NDArray[np.int64]) -> NDArray[np.int64]:
    """(len(count), arms): of each arm its last move within so many deltas, ascending; -1 for none.

    `known` is the same for the first `before` of them.
    """
    last = np.full((len(count), len(moves.arms)), -1, np.int64)
    if not len(count):
        return last
    last[0] = known
    stop = moves.start[count]
    move = np.arange(moves.start[before], stop[-1])
    first = np.searchsorted(stop, move, side="right")  # the first of the states that knows of the move
    last[first, moves.arm[move]] = move  # of one arm's moves the last one stays
    found: NDArray[np.int64] = np.maximum.accumulate(last, axis=0)
    return found


def moves_of(deltas: Sequence[pa.Table]) -> Moves:
    """One worker's deltas as numbers; a delta that was logged twice at one moment counts once."""
    tables = [table.combine_chunks() for table in deltas if table.num_rows]
    arms: dict[str, int] = {}
    maps = [table.column("arms").chunk(0) for table in tables]
    arm = _joined([_arms(moved, arms) for moved in maps], np.int64)
    values = {name: _joined([_values(moved, name) for moved in maps], np.int64) for name in COLUMNS}
    seq, ts_ms = (
        _joined([table.column(name).to_numpy() for table in tables], np.int64) for name in ("seq", "ts_ms")
    )
    length = _joined([np.diff(np.asarray(moved.offsets)) for moved in maps], np.int64)
    order = np.lexsort((ts_ms, seq))
    fresh = np.ones(len(seq), np.bool_)
    fresh[1:] = (np.diff(seq[order]) != 0) | (np.diff(ts_ms[order]) != 0)
    order = order[fresh]
    began, size = (np.cumsum(length) - length)[order], length[order]
    start = np.concatenate([[0], np.cumsum(size)])
    move = np.repeat(began - start[:-1], size) + np.arange(start[-1])
    columns = {
        name: np.append(values[name][move], _DEFAULTS.get(name, 0)).astype(_KINDS.get(name, np.float64))
        for name in COLUMNS
    }
    return Moves(seq[order], start, tuple(arms), arm[move], columns)


def _joined(columns: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *columns]).astype(kind, copy=False)


def _arms(moved: pa.MapArray, known: dict[str, int]) -> NDArray[np.int64]:
    """Which arm each move is of, by its number in `known`, which grows."""
    names = pc.dictionary_encode(moved.keys)
    table = np.array([known.setdefault(arm, len(known)) for arm in names.dictionary.to_pylist()], np.int64)
    found: NDArray[np.int64] = table[names.indices.to_numpy(zero_copy_only=False)[_within(moved)]]
    return found


def _within(moved: pa.MapArray) -> slice:
    """Where the moves of a map lie among those of the column that it is cut from."""
    return slice(moved.offsets[0].as_py(), moved.offsets[-1].as_py())


def _values(moved: pa.MapArray, name: str) -> NDArray[Any]:
    """A live column of every move; null and what an old file lacks are the default."""
    items = moved.items
    if name not in {field.name for field in items.type}:
        return np.full(len(items), int(_DEFAULTS[name]))[_within(moved)]
    column = items.field(name)
    if column.null_count:
        column = column.fill_null(_DEFAULTS.get(name, 0))
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False)[_within(moved)]
    return found
