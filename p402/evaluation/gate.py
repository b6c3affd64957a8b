"""Whether a paired comparison is evidence enough to move.

Offline evidence cannot prove a takeover, so the gate asks two things: is the candidate not refuted
by a pessimistic bound, and does the log speak about it at all? Every check is kept with what was
seen and what was expected, passed or not: a hold without its reasons teaches nobody. It knows
nothing of weights, learners or publishing.

The thresholds are judgement, not measured optima; README gives the study behind them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import Final, Literal

from p402.evaluation.estimate import Estimate, Limits
from p402.evaluation.intervals import check_alpha

LOOKS_A_MONTH: Final = 720

_LOG_SERIES: Final = sum(1.0 / ((k + 1) * log(k + 1) ** 2) for k in range(1, LOOKS_A_MONTH + 1))


@dataclass(frozen=True, slots=True)
class Gate:
    """Thresholds of a promotion.

    Attributes
    ----------
    min_matured
        Least number of rounds whose reward is known.
    min_quality
        Least number of rounds with a quality outcome from outside.
    limits
        Least support of the comparison: effective rows, changed rows, largest share, disagreement.
    max_support_gap
        Most probability that may move on arms the log could not take; the bound already pays for it.
    margin
        What the pessimistic bound must exceed, in reward units.
    alpha
        Chance of one false promotion within 720 looks, split over them by `spent`.
    hold_when_alone
        Whether a verdict that rests on a single tenant or a single source is held for that alone.
    """

    min_matured: int = 1_000
    min_quality: int = 100
    limits: Limits = field(default_factory=Limits)
    max_support_gap: float = 0.01
    margin: float = 0.0
    alpha: float = 0.05
    hold_when_alone: bool = False

    def __post_init__(self) -> None:
        check_alpha(self.alpha)


@dataclass(frozen=True, slots=True)
class Check:
    """One question put to the evidence.

    Attributes
    ----------
    name
        What was looked at.
    seen
        Its value.
    expected
        What would pass, in words.
    passed
        Whether it did.
    reason
        Code that a failure adds to the verdict's reasons.
    """

    name: str
    seen: float
    expected: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The comparison again without one tenant or one source of rewards.

    Attributes
    ----------
    kind
        `tenant` or `source`.
    name
        Which one was left out.
    share
        Its share of the evidence, in `[0, 1]`.
    pessimistic
        Lower bound without it, at the same error rate.
    """

    kind: Literal["tenant", "source"]
    name: str
    share: float
    pessimistic: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, why, and every check behind it.

    Attributes
    ----------
    action
        `promote` or `hold`.
    reasons
        Codes: for a hold what failed, for a promotion `better`; `single_tenant` and `single_source`
        are said beside either.
    checks
        In the order they were made.
    """

    action: Literal["promote", "hold"]
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]


def spent(alpha: float, look: int, looks: int = LOOKS_A_MONTH) -> float:
    """Error rate that one look of a long sequence may use.

    Half of `alpha` is split evenly over a month's looks and half falls as 1 / ((k + 1) ln(k + 1)^2), so
    the first looks after a start are not starved and no look is: one-sided normal quantile 2.2 at the
    first, 3.8 at the 24th, 4.0 at the last. Over each month from the start the sum is `alpha`, so by
    Bonferroni the chance of a false promotion in it is at most that, however the windows overlap.
    Look 721 starts the next month.

    Parameters
    ----------
    alpha
        Error rate of a month.
    look
        Number of the look since the start, 1 or more: a missed hour spends nothing.
    looks
        Looks in a month.

    Raises
    ------
    ValueError
        `look` below 1, or `looks` outside `[1, 720]`.
    """
    check_alpha(alpha)
    if look < 1 or not 1 <= looks <= LOOKS_A_MONTH:
        raise ValueError(
            f"look {look} of {looks}: expected look 1 or more, looks in [1, {LOOKS_A_MONTH}]; count from 1"
        )
    k = (look - 1) % looks + 1
    return 0.5 * alpha * (1.0 / looks + 1.0 / ((k + 1) * log(k + 1) ** 2) / _LOG_SERIES)


def enough(gate: Gate, *, matured: int, quality_outcomes: int) -> tuple[Check, ...]:
    """Checks that need no comparison: whether there is anything to compare on."""
    return (
        _at_least("matured_rewards", matured, gate.min_matured, "too_few_matured"),
        _at_least("quality_outcomes", quality_outcomes, gate.min_quality, "no_quality_evidence"),
    )


def judge(
    gate: Gate,
    difference: Estimate,
    *,
    matured: int,
    quality_outcomes: int,
    left_out: Sequence[LeftOut] = (),
    tenants: int = 1,
    sources: int = 1,
) -> Verdict:
    """Promote, or hold with reasons.

    Parameters
    ----------
    gate
        The thresholds.
    difference
        Paired comparison on rows that chose nothing, its two-sided alpha twice what this look may spend.
    matured, quality_outcomes
        Rounds with a known reward, and with a quality outcome.
    left_out
        The comparison without each tenant and source that could carry it; each must still pass.
    tenants, sources
        How many of each the evidence has: with one, nothing can be left out, and the verdict says so.
    """
    limits = gate.limits
    checks = [
        *enough(gate, matured=matured, quality_outcomes=quality_outcomes),
        _at_least("effective_rows", difference.ess, limits.min_ess, "not_supported"),
        _at_least("changed_rows", difference.n_changed, limits.min_changed, "not_supported"),
        _at_most("largest_share", difference.max_share, limits.max_share, "not_supported"),
        _at_most("support_gap", difference.support_gap, gate.max_support_gap, "not_supported"),
        _at_most("disagreement", difference.disagreement, limits.max_disagreement, "estimators_disagree"),
        _above("pessimistic_difference", difference.pessimistic, gate.margin, "not_better"),
    ]
    checks += [
        _above(f"without_{out.kind}:{out.name}", out.pessimistic, gate.margin, "one_source_dominates")
        for out in left_out
    ]
    notes = []
    for count, kind in ((tenants, "tenant"), (sources, "source")):
        if count < 2:
            notes.append(f"single_{kind}")
            if gate.hold_when_alone:
                checks.append(_at_least(f"{kind}s", count, 2, f"single_{kind}"))
    return verdict_of(checks, notes)


def verdict_of(checks: Sequence[Check], notes: Sequence[str] = ()) -> Verdict:
    """Hold if any check failed, for the reasons of those that did; notes are said either way."""
    failed = tuple(dict.fromkeys(check.reason for check in checks if not check.passed))
    said = tuple(note for note in notes if note not in failed)
    if failed:
        return Verdict("hold", failed + said, tuple(checks))
    return Verdict("promote", ("better", *said), tuple(checks))


# Written so that nan fails each of them.
def _at_least(name: str, seen: float, least: float, reason: str) -> Check:
    return Check(name, float(seen), f"at least {least:g}", seen >= least, reason)


def _at_most(name: str, seen: float, most: float, reason: str) -> Check:
    return Check(name, float(seen), f"at most {most:g}", seen <= most, reason)


def _above(name: str, seen: float, bar: float, reason: str) -> Check:
    return Check(name, float(seen), f"above {bar:g}", seen > bar, reason)
