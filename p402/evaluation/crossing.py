"""When the money of bets on a sum reaches 1 / alpha, and how likely that is, without playing it.

The money is split over a grid of fixed bets, as `p402.evaluation.eprocess` has it; for normal sums S of
variance V it is ln E = ln mean_k exp(b_k S - b_k**2 V / 2). It knows nothing of rounds, sessions or policies.

Sources: Waudby-Smith and Ramdas, JRSS B 86(1), 2024 (betting over a grid); Siegmund, Sequential Analysis,
1985, section 3.3 (a Brownian motion with drift over a line).
"""

from collections.abc import Sequence
from math import exp, log, sqrt
from statistics import NormalDist
from typing import Final

from p402.evaluation.eprocess import BETS

_TOUCHED: Final = (0.2, 0.35, 0.5, 0.7, 1.0)
"""Where tangents touch, as shares of the variance at the end."""

_MOST_EXPONENT: Final = 700.0
_NEWTON: Final = 50
_NEAR: Final = 1e-12


def crossing_chance(end: float, drift: float, bound: float, alpha: float) -> float:
    """Chance that the money has ever made 1 / alpha by a variance of the sum, at the normal approximation.

    The sums are a Brownian motion with drift; the least sum that suffices is a concave curve of the
    variance so far, so each tangent of it is crossed no more often, and has a closed form (Siegmund,
    Sequential Analysis, 1985, section 3.3). The best of a few tangents is taken: a lower bound, and
    nearly tight.

    Parameters
    ----------
    end
        Variance of the sum at the end.
    drift
        Mean of the sum for each unit of its variance.
    bound
        Most that a value may lose.
    """
    return max(_over_line(*_tangent(end * part, bound, alpha), drift, end) for part in _TOUCHED)


def log_money(total: float, variance: float, bound: float, bets: Sequence[float] = BETS) -> float:
    """Log of the money of bets on a sum of values, at the normal approximation.

    Parameters
    ----------
    total, variance
        The sum of the values so far, and of their variances.
    bound
        Most that a value may lose; a bet stakes a share of the money over this.
    """
    made = [b / bound * total - (b / bound) ** 2 * variance / 2.0 for b in bets]
    top = max(made)
    return top + log(sum(exp(m - top) for m in made) / len(made))


def _tangent(at: float, bound: float, alpha: float) -> tuple[float, float]:
    """Height at 0 and slope of the line that touches the curve of least sums at a variance.

    The sum at which the bets have made 1 / alpha is found by Newton's method from above, where the log of
    the money, which is convex and grows with the sum, cannot overshoot; the slope is the curve's own.
    """
    goal = log(1.0 / alpha)
    stakes = [b / bound for b in BETS]
    total = min((goal + log(len(stakes))) / b + b * at / 2.0 for b in stakes)  # one bet alone suffices
    for _ in range(_NEWTON):
        off = log_money(total, at, bound) - goal
        share, square = _weighted(total, at, stakes)
        total -= off / share
        if abs(off) < _NEAR:
            break
    share, square = _weighted(total, at, stakes)
    slope = square / 2.0 / share
    return total - slope * at, slope


def _weighted(total: float, variance: float, stakes: Sequence[float]) -> tuple[float, float]:
    """Mean stake, and mean squared stake, of the money as it is spread over the bets."""
    made = [b * total - b * b * variance / 2.0 for b in stakes]
    top = max(made)
    money = [exp(m - top) for m in made]
    whole = sum(money)
    first = sum(m * b for m, b in zip(money, stakes, strict=True)) / whole
    return first, sum(m * b * b for m, b in zip(money, stakes, strict=True)) / whole


def _over_line(height: float, slope: float, drift: float, end: float) -> float:
    """Chance that a Brownian motion with drift ever passes height + slope * t up to an end."""
    gap, root = slope - drift, sqrt(end)
    normal = NormalDist().cdf
    late = normal(-(height + gap * end) / root)
    power = -2.0 * height * gap
    early = exp(power) * normal((gap * end - height) / root) if power < _MOST_EXPONENT else 0.0
    return min(1.0, late + early)
