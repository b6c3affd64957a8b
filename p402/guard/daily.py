"""Whether a tenant's day still has room for a call, and what the day's books say after it.

The law behind guard layers 2 (daily cap) and 6 (the hold), shared by every hand. It knows no
clock and keeps no state: a day's totals and one hold's entry come in, their successors go out,
so a hand may keep them in rows, in a hash or in a dictionary. Money is whole nano-USD.

The invariant is `spent + held <= cap` after every grant. A hold moves within that sum and never
out of it: expiry moves it from held to spent at its maximum, so a crashed worker can lose its
tenant money but never free some. Only a settlement changes the sum, to what was really spent.

Source: reference study "Reliability and security", section 4 (expiry charges, it does not free).
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from p402.errors import Refusal
from p402.guard.slots import SLOT_LEASE_MS
from p402.units import nano_to_usd

DAY_MS = 86_400_000
HOLD_TTL_MS = 300_000
"""A hold lives 5 minutes unless it is topped up (promise P17)."""
SETTLING_RETRY_MS = 1_000
"""Retry hint where only holds stand in the way: calls end within seconds, and then free their rest."""
OVER_CAP = "DAILY_SPEND_LIMIT_EXCEEDED"
"""Code of a refusal by what was spent."""
OVER_HELD = "BUDGET_RESERVATION_FAILED"
"""Code of a refusal by what is held."""
KEEP_DAYS = 2
"""Entries of this many past days are kept; until then a late settlement still corrects the books."""


class State(IntEnum):
    """Where a hold is in its life; the numbers are stored."""

    HELD = 0
    EXPIRED = 1
    SETTLED = 2


@dataclass(frozen=True, slots=True)
class Day:
    """Totals of one tenant on one UTC day (days since 1970).

    `held_nano` is always the sum of the amounts of the day's entries in state HELD.
    """

    day: int
    spent_nano: int = 0
    held_nano: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One call in the books of the day it began.

    `charged_nano` is the part of the day's `spent_nano` that this entry accounts for. `slot_ms` is
    until when the call counts as in flight, while it is held (`p402.guard.slots`). `accounts` are those of
    its scopes (`p402.guard.scopes`), which move as the day does.
    """

    day: int
    amount_nano: int
    expires_ms: int
    state: State = State.HELD
    charged_nano: int = 0
    slot_ms: int = 0
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Booked:
    """A verdict that changes the books: both values replace their predecessors."""

    day: Day
    entry: Entry


OVER = Refusal(
    OVER_HELD,
    402,
    "this request's hold is settled or unknown, so no call may be made under it; send a new request",
)
"""Refusal of a hold for a call that is over."""


def day_of(now_ms: int) -> int:
    """UTC day of a wall time in ms."""
    return now_ms // DAY_MS


def reserve(
    day: Day,
    entry: Entry | None,
    amount_nano: int,
    cap_nano: int,
    now_ms: int,
    accounts: tuple[str, ...] = (),
) -> Booked | Refusal:
    """Set `amount_nano` aside on `day`, if spent, held and it stay within the cap.

    Parameters
    ----------
    day
        Totals of the tenant's current day; for a repeated call, of `entry.day`.
    entry
        What is known of this request id. A live or expired hold is given again as it is.
    accounts
        Of the call's scopes, which its entry is to name.

    Raises
    ------
    ValueError
        The amount is negative.
    """
    _check(amount_nano)
    if entry is not None:
        return OVER if entry.state is State.SETTLED else Booked(day, entry)
    refusal = _room(day, amount_nano, cap_nano, now_ms)
    if refusal is not None:
        return refusal
    fresh = Entry(
        day.day, amount_nano, now_ms + HOLD_TTL_MS, slot_ms=now_ms + SLOT_LEASE_MS, accounts=accounts
    )
    return Booked(Day(day.day, day.spent_nano, day.held_nano + amount_nano), fresh)


def top_up(day: Day, entry: Entry | None, amount_nano: int, cap_nano: int, now_ms: int) -> Booked | Refusal:
    """Raise a hold to `amount_nano` and give it a new lease of life.

    A smaller amount keeps the old one, so topping up to the same amount renews a long call's hold and slot.
    An expired hold becomes live again: what it was charged is inside the cap already.

    Raises
    ------
    ValueError
        The amount is negative.
    """
    _check(amount_nano)
    if entry is None or entry.state is State.SETTLED:
        return OVER
    target = max(amount_nano, entry.amount_nano)
    was_held = entry.amount_nano if entry.state is State.HELD else 0
    others = Day(day.day, day.spent_nano - entry.charged_nano, day.held_nano - was_held)
    if target > entry.amount_nano:
        refusal = _room(others, target, cap_nano, now_ms)
        if refusal is not None:
            return refusal
    raised = Entry(
        entry.day, target, now_ms + HOLD_TTL_MS, slot_ms=now_ms + SLOT_LEASE_MS, accounts=entry.accounts
    )
    return Booked(Day(others.day, others.spent_nano, others.held_nano + target), raised)


def settle(
    day: Day, entry: Entry | None, actual_nano: int, now_ms: int, accounts: tuple[str, ...] = ()
) -> Booked | None:
    """Replace a hold, live or expired, by what was spent; None where nothing changes.

    The truth is booked even above the hold or the cap. A second settlement changes nothing. An
    unknown hold (the books were lost) is adopted, unless its day is closed: `KEEP_DAYS` past, the
    entry may be gone because it was pruned, and charging it again would count it twice.

    Raises
    ------
    ValueError
        The actual cost is negative.
    """
    _check(actual_nano)
    if entry is None:
        if day.day < day_of(now_ms) - KEEP_DAYS:
            return None
        adopted = Entry(day.day, actual_nano, now_ms, State.SETTLED, actual_nano, accounts=accounts)
        return Booked(replace(day, spent_nano=day.spent_nano + actual_nano), adopted)
    if entry.state is State.SETTLED:
        return None
    was_held = entry.amount_nano if entry.state is State.HELD else 0
    spent_nano = day.spent_nano - entry.charged_nano + actual_nano
    return Booked(
        Day(day.day, spent_nano, day.held_nano - was_held),
        replace(entry, state=State.SETTLED, charged_nano=actual_nano),
    )


def expire(day: Day, entry: Entry, now_ms: int) -> Booked | None:
    """Charge a hold that outlived its lease at its maximum; None where it is not due."""
    if entry.state is not State.HELD or now_ms < entry.expires_ms:
        return None
    return Booked(
        Day(day.day, day.spent_nano + entry.amount_nano, day.held_nano - entry.amount_nano),
        replace(entry, state=State.EXPIRED, charged_nano=entry.amount_nano),
    )


def _room(others: Day, amount_nano: int, cap_nano: int, now_ms: int) -> Refusal | None:
    if others.spent_nano + others.held_nano + amount_nano <= cap_nano:
        return None
    to_midnight_ms = DAY_MS - now_ms % DAY_MS
    seen = (
        f"spent {usd(others.spent_nano)} and held {usd(others.held_nano)} of {usd(cap_nano)} today; "
        f"this call may cost up to {usd(amount_nano)}"
    )
    if others.spent_nano + amount_nano <= cap_nano:
        return Refusal(
            OVER_HELD,
            402,
            f"what is left of the daily cap is held by calls under way: {seen}; retry when they have ended",
            min(SETTLING_RETRY_MS, to_midnight_ms),
        )
    fits_an_empty_day = amount_nano <= cap_nano and others.day == day_of(now_ms)
    advice = "it resets at 00:00 UTC" if fits_an_empty_day else "lower max_tokens or ask for a higher cap"
    return Refusal(
        OVER_CAP,
        402,
        f"daily spend limit: {seen}; {advice}",
        to_midnight_ms if fits_an_empty_day else None,
    )


def _check(amount_nano: int) -> None:
    if amount_nano < 0:
        raise ValueError(f"amount is {amount_nano} nano-USD; expected 0 or more")


def usd(nano: int) -> str:
    """Money as a refusal says it."""
    return f"${nano_to_usd(nano):.6f}".rstrip("0").rstrip(".")
