"""All layers with state in one verdict: their order, and that a refusal takes nothing."""

from dataclasses import replace

import pytest

from p402.errors import Refusal
from p402.guard.anomaly import CostHistory
from p402.guard.daily import DAY_MS, Booked, Day, Entry, State
from p402.guard.ledger import Account, Posted, has_slot, reserve, settle
from p402.guard.slots import SLOT_LEASE_MS
from p402.limits import Limits, Rate

NOW = 20_000 * DAY_MS
DAY = Day(20_000)
LIMITS = Limits(100, Rate(3_600, 2), 2, block_anomalies=True)
USED_UP = Account(tat_us=NOW * 1_000 + 2_000_000)
PAST = Account(history=CostHistory(100, 1.0, 1.0))


def ask(day=DAY, account=Account(), in_flight=0, amount=10, expected=0, entry=None):  # noqa: B008 - frozen
    return reserve(day, entry, account, in_flight, amount, expected, LIMITS, NOW)


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("RATE_LIMIT_EXCEEDED", {"account": USED_UP, "day": Day(20_000, 95), "in_flight": 2}),
        ("DAILY_SPEND_LIMIT_EXCEEDED", {"day": Day(20_000, 95), "in_flight": 2}),
        ("CONCURRENCY_LIMIT_EXCEEDED", {"day": Day(20_000, 0, 95), "in_flight": 2}),
        ("BUDGET_RESERVATION_FAILED", {"day": Day(20_000, 0, 95), "account": PAST, "expected": 10**9}),
        ("ANOMALY_DETECTED", {"account": PAST, "expected": 10**9}),
    ],
)
def test_the_first_layer_that_says_no_is_named(code, given):
    verdict = ask(**given)
    assert isinstance(verdict, Refusal)
    assert verdict.code == code


def test_an_admitted_call_has_a_request_a_slot_and_a_hold():
    verdict = ask(account=PAST, in_flight=1, expected=3)
    assert isinstance(verdict, Posted)
    assert verdict.account == replace(PAST, tat_us=NOW * 1_000 + 1_000_000)
    assert verdict.booked.day == Day(20_000, 0, 10)
    assert has_slot(verdict.booked.entry, NOW)
    assert has_slot(verdict.booked.entry, NOW + SLOT_LEASE_MS - 1)
    assert not has_slot(verdict.booked.entry, NOW + SLOT_LEASE_MS)


def test_a_repeat_gets_what_it_has_whatever_the_layers_say_now():
    entry = Entry(20_000, 10, NOW + 1)
    verdict = ask(Day(20_000, 0, 100), USED_UP, 2, entry=entry)
    assert verdict == Posted(Booked(Day(20_000, 0, 100), entry), USED_UP)
    assert isinstance(ask(entry=replace(entry, state=State.SETTLED)), Refusal)


def test_what_is_settled_is_learned_from_once_and_has_no_slot():
    entry = Entry(20_000, 10, NOW + 1, slot_ms=NOW + 1)
    posted = settle(Day(20_000, 0, 10), entry, Account(), 7, NOW)
    assert posted is not None
    assert posted.account.history.count == 1
    assert not has_slot(posted.booked.entry, NOW)
    assert settle(posted.booked.day, posted.booked.entry, posted.account, 7, NOW) is None
