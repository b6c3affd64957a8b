"""What an estimate says about itself, so that it is not believed when it should not be.

A number with an interval is not evidence by itself: the interval is short exactly when few rows
carry the weight. So each estimate names its estimand and warns. It knows no estimator.
"""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from p402.evaluation.fits import TRADED

RewardOf = Literal["first_arm", "served"]
"""Whose the rewards are that a batch holds."""

ESTIMAND: Final = "first arm's reward, given the logged session, cache and budget state"

ESTIMANDS: Final[dict[RewardOf, str]] = {
    "first_arm": ESTIMAND,
    "served": "reward of what served after failover as logged, by the first arm chosen, given the logged "
    "session, cache and budget state",
}
"""What is estimated, by whose the rewards are. Failover is part of the second: only first choices differ."""

FEW_SESSIONS: Final = 30
"""Below this the clustered standard error is itself a guess (Cameron and Miller, JHR 50(2), 2015)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When an estimate warns; the thresholds are judgement, backed by the study named in the README.

    Attributes
    ----------
    min_ess
        Least effective number of rows.
    min_changed
        Least number of matured rows on actions the target takes more often than the other policy.
    min_ess_changed
        Least effective number of those rows.
    max_share
        Most that one row may carry of all that importance weights add, in `[0, 1]`.
    change
        How much more probable an action must become to count as changed: one exploration floor.
    max_disagreement
        Most standard errors by which SNIPS and DR may lie apart.
    max_imbalance
        How far the mean weight of one policy may lie from 1, which it is in expectation.
    max_moved_imbalance
        The same of a difference: how far the probability that weights say has moved may lie from what has,
        as a share of it.
    """

    min_ess: float = 200.0
    min_changed: int = 100
    min_ess_changed: float = 50.0
    max_share: float = 0.1
    change: float = 0.01
    max_disagreement: float = 2.0
    max_imbalance: float = 0.05
    max_moved_imbalance: float = 0.1


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its interval, and whether to believe them.

    Attributes
    ----------
    name
        One of `fits.ALL_NAMES`, or one of them with `_difference`.
    estimand
        What is estimated, in words.
    value, stderr, lower, upper
        In reward units; infinite bounds where nothing is known.
    method
        How the interval was found, with its degrees of freedom and error rate.
    ess
        Effective number of rows, (sum w)^2 / sum w^2; of the poorer policy in a difference.
    max_weight
        Largest importance weight, or largest absolute difference of two.
    max_share
        Largest share of one row in what the weights add, in `[0, 1]`.
    n, n_sessions
        Rows and sessions, unmatured ones included.
    n_changed
        Matured rows on actions that the target takes more often.
    support_gap
        Mean target probability (in a difference: probability moved) on arms the log could not take.
    disagreement
        How many standard errors SNIPS and DR lie apart; 0 without a model.
    warnings
        Why not to believe it, `code: what was seen; what was expected; what to do`.
    ess_changed
        Effective number of the rows in `n_changed`: fewer where a few of them carry the weight.
    imbalance
        How far the weights are from their known mean: |mean(w) - 1| of one policy; in a difference the
        probability that weights say has moved, against what has, as a share. Where rare, heavy rows were
        not seen, it is large, and nothing else in the log shows it.
    parameter
        Cap of `clipped_ips` and `switch_dr`, strength of `dros`; None elsewhere.
    """

    name: str
    estimand: str
    value: float
    stderr: float
    lower: float
    upper: float
    method: str
    ess: float
    max_weight: float
    max_share: float
    n: int
    n_sessions: int
    n_changed: int
    support_gap: float
    disagreement: float
    warnings: tuple[str, ...]
    ess_changed: float = inf
    imbalance: float = 0.0
    parameter: float | None = None

    @property
    def pessimistic(self) -> float:
        """Lower bound less the most that missing support can hide, as rewards lie in [0, 1]."""
        return self.lower - self.support_gap


def warnings_of(
    limits: Limits,
    *,
    name: str,
    ess: float,
    max_share: float,
    support_gap: float,
    n_changed: int,
    differs: bool,
    disagreement: float,
    n_sessions: int,
    ess_changed: float = inf,
    imbalance: float = 0.0,
    known: bool = True,
) -> tuple[str, ...]:
    """Everything that speaks against an estimate; empty when nothing does.

    `few_changed` and `imbalance` are what made the intervals printed without a warning cover in our
    study: README has the figures.
    """
    found: list[str] = []
    if not known:
        found.append(
            "no_propensity: the rounds have no propensities; expected those they were drawn with; this is "
            "what a model says and no evidence of cause"
        )
    estimator = name.removesuffix("_difference")
    most = limits.max_moved_imbalance if name != estimator else limits.max_imbalance
    if known and ess < limits.min_ess:
        found.append(
            f"low_ess: {ess:.1f} effective rows; expected at least {limits.min_ess:g}; use a longer window"
        )
    if max_share > limits.max_share:
        found.append(
            f"max_share: one row carries {max_share:.1%}; expected at most {limits.max_share:.0%}; "
            f"raise the exploration floor"
        )
    if support_gap > 0.0:
        found.append(
            f"support_gap: {support_gap:.3g} of the probability is on arms never logged; expected 0; "
            f"the value may be off by that much"
        )
    if differs and (n_changed < limits.min_changed or ess_changed < limits.min_ess_changed):
        found.append(
            f"few_changed: {n_changed} rows on actions taken more, worth {min(ess_changed, n_changed):.1f} "
            f"equal ones; expected at least {limits.min_changed}, worth {limits.min_ess_changed:g}; "
            f"the interval is too short"
        )
    if not imbalance <= most:
        found.append(
            f"imbalance: weights are {imbalance:.1%} off their known mean; expected at most {most:.0%}; "
            f"rare rows that matter are missing or over-represented, and the interval is too short"
        )
    if disagreement > limits.max_disagreement:
        found.append(
            f"disagreement: SNIPS and DR lie {disagreement:.1f} standard errors apart; expected at most "
            f"{limits.max_disagreement:g}; suspect the propensities"
        )
    if n_sessions < FEW_SESSIONS:
        found.append(
            f"few_sessions: {n_sessions} sessions; expected at least {FEW_SESSIONS}; use a longer window"
        )
    if estimator in TRADED:
        found.append(
            "traded_bias: the interval leaves out the bias that bent weights trade for variance; "
            "read dr instead"
        )
    if estimator == "dm":
        found.append("model_only: the interval leaves out the model's own error; read dr instead")
    return tuple(found)
