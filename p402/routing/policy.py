"""Scores to propensities: inverse-gap weighting over a small exploration set, in whole counts.

The incumbent is the eligible arm of the highest score. Around it stand at most `set_size`
arms within the mode's tolerance and `cost_ratio` times its cost. Each of the m arms in that
set gets an even share of the floor; the rest of the mass goes by 1 / (m + gamma * gap), with
what is left over to the incumbent. gamma = (m - 1) / loss_cap, so that the expected loss of
score is at most the cap, plus the floor's. Every propensity is a whole count out of 2**24.

Sets are small beside the arms there are, so their arms are listed, row after row, and the
counts of a list are one column.

Source: Foster and Rakhlin, "Beyond UCB" (SquareCB), ICML 2020; inverse-gap weighting after
Abe and Long, 1999. The closed form needs only + - x / and floor, each one IEEE operation per
element, so that counts agree on every CPU.
"""

from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from p402.routing.compiled import Snapshot
from p402.routing.lens import Bool, Cell, Float, Int, Lens, at, put
from p402.routing.scale import COUNT_ONE, PARAM_ONE, SCORE_ONE

_GAP_UNIT = PARAM_ONE / SCORE_ONE
_FLOOR_UNIT = float(COUNT_ONE // PARAM_ONE)


class Best(NamedTuple):
    """Each row's incumbent, its score as a cell, and whether any arm can serve the row, as a cell."""

    arm: Any
    score: Cell
    served: Cell


class Chances(NamedTuple):
    """Arms that chance may pick, row after row and ascending, with their counts.

    `row` numbers the rows, and is 0 for one; `size` is how many arms each row has. Counts are
    a column, or for one row a list of numbers.
    """

    row: Any
    arm: Int
    counts: Any
    size: Any


def exploration_set(snapshot: Snapshot, lens: Lens, score: Float, best: Best, bid: Float, half: Cell) -> Bool:
    """Arms that chance may pick, incumbent included; it alone where exploration is off.

    Scores of arms that are not eligible lie further below the best than any tolerance.
    """
    _, _, _, tolerance, _, _, explores = lens.rules
    if lens.n == 1:
        free = explores and lens.explore and best.served
        edge = best.score - tolerance * PARAM_ONE if free else np.inf
    else:
        free = (explores > 0) & lens.explore & best.served
        edge = np.where(free, best.score - tolerance * PARAM_ONE, np.inf)
    inside: Bool = score >= edge
    ratio = float(snapshot.spec.policy.cost_ratio)
    inside &= bid <= (at(bid, best.arm) - half) * ratio + half
    put(inside, best.arm, best.served)
    return inside


def chances(snapshot: Snapshot, lens: Lens, inside: Bool, score: Float, best: Best) -> Chances:
    """Counts of the arms in each row's set, which sum to 2**24. A set that is too large is cut down."""
    most = snapshot.spec.policy.set_size
    row, arm, size = _listed(inside)
    if (size if lens.n == 1 else size.max()) > most:
        _cut_down(inside, score, size, most)
        row, arm, size = _listed(inside)
    return Chances(row, arm, _counts(lens, row, arm, size, score, best), size)


def _listed(inside: Bool) -> tuple[Any, Int, Any]:
    """Row and arm of every set arm in order, and how many each row has."""
    if inside.ndim == 1:
        (arm,) = inside.nonzero()
        return 0, arm, len(arm)
    place = np.flatnonzero(inside)
    row = place // inside.shape[1]
    return row, place - row * inside.shape[1], np.bincount(row, minlength=len(inside))


def _cut_down(inside: Bool, score: Float, size: Any, most: int) -> None:
    """Leave the `most` best arms in each row that has more; of equals the lower ones."""
    rows = ... if inside.ndim == 1 else np.flatnonzero(size > most)
    near = np.where(inside[rows], score[rows], -np.inf)
    last = inside.shape[-1] - most
    edge = np.partition(near, last, axis=-1)[..., last : last + 1]
    better = near > edge
    level = near == edge
    room = most - np.count_nonzero(better, axis=-1, keepdims=True)
    level &= np.cumsum(level, axis=-1) <= room
    inside[rows] = better | level


def _counts(lens: Lens, row: Any, arm: Int, size: Any, score: Float, best: Best) -> Any:
    if lens.n == 1:
        if size <= 1:
            return [float(COUNT_ONE)] * size
        share = _shares(float(size), lens.rules[4], lens.rules[5])
        counts = [share(best.score - s) for s in score[arm].tolist()]
        own = arm.tolist().index(best.arm)
        counts[own] = 0.0
        counts[own] = COUNT_ONE - sum(counts)
        return counts
    m, loss_cap, floor = np.maximum(size, 1.0)[row], lens.rules[4][row, 0], lens.rules[5][row, 0]
    counts = _shares(m, loss_cap, floor)(best.score[row, 0] - score[row, arm])
    own = arm == best.arm[row]
    counts[own] = 0.0
    counts[own] = COUNT_ONE - np.bincount(row, weights=counts, minlength=lens.n)[row[own]]
    return counts


def _shares(m: Any, loss_cap: Any, floor: Any) -> Callable[[Any], Any]:
    """Counts by gap for arms in a set of m: numbers alike or columns alike."""
    least = floor * _FLOOR_UNIT / m // 1.0
    gamma = (m - 1.0) / loss_cap * _GAP_UNIT
    rest = COUNT_ONE - m * least
    return lambda gap: rest / (gap * gamma + m) // 1.0 + least


def pick(chances: Chances, draw: Any) -> Any:
    """Place in the list of the arm whose stretch of its row's counts holds the row's draw.

    `draw` is a whole number below 2**24, or one for each row; places come for the rows with a set.
    """
    if isinstance(draw, int):
        return next(place for place, reach in enumerate(accumulate(chances.counts)) if reach > draw)
    (rows,) = np.nonzero(chances.size)
    reach = np.add.accumulate(chances.counts)
    return reach.searchsorted(draw[rows] + np.arange(len(rows)) * float(COUNT_ONE), "right")
