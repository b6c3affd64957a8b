"""How long the answers of each arm are, beside what their tasks made expected: what expected cost is made of.

Sums of output tokens over sums of expected ones, shrunk in three steps: of an arm to its model's, since
deployments of one model write alike; of a model to everybody's; of everybody to what the snapshot said.
So an arm that nobody has called yet is priced by what is known of its model, and one that was called as its
bills say. It knows no clock; what it tells moves in steps, so that a snapshot does not change for noise.

Source: empirical Bayes shrinkage of ratios of sums, as of claims in Buehlmann and Gisler, "A Course in
Credibility Theory", 2005, with credibilities that are set and not fitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp2, log2
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from p402.routing.pricelist import MAX_PRICE_PICO
from p402.routing.scale import FEATURE_ONE
from p402.routing.spec import Arms, Posterior, Prices

Float = NDArray[np.float64]

_OF_MODELS: Final = 4.0
"""Answers that everybody's ratio counts for in a model's, and 1 in everybody's."""

_OF_ARMS: Final = 40.0
"""Answers that a model's ratio counts for in an arm's."""

_STEPS: Final = 16
"""Steps of a doubling: one is 4.4 %, an error of 2 % in what an output token costs."""

_FAR: Final = 0.75
"""Steps that a measurement must be away from what was told for another to be told."""

_LEAST, _MOST = -3, 4
"""Doublings that are told: an eighth to sixteen times."""


@dataclass(slots=True)
class _Sums:
    tokens: float = 0.0
    expected: float = 0.0
    answers: float = 0.0

    def add(self, tokens: float, expected: float) -> None:
        self.tokens += tokens
        self.expected += expected
        self.answers += 1.0

    def shrunk(self, towards: float, faith: float) -> float:
        """Tokens over expected ones, with so many answers of a ratio besides."""
        if self.answers == 0.0:
            return towards
        usual = faith * self.expected / self.answers
        return (self.tokens + usual * towards) / (self.expected + usual)


@dataclass(slots=True)
class Lengths:
    """Answers so far, by arm and by model, each beside what the snapshot of its start made expected.

    Attributes
    ----------
    n_answers
        How many were taken in, forgotten ones included.
    """

    n_answers: int = 0
    _all: _Sums = field(default_factory=_Sums)
    _models: dict[str, _Sums] = field(default_factory=dict)
    _arms: dict[str, _Sums] = field(default_factory=dict)
    _told: dict[str, int] = field(default_factory=dict)

    def learn(self, arm: Sequence[str], model: Mapping[str, str], tokens: Float, expected: Float) -> int:
        """Take in answers; how many counted.

        Parameters
        ----------
        arm
            (n,) names.
        model
            Of each arm.
        tokens
            (n,) output tokens that were billed, 0 or more; nan is passed over.
        expected
            (n,) tokens expected, what the snapshot believed of the arm's lengths included; 0 is passed over.
        """
        known = np.flatnonzero(np.isfinite(tokens) & (expected > 0.0))
        for i in known.tolist():
            name, said, wanted = arm[i], float(tokens[i]), float(expected[i])
            self._all.add(said, wanted)
            self._models.setdefault(model[name], _Sums()).add(said, wanted)
            self._arms.setdefault(name, _Sums()).add(said, wanted)
        self.n_answers += len(known)
        return len(known)

    def forget(self, rho: float) -> None:
        """Keep a share of what was learned, in [0, 1]."""
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"rho is {rho}: expected the share of evidence to keep, in [0, 1]")
        for sums in (self._all, *self._models.values(), *self._arms.values()):
            sums.tokens *= rho
            sums.expected *= rho
            sums.answers *= rho

    def ratio(self, arm: str, model: str) -> float:
        """Output tokens of an arm over expected ones; 1 before anybody answered."""
        everybody = self._all.shrunk(1.0, _OF_MODELS)
        own = self._models.get(model, _Sums()).shrunk(everybody, _OF_MODELS)
        return self._arms.get(arm, _Sums()).shrunk(own, _OF_ARMS)

    def compile(self, base: Posterior, arms: Arms, prices: Prices) -> Posterior:
        """The snapshot's component with what is believed of lengths, over what the base believes of them.

        No ratio makes an output token dearer than a price may be, so that costs stay exact.

        Parameters
        ----------
        base
            Of these arms: what answers were expected by.
        """
        told, dearest = [], _dearest(prices)
        for name, model, start, price in zip(arms.arm, arms.model, base.output_ratio, dearest, strict=True):
            steps = _STEPS * log2(max(self.ratio(name, model), 1e-9))
            steps = min(max(steps, _LEAST * _STEPS), _MOST * _STEPS)
            if abs(steps - self._told.get(name, 0)) > _FAR:
                self._told[name] = round(steps)
            ratio = round(start * exp2(self._told.get(name, 0) / _STEPS))
            told.append(min(ratio, MAX_PRICE_PICO * FEATURE_ONE // max(price, 1)))
        return msgspec.structs.replace(base, output_ratio=tuple(told))


def _dearest(prices: Prices) -> list[int]:
    """Pico-USD of an output token in the dearest tier of each arm."""
    above = prices.output_above or (None,) * len(prices.output)
    return [max(low or 0, high or 0) for low, high in zip(prices.output, above, strict=True)]
