"""The place of a probe that one request may hold, from its choice to the word on it.

A request that chose an arm whose breaker is half open holds the place of the one call that may try it. It
moves with each choice, and is given back on every way out on which the arm said nothing of itself: the
caller left, the day had no room, the client was at fault.
"""

from p402.routing.health import Health


class Probe:
    """At most one place; whoever holds it is the only one to try that provider."""

    __slots__ = ("_arm", "_health")

    def __init__(self, health: Health, arm: str) -> None:
        self._health = health
        self._arm: str | None = arm if health.begin_probe(arm) else None

    def move(self, arm: str) -> None:
        """Give back what is held, and take the place of another arm if it is to be tried."""
        self.give_back()
        if self._health.begin_probe(arm):
            self._arm = arm

    def is_of(self, arm: str) -> bool:
        """Whether the place of this arm is held."""
        return self._arm == arm

    def answered(self, now_ms: int) -> None:
        """The first content of the arm that is tried came."""
        if self._arm is not None:
            self._health.answered(self._arm, now_ms)
            self._arm = None

    def told(self) -> None:
        """The arm's attempt was observed, and its place with it."""
        self._arm = None

    def give_back(self) -> None:
        """End without a word; idempotent."""
        if self._arm is not None:
            self._health.probes.give_back(self._arm)
            self._arm = None
