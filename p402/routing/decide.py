"""What live and offline share: which arm, and how probable it was.

One row live, a million offline, the same bits. No clock, no generator, no I/O: chance is
keyed by request id. Work goes in chunks that stay in the processor's cache; chunking cannot
show in the result, since every sum is exact (`p402.routing.scale`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from p402.events import RowInputs
from p402.ids import key_of
from p402.routing.batch import RequestBatch
from p402.routing.chance import draw24, draw_one
from p402.routing.compiled import Snapshot
from p402.routing.eligibility import eligible
from p402.routing.lens import Bool, Cell, Float, Lens, at, bar, count, some, top_arm
from p402.routing.live import LiveState
from p402.routing.look import look
from p402.routing.policy import Best, counts, exploration_set, pick
from p402.routing.rows import lens_of
from p402.routing.scoring import bids, half_point, scores

CHUNK_CELLS: Final = 204_800
"""Rows times arms worked on at once, 1.6 MiB of float64: fewer pay more calls, many more leave the cache."""

_BLOCK: Final = 24 << 20
"""Bytes of a block larger than any that a chunk takes, and smaller than 32 MiB."""

NO_ARM: Final = -1


class Decided(msgspec.Struct, frozen=True, gc=False):
    """One row of `Decisions`, and of its columns."""

    arm: int
    count: int
    incumbent: int
    n_eligible: int
    n_explored: int


_NOBODY: Final = Decided(NO_ARM, 0, NO_ARM, 0, 0)

Decide = Callable[[Snapshot, str, RowInputs, LiveState], Decided]
"""Chooses for one request, by its id: `decide_one`, or what a simulation tries in its place."""


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Columns of shape (n,).

    Attributes
    ----------
    arm
        Index of the chosen arm; -1 where none is eligible.
    count
        Its propensity times 2**24; 0 where none is eligible.
    incumbent
        The eligible arm of the highest score; -1 where none is.
    n_eligible, n_explored
        Arms that could serve; arms that chance could pick. The others have propensity 0
        and the reason `outside_exploration`.
    """

    snapshot_id: str
    arm: NDArray[np.int32]
    count: NDArray[np.int32]
    incumbent: NDArray[np.int32]
    n_eligible: NDArray[np.int32]
    n_explored: NDArray[np.int32]

    def __len__(self) -> int:
        """Rows."""
        return len(self.arm)


class Workings(NamedTuple):
    """How decisions came about: score, expected cost in pico-USD, counts and mask over the last axis.

    Shape (n, n_arms), or (n_arms,) for a batch of one; the others are (n,), or a number. The score
    of an arm that is not eligible is minus infinity.
    """

    score: NDArray[np.float64]
    cost_pico: NDArray[np.float64]
    counts: NDArray[np.float64]
    eligible: NDArray[np.bool_]
    n_explored: Any
    incumbent: Any
    served: Any


class _Weighed(NamedTuple):
    """A batch weighed: what `decide` picks from and `work` shows. `able` counts the eligible arms."""

    mask: Bool
    able: Any
    bid: Float
    half: Cell
    score: Float
    best: Best


_FAR: Final = 2.0**62
"""Taken from the score of an arm that is not eligible: further than scores and tolerances reach."""


def _weigh(snapshot: Snapshot, lens: Lens) -> _Weighed:
    mask = eligible(snapshot, lens)
    able = count(mask)
    bid, half = bids(snapshot, lens), half_point(snapshot, lens)
    score = scores(snapshot, lens, bid, half)
    if some(lens, able < snapshot.n_arms) is not None:
        score = bar(score, mask, _FAR)
    incumbent = top_arm(score)
    top = at(score, incumbent)
    return _Weighed(mask, able, bid, half, score, Best(incumbent, top, top > -_FAR / 2))


def work(snapshot: Snapshot, batch: RequestBatch) -> Workings:
    """Every intermediate of a batch small enough to hold (n, n_arms) matrices.

    The propensities of every arm, for off-policy evaluation, are `counts / 2**24`.
    """
    lens = look(snapshot, batch)
    mask, _, bid, half, score, best = _weigh(snapshot, lens)
    shown, n_explored = np.zeros_like(score), np.int64(0)
    if lens.n > 1 or best.served:
        explored = exploration_set(snapshot, lens, score, best, bid, half)
        np.atleast_2d(shown)[explored.row, explored.arm] = counts(lens, explored, best)
        n_explored = explored.size
    np.copyto(score, -np.inf, where=~mask)
    return Workings(
        score=score,
        cost_pico=bid - half,
        counts=shown,
        eligible=mask,
        n_explored=n_explored,
        incumbent=best.arm,
        served=best.served if lens.n == 1 else best.served[:, 0],
    )


def decide(snapshot: Snapshot, batch: RequestBatch) -> Decisions:
    """Choose an arm for each request, with the probability it had of being chosen.

    Parameters
    ----------
    snapshot
        Everything known that is not of one request.
    batch
        n requests; every index in it must be one of the snapshot's.

    Returns
    -------
    Decisions
        The same for a row whatever batch it comes in, on any CPU and numpy.
    """
    n = len(batch)
    if n == 1:
        return Decisions(snapshot.id, *_row(snapshot, batch)[:, None])
    out = np.empty((5, n), np.int32)
    step = max(1, CHUNK_CELLS // snapshot.n_arms)
    if n > step:
        # glibc hands a chunk's memory back and faults it in again for the next, at 40 % of the speed,
        # until a larger block than the chunk's was freed; this one is never touched and costs nothing
        np.empty(_BLOCK, np.uint8)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        part = batch.rows(rows)
        if len(part) == 1:
            out[:, start] = _row(snapshot, part)
        else:
            _many(snapshot, part, out[:, rows])
    return Decisions(snapshot.id, *out)


def decide_one(snapshot: Snapshot, request_id: str, inputs: RowInputs, live: LiveState) -> Decided:
    """Choose an arm for one request: what `decide` chooses for the batch that `to_batch` makes of it.

    Raises
    ------
    InvalidInput
        As of `to_batch`.
    """
    key = key_of(request_id)
    return _one(snapshot, lens_of(snapshot, inputs, live), key)


def _row(snapshot: Snapshot, batch: RequestBatch) -> NDArray[np.int32]:
    made = _one(snapshot, look(snapshot, batch), batch.key[0].tolist())
    return np.array(msgspec.structs.astuple(made), np.int32)


def _one(snapshot: Snapshot, lens: Lens, key: Sequence[int]) -> Decided:
    _, able, bid, half, score, best = _weigh(snapshot, lens)
    if not best.served:
        return _NOBODY
    explored = exploration_set(snapshot, lens, score, best, bid, half)
    counted, place = counts(lens, explored, best), 0
    if explored.size > 1:
        high, low = key
        place = pick(explored, counted, draw_one(high, low, snapshot.spec.policy.salt))
    return Decided(explored.arm[place], int(counted[place]), best.arm, able, explored.size)


def _many(snapshot: Snapshot, batch: RequestBatch, out: NDArray[np.int32]) -> None:
    lens = look(snapshot, batch)
    _, able, bid, half, score, best = _weigh(snapshot, lens)
    explored = exploration_set(snapshot, lens, score, best, bid, half)
    counted, draw = counts(lens, explored, best), np.zeros(len(batch))
    several = np.flatnonzero(explored.size > 1)
    draw[several] = draw24(batch.key[several], snapshot.spec.policy.salt)
    place, rows = pick(explored, counted, draw), np.flatnonzero(explored.size)
    out[:3] = np.array([[NO_ARM], [0], [NO_ARM]])
    out[0, rows] = explored.arm[place]
    out[1, rows] = counted[place]
    out[2, rows] = best.arm[rows]
    out[3] = able
    out[4] = explored.size
