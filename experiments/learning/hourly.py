"""One step an hour, for as long as it is let: leases, missed hours, failures, a clean stop.

At start and then every hour, the hour at hand is taken if nobody finished it; what was missed before
needs no catching up, since windows overlap. Clock, sleep and stop are arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from experiments.learning.ticks import HOUR_MS, LeaseLost, Ticks, hour_of
from p402.errors import P402Error

T = TypeVar("T")

POLL_S: Final = 60.0
"""How often an hour that another learner holds, or that failed, is looked at again."""


class Stopped(P402Error):
    """The process was asked to stop; nothing more is done."""


@dataclass(frozen=True, slots=True)
class Hands(Generic[T]):
    """What an hourly learner works with.

    Attributes
    ----------
    step
        Takes one step, calling the given beat often.
    note
        One line on what a step did, kept in the tick.
    done, failed
        Told of each step's result, of each failure.
    now_ms
        Wall time, ms since 1970 UTC.
    sleep
        Sleeps for some seconds, or less if the process is asked to stop.
    stopping
        Whether it was.
    """

    step: Callable[[Callable[[], None]], T]
    note: Callable[[T], str]
    done: Callable[[T], None]
    failed: Callable[[P402Error], None]
    now_ms: Callable[[], int]
    sleep: Callable[[float], None]
    stopping: Callable[[], bool]


def run_hourly(ticks: Ticks, hands: Hands[T]) -> int:
    """Take steps until asked to stop; how many were taken to their end."""
    taken = 0
    while not hands.stopping():
        hour = hour_of(hands.now_ms())
        taken += _attend(ticks, hour, hands)
        if hands.stopping():
            break
        hands.sleep(_pause_s(ticks, hour, hands.now_ms()))
    return taken


def _attend(ticks: Ticks, hour: int, hands: Hands[T]) -> bool:
    """Take the hour if it is free; whether its step came to an end."""
    lease = ticks.take(hour)
    if lease is None:
        return False

    def beat() -> None:
        if hands.stopping():
            raise Stopped("asked to stop: found a step under way; it publishes nothing; run it again later")
        lease.beat()

    try:
        result = hands.step(beat)
    except Stopped:
        lease.release()
        return False
    except LeaseLost as error:
        hands.failed(error)
        return False
    except P402Error as error:
        hands.failed(error)
        lease.fail(str(error))
        return False
    hands.done(result)
    lease.finish(hands.note(result))
    return True


def _pause_s(ticks: Ticks, hour: int, now_ms: int) -> float:
    """Until the next hour; no longer than a poll while this one may still fall to us."""
    left_s = max(0.0, (hour + HOUR_MS - now_ms) / 1000.0)
    tick = ticks.read(hour)
    return left_s if tick is not None and tick.state == "done" else min(left_s, POLL_S)
