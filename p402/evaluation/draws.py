"""Whether arms were drawn from the logged probabilities, over any number of rounds.

`diagnostics.sample_ratio` over statistics that can be merged: how often each arm was taken, how often it
should have been, and how often two arms were possible together. Probabilities are whole counts of 2**-24,
split into two halves of 12 bits, so every product and sum is a whole number below 2**53: exact in any
order, with or without BLAS, up to 2**27 rounds. Arms go by name, so chunks may have other ones.

Source: as `diagnostics`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from p402.evaluation.diagnostics import RatioTest, ratio_test
from p402.evaluation.logged import SCALE, IntArray, LoggedBatch, refuse, target_of

_HALF: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Arms as they were taken and as they should have been.

    Attributes
    ----------
    arms
        Names, ascending, of arms that were possible or taken.
    seen
        `(K,)`: rounds that took the arm.
    expected
        `(K,)`: sum of its probability times 2**24.
    pairs
        `(3, K, K)`: sums over rounds of the products of both arms' upper halves, of upper and lower
        (both ways round), and of lower halves.
    """

    arms: tuple[str, ...]
    seen: IntArray
    expected: IntArray
    pairs: IntArray

    @classmethod
    def none(cls) -> "Draws":
        """Of no rounds: neutral in `plus`."""
        return cls((), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((3, 0, 0), np.int64))

    @classmethod
    def of(cls, batch: LoggedBatch, logged_probs: ArrayLike, arms: tuple[str, ...]) -> "Draws":
        """Of one chunk of rounds.

        Parameters
        ----------
        batch
            The rounds.
        logged_probs
            `(n, K)`: the whole logged vectors, counts / 2**24.
        arms
            Names of the K columns.

        Raises
        ------
        ValueError
            No probabilities, or none that are whole counts; names that are not one a column.
        """
        probs = target_of(batch, logged_probs, "logged_probs")
        if len(set(arms)) != batch.n_arms:
            raise ValueError(f"{len(set(arms))} different arms: expected {batch.n_arms}, one a column")
        seen = np.bincount(batch.action, minlength=batch.n_arms)
        used = np.flatnonzero((probs > 0.0).any(axis=0) | (seen > 0))
        used = used[np.argsort(np.array([arms[k] for k in used.tolist()]), kind="stable")]
        counts = probs[:, used] * SCALE
        off = (counts != np.rint(counts)).any(axis=1)
        refuse("logged_probs", probs, off, "whole counts / 2**24", "pass what decide gives")
        upper = np.floor(counts / (1 << _HALF))
        lower = counts - upper * (1 << _HALF)
        across = upper.T @ lower
        products = (upper.T @ upper, across + across.T, lower.T @ lower)
        return cls(
            tuple(arms[k] for k in used.tolist()),
            seen[used].astype(np.int64),
            np.add.reduce(counts, axis=0).astype(np.int64),
            np.stack(products).astype(np.int64),
        )

    def plus(self, other: "Draws") -> "Draws":
        """Of both: associative and commutative to the bit."""
        arms = tuple(sorted({*self.arms, *other.arms}))
        ours, theirs = _over(self, arms), _over(other, arms)
        return Draws(
            arms, ours.seen + theirs.seen, ours.expected + theirs.expected, ours.pairs + theirs.pairs
        )

    def test(self) -> RatioTest:
        """The test over all rounds; `worst_arm` is an index into `arms`.

        Raises
        ------
        ValueError
            There are no rounds.
        """
        if not self.arms:
            raise ValueError("draws of no rounds: expected one or more")
        high, across, low = self.pairs.astype(np.float64)
        together = (high * 2.0**24 + across * 2.0**12 + low) * 2.0**-48
        expected = self.expected.astype(np.float64) / SCALE
        return ratio_test(self.seen.astype(np.float64), expected, together)


def _over(draws: Draws, arms: tuple[str, ...]) -> Draws:
    """The same draws over more arms."""
    if arms == draws.arms:
        return draws
    at = np.searchsorted(np.array(arms), np.array(draws.arms)) if draws.arms else np.zeros(0, np.int64)
    seen, expected = np.zeros((2, len(arms)), np.int64)
    pairs = np.zeros((3, len(arms), len(arms)), np.int64)
    seen[at], expected[at] = draws.seen, draws.expected
    for out, pair in zip(pairs, draws.pairs, strict=True):
        out[np.ix_(at, at)] = pair
    return Draws(arms, seen, expected, pairs)
