"""What counts as a breach, and what a journal tells after kill -9."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.audit import Books
from tests.chaos.budgets import budgets
from tests.chaos.journal import SETTLED_MS, Journal, Truth, now_ms, read
from tests.chaos.tally import scopes
from tests.chaos.verdict import Account, Measured, breaches

DAY = Account("t on day 7", 1_000, 995, 0, (995, 995), (0, 0), 995)
KEY = replace(DAY, whose="t's key:k/d7")
RUN = Measured("none", 1, (DAY,), (KEY,), 10, 0, {}, 0, 300, 300, 300, 5, 5, 1, 1.0)


def test_a_run_that_keeps_every_promise_has_no_breach():
    assert not list(breaches(RUN))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"truth_nano": 1_001, "books_nano": (1_001, 1_001), "ledger_nano": 1_001}, "spent beyond the cap"),
        ({"held_nano": (0, 1)}, "still held"),
        ({"held_nano": (0, -1)}, "still held"),
        ({"ledger_held_nano": 1}, "still held by ledgers"),
        ({"books_nano": (995, 996)}, "disagree"),
        ({"books_nano": (994, 994)}, "below the truth"),
        ({"books_nano": (996, 996)}, "above the truth; nobody died"),
        ({"ledger_nano": 994}, "below the truth"),
        ({"unsure_nano": 3, "books_nano": (999, 999)}, "above the truth; deaths explain"),
        ({"unsure_nano": 9, "books_nano": (1_005, 1_005)}, "above the truth; deaths explain"),
        ({"truth_nano": 989, "books_nano": (989, 989), "ledger_nano": 989}, "of the cap used"),
    ],
)
def test_each_promise_about_money_is_broken_by_one_nano_dollar(changed, said):
    for run, whose in (
        (replace(RUN, days=(replace(DAY, **changed),)), DAY.whose),
        (replace(RUN, scopes=(replace(KEY, **changed),)), KEY.whose),
    ):
        found = list(breaches(run))
        assert any(said in breach for breach in found)
        assert all(breach.startswith(whose) for breach in found)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"longest_ms": 301}, "waited"),
        ({"during": 0, "after": 0}, "proves nothing"),
        ({"refused": 0}, "proves nothing of scopes"),
        ({"faults_of_ours": ("workers broke",)}, "workers broke"),
    ],
)
def test_a_run_that_waited_or_proves_nothing_is_no_success(changed, said):
    assert any(said in breach for breach in breaches(replace(RUN, **changed)))


def test_a_scope_that_is_there_to_be_wide_need_not_be_used():
    wide = replace(KEY, binds=False, truth_nano=1, books_nano=(1, 1), ledger_nano=1)
    assert not list(breaches(replace(RUN, scopes=(wide,))))


def test_what_comes_back_when_nobody_is_left_need_not_be_used():
    late = replace(KEY, truth_nano=980, books_nano=(980, 980), ledger_nano=980, late_nano=10)
    assert not list(breaches(replace(RUN, scopes=(late,))))
    assert list(breaches(replace(RUN, scopes=(replace(late, late_nano=9),))))


def test_what_deaths_explain_is_no_breach():
    died = replace(DAY, unsure_nano=4, books_nano=(999, 999), ledger_nano=999)
    assert not list(breaches(replace(RUN, days=(died,))))


def test_a_dispatched_call_counts_whether_or_not_its_end_was_heard(tmp_path: Path):
    journal = Journal(tmp_path / "w.journal")
    journal.opened()
    for name, cost in (("a", 3), ("b", 5)):
        journal.asked(name, "t", 10)
        journal.dispatched(name, "t", 7, cost)
    journal.ended("a")
    truth = read([tmp_path / "w.journal"], {})
    assert truth.spent_nano == {("t", 7): 8}
    assert not truth.unsure_nano


def test_a_death_explains_what_was_not_settled_and_nothing_else(tmp_path: Path):
    journal = Journal(tmp_path / "w.journal")
    journal.asked("settled", "t", 10)
    journal.dispatched("settled", "t", 7, 1)
    journal.ended("settled")
    journal.asked("refused", "t", 1_000)
    journal.refused("refused", "NO")
    long_after = now_ms() + SETTLED_MS + 1
    assert not +read([tmp_path / "w.journal"], {"w": long_after}).unsure_nano
    journal.asked("under-way", "t", 100)
    journal.dispatched("under-way", "t", 7, 30)
    journal.asked("granted-maybe", "t", 1_000)
    assert read([tmp_path / "w.journal"], {"w": long_after}).unsure_nano == {"t": 1_070}
    assert read([tmp_path / "w.journal"], {"w": now_ms()}).unsure_nano == {"t": 1_079}


def test_a_torn_line_told_of_nothing_that_was_done(tmp_path: Path):
    path = tmp_path / "w.journal"
    path.write_text("asked a t 10 44\ndispatched a t 7 3 55\ndispatched b t 7 9")
    assert read([path], {}).spent_nano == {("t", 7): 3}


def test_two_attempts_of_a_request_are_both_billed(tmp_path: Path):
    journal = Journal(tmp_path / "w.journal")
    journal.asked("a", "t", 10)
    journal.dispatched("a", "t", 7, 4)
    journal.asked("a", "t", 15)
    journal.dispatched("a", "t", 7, 9)
    truth = read([tmp_path / "w.journal"], {"w": now_ms()})
    assert truth.spent_nano == {("t", 7): 13}
    assert truth.unsure_nano == {"t": 2}


def test_each_scope_of_a_call_is_billed_and_explained_as_its_tenant_is(tmp_path: Path):
    journal = Journal(tmp_path / "w.journal")
    journal.asked("a", "t", 10, ("key:k/d", "session:s/l"))
    journal.dispatched("a", "t", 7, 4)
    journal.asked("b", "t", 10, ("key:k/d",))
    journal.dispatched("b", "t", 8, 5)
    journal.refused("b", "API_KEY_BUDGET_EXCEEDED")
    journal.asked("c", "t", 10)
    journal.dispatched("c", "t", 8, 6)
    truth = read([tmp_path / "w.journal"], {"w": now_ms()})
    assert truth.scoped_nano == {("t", "key:k/d7"): 4, ("t", "key:k/d8"): 5, ("t", "session:s/l"): 4}
    assert truth.scoped_unsure_nano == {("t", "key:k/d"): 11, ("t", "session:s/l"): 6}
    assert len(truth.refused_ms) == 1


def test_what_hosts_and_ledgers_say_of_scopes_is_put_beside_the_truth():
    narrow = budgets(800)[0].scope
    truth = Truth(Counter({("t", 7): 90, ("t", 8): 90}), scoped_nano=Counter({("t", f"{narrow.stem}7"): 40}))
    said = tuple(("t", budget.scope.stem, i, 0) for i, budget in enumerate(budgets(800)))
    books = Books(8, ({}, {}), (said, said), (("t", f"{narrow.stem}7", 41, 2),))
    yesterday, today, *others = scopes(truth, books, 800, ledgers=True)
    assert (yesterday.cap_nano, yesterday.truth_nano, yesterday.ledger_nano) == (100, 40, 41)
    assert (yesterday.books_nano, yesterday.ledger_held_nano, yesterday.binds) == ((), 2, False)
    assert (today.truth_nano, today.books_nano, today.ledger_nano, today.binds) == (0, (0, 0), 0, True)
    assert [(of.books_nano, of.binds) for of in others if of.books_nano] == [
        ((1, 1), False), ((2, 2), True), ((3, 3), True),
    ]  # fmt: skip


def test_what_a_frozen_worker_had_under_way_comes_back_late(tmp_path: Path):
    path = tmp_path / "w.journal"
    call = "asked {0} t 10 {1} key:k/d\ndispatched {0} t 7 4 {1}\nended {0} {2}\n"
    settled = call.format("a", 1_000, 2_000)
    path.write_text(settled + call.format("b", 2_900, 3_000) + call.format("c", 3_000, 8_500))
    path.write_text(path.read_text() + call.format("d", 8_600, 8_700))
    truth = read([path], {}, {"w": 3_001})
    assert truth.scoped_late_nano == {("t", "key:k/d"): 12}
    assert not truth.scoped_unsure_nano
