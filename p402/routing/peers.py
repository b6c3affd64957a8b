"""What workers tell each other of their arms, and what one makes of what the others told.

A worker tells only what it saw itself: how many calls, how they went, and which breakers its own failures
opened. It is told again every second and forgotten when it is old, so nothing has to be taken back. All times
are ages, as of the moment of telling: hosts need not agree on the time. It knows no clock and no table: what
others' word does to a worker's own columns and breakers is for `health`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from p402.routing.probes import provider_of

VERSION: Final = 1
MAX_ARMS: Final = 64
"""Arms that a worker tells of: those with an open breaker first, then those it called most."""

MAX_BYTES: Final = 16_384
"""Of a word that is read; 64 arms with long names take less."""

MAX_WORDS: Final = 256
"""Workers that are listened to."""

NEVER: Final = -1
"""An age of what never was; and, of a time, before any."""

HALF_MS: Final = 60_000
"""In this time what was seen counts half: calls, and the errors among them."""


class ArmTold(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One arm, as one worker saw it.

    Attributes
    ----------
    calls
        Made by the worker, decayed.
    error
        Share of them that failed, in thousandths.
    ttft_ms
        Mean time to first token; 0 where it was not measured lately.
    ok_ago_ms
        Since the last success; `NEVER`.
    opened_ago_ms, left_ms
        Since its own failures last had the breaker rest, and how long it does yet; `NEVER` and 0 where it is
        closed.
    """

    arm: str
    calls: int
    error: int
    ttft_ms: int
    ok_ago_ms: int
    opened_ago_ms: int = NEVER
    left_ms: int = 0


class ProviderTold(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A provider whose breakers a failure of the whole of it opened; the rest as in `ArmTold`."""

    provider: str
    opened_ago_ms: int
    left_ms: int


class Told(msgspec.Struct, frozen=True, array_like=True):
    """One worker's word."""

    version: int
    arms: list[ArmTold]
    providers: list[ProviderTold]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Told)


def encode(told: Told) -> bytes:
    """A word as bytes."""
    return _encoder.encode(told)


def decode(data: bytes) -> Told | None:
    """A word out of bytes; None where they are none that this version understands."""
    if len(data) > MAX_BYTES:
        return None
    try:
        told = _decoder.decode(data)
    except msgspec.DecodeError:  # of another version, or not a worker's: the others' words still count
        return None
    return told if told.version == VERSION else None


@dataclass(slots=True)
class Heard:
    """One arm, as all others together saw it; times are the listener's own.

    Attributes
    ----------
    calls, failed
        Decayed number of calls, and of those that failed.
    timed, ttft_sum
        Calls of workers that measured a time to first token, and the sum of calls times that.
    ok_ms
        When it last answered anyone.
    opened_ms, until_ms
        When a breaker of it was last opened, and how long that rests.
    """

    calls: float = 0.0
    failed: float = 0.0
    timed: float = 0.0
    ttft_sum: float = 0.0
    ok_ms: int = NEVER
    opened_ms: int = NEVER
    until_ms: int = NEVER

    @property
    def is_open(self) -> bool:
        """Whether some breaker of it is open, and it has answered nobody since."""
        return self.opened_ms > self.ok_ms

    def opened(self, opened_ms: int, until_ms: int) -> None:
        """Take in one breaker; the one opened last counts."""
        if opened_ms >= self.opened_ms:
            self.opened_ms, self.until_ms = opened_ms, until_ms


class Gathering:
    """What the others' words come to, taken in one after another so that nobody waits for all of them.

    Parameters
    ----------
    known
        Arms of the listener's snapshot; others are passed over.
    """

    def __init__(self, now_ms: int, known: Mapping[str, Any]) -> None:
        self._now_ms = now_ms
        self._known = known
        self._arms: dict[str, Heard] = {}
        self._gone: dict[str, Heard] = {}

    def take(self, age_ms: int, told: Told) -> None:
        """Take in one word and how old it is."""
        said_ms, keep = self._now_ms - age_ms, 0.5 ** (max(0, age_ms) / HALF_MS)
        for one in told.arms[:MAX_ARMS]:
            if one.arm in self._known:
                found = self._arms.get(one.arm)
                if found is None:
                    found = self._arms[one.arm] = Heard()
                _add(found, one, said_ms, keep)
        for whole in told.providers[:MAX_ARMS]:
            if whole.opened_ago_ms >= 0:
                found = self._gone.setdefault(whole.provider, Heard())
                found.opened(said_ms - whole.opened_ago_ms, said_ms + whole.left_ms)

    def heard(self) -> dict[str, Heard]:
        """Everything, by arm; a provider's failure is one of all its arms, unless one has answered since."""
        if not self._gone:
            return self._arms
        ok_ms: dict[str, int] = {}
        for arm, found in self._arms.items():
            provider = provider_of(arm)
            ok_ms[provider] = max(ok_ms.get(provider, NEVER), found.ok_ms)
        for arm in self._known:
            provider = provider_of(arm)
            whole = self._gone.get(provider)
            if whole is not None and whole.opened_ms > ok_ms.get(provider, NEVER):
                self._arms.setdefault(arm, Heard()).opened(whole.opened_ms, whole.until_ms)
        return self._arms


def _add(found: Heard, one: ArmTold, said_ms: int, keep: float) -> None:
    calls = max(0, one.calls) * keep
    found.calls += calls
    found.failed += calls * min(max(0, one.error), 1_000) / 1_000 * keep
    if one.ttft_ms > 0:
        found.timed += calls
        found.ttft_sum += calls * one.ttft_ms
    if one.ok_ago_ms >= 0:
        found.ok_ms = max(found.ok_ms, said_ms - one.ok_ago_ms)
    if one.opened_ago_ms >= 0:
        found.opened(said_ms - one.opened_ago_ms, said_ms + one.left_ms)
