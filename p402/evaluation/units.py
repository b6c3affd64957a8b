"""Sums by session, whatever the number of sessions.

The unit of an error is what is independent: a session. Up to `UNITS` sessions each is its own unit. With
more, each falls by its hash into one of `UNITS` buckets, and a bucket is the unit: it is a union of
sessions, so buckets are as independent as sessions are, and only precision is lost. Which of the two it
is follows from the set of sessions alone, so it does not matter in which pieces they came.

What a bucket costs: the standard error is found from 16,384 units instead of from all sessions, so it is
itself known to about 1 / sqrt(2 * 16384), half a percent for tails like the normal's. It stays unbiased.

It knows nothing of what is summed. Source: as `intervals` for clusters.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from p402.evaluation.exact import LIMBS, MAX_ROWS, limbs_of, settled, value_of
from p402.evaluation.logged import FloatArray, IntArray, mixed

UNITS: Final = 1 << 14

SALT: Final = 0xB0CE7
"""Of the buckets: neither folds nor holdout follow from them."""


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Exact sums of columns by session or bucket.

    Attributes
    ----------
    key
        `(g,)` ascending: session hashes, or bucket numbers in `[0, most)`.
    limbs
        `(3, g, c)`: settled sums of c columns.
    most
        Most sessions that are told apart.
    bucketed
        Keys are buckets.
    """

    key: IntArray
    limbs: IntArray
    most: int
    bucketed: bool

    @classmethod
    def none(cls, columns: int, most: int = UNITS) -> "Units":
        """Of no rows."""
        if most < 2:
            raise ValueError(f"most is {most}: expected at least 2 units, or no spread can be known")
        return cls(np.zeros(0, np.int64), np.zeros((LIMBS, 0, columns), np.int64), most, bucketed=False)

    @classmethod
    def of(cls, session: IntArray, columns: FloatArray, most: int = UNITS) -> "Units":
        """Of n rows.

        Parameters
        ----------
        session
            `(n,)` hashes.
        columns
            `(n, c)`.

        Raises
        ------
        ValueError
            A value that cannot be added exactly, or more than `exact.MAX_ROWS` rows.
        """
        empty = cls.none(columns.shape[1], most)
        if session.shape[0] > MAX_ROWS:
            raise ValueError(f"{session.shape[0]} rows at once: expected at most {MAX_ROWS}; use chunks")
        if session.shape[0] == 0:
            return empty
        return _added(session, limbs_of(columns), most, bucketed=False)

    def plus(self, other: "Units") -> "Units":
        """Of both. Associative and commutative to the bit; `none` is neutral.

        Raises
        ------
        ValueError
            They hold other columns, or tell another number of sessions apart.
        """
        if self.limbs.shape[2] != other.limbs.shape[2] or self.most != other.most:
            raise ValueError(
                f"units of {self.limbs.shape[2]} columns and at most {self.most} sessions cannot join those "
                f"of {other.limbs.shape[2]} and {other.most}; expected the same of both"
            )
        bucketed = self.bucketed or other.bucketed
        ours, theirs = (each.in_buckets() if bucketed else each for each in (self, other))
        if np.array_equal(ours.key, theirs.key):  # as buckets mostly are
            return Units(ours.key, settled(ours.limbs + theirs.limbs), self.most, bucketed=bucketed)
        key = np.concatenate((ours.key, theirs.key))
        return _added(key, np.concatenate((ours.limbs, theirs.limbs), axis=1), self.most, bucketed=bucketed)

    def in_buckets(self) -> "Units":
        """The same sums by bucket."""
        if self.bucketed or self.key.shape[0] == 0:
            return Units(self.key, self.limbs, self.most, bucketed=True)
        return _added(_bucket(self.key, self.most), self.limbs, self.most, bucketed=True)

    def __len__(self) -> int:
        """Units that have rows."""
        return int(self.key.shape[0])

    def totals(self) -> IntArray:
        """Settled sums over all units, `(3, c)`."""
        return settled(np.add.reduce(self.limbs, axis=1))

    def values(self) -> FloatArray:
        """Sums as float64, `(g, c)`."""
        return value_of(self.limbs)


def _added(key: IntArray, limbs: IntArray, most: int, *, bucketed: bool) -> Units:
    """Rows of equal key added up; in buckets, once there are more than `most` keys."""
    found, index = np.unique(key, return_inverse=True)
    if not bucketed and found.shape[0] > most:
        return _added(_bucket(key, most), limbs, most, bucketed=True)
    if found.shape[0] == key.shape[0]:  # all different: only their order is to be found
        out = np.empty_like(limbs)
        out[:, index] = limbs
    else:
        order = np.argsort(index, kind="stable")
        starts = np.searchsorted(index[order], np.arange(found.shape[0]))
        out = np.stack([np.add.reduceat(limb[order], starts, axis=0) for limb in limbs])
    return Units(found, settled(out), most, bucketed=bucketed)


def _bucket(session: IntArray, most: int) -> IntArray:
    return (mixed(session, SALT) % np.uint64(most)).astype(np.int64)
