"""What Redis tells the guard: one value for each thing that a script may say.

It knows nothing of scripts, connections or what is done about an answer.
"""

from dataclasses import dataclass

from p402.guard.daily import Day, Entry
from p402.guard.explain import Standing
from p402.guard.ledger import Account
from p402.guard.scopes import Scoped, Totals


@dataclass(frozen=True, slots=True)
class Cold:
    """Redis knows nothing of the tenant, or its books went back: the host must report."""


@dataclass(frozen=True, slots=True)
class Stale:
    """Another report of this host is in force: its number, 0 for none."""

    report: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Not every host has reported since Redis forgot; in so many ms the absent are counted at their share."""

    ms: int


@dataclass(frozen=True, slots=True)
class Granted:
    """A call is held."""

    now_ms: int
    seq: int
    day: int
    amount_nano: int
    account: Account
    """Its bucket after this call, its past before it."""
    totals: tuple[Totals, ...] = ()
    """Of each scope, beside this call."""
    others: tuple[int, ...] = ()
    """What other hosts have spent of each."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A layer refuses; the law tells which and why from these."""

    now_ms: int
    seq: int
    day: Day
    in_flight: int
    account: Account
    totals: tuple[Totals, ...] = ()


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that costs nothing was taken from the rate."""

    seq: int


@dataclass(frozen=True, slots=True)
class TooFast:
    """The rate refuses; the law tells until when from the bucket."""

    now_ms: int
    seq: int
    tat_us: int


@dataclass(frozen=True, slots=True)
class Over:
    """The call is settled, or not known: nothing may be held for it."""

    seq: int


@dataclass(frozen=True, slots=True)
class Raised:
    """A hold was raised or renewed."""

    seq: int
    amount_nano: int


@dataclass(frozen=True, slots=True)
class NotRaised:
    """The day or a scope has no room; the law tells why."""

    now_ms: int
    seq: int
    day: Day
    entry: Entry
    totals: tuple[Totals, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """What was spent is booked."""

    seq: int


@dataclass(frozen=True, slots=True)
class Looked:
    """Where the tenant stands."""

    now_ms: int
    seq: int
    day: Day
    in_flight: int
    account: Account
    calls: tuple[tuple[str, Entry], ...]
    scoped: Scoped = ()

    @property
    def standing(self) -> Standing:
        """The same, as the port tells it."""
        return Standing(self.now_ms, self.day, self.account, self.in_flight, self.calls, self.scoped)


@dataclass(frozen=True, slots=True)
class Taken:
    """A report is in force.

    Attributes
    ----------
    open
        Whether money may be given out.
    lease_nano
        Of this host, from now on.
    others
        Spent and held today by every other host.
    """

    now_ms: int
    seq: int
    open: bool
    lease_nano: int
    others: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Newer:
    """A report of this host is in force already, this one or a later."""

    report: int


@dataclass(frozen=True, slots=True)
class Foreign:
    """A report is in force that this ledger never made: the ledger went back, or is a copy of another's."""

    report: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A part of what scopes spent is told."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Accounts of scopes that nobody has any more."""

    accounts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Whole:
    """Redis lacks what earlier reports told of scopes: all of it is to be told."""


Shut = Cold | Stale | Wait
