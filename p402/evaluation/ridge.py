"""What reward an arm would likely have earned in a round, as a linear function of the round's features.

For rounds that differ by more than their task. Three steps, each fitted to what the one before leaves: the
overall mean, one line for all arms, one line for each arm. Each line is ridge regression, so an arm of
few rounds keeps to the line of all, as a cell of the table keeps to its arm. Predictions are clipped to
[0, 1].

Normal equations are small, (1 + D) square for each arm, and are solved by a Cholesky factorisation written
out below: sums run in a fixed order and without BLAS, so the same rounds give the same bits on one machine,
and on any other that rounds + - x / and the square root as IEEE 754 has it.

Sources: Hoerl and Kennard, Technometrics 12(1), 1970 (ridge); Golub and Van Loan, "Matrix Computations", 4th
ed., 2013, algorithm 4.2.1 (Cholesky); for what may teach a row, `training`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from p402.evaluation.logged import FloatArray, IntArray, LoggedBatch, real, refuse
from p402.evaluation.training import Split, fit_weight


@dataclass(frozen=True, slots=True, eq=False)
class Ridge:
    """Ridge-linear rewards, as a `reward_model.RewardModel`.

    Attributes
    ----------
    features
        `(n, D)` of the batch's rounds, finite, of about the size of [0, 1]; a constant is added to them.
    penalty
        On the squared coefficients of both lines, above 0: about how many rounds it is worth.

    Raises
    ------
    ValueError
        Features that are no finite matrix, or a penalty out of range.
    """

    features: FloatArray
    penalty: float = 10.0

    def __post_init__(self) -> None:
        array = real("features", self.features)
        if array.ndim != 2:
            raise ValueError(f"features have shape {array.shape}: expected (rounds, features)")
        odd = np.count_nonzero(~np.isfinite(array), axis=1) > 0
        refuse("features", array, odd, "finite numbers", "mend what computed them")
        object.__setattr__(self, "features", array)
        if not 0.0 < self.penalty < np.inf:
            raise ValueError(f"penalty is {self.penalty}: expected above 0 and finite; 10 is usual")

    def fitted(self, batch: LoggedBatch, split: Split, weight: ArrayLike | None = None) -> FloatArray:
        """As in `RewardModel`; 0.5 where nothing teaches a row.

        Raises
        ------
        ValueError
            Not as many rows of features as rounds, or a weight out of range.
        """
        if len(self.features) != batch.n:
            raise ValueError(
                f"{len(self.features)} rows of features for {batch.n} rounds: expected one each; "
                f"take the same rows of both"
            )
        x = np.concatenate([np.ones((batch.n, 1)), self.features], axis=1)
        counted = fit_weight(batch, weight)
        seen = counted > 0.0
        cell = split.group * batch.n_arms + batch.action
        shape = (split.groups, batch.n_arms)
        gram, moment = _sums(x[seen], batch.reward[seen], counted[seen], cell[seen], shape)
        found = np.empty((batch.n, batch.n_arms), dtype=np.float64)
        for taught, teachers in enumerate(split.teaches):
            rows = split.group == taught
            if rows.any():
                lines = _lines(
                    np.add.reduce(gram[teachers], axis=0),
                    np.add.reduce(moment[teachers], axis=0),
                    self.penalty,
                )
                found[rows] = _predicted(x[rows], lines)
        return found


def _sums(
    x: FloatArray, reward: FloatArray, weight: FloatArray, cell: IntArray, shape: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Sums of w x x' and w r x by cell, `(groups, K, D, D)` and `(groups, K, D)`; rows in their order."""
    d = x.shape[1]
    gram, moment = np.zeros((shape[0] * shape[1], d, d)), np.zeros((shape[0] * shape[1], d))
    if len(x):
        order = np.argsort(cell, kind="stable")
        present, first = np.unique(cell[order], return_index=True)
        sorted_x, weighted = x[order], x[order] * weight[order, None]
        for column in range(d):
            gram[present, column] = np.add.reduceat(weighted[:, column, None] * sorted_x, first, axis=0)
        moment[present] = np.add.reduceat(weighted * reward[order, None], first, axis=0)
    return gram.reshape(*shape, d, d), moment.reshape(*shape, d)


def _lines(gram: FloatArray, moment: FloatArray, penalty: float) -> FloatArray:
    """Coefficients of every arm, `(K, D)`, from sums by arm."""
    d = gram.shape[-1]
    whole, total = np.add.reduce(gram, axis=0), np.add.reduce(moment, axis=0)
    mean = float(total[0]) / float(whole[0, 0]) if whole[0, 0] > 0.0 else 0.5
    ridge = penalty * np.eye(d)
    base = np.zeros(d)
    base[0] = mean
    base = base + solved((whole + ridge)[None], (total - mean * whole[:, 0])[None])[0]
    left = moment - np.add.reduce(gram * base, axis=2)
    return np.asarray(base + solved(gram + ridge, left), dtype=np.float64)


def _predicted(x: FloatArray, lines: FloatArray) -> FloatArray:
    """Products of `(m, D)` rows and `(K, D)` lines, clipped to [0, 1]; summed feature by feature."""
    found = np.zeros((len(x), len(lines)))
    for column in range(x.shape[1]):
        found += x[:, column, None] * lines[:, column]
    return np.clip(found, 0.0, 1.0)


def solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solutions of symmetric positive definite systems, `(m, D)`, by Cholesky, each on its own.

    Parameters
    ----------
    matrix
        `(m, D, D)`; the lower triangle is read.
    right
        `(m, D)`.
    """
    d = matrix.shape[-1]
    lower = np.zeros_like(matrix)
    for j in range(d):
        rest = matrix[:, j:, j] - np.add.reduce(lower[:, j:, :j] * lower[:, j, None, :j], axis=2)
        lower[:, j:, j] = rest / np.sqrt(rest[:, :1])
    found = np.array(right)
    for j in range(d):
        found[:, j] = (found[:, j] - np.add.reduce(lower[:, j, :j] * found[:, :j], axis=1)) / lower[:, j, j]
    for j in range(d - 1, -1, -1):
        later = np.add.reduce(lower[:, j + 1 :, j] * found[:, j + 1 :], axis=1)
        found[:, j] = (found[:, j] - later) / lower[:, j, j]
    return found
