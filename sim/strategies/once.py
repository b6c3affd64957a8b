"""Each round once: what a later word on a round changes, for policies that keep sums.

It knows nothing of policies.
"""

from collections.abc import Iterator

import numpy as np

from sim.strategies.contract import Rounds


class Once:
    """The last word on each round so far."""

    def __init__(self) -> None:
        self._said: dict[tuple[int, int], float] = {}

    def news(self, rounds: Rounds) -> Iterator[tuple[int, float, float | None]]:
        """Row, quality and the word it replaces, None for a first one; rows with nothing new are left out."""
        quality = rounds.quality.tolist()
        for i, (high, low) in enumerate(rounds.contexts.key.tolist()):
            if np.isnan(quality[i]):
                continue
            before = self._said.get((high, low))
            if before != quality[i]:
                self._said[high, low] = quality[i]
                yield i, quality[i], before
