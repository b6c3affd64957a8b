"""When sessions begin: a Poisson process whose rate follows the clock, exactly, by a change of time.

Session k comes once the integral of the rate has grown by the first k of the run's exponential gaps. The
rate is constant between whole hours and the ends of bursts. It knows nothing of what sessions ask.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count, pairwise
from math import log1p

from sim.world.chance import Chance, Stream
from sim.world.spec import Sessions, WorldSpec

HOUR_MS = 3_600_000.0


def session_starts(spec: WorldSpec, chance: Chance, *, endless: bool = False) -> Iterator[tuple[int, float]]:
    """Numbers of sessions and when they begin, ms since 1970 UTC, ascending.

    Parameters
    ----------
    endless
        Go on after `spec.hours`, as the clock's rates go on.
    """
    pieces = _pieces(spec)
    start, end, rate = next(pieces)
    now = start
    for number in count():
        need = -log1p(-chance.draws(Stream.SESSION, number)[0])
        while need > (end - now) * rate:
            need -= (end - now) * rate
            start, end, rate = next(pieces)
            now = start
            if not endless and now >= spec.end_ms:
                return
        now += need / rate
        if not endless and now >= spec.end_ms:
            return
        yield number, now


def turns_of(law: Sessions, u: float) -> int:
    """Turns of a session: geometric of that mean, at most the most."""
    if law.mean_turns == 1:
        return 1
    return min(law.most_turns, 1 + int(log1p(-u) / log1p(-1 / law.mean_turns)))


def mean_turns(law: Sessions) -> float:
    """Mean of `turns_of`, the cut included."""
    stop = 1 / law.mean_turns
    return float((1 - (1 - stop) ** law.most_turns) / stop)


def _pieces(spec: WorldSpec) -> Iterator[tuple[float, float, float]]:
    """Spans of constant rate for ever: begin and end in ms, sessions a ms."""
    arrivals = spec.arrivals
    base = arrivals.per_hour / mean_turns(spec.sessions) / HOUR_MS
    by_hour = [factor * 24 / sum(arrivals.hourly) for factor in arrivals.hourly]
    by_day = [factor * 7 / sum(arrivals.weekday) for factor in arrivals.weekday]
    edges = sorted(
        {
            spec.start_ms + edge * HOUR_MS
            for burst in arrivals.bursts
            for edge in (burst.at_h, burst.at_h + burst.hours)
        }
    )
    whole = spec.start.replace(minute=0, second=0, microsecond=0)
    for hour in count():
        when = whole + timedelta(hours=hour)
        rate = base * by_hour[when.hour] * by_day[when.weekday()]
        begin = max(when.timestamp() * 1000, float(spec.start_ms))
        end = when.timestamp() * 1000 + HOUR_MS
        cuts = [begin, *(edge for edge in edges if begin < edge < end), end]
        for left, right in pairwise(cuts):
            yield left, right, rate * _burst(spec, (left - spec.start_ms) / HOUR_MS)


def _burst(spec: WorldSpec, at_h: float) -> float:
    factor = 1.0
    for burst in spec.arrivals.bursts:
        if burst.at_h <= at_h < burst.at_h + burst.hours:
            factor *= burst.factor
    return factor
