"""How good each provider's deployments are beside other providers' of the same weights, all of them alike.

A provider's level is what its arms have in common: how it quantises, cuts and samples. It begins somewhere
about 0 and stays, until it is said to have moved (`open`): then a new level begins about the old one, and
what was learned under the old one speaks of the new one through that. It knows no arms, words or clock.

Source: a local level model with interventions, Harvey, "Forecasting, Structural Time Series Models and the
Kalman Filter", 1989, section 7.6.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

NONE: Final = -1
"""Id of no level: words that are a provider's without any."""

MOST: Final = 4
"""Levels that are remembered of one provider; of a further one, the oldest goes with its words."""


@dataclass(frozen=True, slots=True)
class _Level:
    id: int
    parent: int
    variance: float
    """Of its distance from its parent, or from 0 where it has none."""


class Levels:
    """The levels of every provider, oldest first.

    Parameters
    ----------
    sd
        Standard deviation of a provider's first level about 0; 0 gives it none.
    """

    def __init__(self, providers: Iterable[str], sd: float) -> None:
        self.sd = sd
        self._of: dict[str, list[_Level]] = {}
        self._next = 0
        self.begin(providers)

    def __len__(self) -> int:
        """Levels of all providers."""
        return sum(len(levels) for levels in self._of.values())

    def begin(self, providers: Iterable[str]) -> None:
        """Keep these providers' levels, drop the others', and begin those that are new."""
        known = {name: self._of.get(name) for name in sorted(set(providers))}
        self._of = {
            name: ([self._new(NONE, self.sd**2)] if self.sd > 0.0 else []) if levels is None else levels
            for name, levels in known.items()
        }

    def open(self, provider: str, sd: float) -> int:
        """Begin a level about the provider's last, so far away; the id of a level that went, or `NONE`.

        What comes after one that went is believed to have moved once from where levels begin, so that
        doubt does not grow for ever.
        """
        levels = self._of[provider]
        parent = levels[-1].id if levels else NONE
        levels.append(self._new(parent, sd**2))
        if len(levels) <= MOST:
            return NONE
        gone = levels.pop(0)
        levels[0] = _Level(levels[0].id, NONE, self.sd**2 + levels[0].variance)
        return gone.id

    def current(self, provider: str) -> int:
        """Id of a provider's level now, `NONE` where it has none."""
        levels = self._of.get(provider)
        return levels[-1].id if levels else NONE

    def places(self) -> dict[int, int]:
        """Index of each level, by id."""
        return {level.id: i for i, level in enumerate(self._all())}

    def precision(self) -> Float:
        """(U, U) inverse covariance of all levels before any word."""
        place, out = self.places(), np.zeros((len(self), len(self)))
        for i, level in enumerate(self._all()):
            out[i, i] += 1.0 / level.variance
            if level.parent != NONE:
                j = place[level.parent]
                out[j, j] += 1.0 / level.variance
                out[i, j] -= 1.0 / level.variance
                out[j, i] -= 1.0 / level.variance
        return out

    def _all(self) -> list[_Level]:
        return [level for levels in self._of.values() for level in levels]

    def _new(self, parent: int, variance: float) -> _Level:
        self._next += 1
        return _Level(self._next - 1, parent, variance)
