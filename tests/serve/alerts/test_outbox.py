"""The law of the outbox: spacing, folding, tries and bounds; no alert is lost without being counted."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.ports import Anomaly, CapReached
from serve.alerts import outbox
from serve.alerts.outbox import LINE_MOST, TRIES, Outbox


def anomaly(number: int = 0, tenant: str = "default") -> Anomaly:
    return Anomaly(tenant, 1_790_000_000_000, f"req_{number}", "acme/m", 5_000_000, 4.2, 40)


def taken(box: Outbox, now: float) -> list:
    letters = []
    while (letter := box.take(now)) is not None:
        letters.append(letter)
    return letters


def test_a_first_alert_is_due_at_once():
    box = Outbox()
    box.put(anomaly(), 5_000)
    assert box.next_ms() == 5_000
    (letter,) = taken(box, 5_000)
    assert (letter.alert, letter.folded) == (anomaly(), 0)
    box.delivered(letter)
    assert (box.waiting, box.next_ms()) == (0, None)


def test_a_thousand_alerts_of_a_second_are_two_letters_and_a_number():
    box = Outbox()
    for i in range(1_000):
        box.put(anomaly(i), i / 2)
    (first,) = taken(box, 500)
    box.delivered(first)
    assert (first.folded, box.next_ms()) == (0, 1_000)
    assert taken(box, 999) == []
    (second,) = taken(box, 1_000)
    assert (second.alert.request_id, second.folded) == ("req_1", 998)
    assert (box.begun, box.folded) == (2, 998)


def test_tenants_and_kinds_do_not_fold_into_each_other():
    box = Outbox()
    for alert in (anomaly(1, "a"), anomaly(2, "b"), CapReached("a", 0, "req_3", 1)):
        box.put(alert, 0)
    assert len(taken(box, 0)) == 3


def test_one_letter_of_a_line_is_under_way_at_a_time():
    box = Outbox()
    box.put(anomaly(1), 0)
    box.put(anomaly(2), 1_000)
    (first,) = taken(box, 5_000)
    assert box.next_ms() is None
    box.delivered(first)
    assert len(taken(box, 5_000)) == 1


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_a_letter_is_tried_five_times_over_about_ten_minutes(chance):
    box = Outbox()
    box.put(anomaly(), 0)
    times = []
    for _ in range(TRIES):
        now = box.next_ms()
        (letter,) = taken(box, now)
        times.append(now)
        again = box.failed(letter, now, chance)
        assert again == (len(times) < TRIES)
    waits = [late - early for early, late in pairwise(times)]
    assert all(3 <= late / early <= 5 for early, late in pairwise(waits))
    assert 0.75 * 600_000 < times[-1] < 1.25 * 600_000
    assert (box.waiting, box.next_ms()) == (0, None)


def test_a_letter_that_fails_does_not_hold_back_the_next():
    box = Outbox()
    box.put(anomaly(1), 0)
    (first,) = taken(box, 0)
    box.put(anomaly(2), 1_000)
    box.failed(first, 1_000, 0.5)
    (second,) = taken(box, 1_000)
    assert second.alert.request_id == "req_2"


def test_a_line_is_bounded_and_goes_on_when_there_is_room():
    box = Outbox()
    for i in range(LINE_MOST + 50):
        box.put(anomaly(i), 1_000 * i)
    now = 1_000_000
    assert box.waiting == LINE_MOST
    assert box.folded == 49
    letter = box.take(now)
    box.delivered(letter)
    box.take(now)
    assert (box.waiting, box.begun) == (LINE_MOST, LINE_MOST + 1)


def test_all_lines_together_are_bounded_and_what_finds_no_room_is_counted(monkeypatch):
    monkeypatch.setattr(outbox, "LETTERS_MOST", 10)
    box = Outbox()
    for i in range(12):
        box.put(anomaly(i, f"tenant-{i}"), 0)
    assert (box.waiting, box.overflowed) == (10, 2)


def test_hurry_makes_everything_due_for_one_last_try():
    box = Outbox()
    for i in range(LINE_MOST + 5):
        box.put(anomaly(i), 1_000 * i)
    (failing,) = taken(box, 0)
    box.failed(failing, 0, 0.5)
    box.hurry()
    assert box.waiting == LINE_MOST + 1
    for _ in range(LINE_MOST + 1):
        letter = box.take(0)
        assert not box.failed(letter, 0, 0.5)
    assert box.waiting == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "fail", "deliver"]), st.sampled_from("ab"), st.floats(0, 5_000)),
        max_size=200,
    )
)
def test_every_alert_is_a_letter_or_folded_or_counted_whatever_happens(steps):
    box, now, told, ended, under_way = Outbox(), 0.0, 0, 0, []
    starts: dict[str, list[float]] = {"a": [], "b": []}
    for what, tenant, ms in steps:
        now += ms
        if what == "put":
            before = box.begun
            box.put(anomaly(told, tenant), now)
            told += 1
            assert box.begun - before <= 1
        else:
            letter = box.take(now)
            if letter is not None:
                starts[letter.alert.tenant].append(now)
                under_way.append(letter)
            if under_way and what == "deliver":
                box.delivered(under_way.pop())
                ended += 1
            elif under_way and not box.failed(under_way.pop(), now, 0.5):
                ended += 1
        due = box.next_ms()
        assert due is not None or box.waiting == len(under_way)
    box.hurry()
    assert told == box.begun + box.folded + box.overflowed
    assert box.waiting == box.begun - ended
