"""What reward an arm would likely have earned in a round, from other sessions' rounds.

The baseline that doubly robust estimates subtract. It need not be right, only fitted without the
round's own session; so it is small: a task-by-arm table of means, shrunk towards the arm's mean and
that towards the global one. It knows nothing of features; `ridge` does, behind the same interface.

Sources: Chernozhukov et al., "Double/debiased machine learning", Econometrics Journal 21(1), 2018
(cross-fitting); Efron and Morris, JASA 70, 1975 (shrinkage); Farajtabar, Chow and Ghavamzadeh, "More
robust doubly robust off-policy evaluation", ICML 2018 (weights that suit the estimate).
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike

from p402.evaluation.logged import FloatArray, IntArray, LoggedBatch, mixed, real, refuse, target_of

SALT: Final = 0xF01D
"""Of the folds; the holdout mixes with another, so that neither follows from the other."""


class RewardModel(Protocol):
    """What an estimator may ask of a model: rewards of every arm, each row unseen by what predicts it."""

    def cross_fitted(self, batch: LoggedBatch, weight: ArrayLike | None = None) -> FloatArray:
        """Modelled rewards, `(n, K)` in `[0, 1]`, each row from the other folds' matured rows.

        Parameters
        ----------
        batch
            The rounds.
        weight
            `(n,)`, 0 or more: how much each row counts in the fit, beside its `observed`; `mrdr_weight`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """The task-by-arm table of `cross_fitted`, as a `RewardModel`.

    Attributes
    ----------
    folds, shrinkage
        As in `cross_fitted`.
    """

    folds: int = 5
    shrinkage: float = 10.0

    def cross_fitted(self, batch: LoggedBatch, weight: ArrayLike | None = None) -> FloatArray:
        """As in `RewardModel`."""
        return cross_fitted(batch, folds=self.folds, shrinkage=self.shrinkage, weight=weight)


def mrdr_weight(batch: LoggedBatch, target_probs: ArrayLike) -> FloatArray:
    """How much each row should count in a model for DR: target * (1 - p) / p^2, p = propensity / observed.

    Squared errors weighed so are, for a target that is sure of its arm, the variance DR adds given the
    contexts, so that the fit is best where the estimate leans on it. For a target with chance in it the
    exact weight has the target squared; this is the form in use, `obp`'s among them.

    Parameters
    ----------
    batch
        The rounds; p is the probability that the arm was taken and its reward seen.
    target_probs
        `(n, K)`: the policy that will be valued.

    Returns
    -------
    FloatArray
        `(n,)`, 0 or more; 0 where the log was sure, or the reward has not matured.

    Raises
    ------
    NoPropensity
        Propensities are null.
    """
    target = target_of(batch, target_probs)[np.arange(batch.n), batch.action]
    seen = batch.observed > 0.0
    p = batch.propensity / np.where(seen, batch.observed, 1.0)
    return np.where(seen, target * (1.0 - p) / (p * p), 0.0)


def fit_weight(batch: LoggedBatch, weight: ArrayLike | None) -> FloatArray:
    """`observed` times the given weight, `(n,)`, scaled so that matured rows count 1 more or less.

    With a weight of None it is `observed` itself. A given weight is divided by its mean over matured rows,
    so that a penalty means so many rows whatever the weight's scale.

    Raises
    ------
    ValueError
        A weight of the wrong shape, negative or not finite.
    """
    if weight is None:
        return batch.observed
    array = real("weight", weight)
    if array.shape != (batch.n,):
        raise ValueError(f"weight has shape {array.shape}: expected ({batch.n},); pass one a round")
    refuse("weight", array, ~((array >= 0.0) & np.isfinite(array)), "0 or more", "mend what computed it")
    total = float(np.add.reduce(array * batch.observed))
    counted = float(np.add.reduce(batch.observed))
    return batch.observed * array * (counted / total) if total > 0.0 else batch.observed


def folds_of(session: IntArray, folds: int) -> IntArray:
    """Fold of each row, `(n,)` in `[0, folds)`: rows of one session share theirs."""
    if folds < 2:
        raise ValueError(f"folds is {folds}: expected at least 2, or a row would predict itself")
    return (mixed(session, SALT) % np.uint64(folds)).astype(np.int64)


def cross_fitted(
    batch: LoggedBatch, *, folds: int = 5, shrinkage: float = 10.0, weight: ArrayLike | None = None
) -> FloatArray:
    """Modelled reward of every arm in every round, each row from the other folds' matured rows.

    Parameters
    ----------
    batch
        The rounds; a row counts with its `observed` weight, an unmatured one not at all.
    folds
        Into how many parts sessions are split, 2 or more.
    shrinkage
        How many rounds the wider mean is worth against the narrower one, above 0.
    weight
        `(n,)`, 0 or more, beside `observed`: as in `RewardModel`.

    Returns
    -------
    FloatArray
        `(n, K)` in `[0, 1]`. Where the other folds hold nothing at all, 0.5.

    Raises
    ------
    ValueError
        `folds` or `shrinkage` out of range.
    """
    if not shrinkage > 0.0:
        raise ValueError(f"shrinkage is {shrinkage}: expected above 0; 10 is usual")
    fold = folds_of(batch.session, folds)
    _, task = np.unique(batch.task, return_inverse=True)
    n_tasks, k = int(task.max()) + 1, batch.n_arms
    cell = (fold * n_tasks + task) * k + batch.action
    shape, length = (folds, n_tasks, k), folds * n_tasks * k
    counted = fit_weight(batch, weight)
    mass = np.bincount(cell, weights=counted, minlength=length).reshape(shape)
    total = np.bincount(cell, weights=counted * batch.reward, minlength=length).reshape(shape)
    tables = np.empty(shape, dtype=np.float64)
    for left_out in range(folds):
        others = np.arange(folds) != left_out
        tables[left_out] = shrunk(
            np.add.reduce(mass[others], axis=0), np.add.reduce(total[others], axis=0), shrinkage
        )
    return np.ascontiguousarray(tables[fold, task])


def shrunk(weight: FloatArray, total: FloatArray, shrinkage: float) -> FloatArray:
    """Task-by-arm means, shrunk to the arm's, shrunk to the global mean.

    Parameters
    ----------
    weight, total
        `(tasks, K)`: sums of weights and of weighted rewards.
    shrinkage
        As in `cross_fitted`.

    Returns
    -------
    FloatArray
        `(tasks, K)` in `[0, 1]` for rewards in `[0, 1]`.
    """
    arm_weight, arm_total = np.add.reduce(weight, axis=0), np.add.reduce(total, axis=0)
    everything = float(np.add.reduce(arm_weight))
    overall = float(np.add.reduce(arm_total)) / everything if everything > 0.0 else 0.5
    arm = (arm_total + shrinkage * overall) / (arm_weight + shrinkage)
    return np.asarray(np.clip((total + shrinkage * arm) / (weight + shrinkage), 0.0, 1.0), dtype=np.float64)
