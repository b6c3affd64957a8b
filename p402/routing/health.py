"""How each arm has been doing: breaker, decayed time to first token, decayed error rate.

A law with memory but no clock: observations and the time come in, and once a second at most
the quantised columns that moved are due to be logged; only what was logged is decided by.

When a breaker opens and closes is in `breaker`, who may probe a half-open one in `probes`; whether an open
one turns an arm away is for `eligibility`, which never lets it take the last candidate. What was measured is
forgotten while nobody calls: an arm that once did badly would otherwise never be called again, and so never
be seen to have recovered.

An arm is a deployment: one provider, one model and one key, since a provider's table has one key. Who has two
keys at one provider configures two tables with the same `catalog`; each has its own breakers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from p402.events import ArmLive
from p402.routing.breaker import COOL_MS, OPEN_AFTER, OPEN_MS, Breaker
from p402.routing.live import ERROR_ONE, UNMEASURED
from p402.routing.probes import Probes, provider_of

__all__ = ("COOL_MS", "OPEN_AFTER", "OPEN_MS", "Health")

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
    breaker: Breaker = field(default_factory=Breaker)
    error: float = 0.0
    error_at_ms: int = 0
    ttft_ms: float = 0.0
    ttft_at_ms: int = 0

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
    probes
        Which half-open breakers are being tried.
    """

    table: dict[str, ArmLive] = field(default_factory=dict)
    seq: int = 0
    probes: Probes = field(default_factory=Probes)
    _arms: dict[str, _Arm] = field(default_factory=dict)
    _moving: set[str] = field(default_factory=set)
    _gone: set[str] = field(default_factory=set)
    """Providers of which a breaker is open by a failure of the whole provider."""
    _spaced: dict[str, int] = field(default_factory=dict)
    """When a probe of each provider last failed."""
    _looked_ms: int = 0

    def begin_probe(self, arm: str) -> bool:
        """Take the place of the one call that tries an arm, if its breaker is half open and nobody does."""
        live = self.table.get(arm)
        return live is not None and live.half_open and self.probes.take(arm)

    def observe(
        self,
        arm: str,
        now_ms: int,
        *,
        failed: bool,
        ttft_ms: float | None = None,
        retry_after_ms: int | None = None,
        of_provider: bool = False,
        probe: bool = False,
    ) -> None:
        """Take in one attempt that counts.

        Parameters
        ----------
        ttft_ms
            Of an attempt that did not fail: when its first content came, None where nothing was streamed.
        retry_after_ms
            Of one that failed: how long the provider asked to be left alone.
        of_provider
            Of one that failed: whether every arm of the provider would have.
        probe
            Whether the attempt held the place of `begin_probe`, which ends here.
        """
        state = self._state(arm)
        error = state.error_now(now_ms)
        state.error = error + _WEIGHT * ((1.0 if failed else 0.0) - error)
        state.error_at_ms = now_ms
        if failed:
            state.breaker.failed(now_ms, retry_after_ms, of_provider=of_provider, probe=probe)
            if of_provider and state.breaker.is_open:
                self._gone.add(provider_of(arm))
            if probe:
                self._spaced[provider_of(arm)] = now_ms
        else:
            self._answered(arm, state)
            if ttft_ms is not None:
                seen, ttft_ms = state.ttft_now(now_ms), max(ttft_ms, 0.001)
                state.ttft_ms = ttft_ms if seen == UNMEASURED else seen + _WEIGHT * (ttft_ms - seen)
                state.ttft_at_ms = now_ms
        if probe:
            self.probes.told(arm)

    def answered(self, arm: str) -> None:
        """A probe's first content came: its arm is back, however long the stream takes to end."""
        self._answered(arm, self._state(arm))
        self.probes.told(arm)

    def _state(self, arm: str) -> _Arm:
        state = self._arms.get(arm)
        if state is None:
            state = self._arms[arm] = _Arm()
        self._moving.add(arm)
        return state

    def _answered(self, arm: str, state: _Arm) -> None:
        """Close an arm's breaker, and those that a failure of its whole provider opened."""
        state.breaker.close()
        if not self._gone or (provider := provider_of(arm)) not in self._gone:
            return
        self._gone.discard(provider)
        self._spaced.pop(provider, None)
        for other, found in self._arms.items():
            if found.breaker.of_provider and provider_of(other) == provider:
                found.breaker.close()

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
        if not moved:
            self.probes.logged()  # whatever a probe has told, the columns say it already
        return moved or None

    def publish(self, moved: Mapping[str, ArmLive]) -> None:
        """Take columns that have been logged into the table, under the next `seq`."""
        self.table = {**self.table, **moved}
        self.seq += 1
        self.probes.logged()

    def _was_just_tried(self, arm: str, now_ms: int) -> bool:
        """Whether a probe of its provider failed so lately that one by any arm would tell nothing new."""
        failed_ms = self._spaced.get(provider_of(arm))
        return failed_ms is not None and 0 <= now_ms - failed_ms < OPEN_MS

    def _quantised(self, arm: str, now_ms: int) -> ArmLive:
        state = self._arms[arm]
        return ArmLive(
            open_circuit=state.breaker.is_open,
            half_open=state.breaker.is_half_open(now_ms) and not self._was_just_tried(arm, now_ms),
            ttft_ms=_step(state.ttft_now(now_ms)),
            error_rate=round(state.error_now(now_ms) * ERROR_ONE / _ERROR_STEP) * _ERROR_STEP,
        )


def _step(ttft_ms: float) -> int:
    """Time to first token in coarse steps, so that noise writes no deltas; at least 1 once measured."""
    if ttft_ms <= 0:
        return UNMEASURED
    width = 5 if ttft_ms < 100 else 25 if ttft_ms < 1000 else 100
    return max(1, round(ttft_ms / width) * width)
