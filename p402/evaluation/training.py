"""How much a round counts when a reward model is fitted, and which rounds may teach a row's prediction.

Two ways to keep a row from predicting itself: by fold, from other sessions' rounds; or by epoch, from earlier
rounds alone, where the logging policy learned. Both are one matrix: which groups of rounds train which. It
fits nothing.

Sources: Chernozhukov et al., Econometrics Journal 21(1), 2018 (folds); Hadad et al., PNAS 118(15), 2021
(epochs); Farajtabar, Chow and Ghavamzadeh, "More robust doubly robust off-policy evaluation", ICML 2018.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from p402.evaluation.logged import (
    BoolArray,
    FloatArray,
    IntArray,
    LoggedBatch,
    mixed,
    real,
    refuse,
    target_of,
    whole,
)

SALT: Final = 0xF01D
"""Of the folds; the holdout mixes with another, so that neither follows from the other."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Groups of rounds, and which of them teach which.

    Attributes
    ----------
    group
        `(n,)` in `[0, groups)`.
    teaches
        `(groups, groups)`: row g marks the groups that predictions in g are fitted on, never g itself.
    """

    group: IntArray
    teaches: BoolArray

    @property
    def groups(self) -> int:
        """How many."""
        return len(self.teaches)


def by_fold(batch: LoggedBatch, folds: int) -> Split:
    """Sessions in folds, each taught by all others."""
    return Split(folds_of(batch.session, folds), ~np.eye(folds, dtype=np.bool_))


def by_epoch(batch: LoggedBatch, epoch: IntArray) -> Split:
    """Stretches of time, each taught by those before it; the first by none."""
    stretch = epochs_of(batch, epoch)
    count = int(stretch.max()) + 1
    return Split(stretch, np.tril(np.ones((count, count), dtype=np.bool_), -1))


def folds_of(session: IntArray, folds: int) -> IntArray:
    """Fold of each row, `(n,)` in `[0, folds)`: rows of one session share theirs."""
    if folds < 2:
        raise ValueError(f"folds is {folds}: expected at least 2, or a row would predict itself")
    return (mixed(session, SALT) % np.uint64(folds)).astype(np.int64)


def epochs_of(batch: LoggedBatch, epoch: IntArray) -> IntArray:
    """Epochs as 0, 1, 2, ... without gaps, `(n,)`.

    Raises
    ------
    ValueError
        Not one whole number of 0 or more for each round.
    """
    array = whole("epoch", epoch)
    if array.shape != (batch.n,):
        raise ValueError(f"epoch has shape {array.shape}: expected ({batch.n},); pass one a round")
    refuse("epoch", array, array < 0, "0 or more", "number the snapshots in the order they were used")
    _, index = np.unique(array, return_inverse=True)
    return index.astype(np.int64)


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
