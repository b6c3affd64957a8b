"""An interval that does not take a lopsided spread for an even one.

Where rewards are mostly good and now and then bad, a sample that missed the bad ones shows a high mean and a
short error: Student's interval then lies above the truth far more often than below. Hall's transformation
makes the ratio of estimate to error even again, by the third moment of what the independent units did. Only
its longer side is used: an interval here is never shorter than Student's, since a third moment is itself
uncertain. It knows nothing of what the values estimate.

Source: Hall, "On the removal of skewness by transformation", J. Royal Statistical Society B 54(1), 1992; the
cubic is the one that is monotone, so that it inverts everywhere.
"""

from math import cbrt, frexp, isfinite, sqrt
from typing import Final

import numpy as np

from p402.evaluation.intervals import Interval, normal, student_quantile
from p402.evaluation.logged import FloatArray

EVEN: Final = 1e-6
"""Below this tilt the transformation is the identity, to a float's precision."""


def tilt_of(totals: FloatArray) -> float:
    """Skewness of the units over the square root of how many there are; 0 where nothing varies.

    Parameters
    ----------
    totals
        `(G,)`, mean 0: influence of each independent unit.
    """
    groups = totals.shape[0]
    largest = float(np.max(np.abs(totals)))
    if largest == 0.0:
        return 0.0
    scaled: FloatArray = np.ldexp(totals, -frexp(largest)[1])  # exact, and no power of a tiny total vanishes
    square = scaled * scaled
    second, third = float(np.add.reduce(square)) / groups, float(np.add.reduce(square * scaled)) / groups
    return float(third / (second * sqrt(second)) / sqrt(groups))


def untilted(quantile: float, tilt: float) -> float:
    """The ratio of error to standard error whose transform is `quantile`.

    With T the ratio and a the tilt, Hall's g(T) = T + a (T^2 / 3 + 1 / 6) + a^2 T^3 / 27 is nearly as even as
    Student's; this is its inverse, 3 ((1 + a (x - a / 6))^(1/3) - 1) / a.
    """
    if abs(tilt) < EVEN:
        return quantile
    return 3.0 * (cbrt(1.0 + tilt * (quantile - tilt / 6.0)) - 1.0) / tilt


def evened(value: float, stderr: float, totals: FloatArray, freedom: int, alpha: float = 0.05) -> Interval:
    """Student's interval, with the side lengthened to which the units' skewness points.

    The lower bound serves the gate, so it is never raised; the upper is never lowered.

    Parameters
    ----------
    value, stderr
        Of the estimate.
    totals
        `(G,)`: influence of each independent unit.
    freedom
        Of Student's quantile, 1 or more.
    alpha
        Two-sided error rate.
    """
    plain = normal(value, stderr, freedom + 1, alpha)
    if not (isfinite(plain.lower) and isfinite(plain.upper)):
        return plain
    reach, tilt = student_quantile(1.0 - alpha / 2.0, freedom), tilt_of(totals)
    low, high = (value - stderr * untilted(side, tilt) for side in (reach, -reach))
    return Interval(min(plain.lower, low), max(plain.upper, high), f"{plain.method}, widened for skew")
