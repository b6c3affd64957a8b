"""The law of budgets within a tenant's, on values alone."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import Refusal
from p402.guard import ledger
from p402.guard.daily import DAY_MS, KEEP_DAYS, Day, Entry, State
from p402.guard.ledger import Account, Posted
from p402.guard.scopes import (
    LIFE_DAYS,
    Totals,
    accounts,
    kept_until,
    others,
    refusals,
    resets_in_ms,
    rooms,
    session,
)
from p402.limits import Kind, Period, Scope, month_of
from tests.limits import capped

TODAY = 20_000  # 2024-10-04
NOW = TODAY * DAY_MS + 1_000
amounts = st.integers(0, 10**12)
days = st.integers(0, 60_000)
scopes = st.builds(Scope, st.just(Kind.KEY), st.just("ci"), st.sampled_from(Period), amounts)
totals = st.builds(Totals, amounts, amounts)
WIDE = capped(1 << 61)


@given(scopes, totals, amounts)
def test_p19_a_scope_refuses_exactly_what_its_cap_does_not_cover(
    scope: Scope, beside: Totals, amount: int
) -> None:
    found = refusals(((scope, beside),), amount, TODAY, NOW)
    room = scope.cap_nano - beside.spent_nano - beside.held_nano
    assert bool(found) == (amount > room)
    assert rooms(((scope, beside),), None) == (room,)
    if found:
        only_holds = beside.spent_nano + amount <= scope.cap_nano
        assert found[0].code == ("BUDGET_RESERVATION_FAILED" if only_holds else "API_KEY_BUDGET_EXCEEDED")


@given(scopes, totals, amounts, amounts, amounts, st.integers(1, 400_000))
def test_a_scope_moves_as_its_tenants_day_does_and_never_passes_its_cap_by_a_grant(
    scope: Scope, account: Totals, day_spent: int, amount: int, actual: int, wait_ms: int
) -> None:
    day = Day(TODAY, day_spent)
    posted = ledger.reserve(day, None, Account(), 0, amount, 0, WIDE, NOW, ((scope, account),))
    if isinstance(posted, Refusal):
        return
    booked = posted.booked
    assert booked.entry.accounts == (scope.account(TODAY),)
    held = account.moved(day, booked.day)
    assert held == Totals(account.spent_nano, account.held_nano + amount)
    assert held.spent_nano + held.held_nano <= scope.cap_nano
    assert others(scope, held, booked.entry) == account
    settled = ledger.settle(booked.day, booked.entry, Account(), actual, NOW + wait_ms)
    assert isinstance(settled, Posted)
    after = held.moved(booked.day, settled.booked.day)
    assert after == Totals(account.spent_nano + actual, account.held_nano)
    assert settled.booked.entry.accounts == booked.entry.accounts


def test_what_is_spent_is_said_before_what_is_held() -> None:
    busy, poor = Scope(Kind.KEY, "ci", Period.DAY, 10), session("s", 10)
    found = refusals(((busy, Totals(0, 10)), (poor, Totals(10, 0))), 1, TODAY, NOW)
    assert [r.code for r in found] == ["SESSION_BUDGET_EXCEEDED", "BUDGET_RESERVATION_FAILED"]


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (Scope(Kind.KEY, "ci", Period.DAY, 10**9), ("API key 'ci'", "today", "resets at 00:00 UTC")),
        (Scope(Kind.POLICY, "interns", Period.MONTH, 10**9), ("policy 'interns'", "this month", "first of")),
        (session("s", 10**9), ("this session", "so far", "another session")),
    ],
)
def test_a_refusal_says_whose_budget_what_was_seen_and_what_to_do(scope: Scope, said: tuple) -> None:
    (refusal,) = refusals(((scope, Totals(10**9, 0)),), 250_000_000, TODAY, NOW)
    assert all(word in refusal.message for word in said), refusal.message
    assert "spent $1 and held $0 of $1" in refusal.message
    assert "up to $0.25" in refusal.message


@pytest.mark.parametrize("period", Period)
def test_waiting_is_not_advised_where_it_cannot_help(period: Period) -> None:
    (refusal,) = refusals(((Scope(Kind.KEY, "ci", period, 10), Totals()),), 11, TODAY, NOW)
    assert refusal.retry_after_ms is None
    assert "lower max_tokens" in refusal.message


def test_a_top_up_asks_only_the_scopes_that_its_call_counts_against() -> None:
    mine, new = Scope(Kind.KEY, "ci", Period.DAY, 10), Scope(Kind.KEY, "new", Period.DAY, 1)
    entry = Entry(TODAY, 5, NOW + 1, accounts=(mine.account(TODAY),))
    day = Day(TODAY, 0, 5)
    scoped = ((mine, Totals(0, 5)), (new, Totals(0, 0)))
    assert not isinstance(ledger.top_up(day, entry, 10, 100, NOW, scoped), Refusal)
    assert isinstance(ledger.top_up(day, entry, 11, 100, NOW, scoped), Refusal)
    full = ((mine, Totals(20, 5)),)
    assert not isinstance(ledger.top_up(day, entry, 5, 100, NOW, full), Refusal), "a renewal asks for nothing"
    expired = Entry(TODAY, 5, NOW, State.EXPIRED, 5, accounts=entry.accounts)
    assert not isinstance(
        ledger.top_up(Day(TODAY, 5), expired, 10, 100, NOW, ((mine, Totals(5, 0)),)), Refusal
    )


@given(days)
def test_a_month_is_that_of_the_calendar_and_ends_when_the_next_begins(day: int) -> None:
    when = datetime.fromtimestamp(day * 86_400, UTC)
    assert month_of(day) == 12 * when.year + when.month - 1
    ends = resets_in_ms(Period.MONTH, day * DAY_MS + 7)
    assert ends is not None
    following = (day * DAY_MS + 7 + ends) // DAY_MS
    assert (day * DAY_MS + 7 + ends) % DAY_MS == 0
    assert month_of(following) == month_of(day) + 1
    assert month_of(following - 1) == month_of(day)


@given(days, st.sampled_from(Period))
def test_an_account_is_kept_for_as_long_as_a_call_or_a_late_settlement_may_need_it(
    day: int, period: Period
) -> None:
    scope = Scope(Kind.KEY, "ci", period, 1)
    (account,) = accounts((scope,), day)
    until = kept_until(account, day)
    assert until >= day + KEEP_DAYS
    if period is Period.MONTH:
        ends = resets_in_ms(period, day * DAY_MS)
        assert ends is not None
        assert until >= day + ends // DAY_MS
    if period is Period.LIFE:
        assert until == day + LIFE_DAYS


def test_what_a_client_calls_its_session_is_a_word_of_ours() -> None:
    names = {session(text, 1).account(TODAY) for text in ("a", "b", "a b", "ü\n", "\ud800", "")}
    assert len(names) == 6
    assert all(" " not in name and name.isascii() and name.isprintable() for name in names)
