"""The experiments that `p402.evaluation.power` sizes, played with made-up rewards: does the size suffice.

Sessions of equal length with an effect of their own on each arm, rewards about their mean at two points
so that variance and correlation are those of the traffic, judged or not by chance. A comparison is the
paired IPS difference of residuals with its error clustered by session; a canary bets after every session
as `eprocess.BETS` say. Chance is the caller's generator. It knows nothing of logs or arms.

Source: the laws are those of `p402.evaluation.power`; Liang and Zeger, Biometrika 73(1), 1986 (clusters).
"""

from dataclasses import dataclass
from math import log, sqrt
from typing import Final

import numpy as np
from numpy.random import Generator  # noqa: TID251 -- the type of the caller's generator; none is made here

from p402.evaluation.eprocess import BETS
from p402.evaluation.intervals import clustered_stderr, student_quantile
from p402.evaluation.logged import FloatArray
from p402.evaluation.power import Canary, Comparison, Question, Traffic, bet_bound

BLOCK: Final = 1 << 14
"""Sessions bet on at once, which bounds memory."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """How often the answer came.

    Attributes
    ----------
    power
        Share of replicates that found the difference that was there.
    alarms
        Share that found one, for better or, where both sides are asked for, for worse, where there was none.
    replicates
        How many of each: a share's standard error is at most 0.5 / sqrt(replicates).
    """

    power: float
    alarms: float
    replicates: int


def comparison(
    traffic: Traffic, question: Question, sized: Comparison, chance: Generator, replicates: int = 200
) -> Rehearsed:
    """Play a paired comparison, by its two-sided interval clustered by session."""
    found = [_difference(traffic, question, sized, question.detect, chance) for _ in range(replicates)]
    none = [_difference(traffic, question, sized, 0.0, chance) for _ in range(replicates)]
    return Rehearsed(
        power=sum(side > 0 for side in found) / replicates,
        alarms=sum(side != 0 for side in none) / replicates,
        replicates=replicates,
    )


def canary(
    traffic: Traffic, question: Question, sized: Canary, chance: Generator, replicates: int = 200
) -> Rehearsed:
    """Play a canary: whether its money ever reached 1 / alpha."""
    found = [_crosses(traffic, question, sized, question.detect, chance) for _ in range(replicates)]
    none = [_crosses(traffic, question, sized, 0.0, chance) for _ in range(replicates)]
    return Rehearsed(sum(found) / replicates, sum(none) / replicates, replicates)


def _difference(
    traffic: Traffic, question: Question, sized: Comparison, effect: float, chance: Generator
) -> int:
    """The side on which an interval leaves 0, +1, -1, or 0 where it holds it."""
    sessions, size = _sessions(traffic, sized.rounds)
    shape = (sessions, size)
    moved = chance.random(shape) < question.moved
    drawn = chance.random(shape)
    trial, incumbent = drawn < sized.trial, drawn >= 1.0 - sized.incumbent
    judged = chance.random(shape) < traffic.judged
    on_trial = effect / question.moved + _noise(traffic, question, shape, chance)
    as_now = _noise(traffic, question, shape, chance)
    weight = moved * judged / traffic.judged
    paired = weight * (trial * on_trial / sized.trial - incumbent * as_now / sized.incumbent)
    values = np.ascontiguousarray(paired.reshape(-1))
    mean = float(np.add.reduce(values)) / len(values)
    stderr, groups = clustered_stderr(values - mean, np.repeat(np.arange(sessions), size))
    reach = student_quantile(1.0 - question.alpha / 2.0, groups - 1) * stderr
    return int(mean - reach > 0.0) - int(mean + reach < 0.0)


def _crosses(traffic: Traffic, question: Question, sized: Canary, effect: float, chance: Generator) -> bool:
    """Whether the money of the bets on a canary's sessions ever reaches 1 / alpha."""
    sessions, size = _sessions(traffic, sized.rounds)
    stakes = np.array(BETS) / bet_bound(traffic, sized.share)
    goal = log(len(BETS) / question.alpha)  # of the sum of the bets' money, of which each began with 1
    carried = np.zeros((1, len(BETS)))
    for start in range(0, sessions, BLOCK):
        shape = (min(BLOCK, sessions - start), size)
        inside = chance.random(shape[0]) < sized.share
        judged = chance.random(shape) < traffic.judged
        off = (_noise(traffic, question, shape, chance) + effect * inside[:, None]) * judged
        totals = np.add.reduce(off, axis=1) / traffic.judged
        signed = np.where(inside, 1.0 / sized.share, -1.0 / (1.0 - sized.share))
        money = carried + np.cumsum(np.log1p(np.outer(signed * totals, stakes)), axis=0)
        top = money.max(axis=1)
        if bool((top + np.log(np.add.reduce(np.exp(money - top[:, None]), axis=1)) >= goal).any()):
            return True
        carried = money[-1:]
    return False


def _sessions(traffic: Traffic, rounds: int) -> tuple[int, int]:
    """How many sessions of which size make so many rounds."""
    size = max(1, round(traffic.session_rounds))
    return max(2, -(-rounds // size)), size


def _noise(traffic: Traffic, question: Question, shape: tuple[int, int], chance: Generator) -> FloatArray:
    """Rewards about their mean: what the session adds, and the rest, each at two points.

    What a model explains is taken from the rest, as `power` has it.
    """
    own = traffic.variance * (1.0 - question.explained)
    shared = min(traffic.icc * traffic.variance, own) if shape[1] > 1 else 0.0
    signs = 1.0 - 2.0 * chance.integers(0, 2, size=shape)
    session = 1.0 - 2.0 * chance.integers(0, 2, size=(shape[0], 1))
    return sqrt(shared) * session + sqrt(own - shared) * signs
