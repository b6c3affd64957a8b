"""When calls are kept from an arm, and when one is let through to see whether it is back.

A breaker opens after `OPEN_AFTER` failures in a row, or at once where the provider says when to come back.
It rests for a while and then is half open: one call at a time may try. Its success closes the breaker; its
failure has it rest twice as long as before, a minute at most. Calls that came to an open breaker without
being its probe (the last candidate is never turned away) close it by a success and never double its rest.

It knows no clock and no other arm: who may probe is for `health`, whom an open breaker turns away for
`eligibility`.

Source: M. Nygard, "Release It!", 2007, chapter 5 (the three states); the doubling is that of Envoy's outlier
ejection (`base_ejection_time` times ejections in a row, bounded), read 2026-11-26.
"""

from dataclasses import dataclass
from typing import Final

OPEN_AFTER: Final = 5
OPEN_MS: Final = 10_000
"""How long a breaker rests first."""

COOL_MS: Final = 60_000
"""Longest that a breaker rests, by failed probes or by the provider's own `Retry-After`."""


@dataclass(slots=True)
class Breaker:
    """One arm's breaker.

    Attributes
    ----------
    is_open
        Whether it turns calls away, resting or half open.
    failures
        In a row, up to `OPEN_AFTER`.
    since_ms, rest_ms
        When it last began to rest, and for how long.
    length_ms
        How long it rested by the arm's own failures: what a failed probe doubles.
    of_provider
        Whether the last failure was one of the whole provider.
    """

    is_open: bool = False
    failures: int = 0
    since_ms: int = 0
    rest_ms: int = 0
    length_ms: int = 0
    of_provider: bool = False

    def left_ms(self, now_ms: int) -> int:
        """How long it rests yet; 0 where it is closed or half open.

        A wall clock that was set back ends the rest rather than prolong it by hours.
        """
        past_ms = now_ms - self.since_ms
        return self.rest_ms - past_ms if self.is_open and 0 <= past_ms < self.rest_ms else 0

    def is_half_open(self, now_ms: int) -> bool:
        """Whether one call may see if the arm is back."""
        return self.is_open and self.left_ms(now_ms) == 0

    def failed(
        self,
        now_ms: int,
        retry_after_ms: int | None = None,
        *,
        of_provider: bool = False,
        probe: bool = False,
    ) -> None:
        """Take in a failure; `retry_after_ms` is how long the provider asked to be left alone."""
        self.failures = min(self.failures + 1, OPEN_AFTER)
        self.of_provider = of_provider
        rest_ms = min(retry_after_ms or 0, COOL_MS)
        if probe:
            rest_ms = max(rest_ms, min(2 * self.length_ms, COOL_MS))
        elif self.failures == OPEN_AFTER:
            rest_ms = max(rest_ms, OPEN_MS)
        if rest_ms > self.left_ms(now_ms):
            self.length_ms = max(rest_ms, self.length_ms if self.is_open else 0)
            self.is_open, self.since_ms, self.rest_ms = True, now_ms, rest_ms

    def rest(self, now_ms: int, rest_ms: int) -> None:
        """Rest for so long at least, by another's word: its own failures it goes on counting itself."""
        if rest_ms > self.left_ms(now_ms):
            self.length_ms = self.length_ms if self.is_open else OPEN_MS
            self.is_open, self.since_ms, self.rest_ms = True, now_ms, rest_ms

    def end_rest(self) -> None:
        """Be half open, if it is open at all."""
        self.rest_ms = 0

    def close(self) -> None:
        """The arm has answered."""
        self.is_open, self.failures, self.rest_ms, self.length_ms = False, 0, 0, 0
        self.of_provider = False
