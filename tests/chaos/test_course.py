"""When a client asks for less, when it waits, and when it gives up."""

import pytest

from p402.errors import Refusal
from p402.guard.daily import OVER_CAP, OVER_HELD
from p402.guard.scopes import KEY_OVER, SESSION_OVER
from tests.chaos.budgets import ways
from tests.chaos.course import PATIENCE_S, Course

FREE, NARROW, SESSION = (ways(8_000, client)[0] for client in range(3))
HELD = Refusal(OVER_HELD, 402, "held", 1_000)
AWAY = Refusal(OVER_HELD, 503, "away", 200)


@pytest.mark.parametrize(
    ("way", "code"), [(FREE, OVER_CAP), (NARROW, KEY_OVER), (NARROW, OVER_CAP), (SESSION, SESSION_OVER)]
)
def test_a_client_gives_up_once_its_smallest_call_does_not_fit_what_is_spent(way, code):
    course = Course(way)
    assert course.refused(Refusal(code, 402, "spent"), 1.0, 900.0, 30.0) == 0
    assert (course.is_small(1.0), course.spent) == (True, False)
    course.refused(Refusal(code, 402, "spent"), 1.1, 900.0, 30.0)
    assert course.spent


def test_a_client_waits_for_a_midnight_that_comes_soon_and_then_asks_for_as_much_as_before():
    course = Course(NARROW)
    course.refused(Refusal(KEY_OVER, 402, "spent"), 1.0, 3.0, 30.0)
    assert course.refused(Refusal(KEY_OVER, 402, "spent"), 1.5, 3.0, 30.0) == 1.5
    assert (course.is_small(3.0), course.spent) == (False, False)


def test_no_midnight_gives_a_session_more():
    course = Course(SESSION)
    for now in (1.0, 1.5):
        course.refused(Refusal(SESSION_OVER, 402, "spent"), now, 3.0, 30.0)
    assert course.spent


def test_a_scope_that_is_held_for_long_counts_as_spent_and_a_day_does_not():
    for way, spent in ((NARROW, True), (FREE, False)):
        course, now = Course(way), 0.0
        while now < 2 * PATIENCE_S + 1 and not course.spent:
            now += course.refused(HELD, now, 900.0, 30.0) or 0.01
        assert course.spent is spent


@pytest.mark.parametrize("between", [None, AWAY])
def test_patience_begins_anew_with_every_other_answer(between):
    course = Course(NARROW)
    course.refused(HELD, 0.0, 900.0, 30.0)
    if between is None:
        course.passed()
    else:
        assert course.refused(between, 0.5, 900.0, 30.0) == 0.1
    course.refused(HELD, PATIENCE_S + 0.1, 900.0, 30.0)
    assert not course.is_small(PATIENCE_S + 0.1)
