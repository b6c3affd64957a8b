"""The law of the daily cap and the hold, on values alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import Refusal
from p402.guard.daily import DAY_MS, HOLD_TTL_MS, Booked, Day, Entry, State, expire, reserve, settle, top_up
from p402.guard.slots import SLOT_LEASE_MS

NOW = 20_000 * DAY_MS + 1_000
amounts = st.integers(0, 10**12)


@given(amounts, amounts, amounts, amounts)
def test_a_grant_never_passes_the_cap_and_a_refusal_is_needed(
    spent: int, held: int, amount: int, cap: int
) -> None:
    verdict = reserve(Day(20_000, spent, held), None, amount, cap, NOW)
    assert isinstance(verdict, Refusal) == (spent + held + amount > cap)
    if isinstance(verdict, Booked):
        assert verdict.day == Day(20_000, spent, held + amount)
        assert verdict.entry == Entry(20_000, amount, NOW + HOLD_TTL_MS, slot_ms=NOW + SLOT_LEASE_MS)
    else:
        only_holds = spent + amount <= cap
        assert verdict.code == ("BUDGET_RESERVATION_FAILED" if only_holds else "DAILY_SPEND_LIMIT_EXCEEDED")


@given(amounts, amounts, amounts, amounts)
def test_expiry_moves_money_within_the_sum_and_a_late_settlement_restores_the_truth(
    spent: int, others: int, amount: int, actual: int
) -> None:
    day, entry = Day(20_000, spent, others + amount), Entry(20_000, amount, NOW)
    expired = expire(day, entry, NOW)
    assert expired is not None
    assert expired.day == Day(20_000, spent + amount, others)
    assert expire(expired.day, expired.entry, NOW + 1) is None
    late = settle(expired.day, expired.entry, actual, NOW + 1)
    in_time = settle(day, entry, actual, NOW)
    assert late is not None
    assert in_time is not None
    assert late.day == in_time.day == Day(20_000, spent + actual, others)
    assert settle(late.day, late.entry, actual + 1, NOW + 2) is None


@given(amounts, amounts)
def test_topping_up_an_expired_hold_makes_it_live_again(amount: int, more: int) -> None:
    day = Day(20_000, amount, 0)
    entry = Entry(20_000, amount, NOW - 1, State.EXPIRED, amount)
    verdict = top_up(day, entry, amount + more, amount + more, NOW)
    assert isinstance(verdict, Booked)
    assert verdict.day == Day(20_000, 0, amount + more)
    assert verdict.entry.expires_ms == NOW + HOLD_TTL_MS


def test_a_hold_of_yesterday_is_not_told_to_wait_for_midnight() -> None:
    refusal = top_up(Day(19_999, 0, 60), Entry(19_999, 60, NOW + 5), 101, 100, NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.retry_after_ms is None


@pytest.mark.parametrize(
    "law", [lambda: reserve(Day(1), None, -1, 5, NOW), lambda: settle(Day(1), None, -1, NOW)]
)
def test_a_negative_amount_is_an_error(law) -> None:
    with pytest.raises(ValueError, match="expected 0 or more"):
        law()
