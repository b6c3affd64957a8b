"""How many rounds an answer needs: to compare policies on explored traffic, and to prove one by a canary.

Both follow from the variance of what would be averaged, per round of traffic, at the difference to detect.
A comparison is one test at the end, two-sided; a canary may be looked at after every session, and
declares the new policy better once the money of its bets has grown to 1 / alpha (one-sided). They know
nothing of logs, arms or prices; `p402.evaluation.rehearsal` plays the same.

Variances per round, for reward variance s2, of which a model explains a share (m2 = s2 * (1 - explained), or
s2 + mean**2 for plain IPS), P(judged) j, intra-session correlation r, and m rounds in a round's session:

- paired, the policy on trial moving a share `moved` of rounds from an arm of probability p0 to one of p1:
  moved * m2 * (1/p1 + 1/p0) / j + moved**2 * (m - 1) * 2 * r * s2. What a session adds to both arms alike
  cancels; what it adds to each is taken to be independent, and so adds twice.
- canary with a share c of sessions: (m2 / j + (m - 1) * r * s2) * (1/c + 1/(1 - c)), and what the
  difference d itself varies by, as only some sessions have it: d**2 * ((1/j + m - 1) / c - m).

Sources: Dudik, Langford and Li, ICML 2011 (DR's variance); Kish, Survey Sampling, 1965 (the design
effect); of the canary's money, `p402.evaluation.crossing`.
"""

from dataclasses import dataclass
from math import ceil, inf
from statistics import NormalDist
from typing import Final, Literal

from p402.evaluation.crossing import crossing_chance

MIN_ROWS: Final = 100
"""Judged rows on the arm on trial, below which no verdict should rest on an estimate: see the gate."""

MOST_ROUNDS: Final = 10**12
"""More rounds than this is no plan."""

Estimator = Literal["dr", "ips"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What comes in.

    Attributes
    ----------
    per_day
        Rounds a day, above 0.
    session_rounds
        Rounds in the session of the mean round, sum m**2 / sum m; at least 1.
    icc
        Correlation of rewards within a session, in [0, 1].
    mean, variance
        Of a round's reward in [0, 1]; the variance is above 0, and at most mean * (1 - mean).
    judged
        Probability that a round's reward is ever observed, in (0, 1].

    Raises
    ------
    ValueError
        A value is out of range.
    """

    per_day: float
    session_rounds: float
    icc: float
    mean: float
    variance: float
    judged: float

    def __post_init__(self) -> None:
        _within("per_day", self.per_day, 0.0, inf, "rounds a day above 0")
        _within("session_rounds", self.session_rounds, 1.0, inf, "1 or more rounds", closed=True)
        _within("icc", self.icc, 0.0, 1.0, "a correlation in [0, 1]", closed=True)
        _within("mean", self.mean, 0.0, 1.0, "a mean reward in [0, 1]", closed=True)
        _within("judged", self.judged, 0.0, 1.0, "a probability in (0, 1]")
        _within("variance", self.variance, 0.0, 0.25, "the variance of a reward in [0, 1]: (0, 0.25]")


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found out.

    Attributes
    ----------
    detect
        Difference of mean rewards that must not be missed, in (0, 1).
    alpha
        Chance of seeing a difference where there is none, in (0, 1).
    power
        Chance of seeing one that is there, in [0.5, 1).
    explained
        Share of the reward's variance that a model of it explains, in [0, 1): what DR takes out.
    moved
        Share of rounds that the policy on trial answers by another arm, in (0, 1].

    Raises
    ------
    ValueError
        A value is out of range.
    """

    detect: float
    alpha: float = 0.05
    power: float = 0.8
    explained: float = 0.0
    moved: float = 1.0

    def __post_init__(self) -> None:
        _within("detect", self.detect, 0.0, 1.0, "a difference in (0, 1), such as 0.03", below=True)
        _within("alpha", self.alpha, 0.0, 1.0, "an error rate in (0, 1), such as 0.05", below=True)
        _within("power", self.power, 0.5, 1.0, "a power in [0.5, 1), such as 0.8", closed=True, below=True)
        _within("explained", self.explained, 0.0, 1.0, "a share in [0, 1)", closed=True, below=True)
        _within("moved", self.moved, 0.0, 1.0, "a share in (0, 1]")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a paired comparison of two policies on explored traffic needs.

    Attributes
    ----------
    trial, incumbent
        Probability that exploration gives the arm on trial, and the one that it is compared with.
    variance
        Of a round's contribution to the difference.
    rounds
        Rounds of traffic, all of them explored like that.
    rows
        Judged rows on the arm on trial among them.
    held_by_support
        Whether `MIN_ROWS` asks for more rounds than the power does.
    days
        At the traffic's rate.
    """

    estimator: Estimator
    trial: float
    incumbent: float
    variance: float
    rounds: int
    rows: float
    held_by_support: bool
    days: float


@dataclass(frozen=True, slots=True)
class Canary:
    """What a session canary with a betting e-process needs.

    Attributes
    ----------
    share
        Of sessions that get the new policy.
    variance
        Of a round's contribution to the difference.
    rounds, days
        Of all traffic until it has declared the new policy better with the power that was asked for.
    median_rounds, median_days
        Until it has with even chance.
    """

    share: float
    variance: float
    rounds: int
    days: float
    median_rounds: int
    median_days: float


def compare(
    traffic: Traffic, question: Question, exploration: float, arms: float, estimator: Estimator = "dr"
) -> Comparison:
    """Size a paired comparison, new minus current, on traffic that is explored at a rate.

    n = (z(1 - alpha / 2) + z(power))**2 * V / detect**2; at least `MIN_ROWS` judged rows on the arm on trial.

    Parameters
    ----------
    exploration
        Probability that a round is not answered by the incumbent, in (0, 1).
    arms
        Arms that share it evenly, 1 or more; one of them is on trial.

    Raises
    ------
    ValueError
        A value is out of range, or no number of rounds is enough.
    """
    _within("exploration", exploration, 0.0, 1.0, "a share in (0, 1), such as 0.05", below=True)
    _within("arms", arms, 1.0, inf, "1 or more explored arms", closed=True)
    trial, incumbent = exploration / arms, 1.0 - exploration
    moment = _moment(traffic, question, estimator)
    variance = question.moved * moment * (1.0 / trial + 1.0 / incumbent) / traffic.judged
    variance += question.moved**2 * (traffic.session_rounds - 1.0) * 2.0 * traffic.icc * traffic.variance
    reach = _z(1.0 - question.alpha / 2.0) + _z(question.power)
    by_power = reach * reach * variance / question.detect**2
    row_rate = trial * question.moved * traffic.judged
    rounds = _whole(max(by_power, MIN_ROWS / row_rate))
    return Comparison(
        estimator=estimator,
        trial=trial,
        incumbent=incumbent,
        variance=variance,
        rounds=rounds,
        rows=rounds * row_rate,
        held_by_support=by_power < MIN_ROWS / row_rate,
        days=rounds / traffic.per_day,
    )


def canary(traffic: Traffic, question: Question, share: float) -> Canary:
    """Size a session canary whose rewards are centred by what is believed of them.

    The money of the bets is taken at normal sums: see `p402.evaluation.crossing`. It may be looked at after
    every session, and the new policy declared better the first time that it has made 1 / alpha.

    Raises
    ------
    ValueError
        A value is out of range, or no number of rounds is enough.
    """
    _within("share", share, 0.0, 1.0, "a share of sessions in (0, 1), such as 0.1", below=True)
    variance = canary_variance(traffic, question, share)
    bound = bet_bound(traffic, share)
    rounds = _rounds_to_bet(variance, bound, question, question.power)
    median = _rounds_to_bet(variance, bound, question, 0.5)
    return Canary(share, variance, rounds, rounds / traffic.per_day, median, median / traffic.per_day)


def canary_variance(traffic: Traffic, question: Question, share: float) -> float:
    """Variance of a round's contribution to a canary's difference: see the module."""
    own = traffic.variance * (1.0 - question.explained) / traffic.judged
    more = traffic.session_rounds - 1.0
    shared = more * traffic.icc * traffic.variance
    effect = question.detect**2 * ((1.0 / traffic.judged + more) / share - traffic.session_rounds)
    return (own + shared) * (1.0 / share + 1.0 / (1.0 - share)) + effect


def bet_bound(traffic: Traffic, share: float) -> float:
    """Most that one session may take from the sum, in rounds: all of it judged, and all of it off by 1."""
    return traffic.session_rounds / (min(share, 1.0 - share) * traffic.judged)


def crossing_power(rounds: float, variance: float, bound: float, question: Question) -> float:
    """Chance that a canary has ever declared the difference within so many rounds."""
    return crossing_chance(rounds * variance, question.detect / variance, bound, question.alpha)


def _rounds_to_bet(variance: float, bound: float, question: Question, power: float) -> int:
    """Least rounds within which the money is there with this probability, by bisection."""

    def there(rounds: float) -> bool:
        return crossing_power(rounds, variance, bound, question) >= power

    low, high = 0.0, 1.0
    while not there(high):
        low, high = high, high * 2.0
        if high > MOST_ROUNDS:
            raise ValueError(
                f"a difference of {question.detect} needs more than {MOST_ROUNDS:,} rounds: expected one "
                "that can be found; detect a larger difference, or judge more rounds"
            )
    while high - low > max(1.0, 1e-6 * high) / 2.0:
        middle = (low + high) / 2.0
        low, high = (low, middle) if there(middle) else (middle, high)
    return ceil(high)


def _moment(traffic: Traffic, question: Question, estimator: Estimator) -> float:
    """Second moment of what is weighted: a residual for DR, the whole reward for IPS."""
    if estimator == "dr":
        return traffic.variance * (1.0 - question.explained)
    return traffic.variance + traffic.mean**2


def _z(probability: float) -> float:
    return NormalDist().inv_cdf(probability)


def _whole(rounds: float) -> int:
    if not rounds <= MOST_ROUNDS:
        raise ValueError(
            f"an answer needs {rounds:.3g} rounds: expected at most {MOST_ROUNDS:,}; detect a larger "
            "difference, explore more, or judge more rounds"
        )
    return ceil(rounds)


def _within(
    name: str,
    value: float,
    low: float,
    high: float,
    expected: str,
    *,
    closed: bool = False,
    below: bool = False,
) -> None:
    """Refuse a value outside (low, high]; `closed` takes low in, `below` leaves high out."""
    above_low = value >= low if closed else value > low
    if not (above_low and (value < high if below or high == inf else value <= high)):
        raise ValueError(f"{name} is {value}: expected {expected}")
