"""Cues are those that plain patterns find, in any text, in linear time."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import p402.routing.cues as reading
from p402.routing.cues import cues
from p402_datasets.paretobandit import TEST, load

CODE = (
    r"```",
    r"#include",
    r"console\.log",
    r"select \* from ",
    r"SELECT \* FROM ",
    r"def \w{1,60}\(",
    r"class \w{1,60} ?[:({]",
    r"\nimport \w",
    r"from [\w.]{1,60} import ",
)
MATH = (r"\\(?:frac|sum|int|sqrt|times|cdot|leq|geq|begin)", r"[0-9] ?[-+*/^=] ?[0-9]")
OPTION = r"\n {0,8}\(?[A-D][.):][ \n]"


def plainly(text):
    """The same cues, one rule after another, by patterns over the whole text and by comparing all words."""
    if len(text) > 4_000:
        text = text[:3_000] + "\n" + text[-1_000:]
    words = re.findall("[a-z]+", text.lower())
    line = f" {' '.join(words)} "
    heard = {task for task, known in reading._WORDS.items() if set(known.split()) & set(words)}
    heard |= {task for task, known in reading._PHRASES.items() for phrase in known if f" {phrase} " in line}
    for task, first, second in reading._PAIRS:
        for i, word in enumerate(words):
            if word.encode() in first and any(other.encode() in second for other in words[i + 1 : i + 7]):
                heard.add(task)
    found = {"code": CODE, "math": MATH, "knowledge": (OPTION,)}
    return heard | {task for task, shapes in found.items() if any(re.search(shape, text) for shape in shapes)}


WORDS = sorted({w for words in reading._WORDS.values() for w in words.split()})
PHRASES = sorted({phrase for phrases in reading._PHRASES.values() for phrase in phrases})
PAIRED = sorted({w.decode() for _, *kinds in reading._PAIRS for kind in kinds for w in kind})
SHAPES = [
    "```", "#include", "console.log", "select * from ", "SELECT * FROM ", "Select * from ", "def f(", "def f",
    "class A:", "class A (", "class of 5", "import os", "from a.b import c", " import ", "from  import ",
    "\\frac", "\\ frac", "\\sum", "A) ", "(B. ", "    C:\n", "E) ", "3+4", "3 - 4", "3  * 4", "3 =4", "5/",
    "^2", "7", "+", "-", "*", "=", "²-3", "٣+٤", "\n", " ", "  ", "\t", "\u2028", "\x1f", "\x00",
    "a", "the", "of",
]  # fmt: skip
STRANGE = [
    "É", "İ", "\u017f", "\u212a", "1İ-2", "ß", "👍", "\ud800", "ﬁ", "translateİ", "tran\u212aslate",
    "who\u00a0is",
]  # fmt: skip
PIECES = st.sampled_from(WORDS + PHRASES + PAIRED) | st.sampled_from(SHAPES) | st.sampled_from(STRANGE)
GAPS = st.sampled_from([" ", " ", " ", "", "\n", ", ", "-"])
TEXTS = st.lists(st.tuples(PIECES | st.text(max_size=5), GAPS), max_size=25).map(
    lambda pieces: "".join(piece + gap for piece, gap in pieces)
)


@settings(max_examples=500, deadline=None)
@given(TEXTS, st.sampled_from([str, str.upper, str.title]))
def test_cues_are_those_that_plain_patterns_find(text, cased):
    assert cues(cased(text)) == plainly(cased(text))


@settings(deadline=None)
@given(TEXTS, st.integers(2_990, 3_010), st.integers(990, 1_010), TEXTS)
def test_cues_of_a_long_text_are_those_of_its_ends(first, head, tail, last):
    text = first + "x" * (head - len(first)) + "#include" + "y" * 500 + "z" * (tail - len(last)) + last
    assert cues(text) == plainly(text)


def test_real_prompts_have_the_cues_that_plain_patterns_find():
    prompts = [prompt.text for prompt in load().split(TEST).prompts]
    assert len(prompts) > 1_000
    heard = [cues(prompt) for prompt in prompts]
    assert heard == [plainly(prompt) for prompt in prompts]
    assert set().union(*heard) > {"code", "math", "knowledge", "reasoning", "translation"}


@pytest.mark.parametrize(
    "text",
    ["first class service at the hotel", "from 5 to 10 people came", "import duties from China are high"],
)
def test_everyday_english_is_not_taken_for_code(text):
    assert "code" not in cues(text)


def test_a_date_with_dashes_counts_as_arithmetic_which_is_weak():
    assert "math" in cues("due 2026-11-22")


ADVERSARIAL = [
    "\n", "\n ", "\t\n", "SELECT ", "SELECT x", "select x from", "write ", "write function", "def ",
    "def a", "class a", "import a", "\nimport", "from a.", "from a import", "1", "1 ", "1 -", "$", "$a", "\\",
    "\\frac", "`", "``", "(A", "\n(", "\nA", "true or ", "step by ", "how ", "a", "é", "İ", "\x00", "👍",
    "python ",
]  # fmt: skip


@pytest.mark.parametrize("piece", ADVERSARIAL, ids=[ascii(p) for p in ADVERSARIAL])
@pytest.mark.timeout(60)
def test_no_text_makes_the_rules_slow(piece, monkeypatch):
    # All of a long text is read here: a rule of quadratic cost would need 10**11 steps and meet the time-out,
    # a linear one needs some milliseconds.
    monkeypatch.setattr(reading, "_HEAD", 300_000)
    cues(piece * (300_000 // len(piece)))
    cues(f"{piece * (299_000 // len(piece))}write a def x")


def test_the_rules_read_a_bounded_part_of_the_text():
    heads = "x " * 1_500
    assert "code" not in cues(heads + "```" + "y " * 2_000)
    assert "code" in cues("```" + heads + "y " * 2_000)
