"""The yardsticks that learn nothing: random, cheapest, one arm for everything, a mix of two.

Each is a `Policy`. It knows nothing of snapshots but what `begin` shows it.
"""

from typing import Final

import numpy as np

from p402.routing.compiled import Snapshot
from p402.routing.scale import PARAM_ONE
from sim.strategies.contract import Contexts, Float

NOMINAL_PROMPT: Final = 600.0
NOMINAL_OUTPUT: Final = 300.0
"""Tokens of the call by which arms are compared where no request is looked at."""


class Random:
    """Every eligible arm alike."""

    def probabilities(self, contexts: Contexts) -> Float:
        """(n, K)."""
        return even(contexts)


class Cheapest:
    """The eligible arm of the least expected cost, ties to the lower id."""

    def probabilities(self, contexts: Contexts) -> Float:
        """(n, K), one 1 a row."""
        return best(np.where(contexts.eligible, -contexts.cost_usd, -np.inf))


class BestSingle:
    """The one arm that the starting snapshot thinks best on the whole, for every request that it may serve.

    Best by `weights` over the mean quality of all tasks and the cost of a nominal call; where it may not
    serve, the next best. What it goes by is the prior: nothing is looked up in hindsight.
    """

    def __init__(self) -> None:
        self._quality: dict[str, float] = {}
        self._cost: dict[str, float] = {}

    def begin(self, snapshot: Snapshot) -> None:
        """Read quality and cost of every arm."""
        self._quality |= {a: q for a, q in quality_of(snapshot).items() if a not in self._quality}
        self._cost = cost_score_of(snapshot)

    def probabilities(self, contexts: Contexts) -> Float:
        """(n, K), one 1 a row."""
        quality, cost = _columns(contexts, self._quality), _columns(contexts, self._cost)
        worth = contexts.weights[:, :1] * quality + contexts.weights[:, 1:2] * cost
        return best(np.where(contexts.eligible, worth, -np.inf))


class OneArm:
    """One arm by name, for every request that it may serve; where it may not, the cheapest."""

    def __init__(self, arm: str) -> None:
        self.arm = arm

    def probabilities(self, contexts: Contexts) -> Float:
        """(n, K), one 1 a row."""
        mine = np.array([arm == self.arm for arm in contexts.arms])
        worth = np.where(mine, np.inf, -contexts.cost_usd)
        return best(np.where(contexts.eligible, worth, -np.inf))


class ZeroRouter:
    """A mix of two single arms, whatever the request: what every router must beat.

    Arms are points of cost score and prior quality. On the upper edge of their convex hull, the mix
    stands where its cost score is as far between the least and the most as the cost weight is between
    0 and 1. Where an arm of the mix may not serve, its share is the other's, else the cheapest's.

    Source: Hu et al., "RouterBench", 2024 (arXiv 2403.12031), for the zero router and its hull.
    """

    def __init__(self) -> None:
        self._quality: dict[str, float] = {}
        self._cost: dict[str, float] = {}

    def begin(self, snapshot: Snapshot) -> None:
        """Read quality and cost of every arm."""
        self._quality |= {a: q for a, q in quality_of(snapshot).items() if a not in self._quality}
        self._cost = cost_score_of(snapshot)

    def probabilities(self, contexts: Contexts) -> Float:
        """(n, K), one or two arms a row."""
        quality = np.array([self._quality[arm] for arm in contexts.arms])
        cost = np.array([self._cost[arm] for arm in contexts.arms])
        edge = upper_edge(cost, quality)
        out = np.zeros(contexts.eligible.shape)
        both = contexts.weights[:, 0] + contexts.weights[:, 1]
        share = np.divide(contexts.weights[:, 1], both, out=np.full(len(both), 0.5), where=both > 0)
        at = cost[edge[0]] + share * (cost[edge[-1]] - cost[edge[0]])
        right = np.clip(np.searchsorted(cost[edge], at), 1, max(len(edge) - 1, 1))
        right = np.minimum(right, len(edge) - 1)
        left = np.maximum(right - 1, 0)
        low, high = cost[edge[left]], cost[edge[right]]
        mix = np.divide(at - low, high - low, out=np.ones(len(at)), where=high > low)
        rows = np.arange(len(at))
        np.add.at(out, (rows, edge[left]), 1.0 - mix)
        np.add.at(out, (rows, edge[right]), mix)
        out = np.where(contexts.eligible, out, 0.0)
        left_over = out.sum(axis=1, keepdims=True)
        cheapest = best(np.where(contexts.eligible, -contexts.cost_usd, -np.inf))
        return np.where(left_over > 0, out / np.where(left_over > 0, left_over, 1.0), cheapest)


def quality_of(snapshot: Snapshot) -> dict[str, float]:
    """Mean over tasks of each arm's prior quality, by arm."""
    posterior = snapshot.spec.posterior
    theta = np.array(posterior.theta, np.float64) / PARAM_ONE
    tasks = [k for k, name in enumerate(posterior.features) if name.startswith("task_")]
    bias = [k for k, name in enumerate(posterior.features) if name == "bias"]
    mean = theta[:, bias].sum(axis=1) + (theta[:, tasks].mean(axis=1) if tasks else 0.0)
    return dict(zip(snapshot.spec.arms.arm, mean.tolist(), strict=True))


def cost_score_of(snapshot: Snapshot) -> dict[str, float]:
    """Cost score of the nominal call at each arm, by arm."""
    half = (NOMINAL_PROMPT + NOMINAL_OUTPUT) * (snapshot.spec.policy.cost_half_pico // 1000)
    cost = NOMINAL_PROMPT * snapshot.input + NOMINAL_OUTPUT * snapshot.prices.base.expected
    return dict(zip(snapshot.spec.arms.arm, (half / (half + cost)).tolist(), strict=True))


def upper_edge(x: Float, y: Float) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Indices of the points on the upper edge of the convex hull, from the highest y on, by ascending x.

    Left of the highest point y rises with x, so that nothing there is a trade: those are left out.
    """
    order = np.lexsort((-y, x))
    kept: list[int] = []
    for i in order.tolist():
        while len(kept) > 1 and _turn(x, y, kept[-2], kept[-1], i) >= 0:
            kept.pop()
        if kept and x[kept[-1]] == x[i]:
            continue
        kept.append(i)
    top = max(range(len(kept)), key=lambda k: (y[kept[k]], x[kept[k]]))
    return np.array(kept[top:], np.int64)


def _turn(x: Float, y: Float, a: int, b: int, c: int) -> float:
    return float((x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a]))


def best(worth: Float) -> Float:
    """(n, K) 1 at each row's highest, of equals the first; a row of -inf has none."""
    out = np.zeros(worth.shape)
    if len(worth) == 1:
        top = int(worth[0].argmax())
        out[0, top] = worth[0, top] > -np.inf
        return out
    rows = np.flatnonzero(np.isfinite(worth.max(axis=1)) | np.isposinf(worth.max(axis=1)))
    out[rows, worth[rows].argmax(axis=1)] = 1.0
    return out


def even(contexts: Contexts) -> Float:
    """(n, K) every eligible arm alike."""
    able = np.count_nonzero(contexts.eligible, axis=1, keepdims=True)
    spread: Float = contexts.eligible / np.maximum(able, 1)
    return spread


def _columns(contexts: Contexts, by_arm: dict[str, float]) -> Float:
    return np.array([by_arm[arm] for arm in contexts.arms])[None, :]
