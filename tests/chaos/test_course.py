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


@pytest.mark.parametrize("refusal", [HELD, AWAY])
@pytest.mark.parametrize("way", [FREE, NARROW])
def test_what_is_held_or_away_is_asked_for_again_for_as_long_as_it_takes(way, refusal):
    course = Course(way)
    for now in range(1, 20):
        assert course.refused(refusal, now, 900.0, 30.0) == 0.1
    assert not course.spent
    assert course.is_small(20.0) is (refusal is HELD and way is NARROW)


@pytest.mark.parametrize("between", [None, AWAY])
def test_patience_begins_anew_with_every_other_answer(between):
    course = Course(NARROW)
    course.refused(HELD, 1.0, 900.0, 30.0)
    if between is None:
        course.passed()
    else:
        course.refused(between, 1.5, 900.0, 30.0)
    course.refused(HELD, PATIENCE_S + 1.1, 900.0, 30.0)
    assert not course.is_small(PATIENCE_S + 1.1)
