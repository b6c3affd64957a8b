"""Who is trying which provider now, so that one call at a time finds out whether it is back.

A place is taken when a request chooses an arm whose breaker is half open, and given back when that call told
nothing. After one that told something the place stays taken until what it told is logged, since until then
the live columns still say that the breaker is half open. It knows no clock, and nothing of breakers.

The place is the provider's, not the arm's: a dead provider of thirty arms would otherwise take thirty
failures to be seen as dead still.
"""

from dataclasses import dataclass, field


def provider_of(arm: str) -> str:
    """The provider of an arm id, `provider/model`."""
    return arm.partition("/")[0]


@dataclass(slots=True)
class Probes:
    """Places taken, by provider.

    Attributes
    ----------
    taken
        The arm that each provider is tried by.
    """

    taken: dict[str, str] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def providers(self) -> list[str]:
        """Providers under probe: other requests see their breakers open."""
        return list(self.taken) if self.taken else []

    def take(self, arm: str) -> bool:
        """Take the place of an arm's provider; False where it is taken."""
        provider = provider_of(arm)
        if provider in self.taken:
            return False
        self.taken[provider] = arm
        return True

    def give_back(self, arm: str) -> None:
        """The probe ended without a word on its arm; idempotent."""
        provider = provider_of(arm)
        if self.taken.get(provider) == arm and provider not in self._told:
            del self.taken[provider]

    def told(self, arm: str) -> None:
        """The probe ended with a word, which is yet to be logged."""
        provider = provider_of(arm)
        if self.taken.get(provider) == arm:
            self._told.add(provider)

    def logged(self) -> None:
        """What the probes told is in the live columns."""
        for provider in self._told:
            del self.taken[provider]
        self._told.clear()
