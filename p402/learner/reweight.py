"""Which weights balanced mode should have next hour, and whether the log is evidence for them.

One step, pure: evidence and current weights in, a proposal with its verdict out. Candidates within
one step are each compared with the current weights, paired, on the training sessions; the one with
the best pessimistic bound is compared again on holdout sessions, which chose nothing, at the error
rate this look may spend; then again without each tenant and source that could carry it. Anything
short of that stays. It knows no clock, no registry, and how probabilities follow from weights only
through the function it is given.

Weights are judged by the fixed objective of `reward`, not by the score they parametrise.

Sources: Dudik, Langford and Li, ICML 2011 (DR); Swaminathan and Joachims, JMLR 16, 2015 (pessimism).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from p402.evaluation.estimate import Estimate
from p402.evaluation.estimators import compare, evaluate
from p402.evaluation.gate import Check, Gate, LeftOut, Verdict, enough, judge, spent, verdict_of
from p402.evaluation.logged import BoolArray, FloatArray, IntArray, mixed, target_of
from p402.evaluation.reward_model import cross_fitted
from p402.learner.evidence import MAX_SHARE, Evidence, capped_weight
from p402.learner.left_out import without_each
from p402.learner.weights import LEAST, MOST, STEP, Weights, within_reach

ProbabilitiesOf = Callable[[Weights], FloatArray]
"""Probabilities that weights give in every round of the evidence, `(n, K)`, counts / 2**24."""

SALT: Final = 0x401D
"""Of the holdout: other bits of the session hash than the folds use."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How an hour's step is taken.

    Attributes
    ----------
    gate
        What a promotion must pass; its `alpha` is that of a month.
    look
        Number of this look since the start, 1 or more (`gate.spent`).
    step, least, most
        Of the weights, in units of 2**-20.
    holdout
        Share of sessions that choose nothing, in (0, 1).
    selection_alpha
        Two-sided error rate of the bound that candidates are ranked by; 0.0124 is 2.5 standard errors.
    folds, shrinkage
        Of the reward model.
    tenant_cap
        Most of the weight that one tenant may carry.
    left_out
        At most so many tenants, and so many sources, are left out in turn: those that add most.
    """

    gate: Gate = field(default_factory=Gate)
    look: int = 1
    step: int = STEP
    least: int = LEAST
    most: int = MOST
    holdout: float = 0.5
    selection_alpha: float = 0.0124
    folds: int = 5
    shrinkage: float = 10.0
    tenant_cap: float = MAX_SHARE
    left_out: int = 20

    def __post_init__(self) -> None:
        for name in ("holdout", "tenant_cap"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                raise ValueError(f"{name} is {value}: expected a share in (0, 1)")
        if not 1 <= self.step <= STEP:
            raise ValueError(f"step is {self.step}: expected within [1, {STEP}], at most 0.05 an hour")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Weights on trial and how they compared with the current ones on the training sessions."""

    weights: Weights
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Proposal:
    """The outcome of an hour.

    Attributes
    ----------
    current
        Weights the hour began with.
    candidate
        Best of the candidates, None if none was compared.
    weights
        What should be live next: the candidate's if promoted, else the current.
    verdict
        Promote or hold, with reasons and checks.
    candidates
        All that were compared on the training sessions.
    difference
        The candidate's comparison on the holdout, at this look's error rate.
    current_value, candidate_value
        Values of both on the holdout by every estimator, for the record.
    left_out
        The comparison without each witness; empty where there was no lead to carry.
    matured, quality_outcomes
        Rounds with a known reward and with a quality outcome.
    look, alpha
        Number of the look and the one-sided error rate it spent; 0 if nothing was compared.
    """

    current: Weights
    candidate: Weights | None
    weights: Weights
    verdict: Verdict
    candidates: tuple[Candidate, ...]
    difference: Estimate | None
    current_value: tuple[Estimate, ...]
    candidate_value: tuple[Estimate, ...]
    left_out: tuple[LeftOut, ...]
    matured: int
    quality_outcomes: int
    look: int
    alpha: float


@dataclass(frozen=True, slots=True)
class _Held:
    """What the holdout says of the best candidate; the fields are those of `Proposal`."""

    difference: Estimate
    current_value: tuple[Estimate, ...]
    candidate_value: tuple[Estimate, ...]
    left_out: tuple[LeftOut, ...]


def reweight(
    evidence: Evidence,
    current: Weights,
    probabilities_of: ProbabilitiesOf,
    settings: Settings | None = None,
) -> Proposal:
    """Propose next hour's weights, or stay.

    Parameters
    ----------
    evidence
        The window's rounds, unmatured ones included.
    current
        Weights live now.
    probabilities_of
        What weights would have done in each of those rounds; called once for the current weights, once per
        candidate and once more for the best, so that only two matrices live at a time.
    settings
        Thresholds and the look's number.

    Raises
    ------
    ValueError
        `probabilities_of` gave no probabilities for these rounds and arms.
    """
    settings = settings or Settings()
    gate = settings.gate
    alpha = spent(gate.alpha, settings.look)
    counted = enough(gate, matured=evidence.matured, quality_outcomes=evidence.quality_outcomes)
    held_out = holdout_of(evidence.batch.session, settings.holdout)
    trials = within_reach(current, settings.step, settings.least, settings.most)
    checks = [*counted, *_room(trials, held_out)]
    if not all(check.passed for check in checks):
        return _stay(evidence, current, verdict_of(checks), settings)

    now = target_of(evidence.batch, probabilities_of(current))
    candidates = _ranked(evidence.take(~held_out), ~held_out, now, trials, probabilities_of, settings)
    best = candidates[0].weights
    new = target_of(evidence.batch, probabilities_of(best))
    held = _held_out(evidence, held_out, now, new, alpha, settings)
    verdict = judge(
        gate,
        held.difference,
        matured=evidence.matured,
        quality_outcomes=evidence.quality_outcomes,
        left_out=held.left_out,
        tenants=len(np.unique(evidence.tenant)),
        sources=len(np.unique(evidence.source[evidence.judged])),
    )
    return Proposal(
        current=current,
        candidate=best,
        weights=best if verdict.action == "promote" else current,
        verdict=verdict,
        candidates=candidates,
        difference=held.difference,
        current_value=held.current_value,
        candidate_value=held.candidate_value,
        left_out=held.left_out,
        matured=evidence.matured,
        quality_outcomes=evidence.quality_outcomes,
        look=settings.look,
        alpha=alpha,
    )


def holdout_of(session: IntArray, share: float) -> BoolArray:
    """Which rows belong to holdout sessions, `(n,)`: by session hash, the same in every window."""
    return np.asarray(mixed(session, SALT) < np.uint64(int(share * 2.0**64)), dtype=np.bool_)


def _ranked(
    train: Evidence,
    rows: BoolArray,
    now: FloatArray,
    trials: Sequence[Weights],
    probabilities_of: ProbabilitiesOf,
    settings: Settings,
) -> tuple[Candidate, ...]:
    """Candidates by their pessimistic bound on the training sessions, best first; ties keep weight order."""
    model = cross_fitted(train.batch, folds=settings.folds, shrinkage=settings.shrinkage)
    weight = capped_weight(train, settings.tenant_cap)
    before = now[rows]
    compared = [
        Candidate(
            trial,
            compare(
                train.batch,
                probabilities_of(trial)[rows],
                before,
                model,
                alpha=settings.selection_alpha,
                row_weight=weight,
                limits=settings.gate.limits,
            ),
        )
        for trial in trials
    ]
    return tuple(sorted(compared, key=lambda c: c.difference.pessimistic, reverse=True))


def _held_out(
    evidence: Evidence, rows: BoolArray, now: FloatArray, new: FloatArray, alpha: float, settings: Settings
) -> _Held:
    """Compare the best candidate, `new`, with the current weights, `now`, on the holdout's rows.

    The model may learn from the training sessions as well; the holdout's own folds keep each row out.
    """
    model = cross_fitted(evidence.batch, folds=settings.folds, shrinkage=settings.shrinkage)[rows]
    test, before, after = evidence.take(rows), now[rows], new[rows]
    weight = capped_weight(test, settings.tenant_cap)
    limits = settings.gate.limits
    difference = compare(
        test.batch, after, before, model, alpha=2.0 * alpha, row_weight=weight, limits=limits
    )
    left_out: tuple[LeftOut, ...] = ()
    if difference.pessimistic > settings.gate.margin:  # else there is no lead that anyone could carry
        left_out = without_each(
            test,
            (before, after),
            alpha=2.0 * alpha,
            most=settings.left_out,
            cap=settings.tenant_cap,
            folds=settings.folds,
            shrinkage=settings.shrinkage,
            limits=limits,
        )
    values = [evaluate(test.batch, p, model, row_weight=weight, limits=limits) for p in (before, after)]
    return _Held(difference, values[0], values[1], left_out)


def _room(trials: Sequence[Weights], held_out: BoolArray) -> tuple[Check, ...]:
    """Whether there is anything to try, and rows on both sides of the split to try it on."""
    held = int(np.count_nonzero(held_out))
    smaller = min(held, held_out.shape[0] - held)
    return (
        Check("candidates", float(len(trials)), "at least 1", len(trials) >= 1, "no_candidate"),
        Check("smaller_split", float(smaller), "at least 1", smaller >= 1, "too_few_matured"),
    )


def _stay(evidence: Evidence, current: Weights, verdict: Verdict, settings: Settings) -> Proposal:
    return Proposal(
        current=current,
        candidate=None,
        weights=current,
        verdict=verdict,
        candidates=(),
        difference=None,
        current_value=(),
        candidate_value=(),
        left_out=(),
        matured=evidence.matured,
        quality_outcomes=evidence.quality_outcomes,
        look=settings.look,
        alpha=0.0,
    )
