"""The caller as its own crew of one."""

from collections.abc import Callable
from typing import Any

from sim.spread.contract import Done, Event, Function, Raised


class Alone:
    """Works while it is waited for."""

    size = 1

    def __init__(self) -> None:
        self._function: Function | None = None
        self._given: tuple[int, Any] | None = None

    def begin(self, function: Function) -> None:
        """Work on another function from now on."""
        self._function = function

    def warm(self, function: Callable[..., Any]) -> None:
        """The caller has loaded it."""

    @property
    def free(self) -> bool:
        """Whether nothing waits to be done."""
        return self._given is None

    def submit(self, index: int, partition: Any) -> None:
        """Take a partition."""
        self._given = index, partition

    def wait(self) -> Event:
        """Do it."""
        assert self._given is not None and self._function is not None, "something was handed out"  # noqa: PT018
        (index, partition), self._given = self._given, None
        try:
            return Done(index, self._function(partition))
        except Exception as error:  # noqa: BLE001 - told as any crew tells it
            return Raised(index, error)

    def close(self) -> None:
        """Nothing was started."""
        self._given = None
