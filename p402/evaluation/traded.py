"""Estimators that trade a bias for variance: weights are clipped, switched off or shrunk.

Each is `fits.ips` or `fits.dr` with its weights bent, so its influence and clustered error say how far
chance moves it, and nothing of how far the bending does: where that matters the bias is larger than the
error, and the normal interval misses (coverage near 0 to 0.4 in our study). They are for point
estimates beside an unbiased one; `estimate` warns on each. MRDR is not among them: it is DR, unbiased,
with a model fitted to suit (`reward_model.mrdr_weight`).

A weight is the whole of it, target probability over propensity times 1/P(observed). A cap or a
strength of infinity bends nothing; 0 leaves the model alone (or, of `clipped_ips`, nothing).

Sources: Ionides, J. Computational and Graphical Statistics 17(2), 2008, and Bottou et al., JMLR 14, 2013
(clipping); Wang, Agarwal and Dudik, ICML 2017 (SWITCH); Su, Dimakopoulou, Krishnamurthy and Dudik, ICML 2020
(DRos, optimistic shrinkage).
"""

from math import isinf

import numpy as np

from p402.evaluation.fits import Fit, dr, ips
from p402.evaluation.logged import FloatArray


def clipped_ips(reward: FloatArray, weight: FloatArray, cap: float, share: FloatArray | None = None) -> Fit:
    """IPS with no weight above the cap: mean(min(w, cap) r).

    Biased downwards for rewards of 0 or more, by mean((w - cap)+ r) in expectation.

    Parameters
    ----------
    reward, weight, share
        As `fits.ips`.
    cap
        0 or more; `inf` is `ips`.
    """
    return ips(reward, clip(weight, cap), share)


def switch_dr(
    reward: FloatArray,
    weight: FloatArray,
    q_logged: FloatArray,
    q_target: FloatArray,
    cap: float,
    share: FloatArray | None = None,
) -> Fit:
    """DR that leaves rows of a heavy weight to the model: mean(q_target + w [w <= cap] (r - q_logged)).

    Biased by what the model misses on those rows. A cap of 0 is `dm`, of `inf` is `dr`.

    Parameters
    ----------
    reward, weight, q_logged, q_target, share
        As `fits.dr`.
    cap
        0 or more.
    """
    return dr(reward, switch(weight, cap), q_logged, q_target, share)


def dros(
    reward: FloatArray,
    weight: FloatArray,
    q_logged: FloatArray,
    q_target: FloatArray,
    strength: float,
    share: FloatArray | None = None,
) -> Fit:
    """DR with optimistic shrinkage: mean(q_target + s w / (w^2 + s) (r - q_logged)), s the strength.

    The weights that minimise a bound on the squared error where the model is optimistic. No weight
    exceeds sqrt(s) / 2. A strength of 0 is `dm`, of `inf` is `dr`.

    Parameters
    ----------
    reward, weight, q_logged, q_target, share
        As `fits.dr`.
    strength
        0 or more, in squared weights.
    """
    return dr(reward, shrink(weight, strength), q_logged, q_target, share)


def clip(weight: FloatArray, cap: float) -> FloatArray:
    """Weights, none above the cap."""
    return np.minimum(weight, _bend("cap", cap))


def switch(weight: FloatArray, cap: float) -> FloatArray:
    """The weight where it is at most the cap, else 0."""
    return np.where(weight <= _bend("cap", cap), weight, 0.0)


def shrink(weight: FloatArray, strength: float) -> FloatArray:
    """Shrunk weights, s w / (w^2 + s) with s the strength."""
    s = _bend("strength", strength)
    if isinf(s):
        return weight
    if s == 0.0:
        return np.zeros_like(weight)
    return np.asarray(s * weight / (weight * weight + s), dtype=np.float64)


def _bend(name: str, value: float) -> float:
    if not value >= 0.0:
        raise ValueError(f"{name} is {value}: expected 0 or more, or inf to bend nothing")
    return value
