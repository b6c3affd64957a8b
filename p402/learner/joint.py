"""What evidence makes of a prior over arms that share: means and covariances, exactly.

Arms of one model share a part of their coefficients, and arms of one provider its level. So coefficients of
a model's arms are solved for together, and levels by the Schur complement over all models: with A of a
model's coefficients, B what its words say of levels too and C of the levels themselves,

    S = (C - sum B' A^-1 B)^-1,  u = S (w - sum B' A^-1 v),  theta = A^-1 (v - B u)

It knows nothing of words, forgetting or time.

Source: block elimination; Searle, Casella and McCulloch, "Variance Components", 1992, for mixed models.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from p402.learner.prior import Prior

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Sums over words beyond the prior, in ledgers: one for each arm and level it was heard under.

    Attributes
    ----------
    arm
        (L,) index of the prior's arm.
    level
        (L,) index of the level, -1 for none.
    precision
        (L, D, D): sum of w x x' / s^2.
    residual
        (L, D): sum of w x (r - x mu0) / s^2.
    """

    arm: Int
    level: Int
    precision: Float
    residual: Float

    def of_arms(self, n: int) -> tuple[Float, Float]:
        """(K, D, D) and (K, D): the same for each arm, whatever the level."""
        d = self.residual.shape[1]
        precision, residual = np.zeros((n, d, d)), np.zeros((n, d))
        np.add.at(precision, self.arm, self.precision)
        np.add.at(residual, self.arm, self.residual)
        return precision, residual


def model_precisions(prior: Prior, groups: Sequence[Int], precision: Float) -> Iterator[tuple[Int, Float]]:
    """Arms of models with equally many of them, (G, n), and their joint A, (G, n, D, n, D)."""
    d = precision.shape[1]
    for places in groups:
        n, share = places.shape[1], prior.shared
        apart = (np.eye(n) - share / (1.0 - share + n * share)) / (1.0 - share)
        own = apart[:, None, :, None] * np.diag(prior.precision)[None, :, None, :]
        a = np.broadcast_to(own, (len(places), n, d, n, d)).copy()
        for i in range(n):
            a[:, i, :, i, :] += precision[places[:, i]]
        yield places, a


def moments(
    prior: Prior, groups: Sequence[Int], evidence: Evidence, levels: Float, current: Int, bias: int
) -> tuple[Float, Float]:
    """(K, D) coefficients of each arm, its provider's level in its bias, and (K, D, D) their covariance.

    Parameters
    ----------
    groups
        `p402.learner.prior.groups_of` of the prior.
    levels
        (U, U) precision of the levels before any word.
    current
        (K,) level that each arm has now, -1 for none.
    bias
        Column of the feature that levels are coefficients of; of no account where there is no level.
    """
    k, d, n_levels = len(prior.arms), prior.mean.shape[1], len(levels)
    precision, residual = evidence.of_arms(k)
    cross, c, w = np.zeros((k, n_levels, d)), levels.copy(), np.zeros(n_levels)
    under = np.flatnonzero(evidence.level >= 0)
    arm, level = evidence.arm[under], evidence.level[under]
    np.add.at(cross, (arm, level), evidence.precision[under][:, :, bias])
    np.add.at(c, (level, level), evidence.precision[under, bias, bias])
    np.add.at(w, level, evidence.residual[under, bias])
    solved = []
    for places, a in model_precisions(prior, groups, precision):
        g, n = places.shape
        inverse = np.linalg.inv(a.reshape(g, n * d, n * d))
        b, v = cross[places].swapaxes(2, 3).reshape(g, n * d, n_levels), residual[places].reshape(g, n * d)
        through = np.matmul(inverse, b)
        c -= np.einsum("giu,giw->uw", b, through)
        w -= np.einsum("giu,gi->u", through, v)
        alone = np.einsum("gij,gj->gi", inverse, v)
        solved.append((places, inverse.reshape(g, n, d, n, d), through.reshape(g, n, d, -1), alone))
    spread = np.linalg.inv(c)
    u = np.einsum("uw,w->u", spread, w)
    theta, covariance = np.empty((k, d)), np.empty((k, d, d))
    for places, inverse, through, alone in solved:
        for i in range(places.shape[1]):
            which = places[:, i]
            lean = through[:, i].copy()
            held = np.flatnonzero(current[which] >= 0)
            lean[held, bias, current[which[held]]] -= 1.0
            theta[which] = alone.reshape(through.shape[:3])[:, i] - np.einsum("gdu,u->gd", lean, u)
            covariance[which] = inverse[:, i, :, i, :] + np.einsum(
                "gdw,gew->gde", np.matmul(lean, spread), lean
            )
    return prior.mean + theta, covariance
