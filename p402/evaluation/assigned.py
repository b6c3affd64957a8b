"""What an arm of an experiment on sessions was worth: holdout and canary by session.

Where whole sessions are given to one policy or another, by a hash that chose nothing else, no importance
weight is needed: what was assigned is compared. The session is the unit of assignment and of analysis. A
long session is many rounds and one unit, so each figure says what it weighs:

    per_round    sum of rewards / sum of rounds over a group's sessions: a ratio; long sessions count more
    per_session  mean over a group's sessions of their mean reward: every session counts alike

What routing did to later rounds of its session, to its cache and to how long it went on is in the
difference, as it is not in any off-policy estimate of single rounds. What one group did to the other, through
a shared budget or a provider's queue, is in neither.

It knows nothing of policies, and of time: a session belongs to where it was put first, whatever it got.

Sources: Kohavi, Tang and Xu, "Trustworthy online controlled experiments", 2020, ch. 14 and 22 (randomisation
unit, interference); Deng, Knoblich and Lu, KDD 2018 (delta method); Fabijan et al., KDD 2019 (sample ratio).
"""

from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import Final, Literal

import numpy as np

from p402.evaluation.assignment import check_shares
from p402.evaluation.estimate import FEW_SESSIONS
from p402.evaluation.intervals import (
    Interval,
    by_session,
    check_alpha,
    chi_square_tail,
    freedom_of,
    student_quantile,
)
from p402.evaluation.logged import FloatArray, IntArray

Weighs = Literal["per_round", "per_session"]

MIN_P: Final = 1e-3
"""Groups whose sizes are less likely than this were not assigned as said: the usual alarm."""

ESTIMANDS: Final[dict[Weighs, str]] = {
    "per_round": "reward per round of sessions assigned to one policy, less that of the other",
    "per_session": "mean reward of a session assigned to one policy, less that of the other",
}


@dataclass(frozen=True, slots=True)
class Group:
    """One side of an experiment.

    Attributes
    ----------
    value, stderr
        As `Difference.weighs` says; nan and infinite without sessions.
    sessions, rounds
        How many.
    """

    value: float
    stderr: float
    sessions: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Difference:
    """New less current, over sessions that were assigned.

    Attributes
    ----------
    estimand
        What it is a difference of, in words.
    weighs
        `per_round` or `per_session`.
    value, stderr, lower, upper
        In reward units.
    method
        How the interval was found.
    new, current
        The two groups.
    ratio_p
        P-value of the groups' sizes in sessions under the shares they should have had.
    warnings
        As `Estimate.warnings`.
    """

    estimand: str
    weighs: Weighs
    value: float
    stderr: float
    lower: float
    upper: float
    method: str
    new: Group
    current: Group
    ratio_p: float
    warnings: tuple[str, ...]


def difference(
    reward: FloatArray,
    session: IntArray,
    group: IntArray,
    *,
    shares: tuple[float, float] = (0.5, 0.5),
    weighs: Weighs = "per_round",
    alpha: float = 0.05,
) -> Difference:
    """Difference of two groups of sessions, each session one unit.

    The groups are independent, so errors add in squares, each with the residuals T - R S of its sessions
    (T a session's reward, S its rounds, R the group's ratio) by the delta method, or with the
    sessions' means; Student's quantile has Welch's degrees of freedom, fewer where a few sessions carry
    the spread.

    Parameters
    ----------
    reward
        `(n,)`, every round of the sessions: a round nobody judged must not be left out of one group only.
    session
        `(n,)` hashes.
    group
        `(n,)`: 1 for the new policy's sessions, 0 for the current one's.
    shares
        Of sessions that should be in groups 0 and 1, above 0.
    weighs
        What is weighed.
    alpha
        Two-sided error rate.

    Raises
    ------
    ValueError
        Unequal lengths, a reward that is no number, a group that is not 0 or 1, or a session in both:
        then it was not assigned as a whole, and this is no experiment on sessions.
    """
    check_alpha(alpha)
    check_shares(shares)
    _check_rows(reward, session, group)
    sides = [_side(reward[group == g], session[group == g], weighs) for g in (0, 1)]
    (current, before), (new, after) = sides
    value, stderr = new.value - current.value, sqrt(new.stderr**2 + current.stderr**2)
    interval = Interval(-inf, inf, "welch")
    freedom = 0
    if isfinite(stderr) and isfinite(value):
        freedom = _welch((current.stderr, new.stderr), (before, after))
        reach = student_quantile(1.0 - alpha / 2.0, freedom) * stderr
        interval = Interval(value - reach, value + reach, "welch")
    p = _ratio(current.sessions, new.sessions, shares)
    return Difference(
        estimand=ESTIMANDS[weighs],
        weighs=weighs,
        value=value,
        stderr=stderr,
        lower=interval.lower,
        upper=interval.upper,
        method=f"welch, session as unit, t({freedom}), two-sided alpha {alpha:.3g}",
        new=new,
        current=current,
        ratio_p=p,
        warnings=_warnings(new, current, p, shares),
    )


def _side(reward: FloatArray, session: IntArray, weighs: Weighs) -> tuple[Group, int]:
    """A group, and the degrees of freedom of its error."""
    if len(reward) == 0:
        return Group(float("nan"), inf, 0, 0), 1
    totals, sizes = by_session(reward, session)
    groups = len(totals)
    units = totals if weighs == "per_round" else totals / sizes
    size = sizes if weighs == "per_round" else np.ones_like(sizes)
    all_of_them = float(np.add.reduce(size))
    value = float(np.add.reduce(units)) / all_of_them
    residual = units - value * size
    stderr = inf
    if groups > 1:
        stderr = sqrt(float(np.add.reduce(residual * residual)) * groups / (groups - 1)) / all_of_them
    return Group(value, stderr, groups, len(reward)), freedom_of(residual)


def _welch(stderr: tuple[float, float], freedom: tuple[int, int]) -> int:
    """Satterthwaite's degrees of freedom of a sum of two squared errors, 1 or more."""
    squares = [s * s for s in stderr]
    below = sum(square * square / f for square, f in zip(squares, freedom, strict=True))
    return max(int(sum(squares) ** 2 / below), 1) if below > 0.0 else sum(freedom)


def _ratio(current: int, new: int, shares: tuple[float, float]) -> float:
    """P-value of two sizes under their shares: chi-square with one degree of freedom."""
    n = current + new
    expected = n * shares[0], n * shares[1]
    statistic = sum((seen - e) ** 2 / e for seen, e in zip((current, new), expected, strict=True) if e > 0.0)
    return chi_square_tail(statistic, 1)


def _warnings(new: Group, current: Group, p: float, shares: tuple[float, float]) -> tuple[str, ...]:
    found = []
    fewest = min(new.sessions, current.sessions)
    if fewest < FEW_SESSIONS:
        found.append(
            f"few_sessions: {fewest} sessions in one group; expected at least {FEW_SESSIONS}; go on longer"
        )
    if p < MIN_P:
        found.append(
            f"sample_ratio: {current.sessions} and {new.sessions} sessions (p {p:.1g}); expected shares of "
            f"{shares[0]:g} and {shares[1]:g}; sessions were lost or moved after they were assigned"
        )
    return tuple(found)


def _check_rows(reward: FloatArray, session: IntArray, group: IntArray) -> None:
    if not len(reward) == len(session) == len(group):
        raise ValueError(
            f"{len(reward)} rewards, {len(session)} sessions, {len(group)} groups: "
            f"expected one of each a round"
        )
    if not np.isfinite(reward).all():
        raise ValueError(
            f"reward[{int(np.argmin(np.isfinite(reward)))}] is no number: expected one for every round; "
            f"compare what is known of all of them, or weigh by 1/P(observed) first"
        )
    if not np.isin(group, (0, 1)).all():
        raise ValueError(f"group holds {np.unique(group).tolist()}: expected 0 (current) and 1 (new)")
    both = np.intersect1d(session[group == 0], session[group == 1])
    if both.size:
        raise ValueError(
            f"session {int(both[0])} is in both groups, as are {both.size - 1} more: expected each in one; "
            f"rounds that were drawn one by one need `compare` and their propensities"
        )
