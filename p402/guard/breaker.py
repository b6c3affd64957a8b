"""Whether Redis may be asked now.

Closed, every call asks. One that finds Redis away opens the breaker: nobody asks until its time is over,
and then one probe alone. A probe that fails opens it for twice as long; one that succeeds closes it.
It knows no clock, no connection and nothing of what is asked.

Source: Nygard, Release It!, 2nd edition, 2018, "Circuit Breaker"; times of the project's reliability
study, section 4.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

FIRST_MS: Final = 200
"""How long the first opening lasts."""
LONGEST_MS: Final = 5_000
"""No opening lasts longer."""
PROBE_MS: Final = 1_000
"""A probe that has said nothing for so long has failed, and makes room for another."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Everyone asks.

    Attributes
    ----------
    wait_ms
        How long the next opening will last. Only a call that succeeds brings it back to `FIRST_MS`: where
        probes are answered and calls are not, openings go on growing.
    """

    wait_ms: int = FIRST_MS


@dataclass(frozen=True, slots=True)
class Open:
    """Nobody asks until `until_ms`; this opening lasts `wait_ms`."""

    until_ms: float
    wait_ms: int


@dataclass(frozen=True, slots=True)
class Probing:
    """One probe is under way, given up at `until_ms`; the opening before it lasted `wait_ms`."""

    until_ms: float
    wait_ms: int


Breaker = Closed | Open | Probing
HEALTHY: Final = Closed()


class Leave(Enum):
    """What whoever wants to ask may do."""

    ASK = auto()
    PROBE = auto()
    """Find out, alone, whether Redis answers, and tell by `probe_succeeded` or `probe_failed`."""
    REFUSE = auto()


def knock(breaker: Breaker, now_ms: float) -> tuple[Breaker, Leave]:
    """What may be done at `now_ms`, on a clock that does not go back."""
    match breaker:
        case Closed():
            return breaker, Leave.ASK
        case Open(until_ms, wait_ms) if now_ms >= until_ms:
            return Probing(now_ms + PROBE_MS, wait_ms), Leave.PROBE
        case Probing(until_ms, wait_ms) if now_ms >= until_ms:
            return _open(now_ms, _doubled(wait_ms)), Leave.REFUSE
        case _:
            return breaker, Leave.REFUSE


def call_succeeded(breaker: Breaker) -> Breaker:
    """A call was answered; the word of one from before an opening changes nothing."""
    return HEALTHY if isinstance(breaker, Closed) else breaker


def call_failed(breaker: Breaker, now_ms: float) -> Breaker:
    """A call found Redis away; of many that fail together, the first opens and the others change nothing."""
    return _open(now_ms, breaker.wait_ms) if isinstance(breaker, Closed) else breaker


def probe_succeeded(breaker: Breaker) -> Breaker:
    """The probe was answered; one that was given up changes nothing."""
    return Closed(_doubled(breaker.wait_ms)) if isinstance(breaker, Probing) else breaker


def probe_failed(breaker: Breaker, now_ms: float) -> Breaker:
    """The probe was not answered; one that was given up changes nothing."""
    return _open(now_ms, _doubled(breaker.wait_ms)) if isinstance(breaker, Probing) else breaker


def retry_after_ms(breaker: Breaker, now_ms: float) -> int:
    """In how many ms asking again may help; 0 when it may now."""
    return 0 if isinstance(breaker, Closed) else max(0, -int((now_ms - breaker.until_ms) // 1))


def _open(now_ms: float, wait_ms: int) -> Open:
    return Open(now_ms + wait_ms, wait_ms)


def _doubled(wait_ms: int) -> int:
    return min(2 * wait_ms, LONGEST_MS)
