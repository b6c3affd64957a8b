"""Why a tenant's next call would be refused, by which layer or scope, and when that ends.

From the ledger alone: the same laws that refuse, asked for a call that costs nothing, so what they say
holds for every call. It knows no clock and keeps no state.
"""

from dataclasses import dataclass

from p402.errors import Refusal
from p402.guard import daily, rate, scopes, slots
from p402.guard.anomaly import CostHistory
from p402.guard.daily import DAY_MS, OVER_HELD, SETTLING_RETRY_MS, Day, Entry
from p402.guard.ledger import Account, has_slot
from p402.guard.scopes import KEY_OVER, SESSION_OVER, Scoped, Totals
from p402.limits import Kind, Limits, Scope


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a tenant stands at a moment.

    Attributes
    ----------
    day
        Totals of the current UTC day.
    calls
        Calls whose money is held, by id, the first to expire first; maybe not all of them.
    in_flight
        Slots that are leased.
    scoped
        Scopes that were asked for, each with its account of now.
    """

    now_ms: int
    day: Day
    account: Account
    in_flight: int
    calls: tuple[tuple[str, Entry], ...]
    scoped: Scoped = ()

    @property
    def slots(self) -> tuple[str, ...]:
        """Ids of the calls that hold a slot."""
        return tuple(name for name, entry in self.calls if has_slot(entry, self.now_ms))


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's word.

    Attributes
    ----------
    used, limit, left
        In `unit`: requests, requests in flight, nano-USD.
    refuses
        Whether any call would be refused by it now.
    retry_after_ms
        When that may end; None where it does not refuse.
    """

    layer: int
    code: str
    unit: str
    used: int
    limit: int
    left: int
    refuses: bool
    retry_after_ms: int | None


@dataclass(frozen=True, slots=True)
class Budget:
    """One scope's word.

    Attributes
    ----------
    code
        Of its refusal; where it does not refuse, of the one it would give once it is spent.
    left_nano
        What a call may cost at most, 0 or more.
    refuses
        Whether any call would be refused by it now.
    retry_after_ms
        When that may end; None where it does not refuse, or never ends by itself.
    resets_in_ms
        When its account begins anew; None where it never does.
    """

    scope: Scope
    totals: Totals
    code: str
    left_nano: int
    refuses: bool
    retry_after_ms: int | None
    resets_in_ms: int | None


def layers(standing: Standing, limits: Limits) -> tuple[Layer, ...]:
    """Layers 1, 2, 3 and 6 of a tenant with these limits, in the order in which they are asked."""
    now, day, cap = standing.now_ms, standing.day, limits.daily_cap_nano
    left = rate.left(standing.account.tat_us, limits.rate, now)
    slow = rate.admit(standing.account.tat_us, limits.rate, now)
    crowded = slots.refuse(standing.in_flight, limits.max_in_flight)
    gone = day.spent_nano + day.held_nano
    to_midnight_ms = DAY_MS - now % DAY_MS
    over_cap, over_held = day.spent_nano >= cap, day.spent_nano < cap <= gone
    return (
        Layer(1, "RATE_LIMIT_EXCEEDED", "requests", limits.rate.burst - left, limits.rate.burst, left,
              isinstance(slow, Refusal), slow.retry_after_ms if isinstance(slow, Refusal) else None),
        Layer(2, "DAILY_SPEND_LIMIT_EXCEEDED", "nano-USD", day.spent_nano, cap, max(0, cap - day.spent_nano),
              over_cap, to_midnight_ms if over_cap else None),
        Layer(3, "CONCURRENCY_LIMIT_EXCEEDED", "requests in flight", standing.in_flight, limits.max_in_flight,
              max(0, limits.max_in_flight - standing.in_flight),
              crowded is not None, None if crowded is None else crowded.retry_after_ms),
        Layer(6, "BUDGET_RESERVATION_FAILED", "nano-USD", day.held_nano, max(0, cap - day.spent_nano),
              max(0, cap - gone), over_held, min(SETTLING_RETRY_MS, to_midnight_ms) if over_held else None),
    )  # fmt: skip


def budgets(standing: Standing) -> tuple[Budget, ...]:
    """The scopes that were asked for, in their order."""
    return tuple(_budget(scope, totals, standing.now_ms) for scope, totals in standing.scoped)


def _budget(scope: Scope, totals: Totals, now_ms: int) -> Budget:
    refused = next(iter(scopes.refusals(((scope, totals),), 1, daily.day_of(now_ms), now_ms)), None)
    return Budget(
        scope,
        totals,
        (SESSION_OVER if scope.kind is Kind.SESSION else KEY_OVER) if refused is None else refused.code,
        max(0, scopes.room(scope, totals)),
        refused is not None,
        None if refused is None else refused.retry_after_ms,
        scopes.resets_in_ms(scope.period, now_ms),
    )


def would_refuse(layers_: tuple[Layer, ...], budgets_: tuple[Budget, ...]) -> str | None:
    """Code of whoever refuses the next call first, in the order of `p402.guard.ledger.reserve`."""
    by_rate, by_day, by_slots, by_held = layers_
    spent = [budget for budget in budgets_ if budget.code != OVER_HELD]
    held = [budget for budget in budgets_ if budget.code == OVER_HELD]
    asked: tuple[Layer | Budget, ...] = (by_rate, by_day, *spent, by_slots, by_held, *held)
    return next((word.code for word in asked if word.refuses), None)


def past(history: CostHistory, limits: Limits) -> str:
    """Layer 4 in words."""
    if history.count < limits.anomaly_calls:
        return f"silent: {history.count} calls are known, {limits.anomaly_calls} are needed"
    return (
        f"{history.count} calls are known; from {limits.anomaly_z:g} standard deviations on a call is flagged"
    )
