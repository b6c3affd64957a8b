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

    `row` numbers the rows, and is 0 for one; `size` is how many arms each row has.
    """

    row: Any
    arm: Int
    counts: Float
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
    if np.max(size) > most:
        _cut_down(inside, score, size, most)
        row, arm, size = _listed(inside)
    if len(arm) == np.count_nonzero(size):
        return Chances(row, arm, np.full(len(arm), float(COUNT_ONE)), size)
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


def _counts(lens: Lens, row: Any, arm: Int, size: Any, score: Float, best: Best) -> Float:
    if lens.n == 1:
        m, loss_cap, floor = float(size), lens.rules[4], lens.rules[5]
        gap = best.score - score[arm]
        own = arm == best.arm
    else:
        m, loss_cap, floor = np.maximum(size, 1.0)[row], lens.rules[4][row, 0], lens.rules[5][row, 0]
        gap = best.score[row, 0] - score[row, arm]
        own = arm == best.arm[row]
    least = floor * _FLOOR_UNIT / m // 1.0
    gamma = (m - 1.0) / loss_cap * _GAP_UNIT
    share: Float = gap * gamma
    share += m
    np.divide(COUNT_ONE - m * least, share, out=share)
    np.floor(share, out=share)
    share += least
    share[own] = 0.0
    if lens.n == 1:
        share[own] = COUNT_ONE - np.add.reduce(share)
    else:
        share[own] = COUNT_ONE - np.bincount(row, weights=share, minlength=lens.n)[row[own]]
    return share


def pick(chances: Chances, draw: Any) -> Any:
    """Place in the list of the arm whose stretch of its row's counts holds the row's draw.

    `draw` is a whole number below 2**24, or one for each row; places come for the rows with a set.
    """
    reach = np.add.accumulate(chances.counts)
    if isinstance(draw, int):
        return reach.searchsorted(draw, "right")
    (rows,) = np.nonzero(chances.size)
    return reach.searchsorted(draw[rows] + np.arange(len(rows)) * float(COUNT_ONE), "right")
