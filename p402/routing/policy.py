"""Scores to propensities: inverse-gap weighting over a small exploration set, in whole counts.

The incumbent is the eligible arm of the highest score. Around it stand at most `set_size`
arms within the mode's tolerance and `cost_ratio` times its cost. Each of the m arms in that
set gets an even share of the floor; the rest of the mass goes by 1 / (m + gamma * gap), with
what is left over to the incumbent. gamma = (m - 1) / loss_cap, so that the expected loss of
score is at most the cap, plus the floor's. Every propensity is a whole count out of 2**24.

Source: Foster and Rakhlin, "Beyond UCB" (SquareCB), ICML 2020; inverse-gap weighting after
Abe and Long, 1999. The closed form needs only + - x / and floor, each one IEEE operation per
element, so that counts agree on every CPU.
"""

from typing import Any

import numpy as np

from p402.routing.compiled import Snapshot
from p402.routing.lens import Bool, Cell, Float, Lens, at, count, mode_cells, put
from p402.routing.scale import COUNT_ONE, PARAM_ONE, SCORE_ONE

_GAP_UNIT = PARAM_ONE / SCORE_ONE
_FLOOR_UNIT = float(COUNT_ONE // PARAM_ONE)


def exploration_set(
    snapshot: Snapshot, lens: Lens, mask: Bool, gap: Float, cost: Float, incumbent: Any
) -> Bool:
    """Arms that chance may pick, incumbent included; it alone where exploration is off.

    `gap` is the incumbent's score less each arm's, infinite for ineligible arms.
    """
    rules = mode_cells(snapshot, lens)
    if lens.n == 1:
        inside: Bool = gap <= (rules[3] * PARAM_ONE if rules[6] and lens.explore else -1.0)
    else:
        inside = gap <= np.where((rules[6] > 0) & lens.explore, rules[3] * PARAM_ONE, -1.0)
    inside &= cost <= at(cost, incumbent) * float(snapshot.spec.policy.cost_ratio)
    inside &= mask
    put(inside, incumbent, at(mask, incumbent))
    size = snapshot.spec.policy.set_size
    if snapshot.n_arms > size and np.any(count(inside) > size):
        inside = _closest(np.where(inside, gap, np.inf), inside, size)
    return inside


def _closest(gap: Float, inside: Bool, size: int) -> Bool:
    """At most `size` arms of the smallest gap in each row, ties to the lower index."""
    edge = np.partition(gap, size - 1, axis=-1)[..., size - 1 : size]
    closer = gap < edge
    ties = gap == edge
    ties &= np.cumsum(ties, axis=-1) <= size - count(closer)
    return (closer | ties) & inside


def counts(snapshot: Snapshot, lens: Lens, inside: Bool, gap: Float, incumbent: Any) -> tuple[Float, Cell]:
    """Propensity counts that sum to 2**24 in each row with a set, and the sets' sizes as a cell.

    `gap` is finite inside the set.
    """
    m = count(inside)
    arms = max(m, 1.0) if lens.n == 1 else np.maximum(m, 1.0)
    rules = mode_cells(snapshot, lens)
    floor = rules[5] * _FLOOR_UNIT / arms // 1.0
    gamma = (arms - 1.0) / rules[4] * _GAP_UNIT
    share = np.where(inside, gap, 0.0)
    share *= gamma
    share += arms
    np.divide(COUNT_ONE - arms * floor, share, out=share)
    np.floor(share, out=share)
    share += floor
    share *= inside
    put(share, incumbent, 0.0)
    if lens.n == 1:
        put(share, incumbent, COUNT_ONE - float(np.add.reduce(share)) if m else 0.0)
    else:
        rest = COUNT_ONE - np.add.reduce(share, axis=-1, keepdims=True)
        put(share, incumbent, np.where(m > 0, rest, 0.0))
    return share, m


def pick(counted: Float, draw: Any) -> Any:
    """Arm whose stretch of the counts holds each row's draw, a whole number below 2**24."""
    reach = np.add.accumulate(counted, axis=-1)
    return np.count_nonzero(reach <= draw, axis=-1)
