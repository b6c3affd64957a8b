"""Which answers are kept; what a stream came to, and what it is as a stream again."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.cache.answers import MAX_BODY, completion_of, events_of, keepable, told_usage

USED = told_usage(3, 2)


def whole(message=None, ended="stop", **more):
    message = {"role": "assistant", "content": "Nine."} if message is None else message
    choice = {"index": 0, "message": message, "finish_reason": ended}
    return {"id": "c", "object": "chat.completion", "created": 5, "model": "m", "choices": [choice]} | more


def as_bytes(found):
    return orjson.dumps(found)


def chunk(delta, ended=None, index=0, **more):
    choice = {"index": index, "delta": delta, "finish_reason": ended}
    return b"data: %b\n\n" % orjson.dumps({"id": "c", "created": 5, "model": "m", "choices": [choice]} | more)


@pytest.mark.parametrize(
    "message",
    [
        None,
        {"role": "assistant", "content": "Nine.", "refusal": None, "annotations": [], "tool_calls": None},
        {"role": "assistant", "content": "Nine.", "reasoning_content": "3 times 3"},
    ],
)
def test_whole_words_that_their_model_ended_are_kept(message):
    assert keepable(as_bytes(whole(message)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        as_bytes({"choices": []}),
        as_bytes({"choices": [1]}),
        as_bytes({"choices": whole()["choices"] * 2}),
        as_bytes(whole(ended="length")),
        as_bytes(whole(ended="content_filter")),
        as_bytes(whole(ended="tool_calls")),
        as_bytes(whole(ended=None)),
        as_bytes(whole({"role": "assistant", "content": None})),
        as_bytes(whole({"role": "assistant", "content": " \n"})),
        as_bytes(whole({"role": "assistant", "content": [{"type": "text", "text": "Nine."}]})),
        as_bytes(whole({"role": "assistant", "content": "x", "tool_calls": [{"id": "t"}]})),
        as_bytes(whole({"role": "assistant", "content": "x", "function_call": {"name": "f"}})),
        as_bytes(whole({"role": "assistant", "content": "x", "refusal": "I will not"})),
        as_bytes(whole({"role": "assistant", "content": "x", "annotations": [{"type": "url_citation"}]})),
        as_bytes(whole({"role": "assistant", "content": "x", "audio": {"id": "a"}})),
        as_bytes(whole({"role": "assistant", "content": "x" * MAX_BODY})),
        as_bytes(whole(citations=["https://a.test"])),
        as_bytes(whole(search_results=[{"title": "t"}])),
    ],
)
def test_p11_anything_else_is_not(body):
    assert not keepable(body)


def test_a_stream_is_put_together():
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    pieces = [
        chunk({"role": "assistant", "content": ""}, system_fingerprint="f"),
        chunk({"reasoning_content": "3 times "}) + chunk({"reasoning_content": "3"}),
        chunk({"content": "Ni"}),
        b": a comment\n\n",
        chunk({"content": "ne."}),
        chunk({}, "stop", id="later", sources=["a", "b"]),
        b"data: %b\n\n" % orjson.dumps({"choices": [], "usage": usage}),
        b"data: [DONE]\n\n",
    ]
    found = orjson.loads(completion_of(pieces, USED))
    assert found["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Nine.",
        "reasoning_content": "3 times 3",
    }
    assert (found["id"], found["created"], found["model"], found["system_fingerprint"]) == ("c", 5, "m", "f")
    assert (found["object"], found["usage"]) == ("chat.completion", usage)
    assert found["sources"] == ["a", "b"], "what else a provider says of its answer is kept with it"
    first, last = (orjson.loads(event[6:]) for event in events_of(orjson.dumps(found)))
    assert ("sources" in first, last["sources"]) == (False, ["a", "b"])
    assert first["id"] == last["id"] == "c"


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [chunk({"content": "Ni"})],
        [chunk({"content": "Ni"}), chunk({}, "length")],
        [chunk({"content": "Ni"}), chunk({"content": "x"}, index=1), chunk({}, "stop")],
        [chunk({"content": "Ni"}), chunk({"tool_calls": [{"index": 0}]}), chunk({}, "stop")],
        [chunk({"refusal": "no"}), chunk({}, "stop")],
        [chunk({"content": {"a": 1}}), chunk({}, "stop")],
        [chunk({}, "stop")],
        [chunk({"content": "x" * MAX_BODY}), chunk({"content": "x"}), chunk({}, "stop")],
        [chunk({"content": "x"}), chunk({}, "stop", citations=["https://a.test"])],
        [
            chunk({"content": "You should "}),
            b"data: {not json\n\n",
            chunk({"content": "it"}),
            chunk({}, "stop"),
        ],
        [chunk({"content": "x"}), b'data: {"error": {"message": "m"}}\n\n', chunk({}, "stop")],
        [chunk({"content": "x"}), b'data: {"choices": [{"index": 0, "text": "y"}]}\n\n', chunk({}, "stop")],
        [b'data: {"choices": [7]}\n\n'],
        [b'data: {"choices": 7}\n\n'],
    ],
)
def test_p11_a_stream_that_is_no_whole_answer_of_words_is_not_kept(pieces):
    assert completion_of(pieces, USED) is None


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1), st.data())
def test_an_answer_taken_apart_and_put_together_is_the_same(text, data):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=5)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    made = completion_of([*(chunk({"content": part}) for part in parts), chunk({}, "stop")], USED)
    if not text.strip():
        assert made is None
        return
    again = completion_of(events_of(made), USED)
    assert orjson.loads(again) == orjson.loads(made)
    assert orjson.loads(made)["choices"][0]["message"]["content"] == text


def test_an_event_of_several_lines_or_with_other_line_ends_loses_no_word():
    middle = b'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "not "}}]}\n\n'
    ends = [chunk({"content": "You should "}), middle, chunk({"content": "do it"}), chunk({}, "stop")]
    for pieces in (ends, [b"".join(ends)], [piece.replace(b"\n", b"\r\n") for piece in ends]):
        made = orjson.loads(completion_of(pieces, USED))
        assert made["choices"][0]["message"]["content"] == "You should not do it"


def test_a_stream_that_told_no_usage_is_kept_with_what_was_counted():
    made = orjson.loads(completion_of([chunk({"content": "x"}), chunk({}, "stop")], told_usage(9, 4, 5, 1)))
    assert made["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
