"""Five estimators of a policy's value from rounds another policy logged, and how each row enters.

Pure functions of arrays. Sums run in C order over float64, without BLAS. They know nothing of
intervals, or of how weights and models were made. Those that bend their weights are in `traded`.

Sources: Horvitz and Thompson, JASA 47, 1952 (IPS); Swaminathan and Joachims, NeurIPS 2015 (SNIPS);
Dudik, Langford and Li, ICML 2011 (DR); Thomas and Brunskill, ICML 2016 (self-normalised DR).
"""

from dataclasses import dataclass
from math import nan
from typing import Final, Literal

import numpy as np

from p402.evaluation.logged import FloatArray

Name = Literal["ips", "snips", "dm", "dr", "sndr", "clipped_ips", "switch_dr", "dros", "mrdr"]

NAMES: Final[tuple[Name, ...]] = ("ips", "snips", "dm", "dr", "sndr")
"""What `evaluate` gives unless asked."""

ALL_NAMES: Final[tuple[Name, ...]] = (*NAMES, "clipped_ips", "switch_dr", "dros", "mrdr")

TRADED: Final[tuple[Name, ...]] = ("clipped_ips", "switch_dr", "dros")
"""Those whose interval leaves out the bias they trade for variance."""


@dataclass(frozen=True, slots=True)
class Fit:
    """An estimate and how each row entered it.

    Attributes
    ----------
    value
        The estimate; nan where no row carries weight and the estimator needs one.
    influence
        `(n,)`, mean 0: how far the row moves the estimate, times n. Its clustered spread is the error.
    correction
        `(n,)`: the part of the row that its importance weight multiplies.
    """

    value: float
    influence: FloatArray
    correction: FloatArray

    def minus(self, other: "Fit") -> "Fit":
        """Paired difference: row by row, so that what both have in common cancels."""
        return Fit(
            self.value - other.value, self.influence - other.influence, self.correction - other.correction
        )


def mean(values: FloatArray) -> float:
    """Mean in C order."""
    return float(np.add.reduce(values)) / len(values)


def ips(reward: FloatArray, weight: FloatArray, share: FloatArray | None = None) -> Fit:
    """Inverse propensity score: mean(w r).

    Unbiased when every arm the target takes could have been logged. Its variance carries the whole
    reward, 5 to 10 times the error of `snips` with rewards near 0.7: shown, never decided on.

    Parameters
    ----------
    reward
        `(n,)` in `[0, 1]`.
    weight
        `(n,)`: target probability of the logged arm over its propensity, times 1/P(observed).
    share
        `(n,)`: how much each row counts, mean 1; None for all alike.
    """
    correction = shared(weight * reward, share)
    value = mean(correction)
    return Fit(value, correction - shared(np.full_like(reward, value), share), correction)


def snips(reward: FloatArray, weight: FloatArray, share: FloatArray | None = None) -> Fit:
    """Self-normalised IPS: sum(w r) / sum(w).

    Biased by O(1/n), and far less variable than `ips`. Influence w (r - V) / mean(w), first order.
    Parameters as `ips`.
    """
    used = shared(weight, share)
    total = mean(used)
    if total == 0.0:
        return Fit(nan, np.zeros_like(reward), np.zeros_like(reward))
    value = mean(used * reward) / total
    return Fit(value, used * (reward - value) / total, used * reward)


def dm(q_target: FloatArray, share: FloatArray | None = None) -> Fit:
    """Direct method: mean over rounds of the modelled reward of the target policy.

    Wrong by whatever the model is wrong by; its interval shows sampling error only.

    Parameters
    ----------
    q_target
        `(n,)`: sum over arms of target probability times modelled reward.
    share
        As `ips`.
    """
    rows = shared(q_target, share)
    value = mean(rows)
    return Fit(value, rows - shared(np.full_like(rows, value), share), np.zeros_like(rows))


def dr(
    reward: FloatArray,
    weight: FloatArray,
    q_logged: FloatArray,
    q_target: FloatArray,
    share: FloatArray | None = None,
) -> Fit:
    """Doubly robust: mean(q_target + w (r - q_logged)).

    Unbiased if either the propensities or the model is right; with exact propensities and a
    cross-fitted model, always. The model only removes variance.

    Parameters
    ----------
    reward, weight, share
        As `ips`.
    q_logged
        `(n,)`: modelled reward of the logged arm, fitted without the row's session.
    q_target
        As `dm`.
    """
    correction = shared(weight * (reward - q_logged), share)
    rows = shared(q_target, share) + correction
    value = mean(rows)
    return Fit(value, rows - shared(np.full_like(rows, value), share), correction)


def sndr(
    reward: FloatArray,
    weight: FloatArray,
    q_logged: FloatArray,
    q_target: FloatArray,
    share: FloatArray | None = None,
) -> Fit:
    """Self-normalised doubly robust: mean(q_target) + sum(w (r - q_logged)) / sum(w).

    Biased by O(1/n), steadier than `dr` when a few weights are large. Parameters as `dr`.
    """
    used = shared(weight, share)
    total = mean(used)
    base = dm(q_target, share)
    if total == 0.0:
        return Fit(nan, np.zeros_like(reward), np.zeros_like(reward))
    error = reward - q_logged
    lift = mean(used * error) / total
    return Fit(base.value + lift, base.influence + used * (error - lift) / total, used * error)


def shared(rows: FloatArray, share: FloatArray | None) -> FloatArray:
    """Rows, each times how much it counts."""
    return rows if share is None else rows * share
