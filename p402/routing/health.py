"""How each arm has been doing: breaker, decayed time to first token, decayed error rate.

A law with memory but no clock: observations and the time come in, and once a second at most
the quantised columns that moved go out as a delta to be logged. A breaker opens after
`OPEN_AFTER` failures in a row, stays open for `OPEN_MS`, then lets one failure reopen it; a
success closes it. Whether an open breaker turns an arm away is for `eligibility`, which
never lets it take the last candidate.
"""

from dataclasses import dataclass, field
from typing import Final

from p402.events import ArmLive
from p402.routing.live import ERROR_ONE, UNMEASURED

OPEN_AFTER: Final = 5
OPEN_MS: Final = 10_000
PUBLISH_MS: Final = 1_000
"""Least time between two deltas."""

_WEIGHT: Final = 0.1
"""Share of a new observation in the decayed means: about the last twenty calls count."""

_ERROR_STEP: Final = ERROR_ONE // 64


@dataclass(slots=True)
class _Arm:
    failures: int = 0
    open_until_ms: int = 0
    error: float = 0.0
    ttft_ms: float = 0.0


@dataclass(slots=True)
class Health:
    """Running state of every arm that was called, by arm id.

    `table` is what the last published delta left: the columns that decisions see.
    """

    table: dict[str, ArmLive] = field(default_factory=dict)
    seq: int = 0
    _arms: dict[str, _Arm] = field(default_factory=dict)
    _dirty: set[str] = field(default_factory=set)
    _published_ms: int = 0

    def observe(self, arm: str, now_ms: int, *, failed: bool, ttft_ms: float | None) -> None:
        """Take in one attempt that counts: it failed, or its first content came after `ttft_ms`."""
        state = self._arms.setdefault(arm, _Arm())
        state.error += _WEIGHT * ((1.0 if failed else 0.0) - state.error)
        if failed:
            state.failures += 1
            if state.failures >= OPEN_AFTER:
                state.open_until_ms = now_ms + OPEN_MS
        else:
            state.failures = 0
            state.open_until_ms = 0
            if ttft_ms is not None:
                seen = state.ttft_ms
                state.ttft_ms = ttft_ms if seen == UNMEASURED else seen + _WEIGHT * (ttft_ms - seen)
        self._dirty.add(arm)

    def changes(self, now_ms: int) -> dict[str, ArmLive] | None:
        """Columns that moved since the last delta, or None: too soon, or nothing moved.

        The caller logs them under the new `seq` before it decides by them.
        """
        if now_ms - self._published_ms < PUBLISH_MS:
            return None
        moved: dict[str, ArmLive] = {}
        still_open: set[str] = set()
        for arm in self._dirty:
            live = self._quantised(arm, now_ms)
            if live.open_circuit:
                still_open.add(arm)
            if self.table.get(arm) != live:
                moved[arm] = live
        self._published_ms = now_ms
        self._dirty = still_open
        if not moved:
            return None
        self.table = self.table | moved
        self.seq += 1
        return moved

    def _quantised(self, arm: str, now_ms: int) -> ArmLive:
        state = self._arms[arm]
        if state.open_until_ms and now_ms >= state.open_until_ms:
            state.open_until_ms = 0
            state.failures = OPEN_AFTER - 1
        return ArmLive(
            open_circuit=state.open_until_ms > now_ms,
            ttft_ms=_step(state.ttft_ms),
            error_rate=round(state.error * ERROR_ONE / _ERROR_STEP) * _ERROR_STEP,
        )


def _step(ttft_ms: float) -> int:
    """Time to first token in coarse steps, so that noise writes no deltas; at least 1 once measured."""
    if ttft_ms <= 0:
        return UNMEASURED
    width = 5 if ttft_ms < 100 else 25 if ttft_ms < 1000 else 100
    return max(1, round(ttft_ms / width) * width)
