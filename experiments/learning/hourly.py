"""One step an hour, for as long as it is let: leases, missed hours, failures, a clean stop.

At start and then every hour, the hour at hand is taken if nobody finished it; what was missed before
needs no catching up, since windows overlap. What fails, a tick that cannot be written included, is
told and ends that hour's try, never the loop. Clock, sleep and stop are arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from experiments.learning.ticks import HOUR_MS, LeaseLost, Ticks, hour_of
from p402.errors import P402Error

T = TypeVar("T")
R = TypeVar("R")

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
        Told of each step's result; of each failure, of a step's or of its tick's.
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
    ended: int | None = None  # an hour whose step came to its end here, though its tick may not say so
    while not hands.stopping():
        hour = hour_of(hands.now_ms())
        if hour != ended and _attend(ticks, hour, hands):
            taken += 1
            ended = hour
        if hands.stopping():
            break
        hands.sleep(_pause_s(ticks, hour, hands, ended=hour == ended))
    return taken


def _attend(ticks: Ticks, hour: int, hands: Hands[T]) -> bool:
    """Take the hour if it is free; whether its step came to an end."""
    lease = _tried(hands, lambda: ticks.take(hour))
    if lease is None:
        return False

    def beat() -> None:
        if hands.stopping():
            raise Stopped("asked to stop: found a step under way; it publishes nothing; run it again later")
        lease.beat()

    try:
        result = hands.step(beat)
    except Stopped:
        _tried(hands, lease.release)
        return False
    except LeaseLost as error:
        hands.failed(error)
        return False
    except P402Error as error:
        why = str(error)
        hands.failed(error)
        _tried(hands, lambda: lease.fail(why))
        return False
    hands.done(result)
    _tried(hands, lambda: lease.finish(hands.note(result)))  # the step stands, whoever has the hour by now
    return True


def _tried(hands: Hands[T], act: Callable[[], R]) -> R | None:
    """What an act on a tick gives; None where it failed, which is told.

    The disk may be full, or another learner may hold the hour. A tick that could not be closed goes
    stale and is taken over: of a step that had ended, by another learner only, which spends a look.
    """
    try:
        return act()
    except P402Error as error:
        hands.failed(error)
        return None


def _pause_s(ticks: Ticks, hour: int, hands: Hands[T], *, ended: bool) -> float:
    """Until the next hour; no longer than a poll while this one may still fall to us."""
    left_s = max(0.0, (hour + HOUR_MS - hands.now_ms()) / 1000.0)
    if ended:
        return left_s
    tick = _tried(hands, lambda: ticks.read(hour))
    return left_s if tick is not None and tick.state == "done" else min(left_s, POLL_S)
