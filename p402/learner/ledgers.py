"""Evidence on arms, in one ledger for each arm and level of its provider that it was heard under.

Sums that can be added to, scaled and merged. It knows no prior and no time.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from p402.learner.joint import Evidence

Float = NDArray[np.float64]
Int = NDArray[np.int64]


class Ledgers:
    """Sums over words beyond the prior.

    Attributes
    ----------
    precision, residual
        (L, D, D) and (L, D), as of `p402.learner.joint.Evidence`.
    """

    def __init__(self, d: int) -> None:
        self.precision = np.zeros((0, d, d))
        self.residual = np.zeros((0, d))
        self._keys: list[tuple[int, int]] = []
        self._place: dict[tuple[int, int], int] = {}

    def find(self, arm: int, level: int) -> int | None:
        """The ledger of an arm, by its index, and of a level, by its id."""
        return self._place.get((arm, level))

    def open(self, arm: int, level: int) -> int:
        """That ledger, begun where there is none."""
        found = self._place.get((arm, level))
        if found is not None:
            return found
        d = self.residual.shape[1]
        self.precision = np.concatenate([self.precision, np.zeros((1, d, d))])
        self.residual = np.concatenate([self.residual, np.zeros((1, d))])
        self._place[arm, level] = len(self._keys)
        self._keys.append((arm, level))
        return len(self._keys) - 1

    def merge(self, gone: int, stays: int) -> None:
        """Take what was heard under one level for heard under another."""
        for i, (arm, level) in enumerate(list(self._keys)):
            if level == gone:
                place = self.open(arm, stays)
                self.precision[place] += self.precision[i]
                self.residual[place] += self.residual[i]
        self._keep([i for i, (_, level) in enumerate(self._keys) if level != gone])

    def scale(self, arms: Int, rho: float) -> None:
        """Keep a share of what was heard of some arms."""
        rows = np.flatnonzero(np.isin([arm for arm, _ in self._keys], arms))
        self.precision[rows] *= rho
        self.residual[rows] *= rho

    def add(self, ledger: int, features: Float, residual: Float, weight: Float) -> None:
        """Add words, (n, D), (n,) quality beyond the prior mean, and (n,) precision."""
        weighted = features * weight[:, None]
        self.precision[ledger] += np.einsum("nd,ne->de", features, weighted)
        self.residual[ledger] += np.einsum("n,nd->d", residual, weighted)

    def moved(self, arm: dict[int, int], shift: Float) -> Self:
        """The same under other indices of arms, and prior means that are so much lower, (K, D) by old index.

        Ledgers of arms that have no new index go.
        """
        other = type(self)(self.residual.shape[1])
        for i, (old, level) in enumerate(self._keys):
            if old in arm:
                place = other.open(arm[old], level)
                other.precision[place] = self.precision[i]
                other.residual[place] = self.residual[i] + np.einsum("de,e->d", self.precision[i], shift[old])
        return other

    def evidence(self, levels: dict[int, int]) -> Evidence:
        """All of it, with the index of each level."""
        arm = np.array([arm for arm, _ in self._keys], np.int64)
        level = np.array([levels.get(level, -1) for _, level in self._keys], np.int64)
        return Evidence(arm, level, self.precision, self.residual)

    def _keep(self, rows: list[int]) -> None:
        self.precision, self.residual = self.precision[rows], self.residual[rows]
        self._keys = [self._keys[i] for i in rows]
        self._place = {key: i for i, key in enumerate(self._keys)}
