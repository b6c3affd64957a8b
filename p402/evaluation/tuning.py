"""How far to clip, switch or shrink: the smallest error that the data itself can tell of.

SLOPE, after Lepski: candidates go from the least biased and most variable to the most biased and least
variable, and the last whose interval agrees with every earlier one is taken. It needs no estimate of the
bias, nothing is drawn, and the same rows choose the same candidate. Its squared error is within a
constant of the best candidate's (Su et al., theorem 3). What it chooses is biased all the same.

Sources: Su, Srinath and Krishnamurthy, "Adaptive estimator selection for off-policy evaluation", ICML
2020; the sharper rule of agreement is SLOPE++ of Tucker and Lee, "Improved estimator selection for
off-policy evaluation", 2021.
"""

from collections.abc import Callable, Sequence
from math import frexp, inf, sqrt
from typing import Final

import numpy as np

from p402.evaluation.fits import Fit
from p402.evaluation.intervals import clustered_stderr, student_quantile
from p402.evaluation.logged import FloatArray, IntArray

FACTOR: Final = sqrt(6.0) - 1.0
"""How much of an earlier candidate's width counts towards agreement (Tucker and Lee, 2021)."""

DELTA: Final = 0.1
"""One-sided error rate of a candidate's width, as `obp` has it."""

FINEST: Final = 24
"""Most powers of two between the smallest and the largest cap that is tried."""


def caps_for(weight: FloatArray) -> tuple[float, ...]:
    """Caps worth trying on these weights, from none (`inf`) to one that bends almost every row.

    Powers of two, exact on every machine, from the first above the largest weight down to the first at
    most the smallest positive one, and no more than `FINEST` of them.
    """
    positive = weight[weight > 0.0]
    if positive.size == 0:
        return (inf,)
    top, bottom = frexp(float(np.max(positive)))[1], frexp(float(np.min(positive)))[1] - 1
    bottom = max(bottom, top - FINEST)
    return (inf, *(2.0**power for power in range(top, bottom - 1, -1)))


def strengths_for(weight: FloatArray) -> tuple[float, ...]:
    """Strengths worth trying: the squares of `caps_for`, and 64 times the largest, which bends by 1.5 %."""
    caps = caps_for(weight)
    if len(caps) == 1:
        return caps
    return (inf, 64.0 * caps[1] ** 2, *(cap * cap for cap in caps[1:]))


def slope(values: Sequence[float], widths: Sequence[float]) -> int:
    """Index of the candidate that SLOPE chooses.

    Candidates are taken by falling width, equal ones in the order given; i is the last with
    |V_j - V_i| <= width_i + (sqrt(6) - 1) width_j for every earlier j, and every one before it agrees too.

    Parameters
    ----------
    values
        Estimates, bias rising as width falls.
    widths
        Half-widths of their intervals, 0 or more.

    Raises
    ------
    ValueError
        No candidate, or unequal lengths.
    """
    if not values or len(values) != len(widths):
        raise ValueError(
            f"{len(values)} values and {len(widths)} widths: expected one or more, as many of each"
        )
    order = sorted(range(len(values)), key=lambda i: -widths[i])
    kept: list[int] = []
    for i in order:
        if all(abs(values[j] - values[i]) <= widths[i] + FACTOR * widths[j] for j in kept):
            kept.append(i)
        else:
            break
    return kept[-1]


def chosen(
    fit: Callable[[float], Fit], candidates: Sequence[float], session: IntArray, delta: float = DELTA
) -> tuple[float, Fit]:
    """The candidate that SLOPE chooses and its fit; widths are one-sided and clustered by session.

    Parameters
    ----------
    fit
        Estimator as a function of its cap or strength.
    candidates
        From the least to the most bent, as `caps_for` and `strengths_for` give them.
    session
        `(n,)`.
    delta
        One-sided error rate of a width.
    """
    fits = [fit(candidate) for candidate in candidates]
    widths = []
    for found in fits:
        stderr, groups = clustered_stderr(found.influence, session)
        widths.append(stderr * student_quantile(1.0 - delta, groups - 1))
    place = slope([found.value for found in fits], widths)
    return candidates[place], fits[place]
