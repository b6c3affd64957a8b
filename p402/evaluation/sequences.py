"""An interval for a mean that may be looked at all day long: an asymptotic confidence sequence.

For dashboards. It holds at all times at once, in the limit of a late start: as approximate as the normal
interval is, but not made false by looking. Proof before acting is `eprocess`, which is exact. It knows no
clock. Frozen: `update` gives the next state, `merge` joins two streams; both keep six sums.

Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences", Annals of Statistics 52(6), 2024, proposition 2.5, and its appendix for rho.
"""

from dataclasses import dataclass, replace
from math import inf, log, sqrt

import numpy as np
from numpy.typing import ArrayLike

from p402.evaluation.intervals import Interval, by_session, check_alpha
from p402.evaluation.logged import FloatArray, IntArray, real


@dataclass(frozen=True, slots=True)
class AsymptoticSequence:
    """Running sums of independent units, each a total over some rows, and the interval they give.

    With mu = sum T / sum S over t units (T a session's total, S its rows) and
    v = sum (T - mu S)^2 / t / (mean S)^2:
    mu +- sqrt((t v rho^2 + 1) / (t^2 rho^2) * ln((t v rho^2 + 1) / alpha^2)).

    Attributes
    ----------
    alpha
        Chance that the interval is ever wrong, in the limit; both sides together.
    rho
        When it is tightest, see `rho_for`; to be chosen before looking.
    units
        Sessions seen, t.
    total, size, total_square, size_square, product
        Sums of T, S, T^2, S^2 and T S.
    """

    alpha: float = 0.05
    rho: float = 0.1
    units: int = 0
    total: float = 0.0
    size: float = 0.0
    total_square: float = 0.0
    size_square: float = 0.0
    product: float = 0.0

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if not 0.0 < self.rho < inf:
            raise ValueError(f"rho is {self.rho}: expected above 0 and finite; see rho_for")

    def update(self, totals: ArrayLike, sizes: ArrayLike | None = None) -> "AsymptoticSequence":
        """The state after more units.

        Parameters
        ----------
        totals
            `(m,)`: each unit's sum, any finite number.
        sizes
            `(m,)`: each unit's rows, above 0; 1 where left out.

        Raises
        ------
        ValueError
            Unequal lengths, or a number that is not finite.
        """
        t = np.atleast_1d(real("totals", totals))
        s = np.ones_like(t) if sizes is None else np.atleast_1d(real("sizes", sizes))
        if t.shape != s.shape or not (np.isfinite(t).all() and np.isfinite(s).all() and (s > 0.0).all()):
            raise ValueError(
                f"{t.shape} totals and {s.shape} sizes: expected as many finite totals as sizes above 0"
            )
        return replace(
            self,
            units=self.units + t.shape[0],
            total=self.total + float(np.add.reduce(t)),
            size=self.size + float(np.add.reduce(s)),
            total_square=self.total_square + float(np.add.reduce(t * t)),
            size_square=self.size_square + float(np.add.reduce(s * s)),
            product=self.product + float(np.add.reduce(t * s)),
        )

    def update_rows(self, values: FloatArray, session: IntArray) -> "AsymptoticSequence":
        """The state after more whole sessions, given row by row, `(n,)` each."""
        return self.update(*by_session(values, session))

    def merge(self, other: "AsymptoticSequence") -> "AsymptoticSequence":
        """Both streams as one; alpha and rho must be the same.

        Raises
        ------
        ValueError
            They are not: the joint interval would be neither's.
        """
        if (self.alpha, self.rho) != (other.alpha, other.rho):
            raise ValueError(
                f"alpha and rho are {(self.alpha, self.rho)} and {(other.alpha, other.rho)}: "
                f"expected the same of both"
            )
        return replace(
            self,
            units=self.units + other.units,
            total=self.total + other.total,
            size=self.size + other.size,
            total_square=self.total_square + other.total_square,
            size_square=self.size_square + other.size_square,
            product=self.product + other.product,
        )

    @property
    def value(self) -> float:
        """The mean over rows so far; nan before any."""
        return self.total / self.size if self.units else float("nan")

    @property
    def interval(self) -> Interval:
        """Where the mean is, at this and at every other time; everything before two units."""
        t = self.units
        if t < 2:
            return Interval(-inf, inf, "asymptotic_sequence")
        mu = self.value
        square = self.total_square - 2.0 * mu * self.product + mu * mu * self.size_square
        v = max(square, 0.0) / t / (self.size / t) ** 2
        r2 = self.rho * self.rho
        spread = t * v * r2 + 1.0
        reach = sqrt(spread / (t * t * r2) * log(spread / (self.alpha * self.alpha)))
        return Interval(mu - reach, mu + reach, "asymptotic_sequence")


def rho_for(units: int, spread: float, alpha: float = 0.05) -> float:
    """The rho that makes the interval about as tight as can be after so many units.

    rho = sqrt((-2 ln alpha + ln(-2 ln alpha + 1)) / (units * spread^2)).

    Parameters
    ----------
    units
        Sessions at which the decision is expected, 1 or more.
    spread
        Standard deviation of a unit, guessed beforehand, above 0.
    alpha
        As in `AsymptoticSequence`.

    Raises
    ------
    ValueError
        An argument out of range.
    """
    check_alpha(alpha)
    if units < 1 or not 0.0 < spread < inf:
        raise ValueError(
            f"units {units} and spread {spread}: expected 1 or more, and a finite number above 0"
        )
    lift = -2.0 * log(alpha)
    return sqrt((lift + log(lift + 1.0)) / (units * spread * spread))
