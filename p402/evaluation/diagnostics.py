"""Whether a log can be learned from at all.

Weights, support, and whether the logged probabilities are those the actions were drawn from. A
router that logs a wrong propensity passes every other test; these three catch it, the last by how
large the probability was. It knows no estimator and no threshold, and refuses rounds whose
propensities are null.

Sources: Kish, Survey Sampling, 1965 (effective size); Fabijan et al., "Diagnosing sample ratio
mismatch in online controlled experiments", KDD 2019.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from p402.evaluation.intervals import chi_square_tail, clustered_stderr
from p402.evaluation.logged import FloatArray, LoggedBatch, target_of

MIN_VARIANCE: Final = 5.0
"""Arms whose count varies by less than this are pooled: chi-square is no fit for them."""

FINEST_BIN: Final = 11
"""Probabilities up to 2^-11 share a bin."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Mean of 1 / propensity against what it must be.

    Attributes
    ----------
    seen, expected
        Mean over rows of 1 / propensity, and of the number of eligible arms: equal in expectation.
    stderr
        Of their difference, clustered by session.
    z
        Difference over stderr: beyond about 4, the logged propensities are wrong.
    """

    seen: float
    expected: float
    stderr: float
    z: float


@dataclass(frozen=True, slots=True)
class RatioTest:
    """Chi-square of how often each arm was taken against how often it should have been.

    Attributes
    ----------
    statistic, freedom
        Of the test.
    p_value
        Small when the log's actions were not drawn from its propensities.
    worst_arm
        The arm furthest off, and by how many standard deviations in `worst_z`.
    """

    statistic: float
    freedom: int
    p_value: float
    worst_arm: int
    worst_z: float


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """How often arms of about one probability were taken, against how often they should have been.

    Attributes
    ----------
    low, high
        Probabilities in `(low, high]`.
    pairs
        Pairs of a round and an arm that lie in it.
    expected, seen
        How many of them should have been taken, and were.
    z
        Their difference in standard deviations; 0 where the count varies too little to say.
    """

    low: float
    high: float
    pairs: int
    expected: float
    seen: int
    z: float


def effective_size(weight: FloatArray) -> float:
    """(sum w)^2 / sum w^2: how many equally weighted rows would be as variable; 0 if all are 0."""
    square = float(np.add.reduce(weight * weight))
    total = float(np.add.reduce(weight))
    return total * total / square if square > 0.0 else 0.0


def largest_share(values: FloatArray) -> float:
    """Largest absolute value over the sum of absolute values, `(0, 1]`; 0 if all are 0."""
    size = np.abs(values)
    total = float(np.add.reduce(size))
    return float(np.max(size)) / total if total > 0.0 else 0.0


def gap_of(batch: LoggedBatch, mass: FloatArray) -> float:
    """Mean over rows of `mass`, `(n, K)`, on arms that the log could not have taken."""
    outside = np.where(batch.eligible, 0.0, mass)
    return float(np.add.reduce(np.add.reduce(outside, axis=1))) / batch.n


def support_gap(batch: LoggedBatch, target_probs: ArrayLike) -> float:
    """Mean target probability on arms the log could not take, in `[0, 1]`: no estimator sees it."""
    return gap_of(batch, target_of(batch, target_probs))


def propensity_calibration(batch: LoggedBatch) -> Calibration:
    """Compare mean(1 / propensity) with the mean number of arms that could be taken.

    Given a round with m possible arms, E[1 / p(action)] = sum over them of p / p = m. A log whose floor
    was not the one applied, or whose actions were replaced after the draw, misses it.
    """
    inverse = 1.0 / batch.propensity
    arms = np.count_nonzero(batch.eligible, axis=1).astype(np.float64)
    difference = inverse - arms
    seen = float(np.add.reduce(inverse)) / batch.n
    expected = float(np.add.reduce(arms)) / batch.n
    gap = float(np.add.reduce(difference)) / batch.n
    stderr, _ = clustered_stderr(difference - gap, batch.session)
    return Calibration(seen, expected, stderr, gap / stderr if stderr > 0.0 else 0.0)


def calibration_by_bin(batch: LoggedBatch, logged_probs: ArrayLike) -> tuple[CalibrationBin, ...]:
    """Whether arms were taken as often as their probabilities say, for small and large ones apart.

    Bins are halves of halves: (1/2, 1], (1/4, 1/2], ... and all below 2^-11 in one, so that an exploration
    floor that was logged and not applied, or applied and not logged, stands in a bin of its own. Given its
    probabilities a round takes an arm of a bin with the sum P of those in it, so the count has mean sum P
    and variance sum P (1 - P), rounds being drawn independently.

    Parameters
    ----------
    batch
        The rounds.
    logged_probs
        `(n, K)`: the whole logged vectors, as replay recomputes them.

    Returns
    -------
    tuple
        Bins that hold any pair, by rising probability.

    Raises
    ------
    NoPropensity
        Propensities are null.
    """
    probs = target_of(batch, logged_probs, "logged_probs")
    _ = batch.propensity
    rows = np.arange(batch.n)
    place = np.full(probs.shape, -1, np.int64)
    _, exponent = np.frexp(np.where(probs > 0.0, probs, 1.0))
    # frexp puts 2^-j with the numbers above it: those belong to the bin below
    exact = probs == np.ldexp(1.0, exponent - 1)
    np.copyto(place, np.minimum(np.where(exact, 1 - exponent, -exponent), FINEST_BIN), where=probs > 0.0)
    found = []
    for j in range(FINEST_BIN, -1, -1):
        inside = place == j
        pairs = int(np.count_nonzero(inside))
        if pairs == 0:
            continue
        mass = np.add.reduce(np.where(inside, probs, 0.0), axis=1)
        expected = float(np.add.reduce(mass))
        variance = float(np.add.reduce(mass * (1.0 - mass)))
        seen = int(np.count_nonzero(inside[rows, batch.action]))
        z = (seen - expected) / variance**0.5 if variance >= MIN_VARIANCE else 0.0
        low = 0.0 if j == FINEST_BIN else 2.0 ** -(j + 1)
        found.append(CalibrationBin(low, 2.0**-j, pairs, expected, seen, z))
    return tuple(found)


def sample_ratio(batch: LoggedBatch, logged_probs: ArrayLike) -> RatioTest:
    """Test whether the logged actions were drawn from the logged probabilities.

    The counts O of arms over rounds with their own probabilities p_i have mean E = sum p_i and covariance
    S = diag(E) - sum p_i p_i'. (O - E)' S^+ (O - E) is chi-square with rank(S) degrees of freedom;
    Pearson's statistic would assume equal rows and miss most faults of a confident policy. Arms
    that hardly vary are pooled. It tests rounds as drawn independently, which keyed chance makes them.

    Parameters
    ----------
    batch
        The rounds.
    logged_probs
        `(n, K)`: the whole logged vectors, as replay recomputes them.
    """
    probs = target_of(batch, logged_probs, "logged_probs")
    _ = batch.propensity
    seen = np.bincount(batch.action, minlength=batch.n_arms).astype(np.float64)
    expected = np.add.reduce(probs, axis=0)
    square = np.add.reduce(probs * probs, axis=0)
    together = np.diag(square)
    kept = expected - square >= MIN_VARIANCE
    inner = probs[:, kept]
    together[np.ix_(kept, kept)] = np.einsum("ni,nj->ij", inner, inner)
    return ratio_test(seen, expected, together)


def ratio_test(seen: FloatArray, expected: FloatArray, together: FloatArray) -> RatioTest:
    """The test of `sample_ratio` from what it needs of the rounds.

    Parameters
    ----------
    seen
        `(K,)`: how often each arm was taken.
    expected
        `(K,)`: sum of its probabilities.
    together
        `(K, K)`: sums of the products of two arms' probabilities; only its diagonal where an arm's count
        varies by less than `MIN_VARIANCE`.
    """
    variance = expected - np.diag(together)
    off = seen - expected
    score = np.where(variance > 0.0, off / np.sqrt(np.where(variance > 0.0, variance, 1.0)), 0.0)
    worst = int(np.argmax(np.abs(score)))
    impossible = np.flatnonzero((expected == 0.0) & (seen > 0.0))
    if impossible.size:
        return RatioTest(float("inf"), 1, 0.0, int(impossible[0]), float("inf"))
    kept = variance >= MIN_VARIANCE
    if np.count_nonzero(kept) < 2:
        return RatioTest(0.0, 0, 1.0, worst, float(score[worst]))
    d = off[kept]
    covariance = np.diag(expected[kept]) - together[np.ix_(kept, kept)]
    size, direction = np.linalg.eigh(covariance)
    free = size > float(np.max(size)) * 1e-9
    along = np.einsum("ij,i->j", direction, d)[free]
    statistic = float(np.add.reduce(along * along / size[free]))
    freedom = int(np.count_nonzero(free))
    return RatioTest(statistic, freedom, chi_square_tail(statistic, freedom), worst, float(score[worst]))
