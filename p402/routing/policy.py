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

from bisect import bisect_right
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from p402.routing.compiled import Snapshot
from p402.routing.lens import Bool, Cell, Float, Int, Lens, at, count
from p402.routing.scale import COUNT_ONE, PARAM_ONE, SCORE_ONE

_GAP_UNIT = PARAM_ONE / SCORE_ONE
_FLOOR_UNIT = float(COUNT_ONE // PARAM_ONE)


class Best(NamedTuple):
    """Each row's incumbent, its score as a cell, and whether any arm can serve the row, as a cell."""

    arm: Any
    score: Cell
    served: Cell


class Explored(NamedTuple):
    """Arms that chance may pick and their scores, row after row and ascending.

    Columns, but lists for one row. `row` numbers the rows, and is 0 for one; `size` is how many arms
    each row has.
    """

    row: Any
    arm: Any
    score: Any
    size: Any


def exploration_set(
    snapshot: Snapshot, lens: Lens, score: Float, best: Best, bid: Float, half: Cell
) -> Explored:
    """Arms that chance may pick, incumbent included; it alone where exploration is off.

    Scores of arms that are not eligible lie further below the best than any tolerance.
    """
    tolerance, _, _, explores, ratio = lens.rules[3:]
    most = snapshot.spec.policy.set_size
    if lens.n == 1 and not (explores and lens.explore):
        return Explored(0, [best.arm], [best.score], 1)
    limit = (at(bid, best.arm) - half) * ratio + half
    reach = tolerance * PARAM_ONE
    if lens.n == 1:
        return _around(score, best.score - reach, bid, limit, most)
    free = (explores > 0) & lens.explore
    edge = np.where(best.served, best.score - np.where(free, reach, 0.0), np.inf)
    within = score >= edge
    within &= bid <= limit
    size = count(within)
    for r in np.flatnonzero((size > 1) & ~free[:, 0]).tolist():  # as good as the incumbent, by the bit
        within[r, best.arm[r] + 1 :] = False
        size[r] = 1
    place = np.flatnonzero(within)
    row = np.repeat(np.arange(lens.n), size)
    near = score.ravel().take(place)
    if size.max() > most:
        keep = _shrink(near, size, most)
        place, row, near = place[keep], row[keep], near[keep]
        size = np.minimum(size, most)
    return Explored(row, place - row * snapshot.n_arms, near, size)


def _around(score: Float, edge: float, bid: Float, limit: float, most: int) -> Explored:
    """The exploration set of one row: arms of at least the score `edge` and at most the bid `limit`."""
    within = score >= edge
    within &= bid <= limit
    (arm,) = within.nonzero()
    near = score[arm]
    size = len(arm)
    if size > most:
        keep = _closest(near, most)
        arm, near, size = arm[keep], near[keep], most
    return Explored(0, arm.tolist(), near.tolist(), size)


def _closest(score: Float, most: int) -> Int:
    """Places of the highest scores, ascending; of equals the first."""
    places = (-score).argsort(kind="stable")[:most]
    places.sort()
    return places


def _shrink(score: Float, size: Int, most: int) -> Bool:
    """Which of the listed arms stay if each row keeps at most the `most` closest to its incumbent."""
    keep = np.ones(len(score), np.bool_)
    first = np.cumsum(size) - size
    for r in np.flatnonzero(size > most).tolist():
        places = slice(first[r], first[r] + size[r])
        keep[places] = False
        keep[first[r] + _closest(score[places], most)] = True
    return keep


def counts(lens: Lens, explored: Explored, best: Best) -> Any:
    """Counts of the explored arms, which sum to 2**24 in each row: a column, or for one row a list."""
    if lens.n > 1:
        return _listed(lens, explored, best)
    _, arm, score, size = explored
    if size == 1:
        return [float(COUNT_ONE)]
    m, loss_cap, floor = float(size), lens.rules[4], lens.rules[5]
    least = floor * _FLOOR_UNIT / m // 1.0
    gamma = (m - 1.0) / loss_cap * _GAP_UNIT
    rest, top = COUNT_ONE - m * least, best.score
    counted = [rest / ((top - each) * gamma + m) // 1.0 + least for each in score]
    own = arm.index(best.arm)
    counted[own] = 0.0
    counted[own] = COUNT_ONE - sum(counted)
    return counted


def _listed(lens: Lens, explored: Explored, best: Best) -> Float:
    """Counts of many rows' arms by the same operations: what is a row's is worked out once for each row.

    `floor` takes the place of `// 1.0`, which is the same for what is not negative, at fifty times the speed.
    """
    row, arm, score, size = explored
    m = np.maximum(size, 1).astype(np.float64)
    least = np.floor(lens.rules[5][:, 0] * _FLOOR_UNIT / m)
    gamma = (m - 1.0) / lens.rules[4][:, 0] * _GAP_UNIT
    rest = COUNT_ONE - m * least
    counted: Float = best.score[:, 0].take(row)
    counted -= score
    counted *= gamma.take(row)
    counted += m.take(row)
    np.divide(rest.take(row), counted, counted)
    np.floor(counted, counted)
    counted += least.take(row)
    own = np.flatnonzero(arm == best.arm.take(row))
    counted[own] = 0.0
    counted[own] = (COUNT_ONE - np.bincount(row, weights=counted, minlength=lens.n))[row[own]]
    return counted


def pick(explored: Explored, counted: Any, draw: Any) -> Any:
    """Place in the list of the arm whose stretch of its row's counts holds the row's draw.

    `draw` is a whole number below 2**24, or one for each row; places come for the rows with a set.
    """
    if isinstance(draw, int):
        return bisect_right(list(accumulate(counted)), draw)
    (rows,) = np.nonzero(explored.size)
    reach = np.add.accumulate(counted)
    return reach.searchsorted(draw[rows] + np.arange(len(rows)) * float(COUNT_ONE), "right")
