"""What reward an arm would likely have earned in a round, from other sessions' rounds.

The baseline that doubly robust estimates subtract. It need not be right, only fitted without the
round's own session; so it is small: a task-by-arm table of means, shrunk towards the arm's mean and
that towards the global one. It knows nothing of features; `ridge` does, behind the same interface.

Sources: Chernozhukov et al., "Double/debiased machine learning", Econometrics Journal 21(1), 2018
(cross-fitting); Efron and Morris, JASA 70, 1975 (shrinkage).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from p402.evaluation.logged import FloatArray, IntArray, LoggedBatch
from p402.evaluation.training import Split, by_epoch, by_fold, fit_weight, folds_of

__all__ = ["RewardModel", "Table", "cross_fitted", "folds_of", "past_fitted", "shrunk"]


class RewardModel(Protocol):
    """What an estimator may ask of a model: rewards of every arm, each row unseen by what predicts it."""

    def fitted(self, batch: LoggedBatch, split: Split, weight: ArrayLike | None = None) -> FloatArray:
        """Modelled rewards, `(n, K)` in `[0, 1]`, each row from the matured rows of the groups that teach it.

        Parameters
        ----------
        batch
            The rounds.
        split
            `training.by_fold`, or `training.by_epoch` where the logging policy learned.
        weight
            `(n,)`, 0 or more: how much each row counts in the fit, beside its `observed`;
            `training.mrdr_weight` for MRDR.
        """
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """The task-by-arm table, as a `RewardModel`.

    Attributes
    ----------
    shrinkage
        How many rounds the wider mean is worth against the narrower one, above 0.
    """

    shrinkage: float = 10.0

    def fitted(self, batch: LoggedBatch, split: Split, weight: ArrayLike | None = None) -> FloatArray:
        """As in `RewardModel`; 0.5 where nothing teaches a row.

        Raises
        ------
        ValueError
            `shrinkage` or a weight out of range.
        """
        if not self.shrinkage > 0.0:
            raise ValueError(f"shrinkage is {self.shrinkage}: expected above 0; 10 is usual")
        _, task = np.unique(batch.task, return_inverse=True)
        n_tasks, k = int(task.max()) + 1, batch.n_arms
        cell = (split.group * n_tasks + task) * k + batch.action
        shape, length = (split.groups, n_tasks, k), split.groups * n_tasks * k
        counted = fit_weight(batch, weight)
        mass = np.bincount(cell, weights=counted, minlength=length).reshape(shape)
        total = np.bincount(cell, weights=counted * batch.reward, minlength=length).reshape(shape)
        tables = np.empty(shape, dtype=np.float64)
        for taught, teachers in enumerate(split.teaches):
            tables[taught] = shrunk(
                np.add.reduce(mass[teachers], axis=0), np.add.reduce(total[teachers], axis=0), self.shrinkage
            )
        return np.ascontiguousarray(tables[split.group, task])


def cross_fitted(
    batch: LoggedBatch, *, folds: int = 5, shrinkage: float = 10.0, weight: ArrayLike | None = None
) -> FloatArray:
    """The table's reward of every arm in every round, each row from the other folds' matured rows.

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
        `folds`, `shrinkage` or a weight out of range.
    """
    return Table(shrinkage).fitted(batch, by_fold(batch, folds), weight)


def past_fitted(
    batch: LoggedBatch, epoch: IntArray, *, shrinkage: float = 10.0, weight: ArrayLike | None = None
) -> FloatArray:
    """The table's reward of every arm in every round, each row from the rounds of earlier epochs only.

    For a logging policy that learns: what is fitted on a row's own future depends on the row, through the
    actions that it led to.

    Parameters
    ----------
    batch
        The rounds, in any order.
    epoch
        `(n,)`, 0 or more: which stretch of time each lies in, later ones having larger numbers.
    shrinkage, weight
        As in `cross_fitted`.

    Returns
    -------
    FloatArray
        `(n, K)` in `[0, 1]`; 0.5 throughout the first epoch.

    Raises
    ------
    ValueError
        `shrinkage` out of range, or `epoch` not one whole number a round.
    """
    return Table(shrinkage).fitted(batch, by_epoch(batch, epoch), weight)


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
