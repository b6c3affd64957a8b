"""Whether so many tokens can be done in so much time on this machine, by what the last ones took.

Every text takes the time in which the weights are read, and the same for each token. What cannot be ready in
time is not begun, so that it neither burns a core nor holds up a shorter one, and a faster machine reaches
further.
By the core's own time, the median of the last runs: having to wait for a core says nothing of the next run.
It knows no clock.
"""

from collections import deque
from statistics import median
from typing import Final

RUNS: Final = 7
WEIGHTS: Final = 8
"""Reading the weights takes what so many tokens take: 6 one after another, 10 twenty times a second."""
REST_S: Final = 1.0
"""With nothing run for so long it is no news any more: a bad spell, in which nothing fits, must end."""


def token_s(tokens: int, took_s: float) -> float:
    """What a token takes, by one run of so many."""
    return took_s / (tokens + WEIGHTS)


class Pace:
    """What a token takes. Times are monotonic seconds.

    Parameters
    ----------
    token_s
        Seconds for a token until something was run.
    """

    def __init__(self, token_s: float) -> None:
        self._runs = deque((token_s,), maxlen=RUNS)
        self._ran_at_s = float("-inf")
        self.token_s = token_s

    def fits(self, tokens: int, left_s: float) -> bool:
        """Whether to begin with so many tokens, of which the vector is wanted in `left_s`."""
        return (tokens + WEIGHTS) * self.token_s <= left_s

    def stale(self, now_s: float) -> bool:
        """Whether to find out anew what a token takes."""
        return now_s - self._ran_at_s >= REST_S

    def note(self, tokens: int, took_s: float, now_s: float) -> None:
        """So many tokens took so long, and were ready now."""
        self._runs.append(token_s(tokens, took_s))
        self._ran_at_s = now_s
        self.token_s = median(self._runs)
