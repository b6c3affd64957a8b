"""How far an estimate may be from the truth, three ways; `betting` is a fourth, `sequences` for many looks.

Rounds of one session share a user, a cache and often an arm, so a session, not a round, is
the independent unit in all of them. They know nothing of what the values estimate.

- `normal`: value +- t * se, se clustered by session. Approximate; too short when few rows
  carry the weight (measured coverage .48 to .94 at a nominal .95; see README).
- `empirical_bernstein`: valid at every n for bounded values; wide.
- `bootstrap`: percentile of sessions drawn with replacement. Approximate, same caveat.

Sources: Liang and Zeger, Biometrika 73(1), 1986 (clusters); Maurer and Pontil, "Empirical
Bernstein bounds and sample variance penalization", COLT 2009, theorem 4; Efron, Annals of
Statistics 7(1), 1979; Abramowitz and Stegun, 26.7.5 (Student's quantile from the normal one).
"""

from dataclasses import dataclass
from math import exp, inf, isfinite, lgamma, log, pi, sqrt, tan
from statistics import NormalDist

import numpy as np
from numpy.random import Generator  # noqa: TID251 -- the type of the caller's generator; none is made here

from p402.evaluation.logged import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds and how they were found.

    Attributes
    ----------
    lower, upper
        They hold the truth with probability 1 - alpha; each side alone with 1 - alpha / 2.
    method
        Name for tables: `normal`, `empirical_bernstein`, `bootstrap`, `betting`, `asymptotic_sequence`.
    """

    lower: float
    upper: float
    method: str


def by_session(values: FloatArray, session: IntArray) -> tuple[FloatArray, FloatArray]:
    """Sum of the values and number of rows of each session, `(n_sessions,)` both, by ascending hash."""
    _, index = np.unique(session, return_inverse=True)
    totals = np.bincount(index, weights=values).astype(np.float64)
    sizes = np.bincount(index).astype(np.float64)
    return totals, sizes


def clustered_stderr(influence: FloatArray, session: IntArray) -> tuple[float, int]:
    """Standard error of a mean whose rows are independent only between sessions.

    se = sqrt(G / (G - 1) * sum_g (sum_{i in g} u_i)^2) / n over G sessions, where u_i is how far
    row i moves the estimate (for a plain mean, its value minus the mean). Biased low by about
    1 / G; infinite with one session, from which no spread can be known.

    Parameters
    ----------
    influence
        `(n,)`, mean 0.
    session
        `(n,)`.

    Returns
    -------
    tuple
        The standard error and the number of sessions.
    """
    totals, _ = by_session(influence, session)
    return stderr_of(totals, influence.shape[0]), totals.shape[0]


def stderr_of(totals: FloatArray, n: int) -> float:
    """Standard error of a mean over n rows from the influence of each independent unit, `(G,)`.

    As `clustered_stderr`; infinite with one unit.
    """
    groups = totals.shape[0]
    if groups < 2:
        return inf
    return sqrt(float(np.add.reduce(totals * totals)) * groups / (groups - 1)) / n


def freedom_of(totals: FloatArray) -> int:
    """Degrees of freedom of a clustered error: how many equal units would make it as uncertain.

    2 G / (kurtosis - 1), at most G - 1 and at least 1, kurtosis being the mean fourth power of the totals
    over the square of their mean second: the spread of a variance that a few units carry is itself unknown,
    and Student's quantile must pay for it. For normal totals it is G - 1.

    Parameters
    ----------
    totals
        `(G,)`, mean 0: influence of each session.

    Source: Satterthwaite, Biometrics Bulletin 2(6), 1946; for clustered errors see Imbens and Kolesar, Review
    of Economics and Statistics 98(4), 2016.
    """
    groups = len(totals)
    largest = float(np.max(np.abs(totals)))
    if largest == 0.0 or groups < 2:
        return max(groups - 1, 1)
    square = (totals / largest) ** 2  # so that no power of a tiny total vanishes
    second, fourth = float(np.add.reduce(square)) / groups, float(np.add.reduce(square * square)) / groups
    excess = fourth / (second * second) - 1.0
    if 2.0 * groups >= excess * (groups - 1):
        return max(groups - 1, 1)
    return max(int(2.0 * groups / excess), 1)


def normal(value: float, stderr: float, sessions: int, alpha: float = 0.05) -> Interval:
    """Value +- Student's quantile with sessions - 1 degrees of freedom times its standard error.

    Approximate: the error of the coverage falls with 1 / sqrt(sessions) and grows with the skew of
    the contributions, so read it only beside effective sample size and largest share.
    """
    check_alpha(alpha)
    if not isfinite(stderr) or not isfinite(value):
        return Interval(-inf, inf, "normal")
    reach = student_quantile(1.0 - alpha / 2.0, sessions - 1) * stderr
    return Interval(value - reach, value + reach, "normal")


def empirical_bernstein(
    values: FloatArray, session: IntArray, bounds: tuple[float, float], alpha: float = 0.05
) -> Interval:
    """Bound on the mean of bounded values that holds at every sample size.

    mean +- (sqrt(2 V ln(4/alpha) / G) + 7 R ln(4/alpha) / (3 (G - 1))) over G sessions, V the sample
    variance and R the range of the per-session values y_g = (G / n) * sum of the session's rows,
    whose mean is the mean of the rows. R counts the largest session: one long session widens it.
    Unbiased; needs sessions to be independent, and takes n as given.

    Parameters
    ----------
    values
        `(n,)`, each within `bounds`.
    session
        `(n,)`.
    bounds
        What a single value can be at least and at most, known beforehand and not read off the data.

    Raises
    ------
    ValueError
        A value lies outside the bounds, or the bounds are not in order.
    """
    check_alpha(alpha)
    check_bounds(values, bounds)
    low, high = bounds
    totals, sizes = by_session(values, session)
    groups, n = totals.shape[0], values.shape[0]
    mean = float(np.add.reduce(values)) / n
    if groups < 2:
        return Interval(low, high, "empirical_bernstein")
    scale = groups / n
    spread = totals * scale - mean
    variance = float(np.add.reduce(spread * spread)) / (groups - 1)
    shortest, longest = float(sizes.min()) * scale, float(sizes.max()) * scale
    reached = max(high * shortest, high * longest) - min(low * shortest, low * longest)
    lift = log(4.0 / alpha)
    reach = sqrt(2.0 * variance * lift / groups) + 7.0 * reached * lift / (3.0 * (groups - 1))
    return Interval(max(low, mean - reach), min(high, mean + reach), "empirical_bernstein")


def check_bounds(values: FloatArray, bounds: tuple[float, float]) -> None:
    """Refuse bounds that do not hold.

    Raises
    ------
    ValueError
        A value lies outside the bounds, they are not in order, or there is no value.
    """
    low, high = bounds
    if not low < high or not (isfinite(low) and isfinite(high)):
        raise ValueError(f"bounds are {bounds}: expected finite (low, high) with low < high")
    if values.shape[0] == 0 or float(values.min()) < low or float(values.max()) > high:
        raise ValueError(
            f"values outside their bounds: expected a non-empty array within {bounds}; "
            f"give bounds that follow from the smallest propensity"
        )


def bootstrap(
    values: FloatArray, session: IntArray, chance: Generator, alpha: float = 0.05, replicates: int = 2_000
) -> Interval:
    """Percentile interval of the mean under sessions drawn with replacement.

    Each replicate draws G of the G sessions and takes the mean over their rows. Approximate, and too
    short under heavy weights: at a nominal 5 % it let a worse candidate pass 14 % to 38 % of the time.

    Parameters
    ----------
    values
        `(n,)`.
    session
        `(n,)`.
    chance
        The caller's generator; two of equal state give equal bits.
    replicates
        How many draws, 1 or more.
    """
    check_alpha(alpha)
    totals, sizes = by_session(values, session)
    groups = totals.shape[0]
    if groups < 2:
        return Interval(-inf, inf, "bootstrap")
    means = np.empty(replicates, dtype=np.float64)
    for row in range(replicates):
        drawn = chance.integers(0, groups, size=groups)
        means[row] = np.add.reduce(totals[drawn]) / np.add.reduce(sizes[drawn])
    lower, upper = np.quantile(means, [alpha / 2.0, 1.0 - alpha / 2.0])
    return Interval(float(lower), float(upper), "bootstrap")


def student_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t: exact for 1 and 2 degrees of freedom, else by expansion in 1 / freedom.

    Within 1 % of the exact value from 3 degrees of freedom at probabilities up to 0.975 and from 5 up to
    0.995; below that it is too short in the far tail, where a clustered error means little anyway.
    """
    if freedom <= 1:  # Cauchy's law
        return tan(pi * (probability - 0.5))
    if freedom == 2:
        return (2.0 * probability - 1.0) / sqrt(2.0 * probability * (1.0 - probability))
    z = NormalDist().inv_cdf(probability)
    v = float(freedom)
    first = (z**3 + z) / (4.0 * v)
    second = (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / (96.0 * v**2)
    third = (3.0 * z**7 + 19.0 * z**5 + 17.0 * z**3 - 15.0 * z) / (384.0 * v**3)
    return z + first + second + third


def chi_square_tail(statistic: float, freedom: int) -> float:
    """P(X > statistic) for a chi-square X: the regularised upper incomplete gamma function.

    By its series below the mean and by Lentz's continued fraction above; relative error about 1e-12.

    Source: Abramowitz and Stegun, 6.5.29 and 6.5.31.
    """
    if freedom < 1 or not statistic > 0.0:
        return 1.0
    a, x = freedom / 2.0, statistic / 2.0
    front = exp(a * log(x) - x - lgamma(a))
    if x < a + 1.0:
        term = total = 1.0 / a
        step = a
        while term > total * 1e-16:
            step += 1.0
            term *= x / step
            total += term
        return max(0.0, 1.0 - front * total)
    tiny = 1e-300
    b = x + 1.0 - a
    c, d = 1.0 / tiny, 1.0 / b
    fraction = d
    for i in range(1, 10_000):
        an = -i * (i - a)
        b += 2.0
        d = an * d + b
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = b + an / c
        c = c if abs(c) > tiny else tiny
        change = d * c
        fraction *= change
        if abs(change - 1.0) < 1e-15:
            break
    return front * fraction


def check_alpha(alpha: float) -> None:
    """Refuse an error rate that is none.

    Raises
    ------
    ValueError
        Not within (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}: expected an error rate in (0, 1), such as 0.05")
