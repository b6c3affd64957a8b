"""How each arm has been doing: breaker, decayed time to first token, decayed error rate.

A law with memory but no clock: observations and the time come in, and once a second at most
the quantised columns that moved are due to be logged; only what was logged is decided by.

A breaker opens after `OPEN_AFTER` failures in a row, for `OPEN_MS`, and each failure after that
opens it again; a success closes it. A provider that says when to come back is left alone until
then. Whether an open breaker turns an arm away is for `eligibility`, which never lets it take the
last candidate. What was measured is forgotten while nobody calls: an arm that once did badly would
otherwise never be called again, and so never be seen to have recovered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from p402.events import ArmLive
from p402.routing.live import ERROR_ONE, UNMEASURED

OPEN_AFTER: Final = 5
OPEN_MS: Final = 10_000
COOL_MS: Final = 60_000
"""Longest that a provider's own `Retry-After` keeps calls from an arm."""

PUBLISH_MS: Final = 1_000
"""Least time between two deltas."""

ERROR_HALF_MS: Final = 60_000
"""Without calls, an error rate halves in this time."""

TTFT_KEEP_MS: Final = 600_000
"""A time to first token older than this is forgotten: the prior speaks again."""

_WEIGHT: Final = 0.1
"""Share of a new observation in the decayed means: about the last twenty calls count."""

_ERROR_STEP: Final = ERROR_ONE // 64
_AT_REST: Final = ArmLive(open_circuit=False, ttft_ms=UNMEASURED, error_rate=0)


@dataclass(slots=True)
class _Arm:
    failures: int = 0
    opened_ms: int = 0
    open_for_ms: int = 0
    error: float = 0.0
    error_at_ms: int = 0
    ttft_ms: float = 0.0
    ttft_at_ms: int = 0

    def is_open(self, now_ms: int) -> bool:
        # A wall clock that was set back closes a breaker rather than leave it open for hours.
        return 0 <= now_ms - self.opened_ms < self.open_for_ms

    def error_now(self, now_ms: int) -> float:
        return self.error * float(0.5 ** (max(0, now_ms - self.error_at_ms) / ERROR_HALF_MS))

    def ttft_now(self, now_ms: int) -> float:
        return self.ttft_ms if now_ms - self.ttft_at_ms < TTFT_KEEP_MS else UNMEASURED


@dataclass(slots=True)
class Health:
    """Running state of every arm that was called, by arm id.

    Attributes
    ----------
    table
        The columns that decisions see: what the deltas logged so far add up to.
    seq
        How many deltas were logged.
    """

    table: dict[str, ArmLive] = field(default_factory=dict)
    seq: int = 0
    _arms: dict[str, _Arm] = field(default_factory=dict)
    _moving: set[str] = field(default_factory=set)
    _looked_ms: int = 0

    def observe(
        self,
        arm: str,
        now_ms: int,
        *,
        failed: bool,
        ttft_ms: float | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        """Take in one attempt that counts.

        Parameters
        ----------
        ttft_ms
            Of an attempt that did not fail: when its first content came, None where nothing was streamed.
        retry_after_ms
            Of one that failed: how long the provider asked to be left alone.
        """
        state = self._arms.get(arm)
        if state is None:
            state = self._arms[arm] = _Arm()
        error = state.error_now(now_ms)
        state.error = error + _WEIGHT * ((1.0 if failed else 0.0) - error)
        state.error_at_ms = now_ms
        if failed:
            state.failures = min(state.failures + 1, OPEN_AFTER)
            rest_ms = min(retry_after_ms or 0, COOL_MS)
            if state.failures == OPEN_AFTER:
                rest_ms = max(rest_ms, OPEN_MS)
            left_ms = state.opened_ms + state.open_for_ms - now_ms if state.is_open(now_ms) else 0
            if rest_ms > left_ms:
                state.opened_ms, state.open_for_ms = now_ms, rest_ms
        else:
            state.failures = 0
            state.open_for_ms = 0
            if ttft_ms is not None:
                seen, ttft_ms = state.ttft_now(now_ms), max(ttft_ms, 0.001)
                state.ttft_ms = ttft_ms if seen == UNMEASURED else seen + _WEIGHT * (ttft_ms - seen)
                state.ttft_at_ms = now_ms
        self._moving.add(arm)

    def due(self, now_ms: int) -> dict[str, ArmLive] | None:
        """Columns that moved since the last delta, or None: too soon to look again, or nothing moved.

        The caller logs them under `seq + 1` and then hands them to `publish`; if they cannot be
        logged, they stay due.
        """
        if 0 <= now_ms - self._looked_ms < PUBLISH_MS:
            return None
        self._looked_ms = now_ms
        moved: dict[str, ArmLive] = {}
        for arm in sorted(self._moving):
            live = self._quantised(arm, now_ms)
            if live != self.table.get(arm, _AT_REST):
                moved[arm] = live
            elif live == _AT_REST:
                self._moving.discard(arm)
        return moved or None

    def publish(self, moved: Mapping[str, ArmLive]) -> None:
        """Take columns that have been logged into the table, under the next `seq`."""
        self.table = {**self.table, **moved}
        self.seq += 1

    def _quantised(self, arm: str, now_ms: int) -> ArmLive:
        state = self._arms[arm]
        return ArmLive(
            open_circuit=state.is_open(now_ms),
            ttft_ms=_step(state.ttft_now(now_ms)),
            error_rate=round(state.error_now(now_ms) * ERROR_ONE / _ERROR_STEP) * _ERROR_STEP,
        )


def _step(ttft_ms: float) -> int:
    """Time to first token in coarse steps, so that noise writes no deltas; at least 1 once measured."""
    if ttft_ms <= 0:
        return UNMEASURED
    width = 5 if ttft_ms < 100 else 25 if ttft_ms < 1000 else 100
    return max(1, round(ttft_ms / width) * width)
