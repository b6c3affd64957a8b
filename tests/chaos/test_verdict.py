"""What counts as a breach, and what a journal tells after kill -9."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.journal import SETTLED_MS, Journal, now_ms, read
from tests.chaos.verdict import DayBooks, Measured, breaches

DAY = DayBooks("t", 7, 1_000, 995, 0, (995, 995), (0, 0), 995)
RUN = Measured("none", 1, (DAY,), 10, 0, {}, 0, 300, 300, 300, 5, 5, 1.0)


def test_a_run_that_keeps_every_promise_has_no_breach():
    assert not list(breaches(RUN))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"truth_nano": 1_001, "books_nano": (1_001, 1_001), "ledger_nano": 1_001}, "spent beyond the cap"),
        ({"held_nano": (0, 1)}, "still held"),
        ({"books_nano": (995, 996)}, "disagree"),
        ({"books_nano": (994, 994)}, "below the truth"),
        ({"books_nano": (996, 996)}, "above the truth; nobody died"),
        ({"ledger_nano": 994}, "below the truth"),
        ({"unsure_nano": 3, "books_nano": (999, 999)}, "above the truth; deaths explain"),
        ({"unsure_nano": 9, "books_nano": (1_001, 1_001)}, "above the cap"),
        ({"truth_nano": 989, "books_nano": (989, 989), "ledger_nano": 989}, "of the cap used"),
    ],
)
def test_each_promise_about_money_is_broken_by_one_nano_dollar(changed, said):
    assert any(said in breach for breach in breaches(replace(RUN, days=(replace(DAY, **changed),))))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"longest_ms": 301}, "waited"),
        ({"during": 0, "after": 0}, "proves nothing"),
        ({"faults_of_ours": ("workers broke",)}, "workers broke"),
    ],
)
def test_a_run_that_waited_or_proves_nothing_is_no_success(changed, said):
    assert any(said in breach for breach in breaches(replace(RUN, **changed)))


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
    path.write_text("asked a t 10\ndispatched a t 7 3 55\ndispatched b t 7 9")
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
