"""The caller as its own crew of one."""

from typing import Any

from sim.spread.contract import Done, Event, Function, Raised


class Alone:
    """Works while it is waited for."""

    size = 1

    def __init__(self, function: Function) -> None:
        self._function = function
        self._given: tuple[int, Any] | None = None

    @property
    def free(self) -> bool:
        """Whether nothing waits to be done."""
        return self._given is None

    def submit(self, index: int, partition: Any) -> None:
        """Take a partition."""
        self._given = index, partition

    def wait(self) -> Event:
        """Do it."""
        assert self._given is not None, "something was handed out"
        (index, partition), self._given = self._given, None
        try:
            return Done(index, self._function(partition))
        except Exception as error:  # noqa: BLE001 - told as any crew tells it
            return Raised(index, error)

    def close(self) -> None:
        """Nothing was started."""
