"""The fold of live state delta by delta, as plainly as it can be said: what `Lives` is held to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from p402.events import ArmLive
from sim.replay.lives import _missing, _twice, _unknown


class State(NamedTuple):
    """A worker's live table as of `seq`, by arm id."""

    seq: int
    table: Mapping[str, ArmLive]


class Delta(NamedTuple):
    """A worker's change of live state to `seq`."""

    worker: str
    seq: int
    arms: Mapping[str, ArmLive]


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
