"""Budgets within a tenant's: of a session, of an API key, of a policy that keys share.

A call names the scopes it counts against. What it moves in its tenant's day it moves in the account of each
scope as well, so that there is one ledger and one hold: a scope adds a limit, never a second booking. Its
accounts begin anew with each UTC day or month, or live as long as the scope. It knows no clock and
keeps no state. Money is whole nano-USD.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import blake2b
from typing import Final

from p402.errors import Refusal
from p402.guard.daily import DAY_MS, KEEP_DAYS, OVER_HELD, SETTLING_RETRY_MS, Day, Entry, State, day_of, usd
from p402.limits import Kind, Period, Scope

LIFE_DAYS: Final = 35
"""An account of a month or a life is kept for so many days after it moved last; more than any month has."""
SESSION_OVER: Final = "SESSION_BUDGET_EXCEEDED"
KEY_OVER: Final = "API_KEY_BUDGET_EXCEEDED"
CODES: Final = frozenset((SESSION_OVER, KEY_OVER))
"""Codes of refusals by what a scope has spent."""

_NOW: Final = {Period.DAY: "today", Period.MONTH: "this month", Period.LIFE: "so far"}
_THEN: Final = {Period.DAY: "on its day", Period.MONTH: "in its month"}
_ADVICE: Final = {
    Period.DAY: "it resets at 00:00 UTC",
    Period.MONTH: "it resets on the first of the next month, 00:00 UTC",
    Period.LIFE: "begin another session or ask for a larger budget",
}


@dataclass(frozen=True, slots=True)
class Totals:
    """One account.

    Attributes
    ----------
    held_nano
        Sum of its held calls' amounts.
    aside_nano
        What of the scope's cap is not given out, since hosts may spend it while they see no others.
    """

    spent_nano: int = 0
    held_nano: int = 0
    aside_nano: int = 0

    def moved(self, before: Day, after: Day) -> "Totals":
        """The account after a call of its moved the tenant's day from one value to another."""
        return Totals(
            self.spent_nano + after.spent_nano - before.spent_nano,
            self.held_nano + after.held_nano - before.held_nano,
            self.aside_nano,
        )


Scoped = tuple[tuple[Scope, Totals], ...]
"""A call's scopes, each with its account."""


def session(session_id: str, cap_nano: int) -> Scope:
    """Budget of a session, for as long as it lives; clients choose ids, so the name is a digest."""
    name = blake2b(session_id.encode("utf-8", "replace"), digest_size=12).hexdigest()
    return Scope(Kind.SESSION, name, Period.LIFE, cap_nano)


def check(scopes: tuple[Scope, ...]) -> None:
    """Let only scopes pass of which each has an account of its own.

    Raises
    ------
    ValueError
        Two have one account: what a call moves would be moved twice.
    """
    if len({scope.stem for scope in scopes}) != len(scopes):
        raise ValueError(f"a call names scopes {[scope.stem for scope in scopes]}; expected each once")


def accounts(scopes: tuple[Scope, ...], day: int) -> tuple[str, ...]:
    """Accounts that a call of a UTC day counts in."""
    return tuple(scope.account(day) for scope in scopes)


def kept_until(account: str, day: int) -> int:
    """Last UTC day on which an account is needed that a call of `day` moved."""
    _, _, period = account.rpartition("/")
    return int(period[1:]) + KEEP_DAYS if period[0] == Period.DAY else day + LIFE_DAYS


def resets_in_ms(period: Period, now_ms: int) -> int | None:
    """Time until a period ends, in ms; None for a life."""
    match period:
        case Period.DAY:
            return DAY_MS - now_ms % DAY_MS
        case Period.MONTH:
            today = date(1970, 1, 1) + timedelta(days=day_of(now_ms))
            following = (today.replace(day=1) + timedelta(days=31)).replace(day=1)
            return (following - today).days * DAY_MS - now_ms % DAY_MS
        case Period.LIFE:
            return None


def others(scope: Scope, totals: Totals, entry: Entry | None) -> Totals:
    """An account without what a call has in it."""
    if entry is None or scope.account(entry.day) not in entry.accounts:
        return totals
    held = entry.amount_nano if entry.state is State.HELD else 0
    return Totals(totals.spent_nano - entry.charged_nano, totals.held_nano - held, totals.aside_nano)


def rooms(scoped: Scoped, entry: Entry | None) -> tuple[int, ...]:
    """What each scope has left beside a call; negative where more was spent than its cap."""
    return tuple([room(scope, others(scope, totals, entry)) for scope, totals in scoped])


def room(scope: Scope, beside: Totals) -> int:
    """Most that a call may cost beside what is there; negative where more was spent than the cap."""
    return scope.cap_nano - beside.spent_nano - beside.held_nano - beside.aside_nano


def refusals(scoped: Scoped, amount_nano: int, day: int, now_ms: int) -> tuple[Refusal, ...]:
    """What scopes say against a call, those first that have spent too much, then those that hold too much.

    Parameters
    ----------
    scoped
        Accounts of `day` without what the call itself has in them.
    day
        UTC day that the call counts in.
    """
    found = [
        _refuse(scope, beside, amount_nano, day, now_ms)
        for scope, beside in scoped
        if amount_nano > room(scope, beside)
    ]
    return tuple(sorted(found, key=lambda refusal: refusal.code == OVER_HELD))


def _refuse(scope: Scope, beside: Totals, amount_nano: int, day: int, now_ms: int) -> Refusal:
    whose, most_nano = _named(scope), scope.cap_nano - beside.aside_nano
    current = scope.account(day) == scope.account(day_of(now_ms))
    aside = f", {usd(beside.aside_nano)} kept for when the ledger is away" if beside.aside_nano else ""
    seen = (
        f"spent {usd(beside.spent_nano)} and held {usd(beside.held_nano)} of {usd(scope.cap_nano)} "
        f"{(_NOW if current else _THEN)[scope.period]}{aside}; this call may cost up to {usd(amount_nano)}"
    )
    if beside.spent_nano + amount_nano <= most_nano:
        return Refusal(
            OVER_HELD,
            402,
            f"what is left of the budget of {whose} is held by calls under way: {seen}; "
            "retry when they have ended",
            SETTLING_RETRY_MS,
        )
    code = SESSION_OVER if scope.kind is Kind.SESSION else KEY_OVER
    if current and amount_nano <= most_nano:
        advice, resets_ms = _ADVICE[scope.period], resets_in_ms(scope.period, now_ms)
    else:
        advice, resets_ms = "lower max_tokens or ask for a larger budget", None
    return Refusal(code, 402, f"budget of {whose}: {seen}; {advice}", resets_ms)


def _named(scope: Scope) -> str:
    return {
        Kind.SESSION: "this session",
        Kind.KEY: f"API key {scope.name!r}",
        Kind.POLICY: f"policy {scope.name!r}",
    }[scope.kind]
