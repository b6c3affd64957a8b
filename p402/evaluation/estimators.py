"""What a policy that did not write the log would have earned on it.

Two front doors: `evaluate` for one policy, `compare` for the paired difference of two, which is what
a promotion rests on. It knows nothing of how rewards were made or policies computed.

Every estimate is of *the first arm's reward, given the logged session, cache and budget state* (or of what
served, where the batch's rewards are that: `estimate.ESTIMANDS`): what another policy would have done to
later rounds of a session, to the cache or to the budget is not in it.

Sources: those of `fits`; the paired form is that of Bottou et al., JMLR 14, 2013.
"""

from math import inf
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from p402.evaluation.diagnostics import largest_share
from p402.evaluation.estimate import Estimate, Limits, RewardOf
from p402.evaluation.fits import ALL_NAMES, NAMES, Fit, Name, mean
from p402.evaluation.intervals import by_session, check_alpha, clustered_stderr
from p402.evaluation.logged import FloatArray, IntArray, LoggedBatch, matrix_of, real, refuse, target_of
from p402.evaluation.side import Bends, Side
from p402.evaluation.stated import stated
from p402.evaluation.support import NO_WEIGHTS, Support, of_one, of_two

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
    q_mrdr: ArrayLike | None = None,
    bends: Bends | None = None,
    reward_of: RewardOf = "first_arm",
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
        without it only `ips`, `snips` and `clipped_ips` are given.
    names
        Which estimators, in which order: any of `fits.ALL_NAMES`.
    alpha
        Error rate of the two-sided interval.
    row_weight
        `(n,)`, 0 or more: how much each row counts, for capping one tenant's share.
    limits
        When an estimate warns that it should not be believed.
    q_mrdr
        `(n, K)` modelled rewards fitted with `reward_model.mrdr_weight` for this target; `mrdr` needs it.
    bends
        Caps and strength of the estimators of `traded`; chosen from the rows where not given.
    reward_of
        Whose the batch's rewards are, which names the estimand.

    Raises
    ------
    ValueError
        A matrix of the wrong shape, rows that are no probabilities, or a name that is no estimator.
    NoPropensity
        Propensities are null, as in imported rounds, and an estimator that needs them is asked for: only
        `names=("dm",)` is answered, from a model alone.
    """
    check_alpha(alpha)
    strange = [name for name in names if name not in ALL_NAMES]
    if strange:
        raise ValueError(f"names has {strange[0]!r}: expected some of {', '.join(ALL_NAMES)}")
    side = Side.of(
        batch,
        target_of(batch, target_probs),
        _model_of(batch, q_hat, "q_hat"),
        _share_of(batch, row_weight),
        _model_of(batch, q_mrdr, "q_mrdr"),
    )
    limits = limits or Limits()
    wanted = [name for name in names if side.can(name)]
    support, disagreement = NO_WEIGHTS, 0.0
    fits = {name: side.fit(name, bends) for name in wanted}
    if batch.known:
        support = of_one(side, limits.change)
        if side.can("dr"):
            by_snips, by_dr = (fits[name] if name in fits else side.fit(name) for name in ("snips", "dr"))
            disagreement = _disagreement(by_snips[0], by_dr[0], batch.session)
    return tuple(
        _estimate(name, fit, batch, support, disagreement, alpha, limits, reward_of, bend)
        for name, (fit, bend) in fits.items()
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
    reward_of: RewardOf = "first_arm",
    name: Name | None = None,
) -> Estimate:
    """Paired difference of two policies' values, new minus current: DR, or SNIPS without a model.

    Row by row, both are valued on the same round and subtracted, so that what they share cancels; the
    error is clustered by session. `ess` is the lower of the two policies', `n_changed` counts rows on
    actions that the new policy takes more often, `imbalance` is of the probability moved, `support_gap` is
    the probability that moved onto or off arms the log could not have taken: the bias is at most that.

    Parameters are as for `evaluate`; one-sided bounds have error rate alpha / 2 each. `name` asks for
    another of `fits.NAMES`: those of `traded` are no evidence of a difference, and are refused.
    """
    check_alpha(alpha)
    if name is not None and name not in NAMES:
        raise ValueError(f"name is {name!r}: expected one of {', '.join(NAMES)}")
    limits = limits or Limits()
    model, share = _model_of(batch, q_hat, "q_hat"), _share_of(batch, row_weight)
    new = Side.of(batch, target_of(batch, new_probs, "new_probs"), model, share)
    current = Side.of(batch, target_of(batch, current_probs, "current_probs"), model, share)
    by_snips = new.fit("snips")[0].minus(current.fit("snips")[0])
    name = name or ("snips" if model is None else "dr")
    fit = new.fit(name)[0].minus(current.fit(name)[0])
    disagreement = 0.0 if name in ("ips", "snips") else _disagreement(by_snips, fit, batch.session)
    support = of_two(new, current, limits.change)
    return _estimate(f"{name}_difference", fit, batch, support, disagreement, alpha, limits, reward_of)


def _estimate(
    name: str,
    fit: Fit,
    batch: LoggedBatch,
    support: Support,
    disagreement: float,
    alpha: float,
    limits: Limits,
    reward_of: RewardOf,
    bend: float | None = None,
) -> Estimate:
    totals, _ = by_session(fit.influence, batch.session)
    return stated(
        name,
        fit.value,
        totals,
        batch.n,
        support,
        max_share=largest_share(fit.correction) if name != "dm" else 1.0 / batch.n,
        disagreement=disagreement,
        alpha=alpha,
        limits=limits,
        reward_of=reward_of,
        bend=bend,
    )


def _disagreement(first: Fit, second: Fit, session: IntArray) -> float:
    """How many standard errors of their paired difference two estimates of one thing lie apart."""
    gap = abs(first.value - second.value)
    if np.isnan(gap):
        return inf
    stderr, _ = clustered_stderr(first.influence - second.influence, session)
    return 0.0 if gap <= ROUNDING else gap / max(stderr, ROUNDING)


def _model_of(batch: LoggedBatch, q_hat: ArrayLike | None, name: str) -> FloatArray | None:
    return None if q_hat is None else matrix_of(batch, q_hat, name)


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
