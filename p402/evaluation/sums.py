"""What any number of rounds says of two policies, as statistics that can be merged.

`evaluate` and `compare` hold every round at once. Here rounds are added chunk by chunk, on any number of
processes, and what is kept hangs on neither rounds nor sessions: sums by unit (a session, or a bucket of
sessions; see `units`), largest values, counts. Sums are exact (`exact`), so the same rounds give the same
bits however they were cut, grouped and ordered. `summed` makes of them what `evaluate` and `compare` make
of the rounds.

With w the weight, e the reward less the modelled one and q the modelled value of the policy, sums of w, w r,
q and w e are all that the estimators need. It knows nothing of how rewards were made or policies computed,
and no row weights: `evaluate` has those.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from p402.evaluation.estimate import Limits
from p402.evaluation.exact import LIMBS, settled, total, value_of
from p402.evaluation.logged import FloatArray, IntArray, LoggedBatch, matrix_of, target_of
from p402.evaluation.units import UNITS, Units

ROWS, SLACK = 0, 1
WEIGHT, WORTH, MODEL, ERROR = 2, 4, 6, 8
"""Columns of `Sums.units`: rounds; 1 / propensity less the number of possible arms; then of each side w,
w r, q, w e."""
_COLUMNS: Final = 10

SQUARE, CHANGED_WEIGHT, CHANGED_SQUARE, OUTSIDE = 0, 2, 5, 8
"""Columns of `Sums.totals`: w^2 of both sides; then three each, of both sides and of what moved between them:
weight on actions that are taken more often, its square, probability outside support."""
ONTO, INVERSE, ARMS, SIZE = 11, 12, 13, 14
"""Probability moved onto arms, 1 / propensity, possible arms; then the sizes of `TERMS`."""

TERMS: Final = 6
"""What importance weights multiply: w r of both sides and their difference, then w e likewise."""
_TOTALS: Final = SIZE + TERMS

LARGEST_TERM: Final = 3
"""Of `Sums.most`: w of both sides and of their difference come first, then `TERMS`."""
_MOST: Final = LARGEST_TERM + TERMS

CHANGED, DIFFERS = 0, 3
"""Of `Sums.counts`: of both sides against the log, then of new against current."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Rounds, added up.

    Attributes
    ----------
    units
        By session or bucket: rounds, excess of 1 / propensity, and w, w r, q, w e of both policies.
    totals
        `(3, 20)` settled limbs: squared weights, weights on changed actions, probability outside support,
        sizes of corrections.
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
        weight = columns[:, WEIGHT : WEIGHT + 2]
        moved = sides[0] - sides[1]
        gains, changed = _changed(batch, sides, moved, change)
        onto = np.where(batch.eligible, np.maximum(moved, 0.0), 0.0)
        gained = onto[np.arange(batch.n), batch.action] / batch.propensity * batch.observed
        on_changed = np.column_stack((np.where(changed[:, :2], weight, 0.0), gained))
        outside = [_outside(batch, mass) for mass in (*sides, np.abs(moved))]
        arms = np.count_nonzero(batch.eligible, axis=1).astype(np.float64)
        totals = (weight * weight, on_changed, on_changed * on_changed, *outside, _over_arms(onto))
        known = (1.0 / batch.propensity, arms, np.abs(terms))
        differs = [bool((np.abs(gain) > change).any()) for gain in gains.T[:2]] + [bool((moved != 0.0).any())]
        largest = np.column_stack((weight, np.abs(weight[:, 0] - weight[:, 1]), np.abs(terms)))
        return cls(
            Units.of(batch.session, columns, most_units),
            total(np.column_stack((*totals, *known))),
            np.max(largest, axis=0),
            np.array([*(int(np.count_nonzero(column)) for column in changed.T), *differs], np.int64),
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
        return int(value_of(self.units.totals())[ROWS])


def _columns(
    batch: LoggedBatch, sides: tuple[FloatArray, FloatArray], model: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """`(n, 10)` columns of `Sums.units`, and `(n, 6)` of `TERMS`."""
    rows = np.arange(batch.n)
    out = np.zeros((batch.n, _COLUMNS))
    inverse = 1.0 / batch.propensity
    out[:, ROWS] = 1.0
    out[:, SLACK] = inverse - np.count_nonzero(batch.eligible, axis=1)
    error = np.zeros(batch.n) if model is None else batch.reward - model[rows, batch.action]
    for at, probs in enumerate(sides):
        weight = probs[rows, batch.action] / batch.propensity * batch.observed
        out[:, WEIGHT + at] = weight
        out[:, WORTH + at] = weight * batch.reward
        out[:, ERROR + at] = weight * error
        if model is not None:
            out[:, MODEL + at] = _over_arms(probs * model)
    worth, errors = out[:, WORTH : WORTH + 2], out[:, ERROR : ERROR + 2]
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


def _changed(
    batch: LoggedBatch, sides: tuple[FloatArray, FloatArray], moved: FloatArray, change: float
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """How much more often each round's action is taken than by the log, by both, and by new than by current.

    `(n, 3)` both: the gain, and whether it counts in a matured round.
    """
    rows = np.arange(batch.n)
    taken = [side[rows, batch.action] - batch.propensity for side in sides]
    gains = np.column_stack((*taken, moved[rows, batch.action]))
    return gains, (gains > change) & (batch.observed > 0.0)[:, None]
