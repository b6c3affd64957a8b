"""A function over partitions: in order, on any workers, kept as they finish.

Results come in the order of the partitions, whoever finished first, and no more of them wait than twice
the workers. A worker that dies is said and its partition tried once more. What finished is kept where the
caller asks for it, so that an interrupted run goes on where it was. It knows nothing of what is worked out.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from sim.shown import Advance
from sim.spread.contract import Crew, Died, Done, Function, Raised, WorkerDied, Workers
from sim.spread.kept import Kept
from sim.spread.team import Team

P = TypeVar("P")
R = TypeVar("R")

TRIES = 2
"""How often a partition is tried whose worker died."""

_AHEAD = 2  # results for each worker that may wait for an earlier one


def to_stderr(message: str) -> None:
    """Say something that is no failure yet."""
    print(message, file=sys.stderr)


def spread(
    function: Callable[[P], R],
    partitions: Sequence[P],
    workers: Workers | Team | None = None,
    *,
    kept: Kept[R] | None = None,
    sizes: Sequence[int] | None = None,
    progress: Advance = lambda _done, _total: None,
    report: Callable[[str], None] = to_stderr,
) -> Iterator[R]:
    """Results of a function over partitions, in their order.

    Nothing is done before the first result is asked for. Closing the iterator, or an error out of it, ends
    the workers; what had finished by then is kept.

    Parameters
    ----------
    function
        Of one partition. On other processes it is found by its module and name, so it is a function of a
        module or a `functools.partial` of one, and so are its arguments and results picklable.
    partitions
        Each small: what says where the rows are, not the rows.
    workers
        `InProcess()` by default. A `Team` is kept for the next map; an error ends its workers as well.
    kept
        Where results are kept and found again.
    sizes
        How much each partition counts in the progress, such as its rows; 1 by default.
    progress
        Called with how much is done, of how much.
    report
        Told of a worker that died, and of a kept part that is damaged.

    Raises
    ------
    WorkerDied
        A partition's worker died twice.
    WorkersAway
        The workers cannot be had.
    StoreError
        A result cannot be kept.
    ValueError
        There is not one size a partition.
    """
    sizes = [1] * len(partitions) if sizes is None else sizes
    if len(sizes) != len(partitions):
        raise ValueError(f"{len(sizes)} sizes of {len(partitions)} partitions: expected one of each")
    team = workers if isinstance(workers, Team) else Team(workers)
    ended = False
    try:
        yield from _Run(function, partitions, team, kept, sizes, progress, report).results()
        ended = True
    finally:
        if team is not workers or not ended:
            team.close()


class _Run:
    """One map, under way."""

    def __init__(
        self,
        function: Function,
        partitions: Sequence[Any],
        team: Team,
        kept: Kept[Any] | None,
        sizes: Sequence[int],
        progress: Advance,
        report: Callable[[str], None],
    ) -> None:
        self._function, self._partitions, self._team = function, partitions, team
        self._kept, self._sizes, self._progress, self._report = kept, sizes, progress, report
        self._crew: Crew | None = None
        self._ready: dict[int, Any] = {}
        self._tries = [0] * len(partitions)
        self._again: list[int] = []
        self._next = 0
        """First partition that was never handed out nor found."""
        self._done, self._total = 0, sum(sizes)

    def results(self) -> Iterator[Any]:
        self._progress(self._done, self._total)
        for index in range(len(self._partitions)):
            while index not in self._ready:
                self._hand_out(index)
                if index not in self._ready:
                    self._take()
            yield self._ready.pop(index)

    def _hand_out(self, wanted: int) -> None:
        """Give every free worker something to do; find what is kept, so far as it is wanted soon."""
        while self._crew is None or self._crew.free:
            if self._again:
                self._submit(self._again.pop(0))
                continue
            if self._next >= min(len(self._partitions), wanted + self._ahead()):
                return
            index, self._next = self._next, self._next + 1
            if not self._found(index):
                self._submit(index)
            elif index == wanted:
                return

    def _ahead(self) -> int:
        return 1 if self._crew is None else _AHEAD * self._crew.size

    def _submit(self, index: int) -> None:
        if self._crew is None:
            self._crew = self._team.crew()
            self._crew.begin(self._function)
        self._tries[index] += 1
        self._crew.submit(index, self._partitions[index])

    def _found(self, index: int) -> bool:
        if self._kept is None:
            return False
        result = self._kept.find(index, self._report)
        if result is None:
            return False
        self._finish(index, result)
        return True

    def _take(self) -> None:
        assert self._crew is not None, "something was handed out"
        match self._crew.wait():
            case Done(index, result):
                if self._kept is not None:
                    self._kept.keep(index, result)
                self._finish(index, result)
            case Raised(index, error):
                error.add_note(f"in partition {self._name(index)}")
                raise error
            case Died(index, why):
                self._bury(index, why)

    def _finish(self, index: int, result: Any) -> None:
        self._ready[index] = result
        self._done += self._sizes[index]
        self._progress(self._done, self._total)

    def _bury(self, index: int, why: str) -> None:
        name = self._name(index)
        if self._tries[index] >= TRIES:
            rest = "" if self._kept is None else f"; what finished is kept in {self._kept.folder}"
            raise WorkerDied(
                f"the worker of partition {name} died {self._tries[index]} times, last: {why}; expected it "
                f"to finish; see what kills it (memory?), take fewer processes or smaller partitions{rest}"
            )
        self._report(f"the worker of partition {name} died: {why}; its partition is tried once more")
        self._again.append(index)

    def _name(self, index: int) -> str:
        return f"{index + 1} of {len(self._partitions)} ({self._partitions[index]})"
