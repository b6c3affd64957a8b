"""A stream of Gemini's says the same however its bytes were cut, and ends only where every candidate has."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.ports import Call, Failure, Usage
from serve.upstream.dialects.table import DIALECTS
from serve.upstream.provider import Provider
from serve.upstream.translation import TranslatedReading
from tests.serve.upstream.dialects.test_gemini import ANYTHING

PROVIDER = Provider("acme", "gemini", "http://h/v1beta")
USED = {"promptTokenCount": 11, "candidatesTokenCount": 3, "totalTokenCount": 14}
NOW_MS = 1_795_651_200_000


def reading(*, include_usage: bool = False) -> TranslatedReading:
    call = Call(
        request_id="req_1",
        provider="acme",
        model="gemini-3.1-pro-preview",
        body={"messages": []},
        output_cap=None,
        stream=True,
        include_usage=include_usage,
        prompt_tokens=7,
    )
    found = DIALECTS["gemini"].reading(PROVIDER, call, NOW_MS)
    assert isinstance(found, TranslatedReading)
    return found


def event(*parts: dict, finish: str | None = None, index: int | None = None, **over: object) -> bytes:
    candidate: dict = {"content": {"role": "model", "parts": list(parts)}} if parts else {}
    if finish is not None:
        candidate["finishReason"] = finish
    if index is not None:
        candidate["index"] = index
    return b"data: %b\r\n\r\n" % orjson.dumps({"candidates": [candidate], "responseId": "r", **over})


def raw(**fields: object) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(fields)


CALL = {"functionCall": {"name": "f", "args": {"a": "é"}}, "thoughtSignature": "s"}
EVENTS = st.sampled_from(
    [
        event({"text": "word"}),
        event({"text": ""}),
        event({"text": "né€😀"}, index=1),
        event({"text": "hm", "thought": True}, usageMetadata={"promptTokenCount": 11}),
        event({"text": "", "thoughtSignature": "s"}),
        event(CALL, CALL),
        event({"text": "a"}, CALL, index=0),
        event(finish="STOP"),
        event(
            {"text": "early"},
            finish="STOP",
            usageMetadata={"promptTokenCount": 11, "candidatesTokenCount": 1},
        ),
        event({"text": "last"}, finish="MAX_TOKENS", usageMetadata=USED),
        event(finish="SAFETY", index=1),
        event(finish="MALFORMED_FUNCTION_CALL", usageMetadata=USED),
        raw(usageMetadata=USED),
        raw(promptFeedback={"blockReason": "SAFETY"}, usageMetadata={"promptTokenCount": 11}),
        raw(error={"code": 503, "message": "broke", "status": "UNAVAILABLE"}),
        b"event: error\ndata: {}\n\n",
        b": ping\n\n",
        b"data: \n\n",
        b"data: [1]\n\n",
        b"data: {\n\n",
    ]
)


def read(chunks: list[bytes], *, include_usage: bool = False, ends: bool = True) -> tuple:
    """What is handed on and what it all meant; the owner feeds nothing after the end."""
    it = reading(include_usage=include_usage)
    out = b""
    for chunk in chunks:
        out += it.feed(chunk)
        if it.ended:
            break
    if ends:
        out += it.end_of_body()
    return out, it.committed, it.ended, it.failure, it.usage, it.reported


def chunks_of(out: bytes) -> list[dict]:
    """Every event as JSON: each is one `data:` line of OpenAI's."""
    assert out == b"" or out.endswith(b"\n\n")
    found = []
    for block in out.split(b"\n\n")[:-1]:
        assert block.startswith(b"data: ")
        assert b"\n" not in block
        chunk = orjson.loads(block[6:])
        assert chunk["object"] == "chat.completion.chunk"
        assert isinstance(chunk["choices"], list)
        for choice in chunk["choices"]:
            assert choice["index"] >= 0
            assert isinstance(choice["delta"], dict)
        found.append(chunk)
    return found


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
    chunks_of(by_event[0])
    for chunks in (
        whole,
        [data[a:b] for a, b in pairwise(ends)],
        [data[i : i + 1] for i in range(len(data))],
    ):
        assert read(chunks, include_usage=include_usage) == by_event


@given(st.lists(st.lists(EVENTS, min_size=1, max_size=3), max_size=8))
def test_a_finish_is_told_once_for_each_candidate_last_and_only_at_a_clean_end(groups) -> None:
    out, committed, ended, failure, _, _ = read([b"".join(group) for group in groups])
    assert ended
    told = [choice for chunk in chunks_of(out) for choice in chunk["choices"]]
    finishes = [c["index"] for c in told if c["finish_reason"]]
    if failure is None:
        assert committed
        assert sorted({c["index"] for c in told}) == finishes
        assert all(c["finish_reason"] for c in told[-len(finishes) :])
    else:
        assert finishes == []
    assert read([b"".join(group) for group in groups], ends=False)[0].count(b'"finish_reason":"') == 0


@given(st.lists(ANYTHING, max_size=4))
def test_no_event_raises_and_all_that_is_handed_on_is_openais(events) -> None:
    out, _, ended, failure, usage, _ = read([b"data: %b\n\n" % orjson.dumps(e) for e in events])
    chunks_of(out)
    assert ended
    assert isinstance(usage, Usage)
    assert failure is None or isinstance(failure, Failure)


def test_calls_have_fixed_places_and_ids_of_their_own_over_events() -> None:
    out = read([event(CALL, CALL), event({"text": "and"}), event(CALL), event(finish="STOP")])[0]
    told = [call for chunk in chunks_of(out) for call in chunk["choices"][0]["delta"].get("tool_calls") or ()]
    assert [call["index"] for call in told] == [0, 1, 2]
    assert len({call["id"] for call in told}) == 3
    assert all(call["function"] == {"name": "f", "arguments": '{"a":"é"}'} for call in told)
    assert all(call["extra_content"] == {"google": {"thought_signature": "s"}} for call in told)
    assert chunks_of(out)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_finish_named_in_every_event_cuts_nothing_off() -> None:
    out, _, _, failure, usage, reported = read(
        [
            event(
                {"text": t},
                finish="STOP",
                usageMetadata={**USED, "candidatesTokenCount": i, "totalTokenCount": 11 + i},
            )
            for i, t in enumerate(["a", "b", "c"], 1)
        ]
    )
    assert failure is None
    told = [chunk["choices"][0] for chunk in chunks_of(out)]
    assert "".join(c["delta"].get("content", "") for c in told) == "abc"
    assert [c["finish_reason"] for c in told] == [None, None, None, "stop"]
    assert usage == reported == Usage(11, 3)


def test_a_text_signature_of_the_last_event_is_told() -> None:
    out = read([event({"text": "a"}), event({"text": "", "thoughtSignature": "s9"}, finish="STOP")])[0]
    extras = [c["choices"][0]["delta"].get("extra_content") for c in chunks_of(out)]
    assert extras == [None, {"google": {"thought_signature": "s9"}}, None]


def test_usage_may_come_after_the_finish_and_is_told_to_whoever_asked() -> None:
    events = [event({"text": "a"}), event(finish="STOP"), raw(usageMetadata=USED)]
    out, _, _, failure, usage, _ = read(events, include_usage=True)
    assert failure is None
    assert usage == Usage(11, 3)
    assert chunks_of(out)[-1]["usage"]["total_tokens"] == 14
    assert b'"usage"' not in read(events)[0]


def test_a_blocked_prompt_is_an_empty_filtered_answer() -> None:
    out, committed, _, failure, usage, _ = read(
        [raw(promptFeedback={"blockReason": "PROHIBITED_CONTENT"}, usageMetadata={"promptTokenCount": 9})]
    )
    assert (committed, failure, usage) == (True, None, Usage(9, 0))
    (chunk,) = chunks_of(out)
    assert chunk["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "content_filter"}
    ]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [event({"text": ""})],
        [event({"text": "a"})],
        [event({"text": "a"}, finish="STOP"), event({"text": "b"}, index=1)],
    ],
)
def test_a_body_that_ends_before_every_candidate_has_is_broken(events: list[bytes]) -> None:
    out, _, _, failure, _, reported = read(events)
    assert failure is not None
    assert (failure.code, failure.fail_over) == ("PROVIDER_ERROR", True)
    assert b'"finish_reason":"' not in out
    assert reported is None


def test_an_answer_given_up_before_content_may_come_from_another_and_is_billed() -> None:
    held = event({"text": "", "thoughtSignature": "s"}, usageMetadata={"promptTokenCount": 11})
    out, committed, _, failure, _, _ = read(
        [held, event(finish="MALFORMED_FUNCTION_CALL", usageMetadata=USED)]
    )
    assert (out, committed) == (b"", False)
    assert failure is not None
    assert (failure.fail_over, failure.usage) == (True, Usage(11, 3))


def test_a_stream_that_breaks_off_is_estimated_by_its_count_of_the_prompt_and_what_was_said() -> None:
    counted = {"promptTokenCount": 11, "cachedContentTokenCount": 4, "candidatesTokenCount": 1}
    usage = read([event({"text": "x" * 40}, usageMetadata=counted)])[4]
    assert usage == Usage(11, 10, cached=4, estimated=True)
    assert read([event({"text": "x" * 40})])[4] == Usage(7, 10, estimated=True)


def test_log_probabilities_come_with_their_words() -> None:
    result = {"chosenCandidates": [{"token": "a", "logProbability": -1}]}
    line = orjson.dumps({"candidates": [{"content": {"parts": [{"text": "a"}]}, "logprobsResult": result}]})
    out = read([b"data: %b\n\n" % line])[0]
    (chunk,) = chunks_of(out)
    assert chunk["choices"][0]["logprobs"]["content"][0]["token"] == "a"
