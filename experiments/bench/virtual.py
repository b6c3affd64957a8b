"""Coroutines on virtual time: they wait for moments only, and none of it takes any."""

from collections.abc import Coroutine, Generator, Sequence
from heapq import heappop, heappush

from experiments.notebook_log import VirtualClock


class Until:
    """A pause until a moment of the virtual clock, in its ms."""

    def __init__(self, ms: float) -> None:
        self._ms = ms

    def __await__(self) -> Generator[float, None, None]:
        yield self._ms


def run_all(clock: VirtualClock, tasks: Sequence[Coroutine[object, None, None]]) -> None:
    """Run coroutines that wait for nothing but moments, in the order of these, to their ends."""
    due: list[tuple[float, int, Coroutine[object, None, None]]] = []
    for task in tasks:
        heappush(due, (clock.ms, len(due), task))
    turn = len(due)
    while due:
        clock.ms, _, task = heappop(due)
        try:
            moment = task.send(None)
        except StopIteration:
            continue
        assert isinstance(moment, float), "the flow waits for nothing else here"
        turn += 1
        heappush(due, (moment, turn, task))
