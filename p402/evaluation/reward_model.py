"""What reward an arm would likely have earned in a round, from other sessions' rounds.

The baseline that doubly robust estimates subtract. It need not be right, only fitted without the
round's own session; so it is small: a task-by-arm table of means, shrunk towards the arm's mean and
that towards the global one. It knows nothing of features.

Sources: Chernozhukov et al., "Double/debiased machine learning", Econometrics Journal 21(1), 2018
(cross-fitting); Efron and Morris, JASA 70, 1975 (shrinkage).
"""

from typing import Final

import numpy as np

from p402.evaluation.logged import FloatArray, IntArray, LoggedBatch, mixed

SALT: Final = 0xF01D
"""Of the folds; the holdout mixes with another, so that neither follows from the other."""


def folds_of(session: IntArray, folds: int) -> IntArray:
    """Fold of each row, `(n,)` in `[0, folds)`: rows of one session share theirs."""
    if folds < 2:
        raise ValueError(f"folds is {folds}: expected at least 2, or a row would predict itself")
    return (mixed(session, SALT) % np.uint64(folds)).astype(np.int64)


def cross_fitted(batch: LoggedBatch, *, folds: int = 5, shrinkage: float = 10.0) -> FloatArray:
    """Modelled reward of every arm in every round, each row from the other folds' matured rows.

    Parameters
    ----------
    batch
        The rounds; a row counts with its `observed` weight, an unmatured one not at all.
    folds
        Into how many parts sessions are split, 2 or more.
    shrinkage
        How many rounds the wider mean is worth against the narrower one, above 0.

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
    weight = np.bincount(cell, weights=batch.observed, minlength=length).reshape(shape)
    total = np.bincount(cell, weights=batch.observed * batch.reward, minlength=length).reshape(shape)
    tables = np.empty(shape, dtype=np.float64)
    for left_out in range(folds):
        others = np.arange(folds) != left_out
        tables[left_out] = shrunk(
            np.add.reduce(weight[others], axis=0), np.add.reduce(total[others], axis=0), shrinkage
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
