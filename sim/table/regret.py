"""What choices were worth beside the best there was: exact, since every arm's outcome is in the table.

A round's worth is expected over its draw: the policy's probabilities, given what it had learned by then,
times every arm's measured utility. Two yardsticks: the oracle takes each prompt's best arm; the best single
model is the one arm that is best over all of the prompts played, known in hindsight. It knows no strategy.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.strategies.contract import Float

POINTS: Final = 50
"""Rounds at which cumulative regret is told."""


@dataclass(frozen=True, slots=True)
class Worth:
    """One strategy over one order of the prompts, means a round.

    Attributes
    ----------
    quality, cost_usd, utility
        Measured.
    regret
        Below the oracle; 0 or more.
    regret_single
        Below the best single model in hindsight; below 0 where the strategy beats it.
    """

    quality: float
    cost_usd: float
    utility: float
    regret: float
    regret_single: float


@dataclass(frozen=True, slots=True, eq=False)
class Yardsticks:
    """What the prompts played would have been worth, means a round.

    Attributes
    ----------
    best
        (n,) utility of each prompt's best arm.
    single
        Index of the best single arm.
    utility
        (n, K).
    """

    best: Float
    single: int
    utility: Float

    @classmethod
    def of(cls, utility: Float) -> "Yardsticks":
        """Of (n, K) utilities; of equal arms the lowest is the best single one."""
        return cls(utility.max(axis=1), int(mean(utility).argmax()), utility)


def mean(values: Float) -> Float:
    """Mean over the first axis, summed in a fixed order."""
    total: Float = np.add.reduce(np.ascontiguousarray(values), axis=0)
    return total / len(values)


def worth_of(probabilities: Float, quality: Float, cost_usd: Float, yardsticks: Yardsticks) -> Worth:
    """What (n, K) probabilities were worth.

    Raises
    ------
    ValueError
        A round has no arm, so it cannot be valued: every arm of a table may serve every prompt.
    """
    if not (probabilities.sum(axis=1) > 0.0).all():
        row = int((probabilities.sum(axis=1) == 0.0).argmax())
        raise ValueError(f"round {row} was served by no arm: expected every prompt of a table to be served")
    expected = np.add.reduce(probabilities * yardsticks.utility, axis=1)
    single = yardsticks.utility[:, yardsticks.single]
    return Worth(
        quality=float(mean(np.add.reduce(probabilities * quality, axis=1))),
        cost_usd=float(mean(np.add.reduce(probabilities * cost_usd, axis=1))),
        utility=float(mean(expected)),
        regret=float(mean(yardsticks.best - expected)),
        regret_single=float(mean(single - expected)),
    )


def cumulative(probabilities: Float, yardsticks: Yardsticks) -> list[tuple[int, float]]:
    """Rounds played, and regret summed up to there, at up to 50 points."""
    expected = np.add.reduce(probabilities * yardsticks.utility, axis=1)
    total = np.add.accumulate(yardsticks.best - expected)
    n = len(total)
    at = np.unique(np.linspace(1, n, min(n, POINTS)).round().astype(np.int64))
    return [(int(i), float(total[i - 1])) for i in at]
