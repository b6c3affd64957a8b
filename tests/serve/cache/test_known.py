"""What a worker knows of scopes: what it is told, within bounds, and nothing of what it missed."""

import numpy as np
import pytest

from serve.cache.known import ROW_BYTES, SPARE, Known
from serve.cache.scripts import News, Row

DIMS = 4
ONE = np.array([1, 0, 0, 0], np.float32)


def row(name: int, text: str = "", vector=ONE) -> Row:
    return Row(b"%032x" % name, vector.tobytes(), text.encode("utf-8", "surrogatepass"))


def news(
    *names: int, told: int = 0, count: int | None = None, anew: bool = False, more: bool = False
) -> News:
    return News(
        told or max(names, default=0),
        len(names) if count is None else count,
        anew,
        more,
        tuple(map(row, names)),
    )


def names(known: Known, scope: str = "s") -> set[int]:
    return {int(exact, 16) for exact, _, _ in known.above(scope, ONE, 0.5, 1_000)}


def test_what_is_told_is_known_and_told_no_second_time():
    known = Known()
    assert known.seen("s") == 0
    assert not known.take("s", 0, news(1, 2))
    assert (known.seen("s"), names(known)) == (2, {1, 2})
    assert known.take("s", 2, news(3, count=9, more=True))
    assert (known.seen("s"), names(known), known.prompts, known.scopes) == (3, {1, 2, 3}, 3, 1)


def test_two_answers_to_one_question_are_known_once():
    known = Known()
    for _ in range(2):
        known.take("s", 0, news(1, 2))
    assert (known.seen("s"), known.prompts) == (2, 2)


def test_an_answer_that_came_too_late_does_not_bring_the_number_back():
    known = Known()
    known.take("s", 0, news(1, 2, 3))
    known.take("s", 0, news(1, count=3, more=True))
    assert known.seen("s") == 3


def test_what_follows_on_what_was_forgotten_is_asked_for_from_the_beginning():
    known = Known()
    known.take("s", 0, news(1, 2))
    known.forget("s")
    assert known.take("s", 2, news(3, count=3)), "there is more: all that came before"
    assert (known.seen("s"), known.prompts, known.size) == (0, 0, 0)


def test_a_store_that_forgot_is_followed_anew():
    known = Known()
    known.take("s", 0, news(5, 6, 7))
    assert not known.take("s", 7, news(1, anew=True))
    assert (known.seen("s"), names(known)) == (1, {1})


def test_a_scope_that_the_store_has_emptied_is_empty():
    known = Known()
    known.take("s", 0, news(1, 2))
    assert not known.take("s", 2, news(told=9, count=0))
    assert (names(known), known.scopes, known.size) == (set(), 0, 0)


def test_a_scope_with_far_more_than_the_store_has_begins_anew():
    known = Known()
    known.take("s", 0, news(*range(1, SPARE + 4)))
    assert not known.take("s", SPARE + 3, news(told=SPARE + 3, count=2))
    assert known.take("s", SPARE + 3, news(told=SPARE + 3, count=1))
    assert (known.seen("s"), known.prompts) == (0, 0)


def test_all_scopes_have_so_many_bytes_and_those_unused_for_longest_go_first():
    most = 10 * (8 * DIMS + ROW_BYTES)
    known = Known(most)
    for scope in ("a", "b", "c"):
        known.take(scope, 0, news(1, 2, 3))
    names(known, "a")
    known.take("d", 0, news(1, 2, 3, 4))
    assert [len(names(known, scope)) for scope in ("a", "b", "c", "d")] == [3, 0, 3, 4]
    assert known.size == most
    known.forget_all("")
    assert (known.size, known.scopes) == (0, 0)


def test_a_scope_that_alone_is_too_large_keeps_what_came_last():
    known = Known(3 * (8 * DIMS + ROW_BYTES))
    known.take("s", 0, news(1, 2, 3, 4, 5))
    assert (names(known), known.seen("s")) == ({3, 4, 5}, 5)
    assert known.size <= 3 * (8 * DIMS + ROW_BYTES)


def test_texts_are_counted_and_a_prompt_that_comes_again_is_counted_once():
    known = Known()
    for _ in range(2):
        known.take("s", 0, News(1, 1, False, False, (row(1, "é" * 10),)))
    assert known.size == 8 * DIMS + ROW_BYTES + 10
    ((_, text, cosine),) = known.above("s", ONE, 0.5, 4)
    assert (text, cosine) == ("é" * 10, pytest.approx(1))
    known.drop("s", b"%032x" % 1)
    known.drop("s", b"%032x" % 1)
    known.drop("other", b"%032x" % 1)
    assert (known.size, known.prompts) == (0, 0)


def test_a_vector_of_another_length_or_a_text_that_is_none_is_passed_over():
    known = Known()
    strange = (
        row(1),
        row(2, vector=np.ones(1, np.float32)),
        Row(b"%032x" % 3, ONE.tobytes(), b"\xff"),
        Row(b"%032x" % 5, b"", b"no numbers"),
        Row(b"%032x" % 6, b"123", b"no numbers"),
        row(4, "\ud800"),
    )
    known.take("s", 0, News(4, 4, False, False, strange))
    assert names(known) == {1, 4}
    assert known.above("s", np.ones(1, np.float32), 0.5, 4) == []
