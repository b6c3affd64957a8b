"""Workers that are kept from one map to the next, so that each is started once.

A team starts nobody before there is something to do, unless it is asked to, and ends everybody it started
when it is left.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from sim.spread.contract import Crew, InProcess, Processes, Ray, Workers
from sim.spread.in_process import Alone
from sim.spread.processes import Pool


class Team:
    """Of such workers; use it in a `with`."""

    def __init__(self, workers: Workers | None = None) -> None:
        self._workers = workers or InProcess()
        self._crew: Crew | None = None

    def crew(self) -> Crew:
        """The workers; raises `WorkersAway` where they cannot be had."""
        if self._crew is None:
            self._crew = _crew(self._workers)
        return self._crew

    def warm(self, function: Callable[..., Any]) -> None:
        """Start the workers now, and let them load what a function needs; raises as `crew`."""
        self.crew().warm(function)

    def close(self) -> None:
        """End every worker; the next one asked for is started anew."""
        if self._crew is not None:
            self._crew.close()
            self._crew = None

    def __enter__(self) -> Self:
        """The team."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every worker."""
        self.close()


def _crew(workers: Workers) -> Crew:
    match workers:
        case InProcess():
            return Alone()
        case Processes(count):
            return Pool(count)
        case Ray():
            from sim.spread.rays import Cluster  # noqa: PLC0415 - Ray is imported only where it is asked for

            return Cluster(workers)
