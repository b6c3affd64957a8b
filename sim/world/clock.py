"""Virtual time: coroutines that wait for moments only, and none of it takes any.

A coroutine yields the moment that it waits for (`await Until(ms)`); `Loop` wakes them in the order of their
moments and, where moments are equal, of their waiting. It is no asyncio: what awaits an asyncio future or a
thread does not run here, and is told so. The gateway's flow awaits its ports alone, so with ports that wait
on virtual time it runs as it is.
"""

from collections.abc import Coroutine, Generator, Sequence
from heapq import heappop, heappush

Task = Coroutine[object, None, None]


class VirtualClock:
    """Time that passes only when it is told to, and ids that count.

    Attributes
    ----------
    ms
        Now, ms since 1970 UTC.
    bits
        What the next id is made of; None counts on.
    """

    def __init__(self, start_ms: float) -> None:
        self.ms = float(start_ms)
        self.bits: int | None = None
        self._drawn = 0

    def now_ms(self) -> int:
        """Wall time of the simulated world."""
        return int(self.ms)

    def monotonic_ms(self) -> float:
        """The same clock, for durations."""
        return self.ms

    def random_bits(self) -> int:
        """What was laid out for the next id, else the next of a row of numbers: alike in every run."""
        if self.bits is not None:
            bits, self.bits = self.bits, None
            return bits
        self._drawn += 1
        return self._drawn * 0x9E3779B97F4A7C15 & ((1 << 74) - 1)


class Until:
    """A pause until a moment of the virtual clock, in its ms; one that has passed is now."""

    __slots__ = ("_ms",)

    def __init__(self, ms: float) -> None:
        self._ms = ms

    def __await__(self) -> Generator[float, None, None]:
        yield self._ms


class Loop:
    """Runs coroutines on a virtual clock.

    Parameters
    ----------
    clock
        Set to each moment as it comes; never set back.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._due: list[tuple[float, int, Task]] = []
        self._turn = 0

    def start(self, task: Task, at_ms: float | None = None) -> None:
        """Begin a coroutine at a moment, or now, after whatever else is due then."""
        self._turn += 1
        heappush(self._due, (self.clock.ms if at_ms is None else at_ms, self._turn, task))

    def run(self) -> None:
        """Run until nobody waits any more; an error in a coroutine ends it all.

        Raises
        ------
        TypeError
            A coroutine waits for something other than a moment.
        """
        due, clock = self._due, self.clock
        try:
            while due:
                moment, _, task = heappop(due)
                clock.ms = max(clock.ms, moment)
                try:
                    until = task.send(None)
                except StopIteration:
                    continue
                if not isinstance(until, float | int):
                    raise TypeError(
                        f"a coroutine on virtual time awaits {until!r}; expected `Until`: give it ports that "
                        "wait for moments only"
                    )
                self._turn += 1
                heappush(due, (float(until), self._turn, task))
        finally:
            for _, _, task in due:
                task.close()
            due.clear()


def run_all(clock: VirtualClock, tasks: Sequence[Task]) -> None:
    """Run coroutines that wait for nothing but moments, in the order of these, to their ends."""
    loop = Loop(clock)
    for task in tasks:
        loop.start(task)
    loop.run()
