"""What sums of rounds say: estimates, their difference, and whether propensities are calibrated.

What `estimators` and `diagnostics` say of rounds held at once, within rounding. It works because every
influence is linear in few sums once the value V is known: of a unit of n rows (`sums` has the letters)

    ips  sum(w r) - V n         snips  (sum(w r) - V sum(w)) / mean(w)        dm  sum(q) - V n
    dr   sum(q) + sum(w e) - V n               sndr  sum(q) - V_dm n + (sum(w e) - lift sum(w)) / mean(w)

It knows no rounds.
"""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal

import numpy as np

from p402.evaluation.diagnostics import Calibration
from p402.evaluation.estimate import Estimate, Limits
from p402.evaluation.estimators import ROUNDING
from p402.evaluation.exact import value_of
from p402.evaluation.fits import NAMES, Name
from p402.evaluation.intervals import check_alpha, stderr_of
from p402.evaluation.logged import FloatArray
from p402.evaluation.stated import stated
from p402.evaluation.sums import (
    ARMS,
    CHANGED,
    CHANGED_SQUARE,
    CHANGED_WEIGHT,
    DIFFERS,
    ERROR,
    INVERSE,
    LARGEST_TERM,
    MODEL,
    ONTO,
    OUTSIDE,
    ROWS,
    SIZE,
    SLACK,
    SQUARE,
    WEIGHT,
    WORTH,
    Sums,
)
from p402.evaluation.support import Support

Side = Literal["new", "current"]

SIDES: Final[dict[str, int]] = {"new": 0, "current": 1}


def estimates(
    sums: Sums,
    side: Side = "new",
    *,
    names: tuple[Name, ...] = NAMES,
    alpha: float = 0.05,
    limits: Limits | None = None,
) -> tuple[Estimate, ...]:
    """What `estimators.evaluate` says of one of the two policies.

    Raises
    ------
    ValueError
        There are no rounds, or `limits.change` is not what the sums were made with.
    """
    found, limits = _Found.of(sums), _limits(sums, limits)
    check_alpha(alpha)
    at = SIDES[side]
    fits = {name: found.fit(name, at) for name in NAMES if sums.modelled or name in ("ips", "snips")}
    disagreement = found.disagreement(fits["snips"], fits["dr"]) if "dr" in fits else 0.0
    support = found.support(at)
    return tuple(
        found.estimate(name, fits[name], _term(name, at), support, disagreement, alpha, limits)
        for name in names
        if name in fits
    )


def difference(
    sums: Sums, *, name: Name | None = None, alpha: float = 0.05, limits: Limits | None = None
) -> Estimate:
    """What `estimators.compare` says of the two policies, new less current.

    Parameters
    ----------
    name
        Which estimator; as `compare` has it, DR where there is a model and else SNIPS.

    Raises
    ------
    ValueError
        As `estimates`, or the estimator needs a model and there is none.
    """
    found, limits = _Found.of(sums), _limits(sums, limits)
    check_alpha(alpha)
    name = name or ("dr" if sums.modelled else "snips")
    if name not in ("ips", "snips") and not sums.modelled:
        raise ValueError(f"{name} needs q_hat: found sums without; pass it to Sums.of")
    fit, by_snips = found.gap(name), found.gap("snips")
    disagreement = 0.0 if name in ("ips", "snips") else found.disagreement(by_snips, fit)
    support = found.support_of_two()
    return found.estimate(f"{name}_difference", fit, _term(name, 2), support, disagreement, alpha, limits)


def calibration(sums: Sums) -> Calibration:
    """What `diagnostics.propensity_calibration` says of the rounds.

    Raises
    ------
    ValueError
        There are no rounds.
    """
    found = _Found.of(sums)
    slack = found.sum(SLACK) / found.n
    stderr = found.stderr(found.by_unit[:, SLACK] - slack * found.by_unit[:, ROWS])
    seen, expected = (float(found.totals[at]) / found.n for at in (INVERSE, ARMS))
    return Calibration(seen, expected, stderr, slack / stderr if stderr > 0.0 else 0.0)


@dataclass(frozen=True, slots=True)
class _Fit:
    """A value, and each unit's influence: how far it moves the value, times n."""

    value: float
    influence: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Sums as float64."""

    sums: Sums
    n: int
    by_unit: FloatArray
    over_all: FloatArray
    totals: FloatArray

    @classmethod
    def of(cls, sums: Sums) -> "_Found":
        over_all = value_of(sums.units.totals())
        n = int(over_all[ROWS])
        if n == 0:
            raise ValueError("sums of no rounds: expected one or more; there is nothing to estimate from")
        return cls(sums, n, sums.units.values(), over_all, value_of(sums.totals))

    def sum(self, column: int) -> float:
        return float(self.over_all[column])

    def fit(self, name: Name, at: int) -> _Fit:
        units, n = self.by_unit, self.n
        rows, weight, worth, model, error = (
            units[:, column] for column in (ROWS, WEIGHT + at, WORTH + at, MODEL + at, ERROR + at)
        )
        mean_weight = self.sum(WEIGHT + at) / n
        match name:
            case "ips":
                value = self.sum(WORTH + at) / n
                return _Fit(value, worth - value * rows)
            case "dm":
                value = self.sum(MODEL + at) / n
                return _Fit(value, model - value * rows)
            case "dr":
                value = (self.sum(MODEL + at) + self.sum(ERROR + at)) / n
                return _Fit(value, model + error - value * rows)
            case _ if mean_weight == 0.0:
                return _Fit(np.nan, np.zeros_like(rows))
            case "snips":
                value = self.sum(WORTH + at) / n / mean_weight
                return _Fit(value, (worth - value * weight) / mean_weight)
            case "sndr":
                base, lift = self.fit("dm", at), self.sum(ERROR + at) / n / mean_weight
                return _Fit(base.value + lift, base.influence + (error - lift * weight) / mean_weight)
        raise ValueError(f"unknown estimator {name!r}; expected one of {', '.join(NAMES)}")

    def gap(self, name: Name) -> _Fit:
        new, current = self.fit(name, 0), self.fit(name, 1)
        return _Fit(new.value - current.value, new.influence - current.influence)

    def stderr(self, influence: FloatArray) -> float:
        return stderr_of(influence, self.n)

    def support(self, at: int) -> Support:
        reached = 1.0 - float(self.totals[OUTSIDE + at]) / self.n
        return Support(
            ess=_effective(self.sum(WEIGHT + at), float(self.totals[SQUARE + at])),
            max_weight=float(self.sums.most[at]),
            n_changed=int(self.sums.counts[CHANGED + at]),
            gap=float(self.totals[OUTSIDE + at]) / self.n,
            differs=bool(self.sums.counts[DIFFERS + at]),
            ess_changed=self._ess_changed(at),
            imbalance=abs(self.sum(WEIGHT + at) / self.n - reached),
        )

    def support_of_two(self) -> Support:
        mass, seen = (float(self.totals[at]) / self.n for at in (ONTO, CHANGED_WEIGHT + 2))
        return Support(
            ess=min(self.support(0).ess, self.support(1).ess),
            max_weight=float(self.sums.most[2]),
            n_changed=int(self.sums.counts[CHANGED + 2]),
            gap=float(self.totals[OUTSIDE + 2]) / self.n,
            differs=bool(self.sums.counts[DIFFERS + 2]),
            ess_changed=self._ess_changed(2),
            imbalance=abs(seen - mass) / mass if mass > 0.0 else 0.0,
        )

    def _ess_changed(self, at: int) -> float:
        return _effective(float(self.totals[CHANGED_WEIGHT + at]), float(self.totals[CHANGED_SQUARE + at]))

    def largest_share(self, term: int | None) -> float:
        if term is None:
            return 1.0 / self.n
        size = float(self.totals[SIZE + term])
        return float(self.sums.most[LARGEST_TERM + term]) / size if size > 0.0 else 0.0

    def disagreement(self, first: _Fit, second: _Fit) -> float:
        gap = abs(first.value - second.value)
        if np.isnan(gap):
            return inf
        stderr = self.stderr(first.influence - second.influence)
        return 0.0 if gap <= ROUNDING else gap / max(stderr, ROUNDING)

    def estimate(
        self,
        name: str,
        fit: _Fit,
        term: int | None,
        support: Support,
        disagreement: float,
        alpha: float,
        limits: Limits,
    ) -> Estimate:
        units = f"{len(self.sums.units)} groups of sessions" if self.sums.units.bucketed else "session"
        return stated(
            name,
            fit.value,
            fit.influence,
            self.n,
            support,
            max_share=self.largest_share(term),
            disagreement=disagreement,
            alpha=alpha,
            limits=limits,
            units=units,
        )


def _effective(total: float, square: float) -> float:
    """(sum w)^2 / sum w^2, 0 if all are 0."""
    return total * total / square if square > 0.0 else 0.0


def _term(name: Name, at: int) -> int | None:
    """Index into `TERMS` of what the weights of an estimator multiply; `dm` has none."""
    return None if name == "dm" else at + (0 if name in ("ips", "snips") else 3)


def _limits(sums: Sums, limits: Limits | None) -> Limits:
    limits = limits or Limits(change=sums.change)
    if limits.change != sums.change:
        raise ValueError(
            f"limits.change is {limits.change}: expected {sums.change}, which the sums were made with"
        )
    return limits
