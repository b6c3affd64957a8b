"""What all layers with state say to one call, and what the books are after it.

Layers 1, 2, 3, 4 and 6 in one verdict, so that a hand takes it under one lock: nothing is taken
unless every layer agrees. The layers' laws are in modules of their own; here is their order. It knows
no clock and keeps no state: a tenant's account and one call's entry come in, their successors go out.
"""

from dataclasses import dataclass, replace

from p402.errors import Refusal
from p402.guard import anomaly, daily, rate, scopes, slots
from p402.guard.anomaly import NO_PAST, CostHistory
from p402.guard.daily import Booked, Day, Entry, State
from p402.guard.scopes import Scoped
from p402.limits import Limits
from p402.units import nano_to_usd


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of a tenant beside its days.

    Attributes
    ----------
    tat_us
        Theoretical arrival time of its bucket (`p402.guard.rate`).
    history
        Moments of ln(cost) over its settled calls.
    """

    tat_us: int = 0
    history: CostHistory = NO_PAST


_UNASKED = Refusal(
    daily.OVER_HELD,
    402,
    "this call counts against budgets that its repeat does not name, so its hold cannot be raised; "
    "send a new request",
)


@dataclass(frozen=True, slots=True)
class Posted:
    """A verdict that changes the books: all three replace their predecessors."""

    booked: Booked
    account: Account


def reserve(
    day: Day,
    entry: Entry | None,
    account: Account,
    in_flight: int,
    amount_nano: int,
    expected_nano: int,
    limits: Limits,
    now_ms: int,
    scoped: Scoped = (),
) -> Posted | Refusal:
    """Admit a call and set aside the most it may cost.

    A repeated id gets what it has, and takes nothing from any layer again.

    Parameters
    ----------
    in_flight
        Slots leased to the tenant's other calls.
    expected_nano
        What the call is expected to cost, for layer 4; 0 where nobody knows.
    scoped
        Its scopes, each with its account for `day`.

    Raises
    ------
    ValueError
        An amount is negative.
    """
    accounts = tuple([scope.account(day.day) for scope, _ in scoped])
    verdict = daily.reserve(day, entry, amount_nano, limits.daily_cap_nano, now_ms, accounts)
    if entry is not None:
        return verdict if isinstance(verdict, Refusal) else Posted(verdict, account)
    narrow = scopes.refusals(scoped, amount_nano, day.day, now_ms) if scoped else ()
    tat_us = rate.admit(account.tat_us, limits.rate, now_ms)
    if isinstance(tat_us, Refusal):
        return tat_us
    if isinstance(verdict, Refusal) and verdict.code == daily.OVER_CAP:
        return verdict
    if narrow and narrow[0].code != daily.OVER_HELD:
        return narrow[0]
    crowded = slots.refuse(in_flight, limits.max_in_flight)
    if crowded is not None:
        return crowded
    if isinstance(verdict, Refusal):
        return verdict
    if narrow:
        return narrow[0]
    if limits.block_anomalies and is_out_of_line(account.history, expected_nano, limits):
        return refuse_out_of_line(account.history, expected_nano, limits)
    return Posted(verdict, replace(account, tat_us=tat_us))


def admit(account: Account, limits: Limits, now_ms: int) -> Account | Refusal:
    """Admit a request that is answered without a call and costs nothing: layer 1 alone."""
    tat_us = rate.admit(account.tat_us, limits.rate, now_ms)
    return tat_us if isinstance(tat_us, Refusal) else replace(account, tat_us=tat_us)


def top_up(
    day: Day, entry: Entry | None, amount_nano: int, cap_nano: int, now_ms: int, scoped: Scoped = ()
) -> Booked | Refusal:
    """Raise a hold, or renew it, where the day and every scope that the call counts against have room.

    Parameters
    ----------
    scoped
        The call's scopes, each with its account; where one that it counts against is missing, none is raised.

    Raises
    ------
    ValueError
        The amount is negative.
    """
    verdict = daily.top_up(day, entry, amount_nano, cap_nano, now_ms)
    if isinstance(verdict, Refusal) or entry is None or amount_nano <= entry.amount_nano:
        return verdict
    beside = tuple(
        (scope, scopes.others(scope, totals, entry))
        for scope, totals in scoped
        if scope.account(entry.day) in entry.accounts
    )
    if len(beside) < len(entry.accounts):
        return _UNASKED
    narrow = scopes.refusals(beside, amount_nano, entry.day, now_ms)
    return narrow[0] if narrow else verdict


def left(day: Day, cap_nano: int, scoped: Scoped) -> int:
    """Most that a call may cost: what the day has left, or the scope with the least; 0 or more."""
    room = cap_nano - day.spent_nano - day.held_nano
    return max(0, min((room, *scopes.rooms(scoped, None))))


def settle(
    day: Day,
    entry: Entry | None,
    account: Account,
    actual_nano: int,
    now_ms: int,
    accounts: tuple[str, ...] = (),
) -> Posted | None:
    """Replace a hold by what was spent, and learn from it once; None where nothing changes."""
    booked = daily.settle(day, entry, actual_nano, now_ms, accounts)
    if booked is None:
        return None
    return Posted(booked, replace(account, history=anomaly.observe(account.history, actual_nano)))


def has_slot(entry: Entry | None, now_ms: int) -> bool:
    """Whether a call counts as in flight."""
    return entry is not None and entry.state is State.HELD and entry.slot_ms > now_ms


def is_out_of_line(history: CostHistory, cost_nano: int, limits: Limits) -> bool:
    """Whether a cost is an anomaly under a tenant's limits."""
    return anomaly.out_of_line(history, cost_nano, limits.anomaly_z, limits.anomaly_calls)


def refuse_out_of_line(history: CostHistory, cost_nano: int, limits: Limits) -> Refusal:
    """Refusal of a call that is expected to be an anomaly."""
    score = anomaly.z_score(history, cost_nano, limits.anomaly_calls) or limits.anomaly_z
    return Refusal(
        anomaly.CODE,
        402,
        f"this call is expected to cost ${nano_to_usd(cost_nano):.6f}, {score:.1f} standard deviations above "
        f"this tenant's past; expected less than {limits.anomaly_z:g}; lower max_tokens, or allow anomalies",
    )
