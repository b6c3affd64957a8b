"""What a policy that did not write the log would have earned on it.

Two front doors: `evaluate` for one policy, `compare` for the paired difference of two, which is what
a promotion rests on. It knows nothing of how rewards were made or policies computed.

Every estimate is of *the first arm's reward, given the logged session, cache and budget state*: what
another policy would have done to later rounds of a session, to the cache or to the budget is not in
it.

Sources: those of `fits`; the paired form is that of Bottou et al., JMLR 14, 2013.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from p402.evaluation.diagnostics import effective_size, gap_of, largest_share
from p402.evaluation.estimate import ESTIMAND, Estimate, Limits, warnings_of
from p402.evaluation.fits import NAMES, Fit, Name, dm, dr, ips, mean, sndr, snips
from p402.evaluation.intervals import check_alpha, clustered_stderr, normal
from p402.evaluation.logged import FloatArray, IntArray, LoggedBatch, matrix_of, real, refuse, target_of

ROUNDING: Final = 1e-12
"""Two estimates closer than this are equal: sums of 1e6 rows in [0, 1] err by less."""


def evaluate(
    batch: LoggedBatch,
    target_probs: ArrayLike,
    q_hat: ArrayLike | None = None,
    *,
    names: tuple[Name, ...] = NAMES,
    alpha: float = 0.05,
    row_weight: ArrayLike | None = None,
    limits: Limits | None = None,
) -> tuple[Estimate, ...]:
    """Value a policy on a log it did not write.

    Parameters
    ----------
    batch
        The logged rounds, unmatured ones included.
    target_probs
        `(n, K)`: the policy's probabilities, counts / 2**24.
    q_hat
        `(n, K)` modelled rewards, fitted without the row's own session (`reward_model.cross_fitted`);
        without it only `ips` and `snips` are given.
    names
        Which estimators, in which order.
    alpha
        Error rate of the two-sided interval.
    row_weight
        `(n,)`, 0 or more: how much each row counts, for capping one tenant's share.
    limits
        When an estimate warns that it should not be believed.

    Raises
    ------
    ValueError
        A matrix of the wrong shape, or rows that are no probabilities.
    """
    check_alpha(alpha)
    side = _Side.of(
        batch, target_of(batch, target_probs), _model_of(batch, q_hat), _share_of(batch, row_weight)
    )
    limits = limits or Limits()
    support = side.support(batch, limits)
    fits = {name: side.fit(name) for name in NAMES if side.can(name)}
    disagreement = _disagreement(fits["snips"], fits["dr"], batch.session) if "dr" in fits else 0.0
    return tuple(
        _estimate(name, fits[name], batch, support, disagreement, alpha, limits)
        for name in names
        if name in fits
    )


def compare(
    batch: LoggedBatch,
    new_probs: ArrayLike,
    current_probs: ArrayLike,
    q_hat: ArrayLike | None = None,
    *,
    alpha: float = 0.05,
    row_weight: ArrayLike | None = None,
    limits: Limits | None = None,
) -> Estimate:
    """Paired difference of two policies' values, new minus current: DR, or SNIPS without a model.

    Row by row, both are valued on the same round and subtracted, so that what they share cancels; the
    error is clustered by session. `ess` is the lower of the two policies', `n_changed` counts rows on
    actions that the new policy takes more often, `support_gap` is the probability that moved
    onto or off arms the log could not have taken: the bias is at most that.

    Parameters are as for `evaluate`; one-sided bounds have error rate alpha / 2 each.
    """
    check_alpha(alpha)
    limits = limits or Limits()
    model, share = _model_of(batch, q_hat), _share_of(batch, row_weight)
    new = _Side.of(batch, target_of(batch, new_probs, "new_probs"), model, share)
    current = _Side.of(batch, target_of(batch, current_probs, "current_probs"), model, share)
    by_snips = new.fit("snips").minus(current.fit("snips"))
    name: Name = "snips"
    fit, disagreement = by_snips, 0.0
    if model is not None:
        name = "dr"
        fit = new.fit("dr").minus(current.fit("dr"))
        disagreement = _disagreement(by_snips, fit, batch.session)
    moved = new.target - current.target
    gain = moved[np.arange(batch.n), batch.action]
    size = effective_size(new.weight), effective_size(current.weight)
    support = Support(
        ess=min(size),
        max_weight=float(np.max(np.abs(new.weight - current.weight))),
        n_changed=int(np.count_nonzero((gain > limits.change) & (batch.observed > 0.0))),
        gap=gap_of(batch, np.abs(moved)),
        differs=bool((np.abs(moved) > 0.0).any()),
    )
    return _estimate(f"{name}_difference", fit, batch, support, disagreement, alpha, limits)


@dataclass(frozen=True, slots=True)
class Support:
    """How much of the log speaks about a target: see the fields of `Estimate`."""

    ess: float
    max_weight: float
    n_changed: int
    gap: float
    differs: bool


@dataclass(frozen=True, slots=True)
class _Side:
    """One policy seen from the logged rounds."""

    target: FloatArray
    reward: FloatArray
    weight: FloatArray
    q_logged: FloatArray | None
    q_target: FloatArray | None
    share: FloatArray | None

    @classmethod
    def of(
        cls, batch: LoggedBatch, target: FloatArray, model: FloatArray | None, share: FloatArray | None
    ) -> "_Side":
        rows = np.arange(batch.n)
        weight = target[rows, batch.action] / batch.propensity * batch.observed
        q_logged = None if model is None else model[rows, batch.action]
        q_target = None if model is None else np.add.reduce(target * model, axis=1)
        return cls(target, batch.reward, weight, q_logged, q_target, share)

    def can(self, name: Name) -> bool:
        return name in ("ips", "snips") or self.q_target is not None

    def fit(self, name: Name) -> Fit:
        if name == "ips":
            return ips(self.reward, self.weight, self.share)
        if name == "snips":
            return snips(self.reward, self.weight, self.share)
        if self.q_logged is None or self.q_target is None:
            raise ValueError(f"{name} needs q_hat: found none; pass reward_model.cross_fitted(batch)")
        if name == "dm":
            return dm(self.q_target, self.share)
        robust = dr if name == "dr" else sndr
        return robust(self.reward, self.weight, self.q_logged, self.q_target, self.share)

    def support(self, batch: LoggedBatch, limits: Limits) -> Support:
        gain = self.target[np.arange(batch.n), batch.action] - batch.propensity
        return Support(
            ess=effective_size(self.weight),
            max_weight=float(np.max(self.weight)),
            n_changed=int(np.count_nonzero((gain > limits.change) & (batch.observed > 0.0))),
            gap=gap_of(batch, self.target),
            differs=bool((np.abs(gain) > limits.change).any()),
        )


def _estimate(
    name: str,
    fit: Fit,
    batch: LoggedBatch,
    support: Support,
    disagreement: float,
    alpha: float,
    limits: Limits,
) -> Estimate:
    stderr, sessions = clustered_stderr(fit.influence, batch.session)
    if np.isnan(fit.value):
        stderr = inf
    interval = normal(fit.value, stderr, sessions, alpha)
    share = largest_share(fit.correction) if name != "dm" else 1.0 / batch.n
    return Estimate(
        name=name,
        estimand=ESTIMAND,
        value=fit.value,
        stderr=stderr,
        lower=interval.lower,
        upper=interval.upper,
        method=f"{interval.method}, clustered by session, two-sided alpha {alpha:.3g}",
        ess=support.ess,
        max_weight=support.max_weight,
        max_share=share,
        n=batch.n,
        n_sessions=sessions,
        n_changed=support.n_changed,
        support_gap=support.gap,
        disagreement=disagreement,
        warnings=warnings_of(
            limits,
            name=name,
            ess=support.ess,
            max_share=share,
            support_gap=support.gap,
            n_changed=support.n_changed,
            differs=support.differs,
            disagreement=disagreement,
            n_sessions=sessions,
        ),
    )


def _disagreement(first: Fit, second: Fit, session: IntArray) -> float:
    """How many standard errors of their paired difference two estimates of one thing lie apart."""
    gap = abs(first.value - second.value)
    if np.isnan(gap):
        return inf
    stderr, _ = clustered_stderr(first.influence - second.influence, session)
    return 0.0 if gap <= ROUNDING else gap / max(stderr, ROUNDING)


def _model_of(batch: LoggedBatch, q_hat: ArrayLike | None) -> FloatArray | None:
    return None if q_hat is None else matrix_of(batch, q_hat, "q_hat")


def _share_of(batch: LoggedBatch, row_weight: ArrayLike | None) -> FloatArray | None:
    if row_weight is None:
        return None
    array = real("row_weight", row_weight)
    if array.shape != (batch.n,):
        raise ValueError(f"row_weight has shape {array.shape}: expected ({batch.n},); pass one a round")
    refuse("row_weight", array, ~((array >= 0.0) & np.isfinite(array)), "0 or more", "mend what computed it")
    average = mean(array)
    if average == 0.0:
        raise ValueError(
            "row_weight is 0 everywhere: expected a row that counts; leave it out to count all alike"
        )
    return array / average
