"""How long an arm's answers are beside what their tasks and the snapshot made expected.

Decayed sums of both, beginning at 1 with a few calls' worth of faith, in coarse steps so that noise writes no
deltas. A model that thinks before it speaks is billed for it: its ratio is what makes its expected cost true.
A snapshot may know lengths better than the last forty answers of one worker (`posterior.output_ratio`): what
is told is beside its belief, and 1 where the two agree.

It knows no clock; what was learned stays, since how a model writes does not heal by itself.
"""

from math import exp2, log2
from typing import Final

from p402.routing.live import RATIO_ONE

_KEEP: Final = 0.95
"""Share of the past that each answer leaves: about the last forty count."""

_PRIOR: Final = 4.0
"""Answers of just the expected length that every arm begins with, forgotten like others."""

_STEPS: Final = 4
"""Steps of a doubling: one is 19 %."""

_FAR: Final = 0.75
"""Steps that a measurement must be away from what was told for another to be told."""

_NOTHING: Final = 1e-9
"""A length of none, which has no logarithm."""

_LEAST, _MOST = -3, 4
"""Doublings that are told: an eighth to sixteen times."""


class Verbosity:
    """Running lengths of one arm's answers."""

    __slots__ = ("_believed", "_calls", "_expected", "_faith", "_ratio", "_tokens", "_told")

    def __init__(self, believed: float = 1.0) -> None:
        self._believed = believed
        self._tokens = self._expected = self._calls = 0.0
        self._faith = _PRIOR
        self._told = 0
        self._ratio: int | None = RATIO_ONE

    def add(self, tokens: int, expected: int) -> None:
        """Take in an answer of so many output tokens; `expected` is at least 1."""
        self._tokens = self._tokens * _KEEP + tokens
        self._expected = self._expected * _KEEP + expected
        self._calls = self._calls * _KEEP + 1.0
        self._faith *= _KEEP
        self._ratio = None

    def ratio(self) -> int:
        """Output tokens over believed ones, multiples of 1/16; it moves once it is most of a step away."""
        if self._ratio is not None:
            return self._ratio  # it is asked for far more often than an answer comes
        found = self._steps()
        if abs(found - self._told) > _FAR:
            self._tell(found)
        self._ratio = max(1, round(RATIO_ONE * exp2(self._told / _STEPS)))
        return self._ratio

    def believe(self, ratio: float) -> None:
        """Go on beside another snapshot's belief: length over the task's expectation, above 0."""
        if ratio == self._believed:
            return
        self._believed, self._ratio = ratio, None
        found = self._steps()
        self._tell(found if abs(found) > _FAR else 0.0)

    def _steps(self) -> float:
        if not self._calls:
            return 0.0
        usual = self._faith * self._expected / self._calls
        found = (self._tokens + usual * self._believed) / (self._expected + usual)
        return _STEPS * log2(max(found / self._believed, _NOTHING))

    def _tell(self, steps: float) -> None:
        self._told = min(max(round(steps), _LEAST * _STEPS), _MOST * _STEPS)
