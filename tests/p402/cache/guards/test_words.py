"""Reading a stranger's text takes time in proportion to it, whatever it holds."""

import sys

import pytest

from p402.cache.guards import is_time_sensitive
from p402.cache.guards.words import LONGEST, read

HOSTILE = {
    "quotes": '"', "apostrophes": " '", "backticks": "`\n", "colons": ": ", "lines": "a\n",
    "joints": "and ",
    "frames": "how differ from ", "hyphens": "a-", "brackets": "(", "owners": "a'",
    "thousands": "1,000", "dots": "1.",
    "accents": "e\u0301", "manners": "please ", "blocks": ":\t\n", "half a block": ": \t", "zeros": "\0 5",
    "surrogates": "\ud800", "greetings": "hi, ", "stops": ".", "factorials": "1!", "shifts": "in a , ",
    "blanks": " ",
    "is a": "is a ", "latest": "latest ", "curly": "\u201c", "fences": "```", "current": "current x ",
    "tens": "twenty ",
    "differs": "explain how and differ ", "which": "which is the ", "writes": "write a ",
}  # fmt: skip


def steps(work):
    """Lines of Python run: a measure of work that no busy machine changes."""
    count = 0

    def seen(_frame, event, _arg):
        nonlocal count
        count += event == "line"
        return seen

    before = sys.gettrace()
    sys.settrace(seen)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("kind", HOSTILE)
def test_steps_grow_no_faster_than_the_text(kind):
    piece = HOSTILE[kind]
    short, long = ("x " + piece * (size // len(piece)) + " y" for size in (1_000, 8_000))
    read_once = read.__wrapped__
    assert steps(lambda: read_once(long)) <= 10 * steps(lambda: read_once(short)) + 200


@pytest.mark.parametrize("kind", HOSTILE)
def test_any_text_up_to_8_kib_is_read(kind):
    text = (HOSTILE[kind] * LONGEST)[:LONGEST]
    for whole in (text, f"what is {text}", f"{text} differ", f"write {text} function"):
        assert read(whole).form
        assert is_time_sensitive(whole) in {True, False}


def test_a_reading_is_not_kept_for_ever():
    assert read.cache_info().maxsize is not None
