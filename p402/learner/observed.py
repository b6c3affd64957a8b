"""How much a judgement stands for: people judge some tasks and some arms more than others.

P(observed) of a (task, arm) is the share of its successes that were judged, failures always being
observed. The weight is 1 / P, divided by the same of everything together, so that weights are about 1
on average: what nobody judged is no evidence, and a posterior must not be surer for it.

It assumes, as `p402.learner.reward` does, that within a task and arm silence says nothing of quality.
It knows no clock.

Source: Robins, Hernan and Brumback, Epidemiology 11(5), 2000, for stabilised weights.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.learner.reward import OBSERVED_FLOOR

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

_BORROWED: Final = 20.0
"""Successes that the overall share counts for in each (task, arm)."""


@dataclass(slots=True)
class Observed:
    """Successes and judgements so far, by (task, arm name).

    A success counts when it is told of first, judged or not, and its judgement when that comes; each once.
    """

    successes: dict[tuple[int, str], float] = field(default_factory=dict)
    judged: dict[tuple[int, str], float] = field(default_factory=dict)
    _all: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def count(self, task: int, arm: str, *, new: bool, judged: bool) -> None:
        """Note a success that is `new`, or `judged` for the first time, or both."""
        cell = task, arm
        if new:
            self.successes[cell] = self.successes.get(cell, 0.0) + 1.0
            self._all[0] += 1.0
        if judged:
            self.judged[cell] = self.judged.get(cell, 0.0) + 1.0
            self._all[1] += 1.0

    def share(self, task: int, arm: str) -> float:
        """P(observed) of a success, in [floor, 1]."""
        overall = self.overall
        successes = self.successes.get((task, arm), 0.0) + _BORROWED
        judged = self.judged.get((task, arm), 0.0) + _BORROWED * overall
        return min(1.0, max(judged / successes, OBSERVED_FLOOR))

    @property
    def overall(self) -> float:
        """Share of all successes that were judged; 1 before there is any."""
        successes, judged = self._all
        return 1.0 if successes == 0.0 else max(judged / successes, OBSERVED_FLOOR)

    def weight(self, task: Int, arm: list[str], failed: Bool) -> Float:
        """(n,) stabilised 1 / P of rounds whose quality is known: overall share over the cell's own.

        A failure, seen for certain, stands for itself alone: the overall share.
        """
        overall = self.overall
        weights = [
            overall if gone else overall / self.share(t, name)
            for t, name, gone in zip(task.tolist(), arm, failed.tolist(), strict=True)
        ]
        return np.array(weights, np.float64)
