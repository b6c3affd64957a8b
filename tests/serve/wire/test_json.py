"""What the gateway is willing to parse at all."""

import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import InvalidInput, TooLarge
from serve.wire.json import MAX_BODY_BYTES, MAX_CONTAINERS, MAX_DEPTH, _check_structure, parse_object


def nested(levels: int) -> bytes:
    """An object of so many levels."""
    return b'{"a":' + b"[" * (levels - 1) + b"1" + b"]" * (levels - 1) + b"}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b"  \n", "the body is empty"),
        (b"{", "not valid JSON"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":Infinity}', "not valid JSON"),
        (b'{"a":1e999}', "not valid JSON"),
        (b'{"a":"\\ud800"}', "not valid JSON"),
        (b'{"a":"\xff"}', "not valid JSON"),
        (b"[]", "the body is an array"),
        (b"3", "the body is a number"),
        (b"null", "the body is null"),
        (b'"text"', "the body is a string"),
    ],
)
def test_what_is_no_json_object_is_refused_in_words(body, words):
    with pytest.raises(InvalidInput, match=words):
        parse_object(body)


def test_the_deepest_allowed_nesting_parses_and_one_level_more_does_not():
    assert parse_object(nested(MAX_DEPTH))
    with pytest.raises(InvalidInput, match="deeper than 64"):
        parse_object(nested(MAX_DEPTH + 1))


def test_brackets_in_strings_are_no_nesting():
    text = '[{"' * 500 + '\\"' + "]" * 40 + "\\\\"
    assert parse_object(orjson.dumps({"a": [{"b": text}], "c": {}})) == {"a": [{"b": text}], "c": {}}


def test_many_brackets_side_by_side_are_no_nesting():
    body = orjson.dumps({"a": [[{"b": [i]}] for i in range(5_000)]})
    assert len(parse_object(body)["a"]) == 5_000


def test_a_name_that_comes_twice_keeps_its_last_value():
    assert parse_object(b'{"a":1,"a":2}') == {"a": 2}


def test_a_body_over_the_limit_is_413():
    with pytest.raises(TooLarge, match=str(MAX_BODY_BYTES + 1)):
        parse_object(b" " * (MAX_BODY_BYTES + 1))


def test_more_parts_than_memory_is_given_for_are_refused_before_they_are_parsed():
    most = b"[" + b"[]," * (MAX_CONTAINERS - 3) + b"[]]"
    assert parse_object(b'{"a":' + most + b"}")
    with pytest.raises(InvalidInput, match=str(MAX_CONTAINERS)):
        parse_object(b'{"a":[' + b"{}," * MAX_CONTAINERS + b"{}]}")


def test_the_worst_body_of_the_largest_size_is_judged_within_a_second():
    begun = time.process_time()
    for unit in (b"[" * 63 + b"]" * 63, b'\\"', b'""', b"{}][", b"[]", b"["):
        with pytest.raises(InvalidInput):
            parse_object((b"[" * 70 + unit * (MAX_BODY_BYTES // len(unit)))[:MAX_BODY_BYTES])
    assert time.process_time() - begun < 6


def test_a_megabyte_of_opening_brackets_is_refused_and_harmless():
    with pytest.raises(InvalidInput):
        parse_object(b"[" * 1_000_000)


def depth(value: object) -> int:
    match value:
        case dict():
            return 1 + max((depth(v) for v in value.values()), default=0)
        case list():
            return 1 + max((depth(v) for v in value), default=0)
        case _:
            return 0


def wrapped(value: object, levels: int) -> object:
    for i in range(levels):
        value = {"k": value} if i % 3 else [value]
    return value


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.text() | st.text(alphabet='{}[]"\\n'),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='{}[]"\\x'), inner, max_size=4)
        ),
        max_leaves=20,
    ),
    levels=st.integers(0, 80),
)
def test_depth_is_judged_exactly_for_whatever_is_json(value, levels):
    document = wrapped(value, levels)
    refused = False
    try:
        _check_structure(orjson.dumps(document))
    except InvalidInput:
        refused = True
    assert refused == (depth(document) > MAX_DEPTH)
