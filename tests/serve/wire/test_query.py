"""A query is read whole or refused with what to send."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import InvalidInput
from serve.wire.query import parse_query

KNOWN = ("session_id", "period")


def test_names_are_read_with_their_values_decoded():
    assert parse_query(b"", KNOWN) == {}
    assert parse_query(b"session_id=a%20b+c%C3%A9&period=", KNOWN) == {
        "session_id": "a b c\u00e9",
        "period": "",
    }


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (b"sesion_id=x", ["sesion_id: unknown", "did you mean `session_id`"]),
        (b"session_id=x&session_id=x", ["session_id: found it twice"]),
        (b"session_id=%FF", ["percent-encoded UTF-8", "`session_id`, `period`"]),
        (b"session_id=\xe9", ["percent-encoded UTF-8"]),
        (b"&".join([b"a=1"] * 1_000), ["a few"]),
    ],
)
def test_what_nobody_can_mean_is_refused(query, words):
    with pytest.raises(InvalidInput) as caught:
        parse_query(query, KNOWN)
    for word in words:
        assert word in caught.value.message


@given(st.binary(max_size=200))
def test_any_query_is_read_or_refused(query):
    found = {}
    with suppress(InvalidInput):
        found = parse_query(query, KNOWN)
    assert found.keys() <= set(KNOWN)
