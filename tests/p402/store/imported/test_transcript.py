"""Logged messages are seen as the gateway sees a request's, and nothing makes them refuse."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.store.imported.transcript import as_json, transcript_of
from serve.wire.transcript import parse_transcript

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
parts = st.lists(
    st.builds(lambda t: {"type": "text", "text": t}, texts) | st.just(image), min_size=1, max_size=3
)
messages = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["system", "user", "assistant", "developer"]), texts | parts,
    ), min_size=1, max_size=5,
)  # fmt: skip
tools = st.none() | st.just(
    [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
)


@settings(deadline=None)
@given(messages, tools)
def test_a_chat_body_is_read_as_the_gateway_reads_it(said, offered):
    body = {"messages": said} | ({} if offered is None else {"tools": offered})
    live, logged = parse_transcript(body), transcript_of(said, offered, schema=False)
    for name in (
        "system",
        "first_user",
        "last_user",
        "text_bytes",
        "turns",
        "images",
        "has_tools",
        "answers",
    ):
        assert getattr(logged, name) == getattr(live, name), name


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | texts | st.just(Decimal("0.5")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(json_values)
def test_nothing_that_json_can_say_is_refused(value):
    found = transcript_of(value, value, schema=False)
    assert (found is None) == (not value or not isinstance(value, (str, list)))
    json.loads(as_json(value))


def test_items_of_the_responses_api_count_as_their_bytes():
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    found = transcript_of(
        [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}, call], None, schema=True
    )
    assert (found.last_user, found.turns, found.has_schema) == ("hi", 2, True)
    assert found.text_bytes == 2 + len(json.dumps(call, separators=(",", ":")))


def test_the_same_messages_have_the_same_json_whatever_their_order():
    assert as_json([{"role": "user", "content": "ä"}]) == as_json([{"content": "ä", "role": "user"}])


@pytest.mark.parametrize("nothing", [None, "", [], {}, 5])
def test_no_messages_are_no_transcript(nothing):
    assert transcript_of(nothing, None, schema=False) is None
