"""Marks are bounded, whatever a stranger sends, and the instruction is among them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import p402.routing.surface as reading
from p402.routing.surface import OPENS, STEM, marks, shapes, stems

STRANGE = ["\ud800", "\udfff", "İ", "ﬁ", "\x00", "👍", "\u2028", "漢字", "ß", "É", "\r\n"]
TEXTS = st.text(alphabet=st.characters(codec=None), max_size=400) | st.lists(
    st.sampled_from(STRANGE) | st.text(max_size=5), max_size=30
).map("".join)


@given(TEXTS)
def test_any_text_has_marks_and_the_same_ones_twice(text):
    found = marks(text, {"code"})
    assert found == marks(text, {"code"})
    assert "#cue code" in found
    assert all(len(m) <= STEM for m in found if isinstance(m, bytes))


MOST = 1_000
"""Twice the words of `WHOLE` characters, and shapes: far below what 3,000,000 characters could have."""


@pytest.mark.parametrize("piece", ["a ", "ab\n", "\n", "?", "A", "Ab ", "\ud800", "é ", "1+", "...", "{(_="])
@pytest.mark.timeout(60)
def test_a_text_of_three_megabytes_has_no_more_marks_than_a_page(piece):
    text = piece * (3_000_000 // len(piece))
    assert len(marks(text, ())) <= MOST


def test_only_the_ends_of_a_long_text_are_read(monkeypatch):
    read = []
    monkeypatch.setattr(reading, "stems", lambda text: read.append(len(text)) or stems(text))
    monkeypatch.setattr(reading, "shapes", lambda text: read.append(len(text)) or shapes(text))
    marks("x " * 1_000_000 + "\n" + "y " * 1_000_000, ())
    marks("x " * 1_000_000, ())
    assert max(read) <= reading.HEAD + reading.TAIL + 1


def test_the_opening_words_of_the_first_and_the_last_line_are_told_from_others():
    found = set(marks("Here is the mail.\n" + "lorem ipsum\n" * 300 + "Translate it please", ()))
    assert {(OPENS, b"here"), (OPENS, b"transl"), (b"transl", b"it"), b"please"} <= found
    assert (OPENS, b"ipsum") not in found


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("why?", "#ends ?"),
        ("a\n- b\n- c", "#has bullets"),
        ("x = f()", "#has call"),
        ("```\nx\n```", "#has fence"),
        ("Tom ran. Tom fell. Who won?", "#names again"),
        ("Tom ran. Who won?", "#story"),
        ("Tom had 3. How many now?", "#story with numerals"),
        ("Who won?\nA. Tom\nB. Tim", "#has options"),
        ("Who won?\nA. Tom ran. Tom fell.\nB. Tim fell.", "#asks"),
        ("Who won?\nA. Tom ran. Tom fell.\nB. Tim fell.", "#sentences 0"),
        ("pay $5", "#has $"),
        ("", "#length 0"),
        ("漢字", "#beyond ascii 5"),
        ("naïve", "#beyond ascii 2"),
    ],
)
def test_a_shape_is_seen(text, mark):
    assert mark in shapes(text)
