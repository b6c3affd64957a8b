"""Which limits suit a tenant, by what it did, or by what its operator means to spend.

Pure: demand goes in, limits and the reasons for them come out. It reads no log and knows no tenant's
name. Whoever sizes by a log gets room above the greatest demand seen, and the less was seen, the
more; whoever sizes by a sum gets a cap under which that sum is never passed. Money is whole nano-USD.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

from p402.limits import DEFAULT_RATE, HOLD_PREDICTED, HOLD_STRICT, MAX_PER_HOUR, Limits
from p402.units import NANO_PER_USD, nano_to_usd

WEEK_DAYS: Final = 7
MONTH_DAYS: Final = 28

DEAREST_TIMES: Final = 3
"""A request may cost so many times what the dearest one did; above it, something has gone wrong."""

WORTH: Final = 0.05
"""Share of the cap that predicted holds must free at the peak to be worth their overshoot."""

SPEND_PARTS: Final = 20
"""By a sum alone, a request may take a twentieth of a day: ten in flight then hold half of it at most."""

LONGEST_MONTH: Final = 31

LEAST_NANO: Final = NANO_PER_USD // 100
MOST_NANO: Final = (1 << 53) - 1
MOST_REQUEST_NANO: Final = ((1 << 53) - 1) // 1_000
"""What exact arithmetic can hold for a day, and for one request (2**53 - 1 pico-USD)."""

DEFAULT_REQUEST_NANO: Final = 50 * NANO_PER_USD


@dataclass(frozen=True, slots=True)
class Demand:
    """What a tenant did, by its log.

    Attributes
    ----------
    days, requests
        UTC days on which it asked for anything; requests, refused ones included.
    peak_day_nano
        Greatest charge of one UTC day.
    peak_hour
        Most requests within any 60 minutes, refused ones included.
    peak_in_flight
        Most calls under way at once.
    p99_nano, dearest_nano
        Charge that 99 % of the requests do not exceed, and the greatest.
    dearest_bound_nano
        Greatest bound of any call.
    dearest_named_nano
        The same of those that named their output cap: under a lower ceiling they would be refused.
    peak_held_nano
        Most that strict holds took at once; None where the log has no holds.
    peak_predicted_nano
        The same had holds been predicted, each worker learning as it went; None likewise.
    predicted, overshot, overshoot_nano
        Calls that would have had such a hold, those of them that cost more, and by how much in all.
    refused_rate, refused_slots, refused_money
        Requests refused by layer 1, by layer 3, and by the day's money.
    """

    days: int
    requests: int
    peak_day_nano: int
    peak_hour: int
    peak_in_flight: int
    p99_nano: int
    dearest_nano: int
    dearest_bound_nano: int = 0
    dearest_named_nano: int = 0
    peak_held_nano: int | None = None
    peak_predicted_nano: int | None = None
    predicted: int = 0
    overshot: int = 0
    overshoot_nano: int = 0
    refused_rate: int = 0
    refused_slots: int = 0
    refused_money: int = 0


@dataclass(frozen=True, slots=True)
class Suggested:
    """Limits for a tenant.

    Attributes
    ----------
    headroom
        How many times the greatest demand seen they allow; 1 where they follow from a sum.
    why
        A sentence for each that needs one.
    """

    daily_cap_nano: int
    requests_per_hour: int
    max_in_flight: int
    max_request_nano: int
    hold: str
    headroom: float
    why: tuple[str, ...]


def headroom(days: int) -> tuple[float, str]:
    """How many times the peak to allow after so many days, and why.

    Of n + 1 days alike, the last is the greatest once in n + 1 times: that is how often a day to come
    passes the peak of n. Fewer than seven have not seen every day of a week.
    """
    passed = f"a day like these {days} passes their peak once in {days + 1}"
    if days < WEEK_DAYS:
        return 2.0, f"2 times the peak: no whole week was seen, and {passed}"
    if days < MONTH_DAYS:
        return 1.5, f"1.5 times the peak: {passed}; no whole month was seen"
    return 1.25, f"1.25 times the peak: {passed}"


def by_demand(demand: Demand) -> Suggested:
    """Limits with room above what was seen."""
    factor, reason = headroom(demand.days)
    why = [reason]
    hold, held_nano = _hold(demand, factor, why)
    # Under a lower ceiling, calls that name their cap would be refused, and the caps of others lowered
    # until their answers no longer tell how long such answers are.
    covered = demand.dearest_named_nano if hold == HOLD_STRICT else demand.dearest_bound_nano
    request_nano = max(DEAREST_TIMES * demand.dearest_nano, covered, LEAST_NANO)
    request_nano = min(two_digits(request_nano), MOST_REQUEST_NANO)
    cap_nano = two_digits(ceil(factor * (demand.peak_day_nano + held_nano)))
    if demand.refused_rate or demand.refused_slots or demand.refused_money:
        why.append(
            f"limits refused {demand.refused_rate} requests by rate, {demand.refused_slots} by calls in "
            f"flight and {demand.refused_money} by the day's money: demand is higher than what was seen, so "
            f"look again after a week"
        )
    return Suggested(
        daily_cap_nano=min(max(cap_nano, request_nano), MOST_NANO),
        requests_per_hour=min(max(two_digits(ceil(factor * demand.peak_hour)), 1), MAX_PER_HOUR),
        max_in_flight=max(two_digits(ceil(factor * demand.peak_in_flight)), 1),
        max_request_nano=request_nano,
        hold=hold,
        headroom=factor,
        why=tuple(why),
    )


def by_spend(spend_nano: int, days: int) -> Suggested:
    """Limits under which `days` days never cost more than a sum.

    Raises
    ------
    ValueError
        The sum is too small for a day's cap of a micro-USD.
    """
    cap_nano = min(spend_nano // days, MOST_NANO) // 1_000 * 1_000
    if cap_nano <= 0:
        raise ValueError(f"{spend_nano} nano-USD over {days} days leave no day a micro-USD")
    request_nano = min(max(cap_nano // SPEND_PARTS // 1_000 * 1_000, 1_000), DEFAULT_REQUEST_NANO)
    span = "a day" if days == 1 else f"{days} days of it"
    return Suggested(
        daily_cap_nano=cap_nano,
        requests_per_hour=DEFAULT_RATE.per_hour,
        max_in_flight=Limits().max_in_flight,
        max_request_nano=request_nano,
        hold=HOLD_STRICT,
        headroom=1.0,
        why=(
            f"{span} never cost more than ${nano_to_usd(spend_nano):,.2f}; what one leaves is not passed on",
            f"one request may take 1/{SPEND_PARTS} of a day, $50 at most: ten in flight hold half at most",
            "rate and calls in flight are the defaults: a sum says nothing of them, some days' log does",
        ),
    )


def two_digits(amount: int) -> int:
    """An amount rounded up to two significant digits."""
    step: int = 10 ** max(len(str(amount)) - 2, 0)
    return -(-amount // step) * step


def _hold(demand: Demand, factor: float, why: list[str]) -> tuple[str, int]:
    """The rule for holds, and the most that it took at once."""
    strict, predicted = demand.peak_held_nano, demand.peak_predicted_nano
    if strict is None or predicted is None:
        why.append("strict holds: the log has no `hold_nano` (it was written by an older release)")
        return HOLD_STRICT, 0
    cap = factor * (demand.peak_day_nano + strict)
    freed = (strict - predicted) / cap if cap else 0.0
    seen = (
        f"strict holds took ${nano_to_usd(strict):,.4f} at once and predicted ones would have taken "
        f"${nano_to_usd(predicted):,.4f}, {freed:.1%} of the cap less"
    )
    if demand.predicted == 0:
        why.append(f"strict holds: no worker saw the answers that p99.9 needs; {seen}")
        return HOLD_STRICT, strict
    rate = f"{demand.overshot} of {demand.predicted:,} calls would have cost more than their hold"
    if freed < WORTH:
        why.append(f"strict holds: {seen}, below the {WORTH:.0%} that is worth an overshoot; {rate}")
        return HOLD_STRICT, strict
    why.append(f'hold = "p99.9": {seen}; {rate}, by ${nano_to_usd(demand.overshoot_nano):,.4f} in all')
    return HOLD_PREDICTED, predicted
