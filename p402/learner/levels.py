"""How good each provider's deployments are beside other providers' of the same weights, all of them alike.

A provider's level is what its arms have in common: how it quantises, cuts and samples. It begins somewhere
about 0 and stays, until it is said to have moved (`open`): then a new level begins about the old one, and
what was learned under the old one speaks of the new one through that. It knows no arms, words or clock.

Source: a local level model with interventions, Harvey, "Forecasting, Structural Time Series Models and the
Kalman Filter", 1989, section 7.6.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

NONE: Final = -1
"""Id of no level: words that are a provider's without any."""

MOST: Final = 4
"""Levels that are remembered of one provider; with a further one, the two oldest are taken for one."""

_LEAST_VARIANCE: Final = 1e-12
"""Of a step that has been forgotten: the two levels are the same."""


@dataclass(frozen=True, slots=True)
class _Level:
    id: int
    parent: int
    kept: float
    """Variance of the first level about 0, which stays."""
    step: float
    """Variance of the move from the parent, or from where levels begin; it is forgotten as words are."""

    @property
    def variance(self) -> float:
        return max(self.kept + self.step, _LEAST_VARIANCE)


class Merged(NamedTuple):
    """Two levels that are one from now on."""

    gone: int
    stays: int


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
        self._merged: dict[int, int] = {}
        self.begin(providers)

    def __len__(self) -> int:
        """Levels of all providers."""
        return sum(len(levels) for levels in self._of.values())

    def begin(self, providers: Iterable[str]) -> None:
        """Keep these providers' levels, drop the others', and begin those that are new."""
        known = {name: self._of.get(name) for name in sorted(set(providers))}
        self._of = {name: self._first() if levels is None else levels for name, levels in known.items()}

    def open(self, provider: str, sd: float) -> Merged | None:
        """Begin a level about the provider's last, so far away; the two oldest if they were merged for it.

        A merged level is believed to have moved once from where levels begin, so that doubt does not grow
        for ever.
        """
        levels = self._of[provider]
        parent = levels[-1].id if levels else NONE
        levels.append(self._new(parent, 0.0, sd**2))
        if len(levels) <= MOST:
            return None
        gone, stays = levels.pop(0), levels[0]
        levels[0] = _Level(stays.id, NONE, gone.kept, stays.step)
        self._merged[gone.id] = stays.id
        return Merged(gone.id, stays.id)

    def forget(self, rho: float) -> None:
        """Keep a share of every move, as of words: in time levels are where they begin."""
        self._of = {
            name: [_Level(one.id, one.parent, one.kept, one.step * rho) for one in levels]
            for name, levels in self._of.items()
        }

    def standing(self, level: int) -> int:
        """What a level has become."""
        while level in self._merged:
            level = self._merged[level]
        return level

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

    def _first(self) -> list[_Level]:
        return [self._new(NONE, self.sd**2, 0.0)] if self.sd > 0.0 else []

    def _new(self, parent: int, kept: float, step: float) -> _Level:
        self._next += 1
        return _Level(self._next - 1, parent, kept, step)
