"""Bedrock's Converse beyond what every language is held to: its own words, frames and refusals."""

import json
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import ConfigError
from p402.ports import Call, Completion, Failure, Usage
from p402.settings import Secret
from serve.upstream.dialect import Unsupported
from serve.upstream.dialects.bedrock import Bedrock
from serve.upstream.dialects.bedrock_request import vendor
from serve.upstream.dialects.bedrock_words import usage_of
from serve.upstream.provider import Provider
from tests.serve.upstream.dialects.conformance.bedrock_speaker import BedrockSpeaker, event, fault
from tests.serve.upstream.dialects.conformance.test_conformance import ANSWERS, gathered

NOW_MS = 1_795_651_200_000
CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEWEST = "global.anthropic.claude-opus-5-5"
NOVA = "amazon.nova-pro-v1:0"
GPT = "openai.gpt-oss-120b-1:0"
PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3"
PROVIDER = Provider("aws", "bedrock", "https://h", Secret("k-0123456789"), region="eu-west-1")
HI = {"messages": [{"role": "user", "content": "hi"}]}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
SPEAKER = BedrockSpeaker()


def call(body: dict | None = None, model: str = CLAUDE, **over: object) -> Call:
    fields = {
        "request_id": "req_1",
        "provider": "aws",
        "model": model,
        "body": body or HI,
        "output_cap": None,
        "stream": False,
        "include_usage": False,
        "prompt_tokens": 7,
    }
    return Call(**{**fields, **over})


def sent(body: dict, model: str = CLAUDE, provider: Provider = PROVIDER, **over: object) -> dict:
    return orjson.loads(Bedrock().body(provider, call(body, model, **over)))


def unsayable(body: dict, model: str = CLAUDE) -> str:
    with pytest.raises(Unsupported) as caught:
        Bedrock().body(PROVIDER, call(body, model))
    return caught.value.what


def left_out(body: dict, model: str = CLAUDE) -> set[str]:
    return set(Bedrock().ignored(PROVIDER, call(body, model)))


# What is sent


@pytest.mark.parametrize(
    ("model", "who"),
    [
        (CLAUDE, "anthropic"),
        (NOVA, "amazon"),
        (GPT, "openai"),
        (PROFILE, None),
        ("us.meta.llama4-x-v1:0", "meta"),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-4-6-v1", "anthropic"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.deepseek.r1-v1:0", "deepseek"),
    ],
)
def test_whose_model_it_is_is_read_from_its_id(model: str, who: str | None) -> None:
    assert vendor(model) == who


def test_an_id_is_one_segment_of_the_path() -> None:
    assert Bedrock().url(PROVIDER, CLAUDE, stream=False) == f"https://h/model/{CLAUDE[:-2]}%3A0/converse"
    url = Bedrock().url(PROVIDER, PROFILE, stream=True)
    assert url.endswith("%3Aapplication-inference-profile%2Fa1b2c3/converse-stream")
    assert url.count("/") == 5


def test_bedrock_needs_a_region() -> None:
    with pytest.raises(ConfigError, match=r"providers\.aws\.region"):
        Provider("aws", "bedrock", "https://h")


def test_cache_points_follow_what_is_marked() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    body = sent(
        {
            "tools": [
                WEATHER,
                {**WEATHER, "function": {**WEATHER["function"], "name": "b"}, "cache_control": mark},
            ],
            "messages": [
                {
                    "role": "system",
                    "content": [
                        {"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}},
                        {"type": "text", "text": "t"},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "u", "cache_control": mark},
                        {"type": "text", "text": "v"},
                    ],
                },
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "function": {"name": "b", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "c", "content": "r", "cache_control": mark},
            ],
        }
    )
    hour, plain = {"cachePoint": {"type": "default", "ttl": "1h"}}, {"cachePoint": {"type": "default"}}
    assert body["system"] == [{"text": "s"}, plain, {"text": "t"}]
    assert body["messages"][0]["content"] == [{"text": "u"}, hour, {"text": "v"}]
    assert body["toolConfig"]["tools"][2] == hour
    result, point = body["messages"][2]["content"]
    assert result["toolResult"] == {"toolUseId": "c", "content": [{"text": "r"}]}
    assert point == hour


def test_documents_have_names_that_are_taken() -> None:
    def file(name: str, kind: str = "application/pdf") -> dict:
        return {"type": "file", "file": {"filename": name, "file_data": f"data:{kind};base64,aGk="}}

    body = sent(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "compare"},
                        file("a__b/..\u00e9.pdf"),
                        file("q.pdf"),
                        file("q.pdf"),
                        file("t", "text/markdown"),
                    ],
                }
            ]
        }
    )
    documents = [part["document"] for part in body["messages"][0]["content"][1:]]
    assert [d["name"] for d in documents] == ["a b", "q", "q (2)", "t"]
    assert [d["format"] for d in documents] == ["pdf", "pdf", "pdf", "md"]
    assert documents[0]["source"] == {"bytes": "aGk="}
    assert "application/zip" in unsayable(
        {"messages": [{"role": "user", "content": [file("z", "application/zip")]}]}
    )


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"messages": [{"role": "system", "content": "s"}]}, "begin with the user"),
        ({"messages": [{"role": "assistant", "content": "s"}]}, "begin with the user"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "data:image/bmp;base64,aGk="}}
                        ],
                    }
                ]
            },
            "image/bmp",
        ),
        (
            {
                "tool_choice": "none",
                "tools": [WEATHER],
                "messages": [
                    {"role": "user", "content": "u"},
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "c", "function": {"name": "weather", "arguments": ""}}],
                    },
                    {"role": "tool", "tool_call_id": "c", "content": "r"},
                ],
            },
            "no tool may be called",
        ),
    ],
)
def test_what_converse_has_no_word_for_is_told(body: dict, word: str) -> None:
    assert word in unsayable(body)


def test_no_tool_is_offered_where_none_may_be_called() -> None:
    assert "toolConfig" not in sent({**HI, "tools": [WEATHER], "tool_choice": "none"})


def test_a_strict_tool_takes_no_further_fields() -> None:
    strict = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}
    (tool,) = sent({**HI, "tools": [strict]})["toolConfig"]["tools"]
    assert tool["toolSpec"]["strict"] is True
    assert tool["toolSpec"]["inputSchema"]["json"]["additionalProperties"] is False


def test_ids_of_calls_are_in_the_alphabet_and_length_that_is_taken() -> None:
    made = "call|" + "x" * 90
    body = sent(
        {
            "tools": [WEATHER],
            "messages": [
                {"role": "user", "content": "u"},
                {
                    "role": "assistant",
                    "tool_calls": [{"id": made, "function": {"name": "weather", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": made, "content": "r"},
            ],
        }
    )
    asked, answered = (
        body["messages"][1]["content"][0]["toolUse"],
        body["messages"][2]["content"][0]["toolResult"],
    )
    assert asked["toolUseId"] == answered["toolUseId"]
    assert len(asked["toolUseId"]) == 64
    assert "|" not in asked["toolUseId"]


def test_reasoning_is_asked_for_in_each_vendors_words() -> None:
    body = {**HI, "reasoning_effort": "medium", "max_tokens": 20_000, "temperature": 0.3}
    claude = sent(body)
    assert claude["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 8_192}}
    assert "temperature" not in claude["inferenceConfig"], "no sampling while it thinks"
    newest = sent(body, NEWEST)
    assert newest["additionalModelRequestFields"]["thinking"]["type"] == "adaptive"
    assert newest["outputConfig"] == {"effort": "medium"}
    assert sent(body, GPT)["additionalModelRequestFields"] == {"reasoning_effort": "medium"}
    for model in (NOVA, PROFILE):
        assert "additionalModelRequestFields" not in sent(body, model)
        assert "reasoning_effort" in left_out(body, model)


def test_sampling_goes_where_each_vendor_takes_it() -> None:
    body = {**HI, "temperature": 1.7, "top_k": 5, "seed": 1, "user": "u", "frequency_penalty": 1}
    assert sent(body)["inferenceConfig"] == {"temperature": 1.0}
    assert sent(body)["additionalModelRequestFields"] == {"top_k": 5}
    assert sent(body, NOVA)["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 5}}
    assert "additionalModelRequestFields" not in sent(body, GPT)
    assert "inferenceConfig" not in sent(body, NEWEST)
    assert left_out(body) == {"seed", "user", "frequency_penalty"}
    assert left_out(body, GPT) == {"seed", "user", "frequency_penalty", "top_k"}
    assert left_out(body, NEWEST) == {"seed", "user", "frequency_penalty", "temperature", "top_k"}


def test_an_operator_may_pass_on_more_fields() -> None:
    wider = Provider(
        "aws", "bedrock", "https://h", region="eu-west-1", extra_fields=frozenset({"guardrailConfig"})
    )
    rail = {"guardrailIdentifier": "g", "guardrailVersion": "1"}
    assert sent({**HI, "guardrailConfig": rail}, provider=wider)["guardrailConfig"] == rail
    assert "guardrailConfig" not in sent({**HI, "guardrailConfig": rail})
    assert "guardrailConfig" in left_out({**HI, "guardrailConfig": rail})


def test_only_its_own_lab_is_sent_a_sealed_thought() -> None:
    thought = {
        "role": "assistant",
        "content": "so",
        "thinking_blocks": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "eA=="},
        ],
    }
    body = {"messages": [*HI["messages"], thought, *HI["messages"]]}
    parts = sent(body)["messages"][1]["content"]
    assert parts[:2] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "eA=="}},
    ]
    assert sent(body, GPT)["messages"][1]["content"] == [{"text": "so"}]


# What comes back


def answered(reply: object) -> Completion | Failure:
    raw = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    return Bedrock().answer(PROVIDER, call(), raw, NOW_MS)


def message(content: list, reason: str = "end_turn", **over: object) -> dict:
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reason,
        "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7},
        **over,
    }


def test_the_prompt_is_what_was_fresh_read_and_written() -> None:
    used = {
        "inputTokens": 5,
        "outputTokens": 2,
        "totalTokens": 37,
        "cacheReadInputTokens": 20,
        "cacheWriteInputTokens": 10,
    }
    found = answered(message([{"text": "a"}], usage=used))
    assert isinstance(found, Completion)
    assert found.usage == Usage(35, 2, 20, 10)


def test_a_cache_write_of_an_hour_and_another_service_tier_are_told_whole_and_streamed() -> None:
    used = {
        "inputTokens": 5,
        "outputTokens": 2,
        "totalTokens": 37,
        "cacheWriteInputTokens": 30,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 10}, {"ttl": "1h", "inputTokens": 20}],
    }
    for tier, kept in (({"type": "priority"}, "priority"), ({"type": "default"}, None), ("odd", None)):
        found = answered(message([{"text": "a"}], usage=used, serviceTier=tier))
        assert isinstance(found, Completion)
        assert found.usage == Usage(35, 2, cache_write=30, cache_write_1h=20, tier=kept)
        reading = Bedrock().reading(PROVIDER, call(stream=True), NOW_MS)
        reading.feed(event("messageStop", stopReason="end_turn"))
        reading.feed(event("metadata", usage=used, serviceTier=tier))
        assert reading.reported == found.usage
    for odd in (None, {}, "1h", [5], [{"ttl": "1h", "inputTokens": "many"}]):
        assert usage_of({**used, "cacheDetails": odd}).cache_write_1h == 0
    beyond = [{"ttl": "1h", "inputTokens": 900}]
    assert usage_of({**used, "cacheDetails": beyond}).cache_write_1h == 30


def test_sealed_reasoning_comes_as_blocks_that_can_be_sent_back() -> None:
    found = answered(
        message(
            [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                {"reasoningContent": {"redactedContent": "eA=="}},
                {"citationsContent": {"content": [{"text": "so "}], "citations": []}},
                {"text": "42"},
                {
                    "toolUse": {
                        "toolUseId": "x",
                        "name": "nova_grounding",
                        "input": {},
                        "type": "server_tool_use",
                    }
                },
            ]
        )
    )
    assert isinstance(found, Completion)
    said = json.loads(found.body)["choices"][0]["message"]
    assert said == {
        "role": "assistant",
        "content": "so 42",
        "reasoning_content": "hm",
        "thinking_blocks": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "eA=="},
        ],
    }


def test_reasoning_that_nobody_signed_is_told_once() -> None:
    found = answered(message([{"reasoningContent": {"reasoningText": {"text": "hm"}}}, {"text": "a"}]))
    assert isinstance(found, Completion)
    assert "thinking_blocks" not in json.loads(found.body)["choices"][0]["message"]
    pieces = [
        event("contentBlockDelta", delta={"reasoningContent": {"text": "hm"}}, contentBlockIndex=0),
        event("contentBlockStop", contentBlockIndex=0),
        event("messageStop", stopReason="end_turn"),
        event("metadata", usage={"inputTokens": 5, "outputTokens": 2}),
    ]
    events, usage, failure = read(pieces)
    assert (failure, usage) == (None, Usage(5, 2))
    assert b"thinking_blocks" not in events
    assert gathered(events)[0]["reasoning_content"] == "hm"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("tomorrows_reason", "stop"),
    ],
)
def test_every_reason_to_stop_has_openais_word(reason: str, finish: str) -> None:
    found = answered(message([{"text": "a"}], reason))
    assert isinstance(found, Completion)
    assert json.loads(found.body)["choices"][0]["finish_reason"] == finish
    events, _, failure = read(
        [
            event("messageStart", role="assistant"),
            event("messageStop", stopReason=reason),
            event("metadata", usage={"inputTokens": 5, "outputTokens": 2}),
        ]
    )
    assert (gathered(events)[1], failure) == ([finish], None)


@pytest.mark.parametrize("reason", ["malformed_tool_use", "malformed_model_output"])
def test_what_nobody_can_read_goes_to_another_and_is_billed(reason: str) -> None:
    found = answered(message([{"text": "a"}], reason))
    assert isinstance(found, Failure)
    assert (found.code, found.fail_over, found.usage) == ("PROVIDER_ERROR", True, Usage(5, 2))
    assert not found.counts, "a request can bring it about, and must not take the model from others"
    _, _, failure = read(
        [
            event("messageStart", role="assistant"),
            event("messageStop", stopReason=reason),
            event("metadata", usage={"inputTokens": 5, "outputTokens": 2}),
        ]
    )
    assert failure is not None
    assert (failure.code, failure.usage, failure.counts) == ("PROVIDER_ERROR", Usage(5, 2), False)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"[]",
        b"{}",
        b'{"output":{"message":{"content":1}},"stopReason":"x"}',
        b'{"output":{"message":{"content":[]}}}',
        b"\xff",
    ],
)
def test_what_is_no_answer_is_the_providers_fault(reply: bytes) -> None:
    found = answered(reply)
    assert isinstance(found, Failure)
    assert (found.code, found.fail_over) == ("PROVIDER_ERROR", True)


# Streams


def read(pieces: list[bytes], *, include_usage: bool = False, ends: bool = True):
    reading = Bedrock().reading(PROVIDER, call(stream=True, include_usage=include_usage), NOW_MS)
    out = b""
    for piece in pieces:
        if not reading.ended:
            out += reading.feed(piece)
    if ends:
        reading.end_of_body()
    return out, reading.usage, reading.failure


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 1 << 16), max_size=20), st.booleans())
def test_any_cutting_of_a_stream_gives_the_same_chunks(name: str, at: list[int], include_usage: bool) -> None:
    whole = b"".join(SPEAKER.pieces(ANSWERS[name]))
    edges = [0, *sorted({i % (len(whole) + 1) for i in at}), len(whole)]
    cut = [whole[a:b] for a, b in pairwise(edges)]
    assert read(cut, include_usage=include_usage) == read([whole], include_usage=include_usage)


def test_a_stream_that_stops_without_its_metadata_has_not_ended() -> None:
    pieces = SPEAKER.pieces(ANSWERS["text"])
    events, usage, failure = read(pieces[:-1])
    assert failure is not None
    assert gathered(events)[1] == []
    assert usage.estimated


def test_a_damaged_frame_breaks_the_stream() -> None:
    pieces = SPEAKER.pieces(ANSWERS["text"])
    damaged = bytearray(pieces[2])
    damaged[-1] ^= 1
    events, _, failure = read([*pieces[:2], bytes(damaged), *pieces[3:]])
    assert failure is not None
    assert (failure.code, failure.fail_over) == ("PROVIDER_ERROR", True)
    assert events == read(pieces[:2])[0]


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttlingException", "RATE_LIMIT_EXCEEDED", 429),
        ("serviceUnavailableException", "PROVIDER_ERROR", 502),
        ("internalServerException", "PROVIDER_ERROR", 502),
        ("modelStreamErrorException", "PROVIDER_ERROR", 502),
        ("modelTimeoutException", "PROVIDER_TIMEOUT", 504),
        ("tomorrowsException", "PROVIDER_ERROR", 502),
    ],
)
def test_an_exception_in_a_stream_is_the_failure_that_it_would_have_been_before(
    kind: str, code: str, status: int
) -> None:
    _, _, failure = read([event("messageStart", role="assistant"), fault(kind, "no")])
    assert failure is not None
    assert (failure.code, failure.status, failure.fail_over, failure.counts) == (code, status, True, True)


def test_a_prompt_that_is_found_too_long_in_the_stream_is_the_clients() -> None:
    _, _, failure = read([fault("validationException", "Input is too long for requested model.")])
    assert failure is not None
    assert (failure.code, failure.fail_over) == ("context_length_exceeded", False)


# Refusals


def refused(status: int, name: str, text: str, *, header: bool = True) -> Failure:
    headers = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/"} if header else {}
    body = {"message": text} if header else {"__type": f"com.amazon.coral.service#{name}", "Message": text}
    return Bedrock().refusal(PROVIDER, status, headers, json.dumps(body).encode(), NOW_MS)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(
    ("status", "name", "text", "code", "fail_over", "counts"),
    [
        (429, "ThrottlingException", "slow", "RATE_LIMIT_EXCEEDED", True, True),
        (429, "ModelNotReadyException", "warming up", "RATE_LIMIT_EXCEEDED", True, True),
        (408, "ModelTimeoutException", "long", "PROVIDER_TIMEOUT", True, True),
        (424, "ModelErrorException", "oh", "PROVIDER_ERROR", True, True),
        (404, "ResourceNotFoundException", "no model", "PROVIDER_ERROR", True, True),
        (403, "AccessDeniedException", "no access to the model", "PROVIDER_AUTH", True, True),
        (403, "ExpiredTokenException", "The token has expired", "PROVIDER_AUTH", True, True),
        (403, "InvalidSignatureException", "does not match", "PROVIDER_AUTH", True, True),
        (400, "ServiceQuotaExceededException", "quota", "insufficient_quota", True, True),
        (
            400,
            "ValidationException",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "context_length_exceeded",
            False,
            False,
        ),
        (
            400,
            "ValidationException",
            "Input Tokens Exceeded: too many tokens",
            "context_length_exceeded",
            False,
            False,
        ),
        (
            400,
            "ValidationException",
            "The provided model identifier is invalid.",
            "PROVIDER_ERROR",
            True,
            True,
        ),
        (
            400,
            "ValidationException",
            "Invocation of model ID m with on-demand throughput isn't supported.",
            "PROVIDER_ERROR",
            True,
            True,
        ),
        (400, "ValidationException", "This model doesn't support tool use.", "INVALID_INPUT", True, False),
        (400, "ValidationException", "messages.0.content: bad", "INVALID_INPUT", False, False),
        (502, "", "<html>", "PROVIDER_ERROR", True, True),
    ],
)
def test_a_refusal_is_told_by_its_name_wherever_that_stands(
    status: int, name: str, text: str, code: str, fail_over: bool, counts: bool, header: bool
) -> None:
    found = refused(status, name, text, header=header)
    assert (found.code, found.fail_over, found.counts) == (code, fail_over, counts)


@pytest.mark.parametrize(
    "text",
    [
        "Signature expired: 20261126T070000Z is now earlier than 20261126T072000Z",
        "Signature not yet current: 20261126T080000Z is still later than 20261126T072000Z",
    ],
)
def test_a_wrong_clock_is_told_as_one(text: str) -> None:
    found = refused(403, "InvalidSignatureException", text)
    assert (found.code, found.of_provider) == ("PROVIDER_AUTH", True)
    assert "clock" in found.message


# Nothing raises

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "output",
                    "message",
                    "content",
                    "text",
                    "toolUse",
                    "toolUseId",
                    "name",
                    "input",
                    "usage",
                    "reasoningContent",
                    "reasoningText",
                    "signature",
                    "stopReason",
                    "delta",
                    "start",
                    "contentBlockIndex",
                    "inputTokens",
                    "outputTokens",
                    "type",
                    "__type",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "x",
    ]
)


@given(JSON)
def test_any_json_is_an_answer_or_a_failure(reply: object) -> None:
    found = answered(orjson.dumps(reply))
    assert isinstance(found, Completion | Failure)
    Bedrock().refusal(PROVIDER, 400, {}, orjson.dumps(reply), NOW_MS)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_a_failure(raw: bytes) -> None:
    assert isinstance(answered(raw), Completion | Failure)
    Bedrock().refusal(PROVIDER, 503, {}, raw, NOW_MS)
    read([raw])


@given(st.lists(st.tuples(KINDS, st.dictionaries(st.text(max_size=3), JSON, max_size=1) | JSON), max_size=6))
def test_any_frames_are_read_to_an_end(frames: list) -> None:
    pieces = [event(kind, **(said if isinstance(said, dict) else {"delta": said})) for kind, said in frames]
    reading = Bedrock().reading(PROVIDER, call(stream=True), NOW_MS)
    for piece in pieces:
        if not reading.ended:
            reading.feed(piece)
    reading.end_of_body()
    assert reading.ended
    assert reading.usage.prompt >= 0
