"""The reward laws: what an answer of a mean is worth, and exactly what that is in expectation.

A mean may lie outside [0, 1] and carries, drawn or not, the request's difficulty: normal, of mean 0, the
same for every arm. The expectation is of the law after clipping, over the difficulty too, since nobody knows
it when an arm is chosen: the truth must be of the reward that is drawn (the project's study of learning,
section 2d, where a truth of unclipped means made every estimator look biased).

Source: moments of the rectified normal law follow from integration by parts.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import erf, exp, hypot, inf, log, pi, sqrt
from typing import Final

from sim.world.chance import beta, normal
from sim.world.spec import Bernoulli, Beta, Gaussian, Graded, Reward, Rows, Spread

_ROOT2: Final = sqrt(2)
_ROOT2PI: Final = sqrt(2 * pi)


def expected(reward: Reward, mean: float, difficulty_sd: float) -> float:
    """Exact expectation of a reward in [0, 1].

    Parameters
    ----------
    mean
        Before difficulty, noise and clipping; the row's own outcome where rewards are real rows.
    difficulty_sd
        Of what the request adds.
    """
    match reward:
        case Bernoulli() | Beta() | Rows():
            return clipped_mean(mean, difficulty_sd)
        case Gaussian(sd=sd):
            return clipped_mean(mean, hypot(sd, difficulty_sd))
        case Graded(levels=levels, sd=sd):
            return _graded_mean(levels, mean, hypot(sd, difficulty_sd))


def draw(reward: Reward, mean: float, u: float, more: Iterator[float]) -> float:
    """A reward in [0, 1].

    Parameters
    ----------
    mean
        The request's difficulty included.
    u
        A uniform.
    more
        Further uniforms, for laws that need any number.
    """
    match reward:
        case Bernoulli():
            return 1.0 if u < mean else 0.0
        case Beta(concentration=total):
            kept = clip(mean)
            return kept if kept in {0.0, 1.0} else beta(kept * total, (1 - kept) * total, more)
        case Gaussian(sd=sd):
            return clip(mean + sd * normal(u))
        case Graded(levels=levels, sd=sd):
            return _nearest(levels, mean + sd * normal(u))
        case Rows():
            return clip(mean)


def clip(x: float) -> float:
    """The nearest number in [0, 1]."""
    return min(1.0, max(0.0, x))


def clipped_mean(mean: float, sd: float) -> float:
    """Expectation of a normal law of `mean` and `sd` once it is clipped to [0, 1]."""
    if sd == 0:
        return clip(mean)
    low, high = -mean / sd, (1 - mean) / sd
    inside = phi(high) - phi(low)
    return mean * inside - sd * (_density(high) - _density(low)) + 1 - phi(high)


def phi(z: float) -> float:
    """Standard normal distribution function."""
    return 0.5 * (1 + erf(z / _ROOT2))


def mean_of(law: Spread, factor: float = 1.0, cap: float = inf) -> float:
    """Mean of a bounded log-normal law times `factor`, bounds included as they fall on the product's law.

    What lies above `cap` counts as the cap.
    """
    median, sigma = law.median * factor, law.sigma
    least, most = min(law.least * factor, cap), min(law.most * factor, cap)
    if sigma == 0:
        return min(max(median, least), most)
    low = -1e9 if least <= 0 else _log_z(least, median, sigma)
    high = _log_z(most, median, sigma)
    whole = median * exp(sigma * sigma / 2)
    return least * phi(low) + whole * (phi(high - sigma) - phi(low - sigma)) + most * (1 - phi(high))


def quantile_of(law: Spread, z: float) -> float:
    """The value at a standard normal deviate."""
    return min(max(law.median * exp(law.sigma * z), law.least), law.most)


def share_below(law: Spread, x: float) -> float:
    """Probability that the law gives at most `x`."""
    if x >= law.most:
        return 1.0
    if x < law.least:
        return 0.0
    return float(law.median <= x) if law.sigma == 0 else phi(_log_z(x, law.median, law.sigma))


def _log_z(x: float, median: float, sigma: float) -> float:
    return log(x / median) / sigma


def _density(z: float) -> float:
    return exp(-z * z / 2) / _ROOT2PI


def _graded_mean(levels: tuple[float, ...], mean: float, sd: float) -> float:
    if sd == 0:
        return _nearest(levels, mean)
    total = levels[0]
    for below, above in pairwise(levels):
        total += (above - below) * (1 - phi(((below + above) / 2 - mean) / sd))
    return total


def _nearest(levels: tuple[float, ...], x: float) -> float:
    return min(levels, key=lambda level: (abs(level - x), level))
