"""What is asked of a hand when a call is to be held, as it travels from the port to file or Redis."""

from dataclasses import dataclass, replace

from p402.guard.scopes import check
from p402.limits import Limits, Scope


@dataclass(frozen=True, slots=True)
class Wanted:
    """A hold that is asked for.

    Attributes
    ----------
    amount_nano
        The most that the call may cost.
    expected_nano
        What it is expected to cost, for layer 4; 0 where nobody knows.
    scopes
        Budgets within the tenant's that it counts against.

    Raises
    ------
    ValueError
        Two scopes have one account.
    """

    tenant: str
    request_id: str
    amount_nano: int
    expected_nano: int
    limits: Limits
    scopes: tuple[Scope, ...] = ()

    def __post_init__(self) -> None:
        """Refuse scopes that are named twice."""
        check(self.scopes)

    def under(self, limits: Limits) -> "Wanted":
        """The same under other limits."""
        return replace(self, limits=limits)
