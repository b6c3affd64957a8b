"""Why a tenant's next call would be refused, layer by layer, and when that ends.

From the ledger alone: the same laws that refuse, asked for a call that costs nothing, so what they say
holds for every call. It knows no clock and keeps no state.
"""

from dataclasses import dataclass

from p402.errors import Refusal
from p402.guard import rate, slots
from p402.guard.anomaly import CostHistory
from p402.guard.daily import DAY_MS, SETTLING_RETRY_MS, Day, Entry
from p402.guard.ledger import Account, has_slot
from p402.guard.scopes import Scoped
from p402.limits import Limits


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


def past(history: CostHistory, limits: Limits) -> str:
    """Layer 4 in words."""
    if history.count < limits.anomaly_calls:
        return f"silent: {history.count} calls are known, {limits.anomaly_calls} are needed"
    return (
        f"{history.count} calls are known; from {limits.anomaly_z:g} standard deviations on a call is flagged"
    )
