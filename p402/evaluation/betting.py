"""Bounds on a mean by betting against it: valid at every sample size for bounded values, and short.

A mean m is kept for as long as nobody who bets against it on the values, one session after another, could
have multiplied their money too far: under a true mean of m, wealth is a martingale, and by Ville's
inequality it reaches 2 / alpha on one side with chance alpha / 2. The bets look back only, so nothing is
assumed of the values but their range. It knows nothing of what they estimate.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86(1),
2024: the hedged capital process (theorem 3) with the predictable plug-in bets for a fixed sample (eq. 26),
one half on each side, and its largest wealth so far rather than its last.
"""

from math import log
from typing import Final

import numpy as np

from p402.evaluation.intervals import Interval, by_session, check_alpha, check_bounds
from p402.evaluation.logged import FloatArray, IntArray

MOST: Final = 0.5
"""Largest share of the money that a bet can lose, so that wealth stays above 0."""

HALVINGS: Final = 40
"""Of the range, when a bound is sought: its place is known to 1e-12 of it, and is rounded outwards."""


def betting(
    values: FloatArray, session: IntArray, bounds: tuple[float, float], alpha: float = 0.05
) -> Interval:
    """Bounds on the mean of bounded values that hold at every sample size.

    Sessions are the units: with values scaled to [0, 1], t_g the sum of a session's rows and s_g their
    number, both over the largest number, t_g - m s_g has mean 0 when m is the mean of the rows. It is bet
    on in the order of the sessions' hashes, which know nothing of their values. The bet is
    sqrt(2 ln(2 / alpha) / (G v_g)), v_g the variance before g, and at most 1 / (2 m) for means above m,
    at most 1 / (2 (1 - m)) for means below.

    Parameters
    ----------
    values
        `(n,)`, each within `bounds`.
    session
        `(n,)`.
    bounds
        What a single value can be at least and at most, known beforehand and not read off the data.
    alpha
        Error rate of both sides together.

    Returns
    -------
    Interval
        Never wider than `bounds`. Logarithms are the platform's: it need not repeat to the last bit on
        another one, and decides nothing on the live path.

    Raises
    ------
    ValueError
        A value lies outside the bounds, or the bounds are not in order.
    """
    check_alpha(alpha)
    check_bounds(values, bounds)
    low, high = bounds
    totals, sizes = by_session((values - low) / (high - low), session)
    longest = float(np.max(sizes))
    total, size = totals / longest, sizes / longest
    lower = _refuted_below(total, size, alpha)
    upper = 1.0 - _refuted_below(size - total, size, alpha)
    return Interval(low + lower * (high - low), low + upper * (high - low), "betting")


def _refuted_below(total: FloatArray, size: FloatArray, alpha: float) -> float:
    """Largest m for which betting that the mean is above m made at least 2 / alpha; 0 if there is none."""
    bar, bet = log(2.0 / alpha), _bets(total, size, alpha)
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):  # wealth only falls as m grows
        m = 0.5 * (low + high)
        wealth = np.cumsum(np.log1p(np.minimum(bet, MOST / m) * (total - m * size)))
        low, high = (m, high) if float(np.max(wealth)) >= bar else (low, m)
    return low


def _bets(total: FloatArray, size: FloatArray, alpha: float) -> FloatArray:
    """Predictable plug-in bets: each from the sessions before it, and one of 1/2 to start from."""
    n = total.shape[0]
    count = np.arange(1, n + 1, dtype=np.float64)
    mean = (0.5 + np.cumsum(total)) / (1.0 + np.cumsum(size))
    spread = 0.25 + np.cumsum((total - mean * size) ** 2)
    variance = np.concatenate([[0.25], spread[:-1] / count[1:]])
    return np.asarray(np.sqrt(2.0 * log(2.0 / alpha) / (n * variance)), dtype=np.float64)
