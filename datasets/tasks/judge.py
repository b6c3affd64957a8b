"""How good labels and probabilities are: accuracy, macro-F1, coverage, expected calibration error."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def accuracy(true: Ints, said: Ints) -> float:
    """Share of labels that are right; NaN of none."""
    return float((true == said).mean()) if len(true) else float("nan")


def macro_f1(true: Ints, said: Ints) -> float:
    """Mean F1 of the tasks that occur among the true ones."""
    scores = []
    for task in np.unique(true):
        hit = float(((true == task) & (said == task)).sum())
        scores.append(2 * hit / float((true == task).sum() + (said == task).sum()))
    return float(np.mean(scores))


def calibration_error(top: Floats, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Mean distance of confidence from accuracy over bins of equal width, weighted by their sizes."""
    where = np.minimum((top * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = where == b
        if inside.any():
            total += float(inside.sum()) * abs(float(top[inside].mean()) - float(right[inside].mean()))
    return total / len(top)


def log_loss(true: Ints, p: Floats) -> float:
    """Mean negative log probability of the true task, a probability being at least 2**-13."""
    return float(-np.log(np.maximum(p[np.arange(len(true)), true], 2**-13)).mean())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
