"""What a client asks for next under one set of scopes, by what it was told: as much, less, or nothing more.

It reads no clock and keeps no books.
"""

from typing import Final

from p402.errors import Refusal
from p402.guard.daily import OVER_CAP, OVER_HELD
from p402.guard.scopes import CODES, KEY_OVER
from p402.limits import Period
from tests.chaos.budgets import Way

SPENT: Final = CODES | {OVER_CAP}
"""Codes of refusals by what was spent."""
PATIENCE_S = 1.0
"""Where a scope's money has been held for so long, smaller calls may find room: a dead worker may hold it."""
RETRY_S = (0.02, 0.1)
"""A retry hint is honoured within these bounds."""


class Course:
    """A client's way to the end of a budget. All times are seconds of one clock.

    Attributes
    ----------
    way
        What its calls count against beside their tenant's day.
    spent
        Whether it asks for nothing more.
    """

    def __init__(self, way: Way) -> None:
        self.way = way
        self.spent = False
        self._small_until = 0.0
        self._held_since: float | None = None

    def is_small(self, now: float) -> bool:
        """Whether the next call is to be of the smallest size: a larger one does not fit the day any more."""
        return now < self._small_until

    def passed(self) -> None:
        """Take it that a call was granted, or that nobody waited for it."""
        self._held_since = None

    def refused(self, refusal: Refusal, now: float, midnight: float, end: float) -> float:
        """Take a refusal; gives the seconds to wait before anything is asked for again.

        Parameters
        ----------
        midnight, end
            When a day's budget begins anew, and when the client stops.
        """
        held = refusal.code == OVER_HELD and refusal.status == 402 and bool(self.way)
        self._held_since = (self._held_since or now) if held else None
        if self._held_since is not None and now - self._held_since > PATIENCE_S:
            self._small_until = midnight
        if refusal.code not in SPENT:
            hint_s = (refusal.retry_after_ms or 0) / 1_000
            return min(max(hint_s, RETRY_S[0]), RETRY_S[1])
        if not self.is_small(now):
            self._small_until = midnight
            return 0.0
        daily = all(scope.period is Period.DAY for scope in self.way)
        if midnight < end and (daily or refusal.code in (OVER_CAP, KEY_OVER)):
            return midnight - now
        self.spent = True
        return 0.0
