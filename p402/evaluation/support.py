"""How much a log says of a policy, or of the difference of two, before any reward is looked at.

Weights alone: how many rows they leave, whether they add up to what they must, and what the log could not
have taken. It knows no threshold but when an action counts as changed.

Sources: Kish, Survey Sampling, 1965 (effective size); that weights have a known mean, as a check of a log,
is used by Li et al., WSDM 2011, and as a control variate by Swaminathan and Joachims, NeurIPS 2015.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from p402.evaluation.diagnostics import effective_size, gap_of
from p402.evaluation.logged import FloatArray
from p402.evaluation.side import Side


@dataclass(frozen=True, slots=True)
class Support:
    """How much of the log speaks about a target: see the fields of `Estimate`."""

    ess: float
    max_weight: float
    n_changed: int
    gap: float
    differs: bool
    ess_changed: float
    imbalance: float
    known: bool = True


NO_WEIGHTS = Support(
    ess=0.0, max_weight=0.0, n_changed=0, gap=0.0, differs=False, ess_changed=inf, imbalance=0.0, known=False
)
"""Of an estimate that uses none, on rounds whose propensities are null."""


def of_one(side: Side, change: float) -> Support:
    """Of one policy: its weights average 1 in expectation; changed are actions it takes more than the log."""
    batch = side.batch
    gain = side.target[np.arange(batch.n), batch.action] - batch.propensity
    changed = (gain > change) & (batch.observed > 0.0)
    return Support(
        ess=effective_size(side.weights),
        max_weight=float(np.max(side.weights)),
        n_changed=int(np.count_nonzero(changed)),
        gap=gap_of(batch, side.target),
        differs=bool((np.abs(gain) > change).any()),
        ess_changed=effective_size(np.where(changed, side.weights, 0.0)),
        imbalance=abs(_mean(side.weights, side.share) - _reached(side)),
    )


def of_two(new: Side, current: Side, change: float) -> Support:
    """Of a difference: what weights say has moved averages what has.

    Changed are actions that the new policy takes more.
    """
    batch = new.batch
    rows = np.arange(batch.n)
    moved = new.target - current.target
    gain = moved[rows, batch.action]
    onto = np.where(batch.eligible, np.maximum(moved, 0.0), 0.0)
    gained = onto[rows, batch.action] / batch.propensity * batch.observed
    mass = _mean(np.add.reduce(onto, axis=1), new.share)
    seen = _mean(gained, new.share)
    return Support(
        ess=min(effective_size(new.weights), effective_size(current.weights)),
        max_weight=float(np.max(np.abs(new.weights - current.weights))),
        n_changed=int(np.count_nonzero((gain > change) & (batch.observed > 0.0))),
        gap=gap_of(batch, np.abs(moved)),
        differs=bool((np.abs(moved) > 0.0).any()),
        ess_changed=effective_size(gained),
        imbalance=abs(seen - mass) / mass if mass > 0.0 else 0.0,
    )


def _reached(side: Side) -> float:
    """Mean target probability on arms the log could take: what the weights average in expectation."""
    inside = np.add.reduce(np.where(side.batch.eligible, side.target, 0.0), axis=1)
    return _mean(inside, side.share)


def _mean(rows: FloatArray, share: FloatArray | None) -> float:
    return float(np.add.reduce(rows if share is None else rows * share)) / len(rows)
