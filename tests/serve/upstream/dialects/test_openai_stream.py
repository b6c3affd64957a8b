"""A stream says the same however its bytes were cut: what is handed on, what it used, how it ended."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.ports import Call, Usage
from serve.upstream.dialects.openai_stream import StreamReading
from serve.upstream.provider import Provider

PROVIDER = Provider("acme", "openai", "http://h/v1")
USED = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}


def reading(*, include_usage: bool = False, n: int = 1) -> StreamReading:
    call = Call(
        request_id="req_1",
        provider="acme",
        model="m",
        body={"messages": [], "n": n},
        output_cap=None,
        stream=True,
        include_usage=include_usage,
        prompt_tokens=7,
    )
    return StreamReading(PROVIDER, call)


def event(delta: object = None, finish: str | None = None, index: int = 0, **over: object) -> bytes:
    choice = {"index": index, "delta": {} if delta is None else delta, "finish_reason": finish}
    return b"data: %b\n\n" % orjson.dumps({"id": "c", "choices": [choice], **over})


EVENTS = st.sampled_from(
    [
        event({"role": "assistant", "content": ""}),
        event({"content": "word"}),
        event({"content": "né€😀"}, index=1),
        event({"reasoning_content": "hm", "reasoning": "hm"}),
        event({"reasoning": "hm"}),
        event({"refusal": "no"}),
        event({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, 3]}),
        event({"function_call": {"name": "f", "arguments": "é"}}),
        event({"content": 7, "tool_calls": {}}),
        event("text"),
        event({}, "stop"),
        event({}, "stop", index=1),
        event({"content": "last"}, "length", usage=USED),
        event(usage=USED, choices=[]),
        event(usage=USED, choices=[]).replace(b"\n", b"\r\n"),
        event(usage=None, choices=None),
        event(error={"message": "broke", "code": 500}),
        b"event: error\ndata: {}\n\n",
        b": ping\n\n",
        b"data: \n\n",
        b'data: {"choices":\ndata: []}\n\n',
        b"data: [DONE]\n\n",
        b"data: [1]\n\n",
        b"data: {\n\n",
    ]
)


def read(chunks: list[bytes], *, include_usage: bool) -> tuple:
    """What is handed on and what it all meant; the owner feeds nothing after the end."""
    it = reading(include_usage=include_usage)
    out = b""
    for chunk in chunks:
        out += it.feed(chunk)
        if it.ended:
            break
    it.end_of_body()
    return out, it.committed, it.ended, it.failure, it.usage, it.reported


@given(
    st.lists(st.lists(EVENTS, min_size=1, max_size=3), max_size=8),
    st.lists(st.integers(0, 10_000), max_size=20),
    st.booleans(),
)
def test_a_stream_says_the_same_however_it_was_cut(groups, cuts, include_usage) -> None:
    whole = [b"".join(group) for group in groups]
    data = b"".join(whole)
    ends = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    by_event = read([one for group in groups for one in group], include_usage=include_usage)
    for chunks in (
        whole,
        [data[a:b] for a, b in pairwise(ends)],
        [data[i : i + 1] for i in range(len(data))],
    ):
        assert read(chunks, include_usage=include_usage) == by_event


@pytest.mark.parametrize(
    ("delta", "size"),
    [
        ({"content": "four", "role": "assistant"}, 4),
        ({"content": "né", "refusal": "no"}, 5),
        ({"reasoning_content": "same", "reasoning": "same"}, 4),
        ({"reasoning_content": 3, "reasoning": "same"}, 4),
        ({"reasoning": "same"}, 4),
        ({"tool_calls": [{"function": {"name": "f", "arguments": "xy"}}, {"function": None}, 1]}, 3),
        ({"function_call": {"name": "f", "arguments": None}}, 1),
        ({"content": None, "tool_calls": {"function": {"name": "f"}}, "other": "text"}, 0),
    ],
)
def test_what_a_delta_says_is_counted_once(delta: dict, size: int) -> None:
    it = reading()
    it.feed(event(delta))
    assert it.usage == Usage(7, -(-size // 4), estimated=True)


@pytest.mark.parametrize("name", ["content", "refusal", "reasoning", "reasoning_content"])
def test_the_first_word_commits_and_brings_what_was_held(name: str) -> None:
    it = reading()
    first, second, third = event({"role": "assistant", name: ""}), event({name: "a"}), event({name: "b"})
    assert it.feed(first) == b""
    assert not it.committed
    assert it.feed(second) == first + second
    assert it.committed
    assert it.feed(third) == third


def test_a_usage_only_event_is_handed_on_to_whoever_asked_for_it() -> None:
    asked, not_asked, last = reading(include_usage=True), reading(), event(usage=USED, choices=[])
    for it in (asked, not_asked):
        it.feed(event({"content": "a"}))
    assert asked.feed(last) == last
    assert not_asked.feed(last) == b""
    assert asked.usage == not_asked.usage == Usage(11, 3)


def test_a_stream_is_of_the_tier_that_any_of_its_chunks_names() -> None:
    tokens = event(usage=USED, choices=[])
    told, silent, standard = reading(), reading(), reading()
    told.feed(event({"content": "aaaa"}, service_tier="flex") + event({"content": "b"}))
    assert told.usage == Usage(7, 2, estimated=True, tier="flex")
    told.feed(tokens)
    assert told.usage == Usage(11, 3, tier="flex")
    silent.feed(event({"content": "a"}) + tokens)
    standard.feed(event({"content": "a"}, service_tier="default") + tokens)
    assert silent.usage == standard.usage == Usage(11, 3)


def test_a_count_of_no_output_is_none_of_an_answer_that_broke_off() -> None:
    """Some count the prompt in their first event, and the output at the end only."""
    begun = {"prompt_tokens": 1_000, "completion_tokens": 0}
    broken = reading()
    broken.feed(event({"content": "x" * 400}, usage=begun))
    assert broken.usage == Usage(1_000, 100, estimated=True), "a client that leaves now has had these words"
    broken.end_of_body()
    assert broken.failure is not None
    assert broken.usage == Usage(1_000, 100, estimated=True)
    counting = reading()
    counting.feed(event({"content": "x" * 400}, usage=USED))
    assert counting.usage == Usage(11, 3), "whoever counts as it goes is believed"
    whole = reading()
    whole.feed(event({"content": "x" * 400}, "stop", usage=begun) + b"data: [DONE]\n\n")
    assert whole.usage == Usage(1_000, 0), "the provider's last word"
