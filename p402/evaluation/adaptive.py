"""What a policy would have earned, from a log whose own policy learned while it was written.

DR stays unbiased when later propensities hang on earlier rewards, but its rows differ widely in variance:
an arm that was dropped after a bad start has its heaviest weights late, and the estimate is skewed and its
normal interval misses. Rows are weighted so that each epoch adds about the same variance. With
phi_e(x) = sum over arms of pi(x, a)^2 / p_e(x, a), which DR's variance at x under epoch e follows:

    constant     h_e = (mean of phi_e over earlier contexts)^-1/2      V = sum h_t G_t / sum h_t
    contextual   h_e(x) = phi_e(x)^-1/2                                V = sum h_t(x_t) G_t / Z(x_t)

G_t the DR score of row t, with a model fitted on earlier epochs only, Z(x) = sum over rows s of h_s(x). Both
are consistent, and asymptotically normal where DR is not; the contextual form needs what every epoch's
policy would have done with every context, which replay recomputes. An epoch that could not take what the
target takes gets weight 0 (there), where DR would be silently biased.

It knows nothing of snapshots: an epoch is a stretch of time under one policy.

Sources: Hadad, Hirshberg, Zhan, Wager and Athey, "Confidence intervals for policy evaluation in adaptive
experiments", PNAS 118(15), 2021; Zhan, Hadad, Hirshberg and Athey, "Off-policy evaluation via adaptive
weighting with data from contextual bandits", KDD 2021 (StableVar, constant and contextual).
"""

from collections.abc import Sequence
from dataclasses import replace
from math import nan
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from p402.evaluation.diagnostics import largest_share
from p402.evaluation.estimate import Estimate, Limits, RewardOf
from p402.evaluation.fits import Fit
from p402.evaluation.intervals import by_session, check_alpha
from p402.evaluation.logged import FloatArray, IntArray, LoggedBatch, matrix_of, real, refuse, target_of
from p402.evaluation.reward_model import past_fitted
from p402.evaluation.side import Side
from p402.evaluation.stated import stated
from p402.evaluation.support import of_one
from p402.evaluation.training import epochs_of

Form = Literal["constant", "contextual"]

ROUNDING: Final = 1e-9
"""How far below 1 a spread may lie by rounding."""


def spread_of(target_probs: ArrayLike, logged_probs: ArrayLike) -> FloatArray:
    """Phi of one epoch's policy in every context: sum over arms of pi^2 / p, `(n,)`, 1 or more.

    Infinite where the target takes an arm that the policy could not.

    Parameters
    ----------
    target_probs, logged_probs
        `(n, K)`: of the target, and of that epoch's policy in all n contexts, its own or not.

    Raises
    ------
    ValueError
        The shapes differ, or are not of rounds by arms.
    """
    pi, p = real("target_probs", target_probs), real("logged_probs", logged_probs)
    if pi.shape != p.shape or pi.ndim != 2:
        raise ValueError(f"target {pi.shape} and logged {p.shape}: expected both (rounds, arms)")
    able = p > 0.0
    part = np.where(able, pi * pi / np.where(able, p, 1.0), np.where(pi > 0.0, np.inf, 0.0))
    return np.asarray(np.add.reduce(part, axis=1), dtype=np.float64)


def evaluate_adaptive(
    batch: LoggedBatch,
    target_probs: ArrayLike,
    epoch: IntArray,
    spreads: Sequence[ArrayLike],
    q_past: ArrayLike | None = None,
    *,
    form: Form = "contextual",
    alpha: float = 0.05,
    limits: Limits | None = None,
    reward_of: RewardOf = "first_arm",
) -> Estimate:
    """Value a policy on a log written by one that learned.

    Parameters
    ----------
    batch
        The rounds, unmatured ones included.
    target_probs
        `(n, K)`: the policy's probabilities.
    epoch
        `(n,)`: which policy each round was drawn under, numbered in the order of time.
    spreads
        For each epoch in that order, `spread_of` its policy in all n contexts.
    q_past
        `(n, K)` modelled rewards, each row's from earlier epochs only (`reward_model.past_fitted`, which
        is the default).
    form
        `constant` or `contextual` weights.
    alpha
        Error rate of the two-sided interval.
    limits
        When it warns.
    reward_of
        As for `evaluate`.

    Returns
    -------
    Estimate
        Named `adaptive_constant` or `adaptive_contextual`; `ess` and the like are of the final weights.

    Raises
    ------
    ValueError
        Not one spread for each epoch, or a matrix of the wrong shape.
    NoPropensity
        Propensities are null.
    """
    check_alpha(alpha)
    target = target_of(batch, target_probs)
    stretch = epochs_of(batch, epoch)
    phi = _spreads(batch, stretch, spreads)
    q = past_fitted(batch, stretch) if q_past is None else matrix_of(batch, q_past, "q_past")
    side = Side.of(batch, target, q, None)
    q_logged, q_target = side.models("dr")
    correction = side.weights * (batch.reward - q_logged)
    score = q_target + correction
    own, fit = _constant(score, phi, stretch) if form == "constant" else _contextual(score, phi, stretch)
    totals, _ = by_session(fit.influence, batch.session)
    limits = limits or Limits()
    return stated(
        f"adaptive_{form}",
        fit.value,
        totals,
        batch.n,
        of_one(replace(side, weight=side.weights * own), limits.change),
        max_share=largest_share(own * correction),
        disagreement=0.0,
        alpha=alpha,
        limits=limits,
        reward_of=reward_of,
    )


def _spreads(batch: LoggedBatch, stretch: IntArray, spreads: Sequence[ArrayLike]) -> FloatArray:
    """Spreads as `(epochs, n)`, each 1 or more; infinity means that the epoch could not."""
    epochs = int(stretch.max()) + 1
    if len(spreads) != epochs:
        raise ValueError(f"{len(spreads)} spreads: expected {epochs}, one for each epoch in order of time")
    phi = np.stack([real("spread", spread) for spread in spreads])
    if phi.shape != (epochs, batch.n):
        raise ValueError(
            f"spreads have shape {phi.shape[1:]}: expected ({batch.n},), one a round; see spread_of"
        )
    low = np.count_nonzero(~(phi >= 1.0 - ROUNDING), axis=0) > 0
    refuse("spread", phi.T, low, "1 or more", "give sum of pi^2 / p, as spread_of does")
    return phi


def _constant(score: FloatArray, phi: FloatArray, stretch: IntArray) -> tuple[FloatArray, Fit]:
    """Rows' weights, mean 1, equal within an epoch, and the estimate."""
    scale = np.empty(phi.shape[0], dtype=np.float64)
    for now in range(phi.shape[0]):
        rows = stretch < now if now else stretch == 0  # the first has no past; contexts are no outcomes
        average = float(np.add.reduce(phi[now, rows])) / int(np.count_nonzero(rows))
        scale[now] = average**-0.5  # 0 where infinite
    h = scale[stretch]
    average = float(np.add.reduce(h)) / len(h)
    if average == 0.0:
        return h, Fit(nan, np.zeros_like(h), np.zeros_like(h))
    own = h / average
    value = float(np.add.reduce(own * score)) / len(h)
    return own, Fit(value, own * (score - value), own * score)


def _contextual(score: FloatArray, phi: FloatArray, stretch: IntArray) -> tuple[FloatArray, Fit]:
    """Rows' weights, mean 1 in expectation, and the estimate; the error is that of Zhan et al., section 4."""
    n = len(score)
    size = np.bincount(stretch).astype(np.float64)
    h = 1.0 / np.sqrt(phi)
    total = np.add.reduce(size[:, None] * h, axis=0)
    part = h / np.where(total > 0.0, total, 1.0)  # of each epoch's single row at each context
    own = n * part[stretch, np.arange(n)]
    if not own.any():
        return own, Fit(nan, np.zeros_like(own), np.zeros_like(own))
    added = own * score / n
    value = float(np.add.reduce(added))
    expected = np.add.reduce(part * added, axis=1)
    return own, Fit(value, n * (added - expected[stretch]), own * score)
