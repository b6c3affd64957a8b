"""The scopes under which clients make their calls, and which of them are there to be used up.

A worker's clients come in four kinds, by turns: without a scope; with a key whose cap is spent long before
the tenant's; with a wide key and one of two sessions, whose caps are spent as early; with the wide key
alone. So scopes refuse while the fault lasts, and the others use the tenant's cap up. It knows nothing of the
guard's books.
"""

from typing import Final

import msgspec

from p402.guard.scopes import session
from p402.limits import Kind, Period, Scope

KEY_SHARE, SESSION_SHARE = 8, 16
"""A scope's cap is the tenant's, divided by this."""
SESSIONS: Final = ("s0", "s1")
WIDELY: Final = 3 / 4
"""Share of a tenant's cap that is left to the half of its clients that no narrow scope holds back."""

Way = tuple[Scope, ...]
"""What a call counts against beside its tenant's day."""


class Budget(msgspec.Struct, frozen=True):
    """A scope, and whether clients are sure to use it up."""

    scope: Scope
    binds: bool


def budgets(cap_nano: int) -> tuple[Budget, ...]:
    """All scopes of a tenant with this cap."""
    narrow = Budget(Scope(Kind.KEY, "narrow", Period.DAY, cap_nano // KEY_SHARE), binds=True)
    wide = Budget(Scope(Kind.KEY, "wide", Period.DAY, cap_nano), binds=False)
    return (narrow, wide, *(Budget(session(s, cap_nano // SESSION_SHARE), binds=True) for s in SESSIONS))


def ways(cap_nano: int, client: int) -> tuple[Way, ...]:
    """What a worker's client makes its calls under: each under one of these, until all are spent."""
    narrow, wide, *sessions = (budget.scope for budget in budgets(cap_nano))
    kinds: tuple[tuple[Way, ...], ...] = (
        ((),),
        ((narrow,),),
        tuple((wide, one) for one in sessions),
        ((wide,),),
    )
    return kinds[client % len(kinds)]


def account(stem: str, day: int) -> str:
    """Where a call of a day counts: said here again, so that the guard's own word is checked by it."""
    return f"{stem}{day}" if stem.endswith("/d") else stem
