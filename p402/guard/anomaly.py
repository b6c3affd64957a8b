"""Whether a call's cost is out of line with its tenant's past.

The law behind guard layer 4. It knows no clock and keeps no state: history comes in, history
goes out. Only dear calls are out of line, never cheap ones.

Source: Welford, Technometrics 4(3), 1962; on ln(cost), since spend is skewed.
"""

from dataclasses import dataclass
from math import log, sqrt
from typing import Final

from p402.limits import ANOMALY_CALLS, ANOMALY_Z

CODE: Final = "ANOMALY_DETECTED"

LEAST_SD: Final = 1e-6
"""Below this spread of ln(cost) the past is constant, and rounding would decide: no score."""


@dataclass(frozen=True, slots=True)
class CostHistory:
    """Running moments of ln(cost in nano-USD) over a tenant's settled calls.

    Attributes
    ----------
    count
        Calls that cost something.
    mean
        Of ln(cost).
    m2
        Sum of squared distances from the mean.
    """

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0

    @property
    def sd(self) -> float:
        """Sample standard deviation of ln(cost); 0 with fewer than two calls."""
        return sqrt(self.m2 / (self.count - 1)) if self.count > 1 else 0.0


NO_PAST: Final = CostHistory()


def observe(history: CostHistory, cost_nano: int) -> CostHistory:
    """History after one more settled call; a call that cost nothing (a cache hit) leaves it as it was.

    Raises
    ------
    ValueError
        The cost is negative: a fault of ours.
    """
    if _free(cost_nano):
        return history
    value, count = log(cost_nano), history.count + 1
    distance = value - history.mean
    mean = history.mean + distance / count
    return CostHistory(count, mean, history.m2 + distance * (value - mean))


def z_score(history: CostHistory, cost_nano: int, shortest: int = ANOMALY_CALLS) -> float | None:
    """How many standard deviations ln(cost) lies above the mean of the history, which excludes this call.

    None where the past says nothing: it is shorter than `shortest` (2 at least), was constant, or
    the call cost nothing.

    Raises
    ------
    ValueError
        The cost is negative: a fault of ours.
    """
    if _free(cost_nano) or history.count < max(2, shortest) or history.sd < LEAST_SD:
        return None
    return (log(cost_nano) - history.mean) / history.sd


def out_of_line(
    history: CostHistory, cost_nano: int, threshold: float = ANOMALY_Z, shortest: int = ANOMALY_CALLS
) -> bool:
    """Whether the call is to be flagged: it stands at `threshold` standard deviations or more."""
    score = z_score(history, cost_nano, shortest)
    return score is not None and score >= threshold


def _free(cost_nano: int) -> bool:
    if cost_nano < 0:
        raise ValueError(f"cost is {cost_nano} nano-USD: expected 0 or more")
    return cost_nano == 0
