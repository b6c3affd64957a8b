"""The one function that live and offline share: which arm, and how probable it was.

One row live, a million offline, the same bits. No clock, no generator, no I/O: chance is
keyed by request id. Work goes in chunks that stay in the processor's cache; chunking cannot
show in the result, since every sum is exact (`p402.routing.scale`).
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from p402.routing.batch import RequestBatch
from p402.routing.chance import draw24
from p402.routing.compiled import Snapshot
from p402.routing.eligibility import eligible
from p402.routing.lens import Cell, at, look
from p402.routing.policy import counts, exploration_set, pick
from p402.routing.scoring import expected_cost, scores

CHUNK_CELLS: Final = 51_200
"""Rows times arms worked on at once: 0.4 MiB of float64, which stays in a core's cache."""

NO_ARM: Final = -1


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

    Shape (n, n_arms), or (n_arms,) for a batch of one; the others are a value per row.
    """

    score: NDArray[np.float64]
    cost_pico: NDArray[np.float64]
    counts: NDArray[np.float64]
    eligible: NDArray[np.bool_]
    n_explored: Cell
    incumbent: Any
    served: Cell


def work(snapshot: Snapshot, batch: RequestBatch) -> Workings:
    """Every intermediate of a batch small enough to hold (n, n_arms) matrices.

    The propensities of every arm, for off-policy evaluation, are `counts / 2**24`.
    """
    lens = look(batch)
    mask = eligible(snapshot, lens)
    cost = expected_cost(snapshot, lens)
    score = scores(snapshot, lens, cost)
    np.copyto(score, -np.inf, where=~mask)
    incumbent = score.argmax(axis=-1)
    best = at(score, incumbent)
    served = best > -np.inf
    gap = (best if lens.n == 1 and served else np.where(served, best, 0.0)) - score
    inside = exploration_set(snapshot, lens, mask, gap, cost, incumbent)
    counted, explored = counts(snapshot, lens, inside, gap, incumbent)
    return Workings(score, cost, counted, mask, explored, incumbent, served)


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
    out = np.empty((5, n), np.int32)
    step = max(1, CHUNK_CELLS // snapshot.n_arms)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        part = batch if n <= step and batch.wide else batch.rows(rows)
        _fill(snapshot, part, out[:, rows])
    return Decisions(snapshot.id, *out)


def _fill(snapshot: Snapshot, part: RequestBatch, out: NDArray[np.int32]) -> None:
    worked = work(snapshot, part)
    draw = draw24(part.key, snapshot.spec.policy.salt)
    if len(part) == 1:
        if not worked.served:
            out[:, 0] = (NO_ARM, 0, NO_ARM, 0, 0)
            return
        chosen = int(pick(worked.counts, draw.item()))
        eligible_arms = np.count_nonzero(worked.eligible)
        counted = worked.counts.item(chosen)
        out[:, 0] = (chosen, counted, worked.incumbent, eligible_arms, worked.n_explored)
        return
    served = worked.served[:, 0]
    chosen = np.where(served, pick(worked.counts, draw[:, None]), 0)
    out[0] = np.where(served, chosen, NO_ARM)
    out[1] = at(worked.counts, chosen)[:, 0]
    out[2] = np.where(served, worked.incumbent, NO_ARM)
    out[3] = np.count_nonzero(worked.eligible, axis=1)
    out[4] = worked.n_explored[:, 0]
