"""Softmax regression over binary marks: weights of each (source, task) cell bounded, L2, L-BFGS.

Plain and convex: the same data give the same minimum, and quantised weights leave nothing to the last bits.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sources import LEXICON

CELL = 40.0
"""Prompts that a (source, task) cell counts as, at most."""

LEAST_SOURCES = 2
LEAST_PROMPTS = 3
"""A mark must be found in so many sources and prompts: what only one source has is its identity. The
lexicon's are kept."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Marks by column, weights (n_marks, n_tasks) and bias (n_tasks,), in nats."""

    columns: dict[Hashable, int]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, marks: Sequence[set[Hashable]]) -> NDArray[np.float64]:
        """Shape (n, n_tasks)."""
        return np.asarray(matrix(marks, self.columns) @ self.weights + self.bias)


def matrix(marks: Sequence[set[Hashable]], columns: dict[Hashable, int]) -> csr_matrix:
    """Presence of each column's mark, (n, n_marks)."""
    indices, starts = [], [0]
    for found in marks:
        indices.extend(sorted(columns[m] for m in found if m in columns))
        starts.append(len(indices))
    return csr_matrix((np.ones(len(indices)), indices, starts), shape=(len(marks), len(columns)))


def kept(marks: Sequence[set[Hashable]], sources: Sequence[str]) -> dict[Hashable, int]:
    """Marks that more than one source has, by name."""
    count: Counter[Hashable] = Counter()
    where: defaultdict[Hashable, set[str]] = defaultdict(set)
    for found, source in zip(marks, sources, strict=True):
        count.update(found)
        for mark in found:
            where[mark].add(source)
    names = [
        m
        for m in count
        if LEXICON in where[m] or (count[m] >= LEAST_PROMPTS and len(where[m]) >= LEAST_SOURCES)
    ]
    return {mark: i for i, mark in enumerate(sorted(names, key=repr))}


def cell_weights(tasks: Sequence[int], sources: Sequence[str]) -> NDArray[np.float64]:
    """Weight of each prompt: cells are bounded, then every task has the same total; the mean is 1."""
    cells = Counter(zip(tasks, sources, strict=True))
    weight = np.array([min(1.0, CELL / cells[c]) for c in zip(tasks, sources, strict=True)])
    total = np.bincount(tasks, weight)
    weight = weight / total[np.asarray(tasks)]
    return weight / weight.mean()


def fit(
    marks: Sequence[set[Hashable]], tasks: Sequence[int], sources: Sequence[str], n_tasks: int, ridge: float
) -> Fitted:
    """Fit; `ridge` is the L2 penalty of a weight relative to one prompt's loss."""
    columns = kept(marks, sources)
    x = matrix(marks, columns)
    weight = cell_weights(tasks, sources)
    target = np.zeros((len(tasks), n_tasks))
    target[np.arange(len(tasks)), tasks] = 1
    n_marks = len(columns)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        theta = flat.reshape(n_marks + 1, n_tasks)
        z = x @ theta[:-1] + theta[-1]
        z -= z.max(1, keepdims=True)
        log_total = np.log(np.exp(z).sum(1, keepdims=True))
        p = np.exp(z - log_total)
        value = -(weight[:, None] * target * (z - log_total)).sum()
        gap = weight[:, None] * (p - target)
        slope = np.vstack([x.T @ gap, gap.sum(0)])
        value += ridge / 2 * (theta[:-1] ** 2).sum() + 1e-3 / 2 * (theta[-1] ** 2).sum()
        slope[:-1] += ridge * theta[:-1]
        slope[-1] += 1e-3 * theta[-1]
        return float(value), slope.ravel()

    found = minimize(
        loss,
        np.zeros((n_marks + 1) * n_tasks),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 400, "ftol": 1e-9},
    )
    theta = found.x.reshape(n_marks + 1, n_tasks)
    return Fitted(columns, theta[:-1], theta[-1])
