"""What a map over partitions asks of the workers it runs on, and what it says when they fail.

A crew takes partitions one at a time and tells, in any order, what became of each. Who works, where and how
many of them is its own affair. It knows nothing of order, retries or what is kept: `spread` does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from p402.errors import P402Error


class WorkerDied(P402Error):
    """A worker ended before its partition was done, twice."""


class WorkersAway(P402Error):
    """The workers that were asked for cannot be had."""


@dataclass(frozen=True, slots=True)
class Done:
    """The function's result for a partition."""

    index: int
    result: Any


@dataclass(frozen=True, slots=True)
class Died:
    """Whoever had the partition is gone: killed, out of memory, or its machine away."""

    index: int
    why: str


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised; it would again, so it is not tried again."""

    index: int
    error: BaseException


Event = Done | Died | Raised


Function = Callable[[Any], Any]


class Crew(Protocol):
    """Workers, and the function that they are at work on."""

    @property
    def size(self) -> int:
        """Most partitions at work at once."""
        ...

    def begin(self, function: Function) -> None:
        """Work on another function from now on; nothing is handed out then."""
        ...

    def warm(self, function: Callable[..., Any]) -> None:
        """Start everybody who is started at all, and let them load what the function needs."""
        ...

    @property
    def free(self) -> bool:
        """Whether another partition can be handed out now."""
        ...

    def submit(self, index: int, partition: Any) -> None:
        """Hand out a partition; only while `free`."""
        ...

    def wait(self) -> Event:
        """What became of one that was handed out; waits for it."""
        ...

    def close(self) -> None:
        """End every worker that was started, at once, whatever it is doing."""
        ...


@dataclass(frozen=True, slots=True)
class InProcess:
    """The caller itself, one partition after the other."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Processes on this machine, started anew (spawned, never forked).

    Attributes
    ----------
    count
        How many, 1 or more.
    """

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"{self.count} processes: expected 1 or more")


@dataclass(frozen=True, slots=True)
class Ray:
    """Workers of a Ray cluster.

    Attributes
    ----------
    address
        Of a running cluster (`ray://host:10001`, `host:6379`, `auto`). None starts one on loopback and
        ends it afterwards.
    count
        Most partitions at work at once; None for as many as the cluster has processors.
    """

    address: str | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"{self.count} workers: expected 1 or more")


Workers = InProcess | Processes | Ray

ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
"""Set to 1, since libraries of a worker read them when loaded: workers share a machine, not threads."""
