"""How each arm has been doing: breaker, decayed median time to first token, decayed error rate.

A law with memory but no clock: observations and the time come in, and once a second at most
the quantised columns that moved are due to be logged; only what was logged is decided by.

When a breaker opens and closes is in `breaker`, who may probe a half-open one in `probes`; whether an open
one turns an arm away is for `eligibility`, which never lets it take the last candidate. What was measured is
forgotten while nobody calls: an arm that once did badly would otherwise never be called again, and so never
be seen to have recovered.

Of other workers it hears what they saw (`peers`). Medians and rates are merged by number of calls. A breaker
that another's failures opened rests here too, unless the arm has answered anyone since, here or there; it
rests a little longer, so that whoever found out tries first, and is half open as soon as nobody's word stands
against the arm. Nobody's word keeps an arm from being tried here for longer than a minute: a host with a
network fault of its own would else take it from all that do not happen to call it. What is heard is told to
nobody.

An arm is a deployment: one provider, one model and one key, since a provider's table has one key. Who has two
keys at one provider configures two tables with the same `catalog`; each has its own breakers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from p402.events import ArmLive
from p402.routing.breaker import COOL_MS, OPEN_AFTER, OPEN_MS, Breaker
from p402.routing.live import ERROR_ONE, UNMEASURED
from p402.routing.peers import (
    HALF_MS,
    MAX_ARMS,
    NEVER,
    VERSION,
    ArmTold,
    Heard,
    ProviderTold,
    Told,
)
from p402.routing.probes import Probes, provider_of
from p402.routing.quantile import Decayed
from p402.routing.verbosity import Verbosity

__all__ = ("COOL_MS", "OPEN_AFTER", "OPEN_MS", "Health")

PUBLISH_MS: Final = 1_000
"""Least time between two deltas."""

ERROR_HALF_MS: Final = HALF_MS
"""Without calls, an error rate halves in this time."""

TTFT_KEEP_MS: Final = 600_000
"""A time to first token older than this is forgotten: the prior speaks again."""

HEARD_MS: Final = 10_000
"""How long others' word counts when no more of it comes."""

GRACE_MS: Final = 3_000
"""How much longer a breaker rests by others' word: who found out tries first, and is heard in two seconds."""

_WEIGHT: Final = 0.1
"""Share of a new call in the decayed error rate: about the last twenty count."""

_ERROR_STEP: Final = ERROR_ONE // 64
_AT_REST: Final = ArmLive(open_circuit=False, ttft_ms=UNMEASURED, error_rate=0)


@dataclass(slots=True)
class _Arm:
    breaker: Breaker = field(default_factory=Breaker)
    calls: float = 0.0
    error: float = 0.0
    error_at_ms: int = 0
    times: Decayed = field(default_factory=Decayed)
    ttft_at_ms: int = 0
    lengths: Verbosity = field(default_factory=Verbosity)
    ok_ms: int = NEVER

    def keep(self, now_ms: int) -> float:
        """What is left of calls and errors since the last of them."""
        return float(0.5 ** (max(0, now_ms - self.error_at_ms) / ERROR_HALF_MS))

    def ttft_now(self, now_ms: int) -> float:
        return self.times.quantile(0.5) if now_ms - self.ttft_at_ms < TTFT_KEEP_MS else UNMEASURED


_UNSEEN: Final = _Arm()
"""An arm that this worker never called; never written to."""


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
    _believed: Mapping[str, float] = field(default_factory=dict)
    """Lengths that the snapshot believes, over what a task makes expected; 1 where it says nothing."""
    _looked_ms: int = 0
    _published_ms: int = 0
    _heard: Mapping[str, Heard] = field(default_factory=dict)
    _heard_ms: int = NEVER
    _lent: dict[str, int] = field(default_factory=dict)
    """Arms whose breakers are open by others' word alone, and since when."""

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
        output: tuple[int, int] | None = None,
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
        output
            Of one whose provider told its tokens: output tokens, and how many its task made expected,
            whatever the snapshot believes of the arm.
        """
        state = self._state(arm)
        keep = state.keep(now_ms)
        error = state.error * keep
        state.error = error + _WEIGHT * ((1.0 if failed else 0.0) - error)
        state.calls = state.calls * keep + 1.0
        state.error_at_ms = now_ms
        if failed:
            state.breaker.failed(now_ms, retry_after_ms, of_provider=of_provider, probe=probe)
            if of_provider and state.breaker.is_open:
                self._gone.add(provider_of(arm))
            if probe:
                self._spaced[provider_of(arm)] = now_ms
            if self._lent and (probe or state.breaker.failures == OPEN_AFTER):
                self._lent.pop(arm, None)
        else:
            self._answered(arm, state, now_ms)
            if ttft_ms is not None:
                if now_ms - state.ttft_at_ms >= TTFT_KEEP_MS:
                    state.times = Decayed()
                state.times.add(ttft_ms)
                state.ttft_at_ms = now_ms
            if output is not None:
                state.lengths.add(*output)
        if probe:
            self.probes.told(arm)

    def believe_lengths(self, lengths: Mapping[str, float]) -> None:
        """Tell lengths beside what a new snapshot believes: over the task's, by arm; 1 is left out."""
        if lengths == self._believed:
            return
        for arm in lengths.keys() | self._believed.keys():
            if (state := self._arms.get(arm)) is not None:
                state.lengths.believe(lengths.get(arm, 1.0))
                self._moving.add(arm)
        self._believed = lengths
        self._looked_ms = (
            NEVER  # what was told is beside the old belief: the next request's delta says it anew
        )

    def answered(self, arm: str, now_ms: int) -> None:
        """A probe's first content came: its arm is back, however long the stream takes to end."""
        self._answered(arm, self._state(arm), now_ms)
        self.probes.told(arm)

    def _state(self, arm: str) -> _Arm:
        state = self._arms.get(arm)
        if state is None:
            state = self._arms[arm] = _Arm(lengths=Verbosity(self._believed.get(arm, 1.0)))
        self._moving.add(arm)
        return state

    def _answered(self, arm: str, state: _Arm, now_ms: int) -> None:
        """Close an arm's breaker, and those that a failure of its whole provider opened."""
        state.breaker.close()
        state.ok_ms = now_ms
        if self._lent:
            self._lent.pop(arm, None)
        if self._spaced:
            self._spaced.pop(provider_of(arm), None)
        if not self._gone or (provider := provider_of(arm)) not in self._gone:
            return
        self._gone.discard(provider)
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
            elif live == _AT_REST or self._is_still(arm, live):
                self._moving.discard(arm)
        if not moved:
            self.probes.logged()  # whatever a probe has told, the columns say it already
        return moved or None

    def publish(self, moved: Mapping[str, ArmLive]) -> None:
        """Take columns that have been logged into the table, under the next `seq`."""
        self.table = {**self.table, **moved}
        self.seq += 1
        self._published_ms = self._looked_ms
        self.probes.logged()

    def told(self, now_ms: int) -> Told:
        """What this worker saw itself, for the others."""
        opened: dict[str, ProviderTold] = {}
        arms: list[ArmTold] = []
        for arm, state in self._arms.items():
            one = _told(arm, state, now_ms, lent=arm in self._lent)
            if one.opened_ago_ms >= 0 and state.breaker.of_provider:
                provider = provider_of(arm)
                last = opened.get(provider)
                if last is None or one.opened_ago_ms < last.opened_ago_ms:
                    opened[provider] = ProviderTold(provider, one.opened_ago_ms, one.left_ms)
                one = replace(one, opened_ago_ms=NEVER, left_ms=0)
            if one.calls or one.opened_ago_ms >= 0:
                arms.append(one)
        arms.sort(key=lambda one: (one.opened_ago_ms < 0, -one.calls, one.arm))
        return Told(VERSION, arms[:MAX_ARMS], list(opened.values())[:MAX_ARMS])

    def hear(self, heard: Mapping[str, Heard], now_ms: int) -> None:
        """Take in what all others told last (`peers.Gathering`), in place of what they told before."""
        self._heard, self._heard_ms = heard, now_ms
        self._moving.update(heard)
        for arm, found in self._heard.items():
            if found.is_open:
                self._believe(arm, found, now_ms)
        for arm in list(self._lent):
            of_others = self._heard.get(arm)
            if of_others is None or not of_others.is_open:
                self._arms[arm].breaker.end_rest()
        self._looked_ms = self._published_ms  # what is new is due as soon as a delta may be

    def _believe(self, arm: str, found: Heard, now_ms: int) -> None:
        """Have an arm's breaker rest by others' word."""
        state = self._arms.get(arm, _UNSEEN)
        if state.ok_ms >= found.opened_ms or found.until_ms <= now_ms:
            return  # it has answered here since; or it is half open there too, and whoever comes may try
        if state.breaker.is_open and arm not in self._lent:
            return  # this worker found out by itself
        since_ms = self._lent.setdefault(arm, now_ms)
        if 0 <= now_ms - since_ms < COOL_MS:
            rest_ms = min(found.until_ms - now_ms, COOL_MS) + GRACE_MS
            self._state(arm).breaker.rest(now_ms, rest_ms)

    def _is_still(self, arm: str, live: ArmLive) -> bool:
        """Whether columns stay as they are until the arm is called or others tell of it.

        By the clock alone breakers begin to be half open and times are forgotten; a ratio of lengths is not,
        and an error rate that is told as none only falls.
        """
        if live.open_circuit or live.half_open or live.error_rate or live.ttft_ms != UNMEASURED:
            return False
        return arm not in self._heard

    def _was_just_tried(self, arm: str, now_ms: int) -> bool:
        """Whether a probe of its provider failed so lately that one by any arm would tell nothing new."""
        failed_ms = self._spaced.get(provider_of(arm))
        return failed_ms is not None and 0 <= now_ms - failed_ms < OPEN_MS

    def _quantised(self, arm: str, now_ms: int) -> ArmLive:
        state = self._arms.get(arm, _UNSEEN)
        error, ttft_ms = self._means(arm, state, now_ms)
        return ArmLive(
            open_circuit=state.breaker.is_open,
            half_open=state.breaker.is_half_open(now_ms) and not self._was_just_tried(arm, now_ms),
            ttft_ms=_step(ttft_ms),
            error_rate=round(error * ERROR_ONE / _ERROR_STEP) * _ERROR_STEP,
            output_ratio=state.lengths.ratio(),
        )

    def _means(self, arm: str, state: _Arm, now_ms: int) -> tuple[float, float]:
        """Error rate and time to first token now, this worker's and the others' by number of calls."""
        keep, ttft_ms = state.keep(now_ms), state.ttft_now(now_ms)
        error = state.error * keep
        since_ms = now_ms - self._heard_ms
        found = self._heard.get(arm) if 0 <= since_ms < HEARD_MS else None
        if found is None:
            return error, ttft_ms
        calls, left = state.calls * keep, 0.5 ** (since_ms / HALF_MS)
        if (all_calls := calls + found.calls * left) > 0:
            error = (calls * error + found.failed * left * left) / all_calls
        if found.timed > 0:
            own = calls if ttft_ms != UNMEASURED else 0.0
            ttft_ms = (own * ttft_ms + found.ttft_sum * left) / (own + found.timed * left)
        return error, ttft_ms


def _told(arm: str, state: _Arm, now_ms: int, *, lent: bool) -> ArmTold:
    """One arm as this worker saw it; a breaker that is open by others' word alone is not its own."""
    keep, breaker = state.keep(now_ms), state.breaker
    own = breaker.is_open and not lent
    return ArmTold(
        arm=arm,
        calls=round(state.calls * keep),
        error=round(state.error * keep * 1_000),
        ttft_ms=round(state.ttft_now(now_ms)),
        ok_ago_ms=max(0, now_ms - state.ok_ms) if state.ok_ms >= 0 else NEVER,
        opened_ago_ms=max(0, now_ms - breaker.since_ms) if own else NEVER,
        left_ms=breaker.left_ms(now_ms) if own else 0,
    )


def _step(ttft_ms: float) -> int:
    """Time to first token in coarse steps, so that noise writes no deltas; at least 1 once measured."""
    if ttft_ms <= 0:
        return UNMEASURED
    width = 5 if ttft_ms < 100 else 25 if ttft_ms < 1000 else 100
    return max(1, round(ttft_ms / width) * width)
