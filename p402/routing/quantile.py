"""The middle of what was measured lately: a decayed histogram over logarithmic buckets.

Each new value outweighs those before it by a fixed share, so that about the last twenty count. To add one is
constant work: newcomers weigh more and more, and all weights are scaled back now and then. It knows no clock.

A mean of times to first token is moved for long by one that was ten times as slow; the folder's README says
how often mean and median pick the faster of two arms.
"""

from math import floor, log
from typing import Final

LEAST_MS: Final = 1.0
"""Lower edge of the first bucket; what is faster counts as this."""

_WIDTH: Final = log(1.15)
"""A bucket's upper edge is 15 % above its lower; it answers with the mean of what fell into it."""

_BUCKETS: Final = 88
"""Up to some 218 s; what is slower counts in the last."""

_WEIGHT: Final = 0.1
"""Share of a new value in all that is kept."""

_GROWTH: Final = 1 / (1 - _WEIGHT)
_TOO_HEAVY: Final = 1e100


class Decayed:
    """A decayed histogram of positive values in ms."""

    __slots__ = ("_next", "_sums", "_weights")

    def __init__(self) -> None:
        self._weights = [0.0] * _BUCKETS
        self._sums = [0.0] * _BUCKETS
        self._next = 1.0

    def add(self, ms: float) -> None:
        """Take in one value; 0 counts as a microsecond."""
        ms = max(ms, 0.001)
        place = min(floor(log(max(ms, LEAST_MS) / LEAST_MS) / _WIDTH), _BUCKETS - 1)
        self._weights[place] += self._next
        self._sums[place] += self._next * ms
        self._next *= _GROWTH
        if self._next > _TOO_HEAVY:
            self._weights = [weight / self._next for weight in self._weights]
            self._sums = [total / self._next for total in self._sums]
            self._next = 1.0

    def quantile(self, share: float) -> float:
        """Value that `share` of the weight lies below, in ms, to its bucket; 0 of nothing.

        Parameters
        ----------
        share
            Within 0 and 1; 0.5 is the median.
        """
        sought, below, found = share * sum(self._weights), 0.0, 0.0
        for weight, total in zip(self._weights, self._sums, strict=True):
            if weight > 0:
                found = total / weight
                below += weight
                if below >= sought:
                    break
        return found
