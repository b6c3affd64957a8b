"""An estimate in full, from its value, what each independent unit did to it, and what the log supports.

The one place where a fit becomes an `Estimate`, so that rounds held at once and rounds added up in pieces
say the same of themselves.
"""

from math import inf, isnan

from p402.evaluation.estimate import ESTIMANDS, Estimate, Limits, RewardOf, warnings_of
from p402.evaluation.intervals import freedom_of, normal, stderr_of
from p402.evaluation.logged import FloatArray
from p402.evaluation.support import Support


def stated(
    name: str,
    value: float,
    totals: FloatArray,
    n: int,
    support: Support,
    *,
    max_share: float,
    disagreement: float,
    alpha: float,
    limits: Limits,
    reward_of: RewardOf = "first_arm",
    bend: float | None = None,
    units: str = "session",
) -> Estimate:
    """The estimate with its interval and warnings.

    Parameters
    ----------
    name
        Of the estimator, with `_difference` for one.
    value
        nan where nothing is known.
    totals
        `(G,)`: sum of each independent unit's influence.
    n
        Rows.
    support
        What the weights say.
    max_share, disagreement
        As in `Estimate`.
    alpha
        Two-sided error rate.
    limits
        When to warn.
    reward_of
        Whose the rewards are.
    bend
        Cap or strength.
    units
        What a unit is, in words.
    """
    groups = totals.shape[0]
    stderr = inf if isnan(value) else stderr_of(totals, n)
    freedom = freedom_of(totals)
    interval = normal(value, stderr, freedom + 1, alpha)
    return Estimate(
        name=name,
        estimand=ESTIMANDS[reward_of],
        value=value,
        stderr=stderr,
        lower=interval.lower,
        upper=interval.upper,
        method=f"{interval.method}, clustered by {units}, t({freedom}), two-sided alpha {alpha:.3g}",
        ess=support.ess,
        max_weight=support.max_weight,
        max_share=max_share,
        n=n,
        n_sessions=groups,
        n_changed=support.n_changed,
        support_gap=support.gap,
        disagreement=disagreement,
        warnings=warnings_of(
            limits,
            name=name,
            ess=support.ess,
            max_share=max_share,
            support_gap=support.gap,
            n_changed=support.n_changed,
            differs=support.differs,
            disagreement=disagreement,
            n_sessions=groups,
            ess_changed=support.ess_changed,
            imbalance=support.imbalance,
            known=support.known,
        ),
        ess_changed=support.ess_changed,
        imbalance=support.imbalance,
        parameter=bend,
    )
