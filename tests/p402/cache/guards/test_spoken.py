"""A text is taken apart into its sentences; code and quotations are set aside unless they are the wish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.cache.guards.spoken import HEAD, TAIL, ends, folded, sentences


def lines(text):
    return [one.line.strip() for one in sentences(folded(text))]


def test_sentences_are_words_in_lower_case():
    assert lines("Hello, World! It\u2019s 3.5 m.\nAnd now?") == ["hello world", "it's m", "and now"]


def test_a_question_asks_and_a_statement_does_not():
    said = sentences(folded("It rains? I say so. Tell me why"))
    assert [one.asks for one in said] == [True, False, True]


@pytest.mark.parametrize("code", ["`today`", "```\ntoday\n```", "today()", "date.today", "```today"])
def test_code_is_set_aside(code):
    assert "today" not in " ".join(lines(f"What is {code}")).split()


def test_a_quotation_counts_where_it_is_the_wish():
    assert lines('Say "good day" to him') == ["say to him"]
    assert lines('"Who is it?"') == ["who is it"]
    assert lines('Search for "red shoes" and buy them') == ["search for red shoes and buy them"]


def test_signs_of_money_are_words():
    assert lines("$100 in €") == ["usd 100 in eur"]
    assert lines("echo $HOME") == ["echo home"]


@given(st.text(max_size=200), st.integers(0, 3))
def test_no_more_than_the_ends_is_read(text, times):
    long = text * 50 * times
    assert len(ends(long)) <= HEAD + TAIL + 1
    assert len(long) > HEAD + TAIL or ends(long) == long


@given(st.text())
def test_a_line_is_words_with_one_space_about_each(text):
    for one in sentences(folded(text)):
        assert one.line == f" {' '.join(one.line.split())} "
