"""What any number of rounds says of two policies, as statistics that can be merged.

`evaluate` and `compare` hold every round at once. Here rounds are added chunk by chunk, on any number of
processes, and what is kept hangs on neither rounds nor sessions: sums by unit (a session, or a bucket of
sessions; see `units`), largest values, counts. Sums are exact (`exact`), so the same rounds give the same
bits however they were cut, grouped and ordered. `estimates` and `difference` make of them what `evaluate`
and `compare` make of the rounds, within rounding.

It works because every influence is linear in few columns once the value is known: with w the weight, e
the reward less the modelled one and q the modelled value of the policy, a unit's influence is

    ips  sum(w r) - V n         snips  (sum(w r) - V sum(w)) / mean(w)        dm  sum(q) - V n
    dr   sum(q) + sum(w e) - V n               sndr  sum(q) - V_dm n + (sum(w e) - lift sum(w)) / mean(w)

It knows nothing of how rewards were made or policies computed, and no row weights: `evaluate` has those.
"""

from dataclasses import dataclass
from math import inf, sqrt
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p402.evaluation.diagnostics import Calibration
from p402.evaluation.estimate import ESTIMAND, Estimate, Limits, warnings_of
from p402.evaluation.estimators import ROUNDING
from p402.evaluation.exact import LIMBS, settled, total, value_of
from p402.evaluation.fits import NAMES, Name
from p402.evaluation.intervals import check_alpha, normal
from p402.evaluation.logged import FloatArray, IntArray, LoggedBatch, matrix_of, target_of
from p402.evaluation.units import UNITS, Units

Side = Literal["new", "current"]

_SIDES: Final[dict[str, int]] = {"new": 0, "current": 1}
_ROWS, _SLACK = 0, 1  # columns of `Sums.units`: rounds, 1 / propensity less the number of possible arms
_WEIGHT, _WORTH, _MODEL, _ERROR = 2, 4, 6, 8  # of each side: w, w r, q, w e
_COLUMNS: Final = 10
_SQUARE, _OUTSIDE, _MOVED, _INVERSE, _ARMS, _SIZE = (
    0,
    2,
    4,
    5,
    6,
    7,
)  # of `Sums.totals`; sizes are of `_TERMS`
_TERMS: Final = 6
"""What importance weights multiply: w r of both sides and their difference, then w e likewise."""
_TOTALS: Final = _SIZE + _TERMS
_MOST: Final = 3 + _TERMS  # of `Sums.most`: w of both sides, their difference, then `_TERMS`
_CHANGED, _DIFFERS = 0, 3  # of `Sums.counts`: of both sides against the log, then of new against current


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Rounds, added up.

    Attributes
    ----------
    units
        By session or bucket: rounds, excess of 1 / propensity, and w, w r, q, w e of both policies.
    totals
        `(3, 13)` settled limbs: squared weights, probability outside support, sizes of corrections.
    most
        `(9,)`: largest weights and corrections.
    counts
        `(6,)`: rows on actions that are taken more often, and rows that differ at all.
    modelled
        There is a reward model, so that `dm`, `dr` and `sndr` can be had; None while there are no rounds.
    change
        As `Limits.change`: how much more probable an action must become to count as changed.
    """

    units: Units
    totals: IntArray
    most: FloatArray
    counts: IntArray
    modelled: bool | None
    change: float

    @classmethod
    def none(cls, *, most_units: int = UNITS, change: float = Limits().change) -> "Sums":
        """Of no rounds: neutral in `plus`."""
        return cls(
            Units.none(_COLUMNS, most_units),
            np.zeros((LIMBS, _TOTALS), np.int64),
            np.zeros(_MOST),
            np.zeros(6, np.int64),
            None,
            change,
        )

    @classmethod
    def of(
        cls,
        batch: LoggedBatch,
        new_probs: ArrayLike,
        current_probs: ArrayLike,
        q_hat: ArrayLike | None = None,
        *,
        most_units: int = UNITS,
        change: float = Limits().change,
    ) -> "Sums":
        """Of one chunk of rounds.

        Parameters
        ----------
        batch
            The rounds, unmatured ones included.
        new_probs, current_probs, q_hat
            `(n, K)`, as for `estimators.compare`. Arms may be other ones in another chunk, and those that
            neither policy ever takes may be left out: the bits are the same.
        most_units
            Most sessions that are told apart; with more there are as many buckets.
        change
            As `Limits.change`.

        Raises
        ------
        ValueError
            A matrix of the wrong shape, rows that are no probabilities, or more than 2**22 rounds.
        """
        sides = target_of(batch, new_probs, "new_probs"), target_of(batch, current_probs, "current_probs")
        model = None if q_hat is None else matrix_of(batch, q_hat, "q_hat")
        columns, terms = _columns(batch, sides, model)
        weight = columns[:, _WEIGHT : _WEIGHT + 2]
        moved = sides[0] - sides[1]
        outside = [_outside(batch, mass) for mass in (*sides, np.abs(moved))]
        arms = np.count_nonzero(batch.eligible, axis=1).astype(np.float64)
        totals = np.column_stack((weight * weight, *outside, 1.0 / batch.propensity, arms, np.abs(terms)))
        largest = np.column_stack((weight, np.abs(weight[:, 0] - weight[:, 1]), np.abs(terms)))
        return cls(
            Units.of(batch.session, columns, most_units),
            total(totals),
            np.max(largest, axis=0),
            _counts(batch, sides, moved, change),
            model is not None,
            change,
        )

    def plus(self, other: "Sums") -> "Sums":
        """Of both: associative and commutative to the bit.

        Raises
        ------
        ValueError
            One has a reward model and the other none, or they were made with other thresholds.
        """
        if self.change != other.change:
            raise ValueError(f"sums with change {self.change} and {other.change}; expected the same of both")
        if None not in (self.modelled, other.modelled) and self.modelled != other.modelled:
            raise ValueError(
                "sums with and without a reward model; expected q_hat for all chunks or for none"
            )
        return Sums(
            self.units.plus(other.units),
            settled(self.totals + other.totals),
            np.maximum(self.most, other.most),
            self.counts + other.counts,
            self.modelled if other.modelled is None else other.modelled,
            self.change,
        )

    @property
    def n(self) -> int:
        """Rounds."""
        return int(value_of(self.units.totals())[_ROWS])


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
    at = _SIDES[side]
    fits = {name: found.fit(name, at) for name in NAMES if sums.modelled or name in ("ips", "snips")}
    disagreement = found.disagreement(fits["snips"], fits["dr"]) if "dr" in fits else 0.0
    support = _Support(
        ess=found.effective_size(at),
        max_weight=float(sums.most[at]),
        n_changed=int(sums.counts[_CHANGED + at]),
        gap=float(found.totals[_OUTSIDE + at]) / found.n,
        differs=bool(sums.counts[_DIFFERS + at]),
    )
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
    support = _Support(
        ess=min(found.effective_size(0), found.effective_size(1)),
        max_weight=float(sums.most[2]),
        n_changed=int(sums.counts[_CHANGED + 2]),
        gap=float(found.totals[_MOVED]) / found.n,
        differs=bool(sums.counts[_DIFFERS + 2]),
    )
    return found.estimate(f"{name}_difference", fit, _term(name, 2), support, disagreement, alpha, limits)


def calibration(sums: Sums) -> Calibration:
    """What `diagnostics.propensity_calibration` says of the rounds.

    Raises
    ------
    ValueError
        There are no rounds.
    """
    found = _Found.of(sums)
    slack = found.sum(_SLACK) / found.n
    stderr = found.stderr(found.by_unit[:, _SLACK] - slack * found.by_unit[:, _ROWS])
    seen, expected = (float(found.totals[at]) / found.n for at in (_INVERSE, _ARMS))
    return Calibration(seen, expected, stderr, slack / stderr if stderr > 0.0 else 0.0)


@dataclass(frozen=True, slots=True)
class _Support:
    ess: float
    max_weight: float
    n_changed: int
    gap: float
    differs: bool


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
        n = int(over_all[_ROWS])
        if n == 0:
            raise ValueError("sums of no rounds: expected one or more; there is nothing to estimate from")
        return cls(sums, n, sums.units.values(), over_all, value_of(sums.totals))

    def sum(self, column: int) -> float:
        return float(self.over_all[column])

    def fit(self, name: Name, at: int) -> _Fit:
        units, n = self.by_unit, self.n
        rows, weight, worth, model, error = (
            units[:, column] for column in (_ROWS, _WEIGHT + at, _WORTH + at, _MODEL + at, _ERROR + at)
        )
        mean_weight = self.sum(_WEIGHT + at) / n
        match name:
            case "ips":
                value = self.sum(_WORTH + at) / n
                return _Fit(value, worth - value * rows)
            case "dm":
                value = self.sum(_MODEL + at) / n
                return _Fit(value, model - value * rows)
            case "dr":
                value = (self.sum(_MODEL + at) + self.sum(_ERROR + at)) / n
                return _Fit(value, model + error - value * rows)
            case _ if mean_weight == 0.0:
                return _Fit(np.nan, np.zeros_like(rows))
            case "snips":
                value = self.sum(_WORTH + at) / n / mean_weight
                return _Fit(value, (worth - value * weight) / mean_weight)
            case "sndr":
                base, lift = self.fit("dm", at), self.sum(_ERROR + at) / n / mean_weight
                return _Fit(base.value + lift, base.influence + (error - lift * weight) / mean_weight)
        raise ValueError(f"unknown estimator {name!r}; expected one of {', '.join(NAMES)}")

    def gap(self, name: Name) -> _Fit:
        new, current = self.fit(name, 0), self.fit(name, 1)
        return _Fit(new.value - current.value, new.influence - current.influence)

    def stderr(self, influence: FloatArray) -> float:
        groups = influence.shape[0]
        if groups < 2:
            return inf
        return sqrt(float(np.add.reduce(influence * influence)) * groups / (groups - 1)) / self.n

    def effective_size(self, at: int) -> float:
        weight, square = self.sum(_WEIGHT + at), float(self.totals[_SQUARE + at])
        return weight * weight / square if square > 0.0 else 0.0

    def largest_share(self, term: int | None) -> float:
        if term is None:
            return 1.0 / self.n
        size = float(self.totals[_SIZE + term])
        return float(self.sums.most[3 + term]) / size if size > 0.0 else 0.0

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
        support: _Support,
        disagreement: float,
        alpha: float,
        limits: Limits,
    ) -> Estimate:
        stderr = inf if np.isnan(fit.value) else self.stderr(fit.influence)
        groups = len(self.sums.units)
        interval, share = normal(fit.value, stderr, groups, alpha), self.largest_share(term)
        clusters = f"{groups} groups of sessions" if self.sums.units.bucketed else "session"
        return Estimate(
            name=name,
            estimand=ESTIMAND,
            value=fit.value,
            stderr=stderr,
            lower=interval.lower,
            upper=interval.upper,
            method=f"{interval.method}, clustered by {clusters}, two-sided alpha {alpha:.3g}",
            ess=support.ess,
            max_weight=support.max_weight,
            max_share=share,
            n=self.n,
            n_sessions=groups,
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
                n_sessions=groups,
            ),
        )


def _term(name: Name, at: int) -> int | None:
    """Index into `_TERMS` of what the weights of an estimator multiply; `dm` has none."""
    return None if name == "dm" else at + (0 if name in ("ips", "snips") else 3)


def _limits(sums: Sums, limits: Limits | None) -> Limits:
    limits = limits or Limits(change=sums.change)
    if limits.change != sums.change:
        raise ValueError(
            f"limits.change is {limits.change}: expected {sums.change}, which the sums were made with"
        )
    return limits


def _columns(
    batch: LoggedBatch, sides: tuple[FloatArray, FloatArray], model: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """`(n, 10)` columns of `Sums.units`, and `(n, 6)` of `_TERMS`."""
    rows = np.arange(batch.n)
    out = np.zeros((batch.n, _COLUMNS))
    inverse = 1.0 / batch.propensity
    out[:, _ROWS] = 1.0
    out[:, _SLACK] = inverse - np.count_nonzero(batch.eligible, axis=1)
    error = np.zeros(batch.n) if model is None else batch.reward - model[rows, batch.action]
    for at, probs in enumerate(sides):
        weight = probs[rows, batch.action] / batch.propensity * batch.observed
        out[:, _WEIGHT + at] = weight
        out[:, _WORTH + at] = weight * batch.reward
        out[:, _ERROR + at] = weight * error
        if model is not None:
            out[:, _MODEL + at] = _over_arms(probs * model)
    worth, errors = out[:, _WORTH : _WORTH + 2], out[:, _ERROR : _ERROR + 2]
    gaps = worth[:, 0] - worth[:, 1], errors[:, 0] - errors[:, 1]
    return out, np.column_stack((worth, gaps[0], errors, gaps[1]))


def _outside(batch: LoggedBatch, mass: FloatArray) -> FloatArray:
    """Mass of each row on arms that the log could not have taken."""
    return _over_arms(np.where(batch.eligible, 0.0, mass))


def _over_arms(cells: FloatArray) -> FloatArray:
    """Sum of each row, one arm after the other: arms that are 0 everywhere may be left out of the columns.

    Not by `np.add.reduce`, which groups the terms of a row by their number, and of a single row otherwise.
    """
    out = np.zeros(cells.shape[0])
    for arm in range(cells.shape[1]):
        out += cells[:, arm]
    return out


def _counts(
    batch: LoggedBatch, sides: tuple[FloatArray, FloatArray], moved: FloatArray, change: float
) -> IntArray:
    rows = np.arange(batch.n)
    known: NDArray[np.bool_] = batch.observed > 0.0
    gains = [side[rows, batch.action] - batch.propensity for side in sides]
    changed = [gain > change for gain in (*gains, moved[rows, batch.action])]
    differs = [(np.abs(gain) > change).any() for gain in gains]
    return np.array(
        [*(np.count_nonzero(c & known) for c in changed), *differs, (np.abs(moved) > 0.0).any()], np.int64
    )
