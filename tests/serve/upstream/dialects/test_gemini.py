"""Gemini's own words: what goes out for each generation of models, what whole answers and errors mean."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.ports import Call, Completion, Failure, Usage
from p402.settings import Secret
from serve.upstream.dialect import Unsupported
from serve.upstream.dialects.gemini_models import model_of
from serve.upstream.dialects.gemini_words import usage_of
from serve.upstream.dialects.table import DIALECTS
from serve.upstream.provider import Provider
from serve.wire.reasoning import sealed_by

KEY = "AIzaSyD-secret-0123456789"
NOW_MS = 1_795_651_200_000
OLD, NEW = "gemini-2.5-flash", "gemini-3.1-pro-preview"
PROVIDER = Provider(
    "acme", "gemini", "https://h/v1beta/", Secret(KEY), models={"mine": "models/gemini-3-pro"}
)
GEMINI, VERTEX = DIALECTS["gemini"], DIALECTS["vertex-gemini"]
ASK = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}


def call(body: dict, model: str = NEW, **over: object) -> Call:
    fields = {
        "request_id": "req_1",
        "provider": "acme",
        "model": model,
        "body": {"messages": ASK, **body},
        "output_cap": None,
        "stream": False,
        "include_usage": False,
        "prompt_tokens": 7,
    }
    return Call(**{**fields, **over})


def sent(body: dict, model: str = NEW, dialect=GEMINI, provider: Provider = PROVIDER, **over: object) -> dict:
    return orjson.loads(dialect.body(provider, call(body, model, **over)))


def config(body: dict, model: str = NEW) -> dict:
    return sent(body, model).get("generationConfig", {})


def ignored(body: dict, model: str = NEW, provider: Provider = PROVIDER) -> list[str]:
    return sorted(GEMINI.ignored(provider, call(body, model)))


def answer(reply: object, body: dict | None = None) -> Completion | Failure:
    return GEMINI.answer(PROVIDER, call(body or {}), orjson.dumps(reply), NOW_MS)


def candidate(*parts: dict, reason: str | None = "STOP", **over: object) -> dict:
    made = {"content": {"role": "model", "parts": list(parts)}, **over}
    return made if reason is None else {**made, "finishReason": reason}


def choices(reply: dict) -> list[dict]:
    found = answer(reply)
    assert isinstance(found, Completion), found
    return orjson.loads(found.body)["choices"]


# Where


def test_a_model_is_in_the_path_and_the_key_in_one_header() -> None:
    assert GEMINI.url(PROVIDER, NEW, stream=False) == f"https://h/v1beta/models/{NEW}:generateContent"
    streamed = f"https://h/v1beta/models/{NEW}:streamGenerateContent?alt=sse"
    assert GEMINI.url(PROVIDER, f"models/{NEW}", stream=True) == streamed
    assert GEMINI.url(PROVIDER, "a?key=b/../c d", stream=False).endswith(
        "/models/a%3Fkey%3Db%2F..%2Fc%20d:generateContent"
    )
    assert GEMINI.headers(PROVIDER) == {"x-goog-api-key": KEY}
    assert GEMINI.headers(Provider("v", "vertex-gemini", "https://h")) == {}
    project = "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1"
    vertex = Provider("v", "vertex-gemini", project)
    assert (
        VERTEX.url(vertex, NEW, stream=False) == f"{project}/publishers/google/models/{NEW}:generateContent"
    )
    claude = DIALECTS["vertex-anthropic"].url(vertex, "claude-haiku-4-5@20251001", stream=True)
    assert claude == f"{project}/publishers/anthropic/models/claude-haiku-4-5@20251001:streamRawPredict"


# What goes out


def test_every_field_has_its_word() -> None:
    body = {
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "seed": -3,
        "stop": "END",
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logprobs": True,
        "top_logprobs": 3,
        "n": 2,
    }
    assert config(body, "gemini-2.0-flash") == {
        "maxOutputTokens": 9,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "seed": -3,
        "stopSequences": ["END"],
        "frequencyPenalty": 0.1,
        "presencePenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 3,
        "candidateCount": 2,
    }
    assert ignored(body, "gemini-2.0-flash") == []
    assert sent({}) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


@pytest.mark.parametrize(
    ("body", "model", "left"),
    [
        ({"frequency_penalty": 1, "presence_penalty": 0}, OLD, ["frequency_penalty"]),
        ({"seed": 1 << 31}, NEW, ["seed"]),
        ({"seed": -(1 << 31)}, NEW, []),
        ({"parallel_tool_calls": False, "tools": [TOOL]}, NEW, ["parallel_tool_calls"]),
        ({"parallel_tool_calls": True, "tools": [TOOL]}, NEW, []),
        ({"user": "u", "metadata": {"a": "b"}, "store": None}, NEW, ["metadata", "user"]),
        ({"reasoning_effort": "none"}, NEW, ["reasoning_effort"]),
        ({"reasoning_effort": "none"}, OLD, []),
        ({"reasoning_effort": "high"}, "gemini-2.0-flash", ["reasoning_effort"]),
        ({"safetySettings": []}, NEW, ["safetySettings"]),
    ],
)
def test_what_an_answer_can_do_without_is_left_out_and_said(body: dict, model: str, left: list[str]) -> None:
    assert ignored(body, model) == left
    assert not {"frequencyPenalty", "presencePenalty"} & config(body, model).keys()


@pytest.mark.parametrize(
    ("body", "model", "what"),
    [
        ({"messages": [{"role": "system", "content": "s"}]}, NEW, "nobody but the system"),
        ({"n": 2}, NEW, "several choices"),
        ({"n": 2, "stream": True}, OLD, "streamed"),
        ({"response_format": {"type": "json_object"}, "tools": [TOOL]}, OLD, "tools are on offer"),
        ({"messages": [{"role": "tool", "tool_call_id": "x", "content": "r"}]}, NEW, "without the call"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://h/a.png"}}],
                    }
                ]
            },
            NEW,
            "image at a URL",
        ),
    ],
)
def test_what_it_cannot_do_without_is_unsupported(body: dict, model: str, what: str) -> None:
    with pytest.raises(Unsupported) as found:
        sent(body, model, stream=bool(body.get("stream")))
    assert what in found.value.what


def test_vertex_gives_several_choices_of_newer_models() -> None:
    assert sent({"n": 2}, NEW, VERTEX)["generationConfig"] == {"candidateCount": 2}


def test_an_operators_fields_are_passed_on_and_never_over_ours() -> None:
    wide = frozenset({"safetySettings", "contents", "generationConfig", "user"})
    provider = Provider("acme", "gemini", "https://h", extra_fields=wide)
    body = {"safetySettings": [1], "contents": "x", "generationConfig": {}, "temperature": 1, "user": "u"}
    assert sent(body, provider=provider) == {
        "safetySettings": [1],
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"temperature": 1},
    }
    assert ignored(body, provider=provider) == ["user"]


@pytest.mark.parametrize(
    ("effort", "model", "thinking"),
    [
        ("none", OLD, {"thinkingBudget": 0, "includeThoughts": False}),
        ("none", "gemini-2.5-pro", {"thinkingBudget": 128, "includeThoughts": False}),
        ("minimal", OLD, {"thinkingBudget": 1_024, "includeThoughts": True}),
        ("medium", OLD, {"thinkingBudget": 8_192, "includeThoughts": True}),
        ("max", "gemini-2.5-pro", {"thinkingBudget": 32_768, "includeThoughts": True}),
        ("xhigh", "gemini-2.5-flash-lite", {"thinkingBudget": 24_576, "includeThoughts": True}),
        ("minimal", "gemini-3-flash-preview", {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("none", "gemini-3.5-flash-lite", {"thinkingLevel": "MINIMAL", "includeThoughts": False}),
        ("minimal", "gemini-3.8-flash", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("minimal", NEW, {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("medium", "gemini-3-pro-preview", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("medium", NEW, {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ("max", "gemini-flash-latest", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("none", "my-own", {"thinkingLevel": "LOW", "includeThoughts": False}),
        ("medium", "mine", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("high", "gemini-2.0-flash-001", None),
        ("high", "gemini-1.5-pro", None),
    ],
)
def test_effort_is_said_as_the_models_generation_takes_it(effort: str, model: str, thinking: dict) -> None:
    assert config({"reasoning_effort": effort}, model).get("thinkingConfig") == thinking


@pytest.mark.parametrize(
    ("thinking", "model", "said"),
    [
        ({"type": "disabled"}, OLD, {"thinkingBudget": 0, "includeThoughts": False}),
        ({"type": "enabled", "budget_tokens": 100}, OLD, {"thinkingBudget": 512, "includeThoughts": True}),
        (
            {"type": "enabled", "budget_tokens": 1 << 40},
            OLD,
            {"thinkingBudget": 24_576, "includeThoughts": True},
        ),
        (
            {"type": "enabled", "budget_tokens": 9_000},
            NEW,
            {"thinkingLevel": "MEDIUM", "includeThoughts": True},
        ),
        ({"type": "adaptive"}, NEW, {"includeThoughts": True}),
        ({"type": "odd"}, NEW, None),
        ({"type": "enabled", "budget_tokens": 100}, "gemini-2.0-flash", None),
    ],
)
def test_thinking_in_anthropics_form_is_understood(thinking: dict, model: str, said: dict | None) -> None:
    assert config({"thinking": thinking}, model).get("thinkingConfig") == said


@given(st.text(max_size=40))
def test_any_id_of_a_model_has_a_generation(name: str) -> None:
    assert model_of(name).made >= (0, 0)


def test_a_date_in_an_id_is_no_minor_version() -> None:
    assert model_of("gemini-2-20250101").made == (2, 0)
    assert model_of("models/gemini-2.5-pro-preview-06-05").made == (2, 5)
    assert model_of("gemini-12.3-flash").made == (12, 3)


def asked(*calls: dict, **over: object) -> dict:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **over}


def tool_call(made: str, signature: str | None = None) -> dict:
    extra = {} if signature is None else {"extra_content": {"google": {"thought_signature": signature}}}
    return {"id": made, "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}, **extra}


def result(made: str, content: object = "r") -> dict:
    return {"role": "tool", "tool_call_id": made, "content": content}


def test_calls_and_results_carry_ids_and_signatures_where_the_model_wants_them() -> None:
    messages = [
        *ASK,
        asked(tool_call("c1", "sig"), tool_call("c2")),
        result("c1"),
        result("c2"),
        {"role": "user", "content": "so?"},
    ]
    assert sent({"messages": messages})["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "f", "args": {"a": 1}, "id": "c1"}, "thoughtSignature": "sig"},
                {"functionCall": {"name": "f", "args": {"a": 1}, "id": "c2"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"output": "r"}, "id": "c1"}},
                {"functionResponse": {"name": "f", "response": {"output": "r"}, "id": "c2"}},
            ],
        },
        {"role": "user", "parts": [{"text": "so?"}]},
    ]
    old = sent({"messages": messages}, OLD)["contents"]
    assert old[1]["parts"][0] == {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "sig"}
    assert "id" not in old[2]["parts"][0]["functionResponse"]


def test_results_stand_in_the_order_of_their_calls() -> None:
    """A model without ids tells two calls of one tool apart by their order alone."""
    calls = [
        {"id": x, "type": "function", "function": {"name": "f", "arguments": f'{{"x": "{x}"}}'}}
        for x in "abc"
    ]
    told = [result(x, f"of {x}") for x in "cab"]
    messages = [
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        told[0],
        {"role": "user", "content": "wait"},
        *told[1:],
        result("b", "of b again"),
    ]
    _, asked, answered, said = sent({"messages": messages}, OLD)["contents"]
    assert [part["functionCall"]["args"]["x"] for part in asked["parts"]] == ["a", "b", "c"]
    assert [part["functionResponse"]["response"]["output"] for part in answered["parts"]] == [
        "of a", "of b", "of b again", "of c",
    ]  # fmt: skip
    assert said["parts"] == [{"text": "wait"}]


def test_a_call_that_nobody_signed_gets_googles_placeholder_once_a_round() -> None:
    messages = [
        *ASK,
        asked(tool_call("c1"), tool_call("c2")),
        result("c1"),
        result("c2"),
        asked(tool_call("c3")),
        result("c3"),
    ]
    contents = sent({"messages": messages})["contents"]
    signatures = [[part.get("thoughtSignature") for part in contents[i]["parts"]] for i in (1, 3)]
    assert signatures == [["skip_thought_signature_validator", None], ["skip_thought_signature_validator"]]
    assert "thoughtSignature" not in orjson.dumps(sent({"messages": messages}, OLD)).decode()


def test_a_result_may_show_an_image_to_newer_models() -> None:
    shown = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]
    messages = [*ASK, asked(tool_call("c1")), result("c1", shown)]
    (part,) = sent({"messages": messages})["contents"][2]["parts"]
    assert part["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]
    with pytest.raises(Unsupported):
        sent({"messages": messages}, OLD)


def test_a_document_is_sent_as_data() -> None:
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}}
    parts = sent({"messages": [{"role": "user", "content": [file]}]})["contents"][0]["parts"]
    assert parts == [{"inlineData": {"mimeType": "application/pdf", "data": "aGk="}}]


def test_tools_their_choice_and_a_schema_are_said_in_json_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/x"}},
        "$defs": {"x": {"type": "string"}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    body = {
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": wanted,
    }
    out = sent(body)
    assert out["tools"] == [
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}
    ]
    assert out["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}
    assert out["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": schema}
    assert config({"response_format": {"type": "json_object"}}) == {"responseMimeType": "application/json"}
    assert "toolConfig" not in sent({"tools": [TOOL]})


# Whole answers


def test_a_signed_answer_binds_its_transcript_and_can_be_sent_back_as_it_came() -> None:
    (choice,) = choices(
        {
            "candidates": [
                candidate(
                    {"text": "hm", "thought": True}, {"text": "a"}, {"text": "b", "thoughtSignature": "s1"}
                )
            ]
        }
    )
    message = choice["message"]
    assert (message["content"], message["reasoning_content"]) == ("ab", "hm")
    assert message["extra_content"] == {"google": {"thought_signature": "s1"}}
    assert sealed_by(message) == "google"
    back = sent({"messages": [*ASK, message, *ASK]})["contents"][1]
    assert back == {"role": "model", "parts": [{"text": "ab", "thoughtSignature": "s1"}]}

    (choice,) = choices(
        {
            "candidates": [
                candidate(
                    {"functionCall": {"name": "f", "args": {"a": 1}, "id": "g1"}, "thoughtSignature": "s2"}
                )
            ]
        }
    )
    message = choice["message"]
    assert choice["finish_reason"] == "tool_calls"
    assert message["content"] is None
    assert sealed_by(message) == "google"
    back = sent({"messages": [*ASK, message, result("g1")]})["contents"][1]["parts"]
    assert back == [{"functionCall": {"name": "f", "args": {"a": 1}, "id": "g1"}, "thoughtSignature": "s2"}]


def test_calls_without_ids_get_the_same_ones_each_time_and_no_two_alike() -> None:
    reply = {"candidates": [candidate(*[{"functionCall": {"name": "f"}}] * 3)]}
    (first,), (second,) = choices(reply), choices(reply)
    assert first == second
    calls = first["message"]["tool_calls"]
    assert len({c["id"] for c in calls}) == 3
    assert {c["function"]["arguments"] for c in calls} == {"{}"}


def test_candidates_are_choices_with_their_log_probabilities() -> None:
    logprobs = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5}, {"token": "b"}],
        "topCandidates": [
            {"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "x", "logProbability": -1}]}
        ],
    }
    found = choices(
        {
            "candidates": [
                candidate({"text": "b"}, index=1, reason="MAX_TOKENS"),
                candidate({"text": "éb"}, logprobsResult=logprobs),
            ]
        }
    )
    assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in found] == [
        (0, "éb", "stop"),
        (1, "b", "length"),
    ]
    assert found[0]["logprobs"]["content"] == [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [
                {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
                {"token": "x", "logprob": -1.0, "bytes": [120]},
            ],
        },
        {"token": "b", "logprob": 0.0, "bytes": [98], "top_logprobs": []},
    ]
    assert found[1]["logprobs"] is None


@pytest.mark.parametrize(
    "reason",
    [
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
    ],
)
def test_what_is_withheld_is_filtered_content(reason: str) -> None:
    (choice,) = choices({"candidates": [{"finishReason": reason, "index": 0}]})
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", "")


@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "PROHIBITED_CONTENT", "IMAGE_SAFETY"])
def test_a_blocked_prompt_is_an_empty_filtered_answer_with_what_it_used(reason: str) -> None:
    found = answer({"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 9}})
    assert isinstance(found, Completion)
    (choice,) = orjson.loads(found.body)["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", "")
    assert found.usage == Usage(9, 0)


@pytest.mark.parametrize(
    "reason",
    ["MALFORMED_FUNCTION_CALL", "OTHER", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE", "TOMORROW"],
)
def test_an_answer_that_was_given_up_may_come_from_another_and_is_billed(reason: str) -> None:
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 2}
    found = answer({"candidates": [candidate({"text": "a"}, reason=reason)], "usageMetadata": usage})
    assert isinstance(found, Failure)
    assert (found.code, found.fail_over, found.counts, found.usage) == (
        "PROVIDER_ERROR",
        True,
        False,
        Usage(9, 2),
    )
    assert reason in found.message


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"candidates": []},
        {"candidates": [candidate({"text": "a"}, reason=None)]},
        [],
        3,
        None,
        {"candidates": [candidate({"text": "a"}, index=-1)]},
        {"candidates": [candidate({"text": 3})]},
        {"candidates": [candidate({"text": "a"}, index=True)]},
        {"candidates": [candidate({"functionCall": {}})]},
        {"candidates": [candidate({"inlineData": {"mimeType": "image/png", "data": "aGk="}})]},
        {"candidates": [candidate({"text": "a"}, reason=["STOP"])]},
        {"promptFeedback": {}},
    ],
)
def test_what_is_no_answer_is_a_failure(reply: object) -> None:
    found = answer(reply)
    assert isinstance(found, Failure)
    assert (found.code, found.fail_over) == ("PROVIDER_ERROR", True)


def test_missing_usage_is_estimated_from_all_that_was_said() -> None:
    parts = [
        {"text": "x" * 39, "thought": True},
        {"text": "y" * 40},
        {"functionCall": {"name": "f", "args": {}}},
    ]
    found = answer({"candidates": [candidate(*parts)]})
    assert isinstance(found, Completion)
    assert found.usage == Usage(7, -(-82 // 4), estimated=True)


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}, Usage(10, 5)),
        (
            {
                "promptTokenCount": 10,
                "cachedContentTokenCount": 4,
                "candidatesTokenCount": 5,
                "thoughtsTokenCount": 20,
                "totalTokenCount": 35,
            },
            Usage(10, 25, cached=4, reasoning=20),
        ),
        ({"promptTokenCount": 10, "thoughtsTokenCount": 3}, Usage(10, 3, reasoning=3)),
        (
            {
                "promptTokenCount": 500,
                "candidatesTokenCount": 120,
                "toolUsePromptTokenCount": 300,
                "thoughtsTokenCount": 10,
                "totalTokenCount": 930,
            },
            Usage(800, 130, reasoning=10),
        ),
        (
            {
                "promptTokenCount": 10,
                "candidatesTokenCount": 30,
                "thoughtsTokenCount": 20,
                "totalTokenCount": 40,
            },
            Usage(10, 30, reasoning=20),
        ),
        ({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 50}, Usage(10, 40)),
        ({"promptTokenCount": 3, "cachedContentTokenCount": 9}, Usage(3, 0, cached=3)),
        ({"promptTokenCount": 3, "candidatesTokenCount": None}, Usage(3, 0)),
        (
            {"promptTokenCount": 9, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}]},
            Usage(9, 0, tier="audio"),
        ),
        (
            {"promptTokenCount": 9, "candidatesTokensDetails": [5, {"modality": "AUDIO", "tokenCount": 4}]},
            Usage(9, 0, tier="audio"),
        ),
        ({"promptTokenCount": 9, "promptTokensDetails": [{"modality": "AUDIO"}]}, Usage(9, 0)),
        (
            {"promptTokenCount": 9, "promptTokensDetails": [{"modality": "VIDEO", "tokenCount": 4}]},
            Usage(9, 0),
        ),
        ({"candidatesTokenCount": 3}, None),
        ({"promptTokenCount": 1 << 40}, None),
        ({"promptTokenCount": 3, "candidatesTokenCount": 1 << 40}, None),
        ({"promptTokenCount": 3, "candidatesTokenCount": -1}, None),
        ({"promptTokenCount": 3, "thoughtsTokenCount": "x"}, None),
        ({"promptTokenCount": True}, None),
        ([], None),
    ],
)
def test_usage_has_one_normal_form(reported: object, usage: Usage | None) -> None:
    assert usage_of(reported) == usage


@pytest.mark.parametrize(
    ("field", "told", "tier"),
    [
        ("trafficType", "ON_DEMAND", None),
        ("trafficType", "TRAFFIC_TYPE_UNSPECIFIED", None),
        ("trafficType", "ON_DEMAND_PRIORITY", "priority"),
        ("trafficType", "PROVISIONED_THROUGHPUT", "provisioned_throughput"),
        ("serviceTier", "standard", None),
        ("serviceTier", "flex", "flex"),
        ("serviceTier", 3, None),
    ],
)
def test_a_tier_that_is_not_the_standard_one_is_told(field: str, told: object, tier: str | None) -> None:
    assert usage_of({"promptTokenCount": 3, field: told}) == Usage(3, 0, tier=tier)


# Errors


def refused(
    status: int, word: str, message: str = "", details: object = (), headers: dict | None = None
) -> Failure:
    error = {"error": {"code": status, "message": message, "status": word, "details": details}}
    return GEMINI.refusal(PROVIDER, status, headers or {}, orjson.dumps(error), NOW_MS)


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}


@pytest.mark.parametrize(
    ("status", "word", "message", "code", "shown", "fail_over", "counts"),
    [
        (
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota",
            "RATE_LIMIT_EXCEEDED",
            429,
            True,
            True,
        ),
        (
            429,
            "RESOURCE_EXHAUSTED",
            "Your prepayment credits are depleted",
            "insufficient_quota",
            429,
            True,
            True,
        ),
        (429, "RESOURCE_EXHAUSTED", "metric: x, limit: 0, model: y", "insufficient_quota", 429, True, True),
        (429, "RESOURCE_EXHAUSTED", "metric: x, limit: 20, model: y", "RATE_LIMIT_EXCEEDED", 429, True, True),
        (
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            "PROVIDER_AUTH",
            502,
            True,
            True,
        ),
        (401, "UNAUTHENTICATED", "Request had invalid credentials", "PROVIDER_AUTH", 502, True, True),
        (403, "PERMISSION_DENIED", "Permission denied", "PROVIDER_AUTH", 502, True, True),
        (
            400,
            "FAILED_PRECONDITION",
            "User location is not supported for the API use.",
            "PROVIDER_ERROR",
            502,
            True,
            True,
        ),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            "context_length_exceeded",
            400,
            False,
            False,
        ),
        (
            400,
            "INVALID_ARGUMENT",
            "Unable to submit request because the input token count is 9 but model only supports up to 8",
            "context_length_exceeded",
            400,
            False,
            False,
        ),
        (
            400,
            "INVALID_ARGUMENT",
            "Multiple candidates is not enabled for this model",
            "INVALID_INPUT",
            400,
            True,
            False,
        ),
        (
            400,
            "INVALID_ARGUMENT",
            "Thinking level is unsupported: THINKING_LEVEL_MINIMAL",
            "INVALID_INPUT",
            400,
            True,
            False,
        ),
        (400, "INVALID_ARGUMENT", "Invalid value at 'contents'", "INVALID_INPUT", 400, False, False),
        (404, "NOT_FOUND", "models/x is not found", "PROVIDER_ERROR", 502, True, True),
        (499, "CANCELLED", "", "PROVIDER_ERROR", 502, True, True),
        (500, "INTERNAL", "", "PROVIDER_ERROR", 502, True, True),
        (503, "UNAVAILABLE", "The model is overloaded.", "PROVIDER_ERROR", 502, True, True),
        (504, "DEADLINE_EXCEEDED", "", "PROVIDER_TIMEOUT", 504, True, True),
    ],
)
def test_each_error_has_its_meaning(status, word, message, code, shown, fail_over, counts) -> None:
    found = refused(status, word, message)
    assert (found.code, found.status, found.fail_over, found.counts) == (code, shown, fail_over, counts)


def test_a_key_that_expired_is_the_operators() -> None:
    reason = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    found = refused(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", reason)
    assert (found.code, found.of_provider) == ("PROVIDER_AUTH", True)
    assert refused(400, "FAILED_PRECONDITION", "Please enable billing").of_provider


def test_the_time_to_come_back_is_read_from_the_body_where_no_header_has_it() -> None:
    assert refused(429, "RESOURCE_EXHAUSTED", "", [DAY, RETRY]).retry_after_ms == 34_500
    assert refused(429, "RESOURCE_EXHAUSTED", "", [DAY, RETRY], {"retry-after": "2"}).retry_after_ms == 2_000
    assert refused(429, "RESOURCE_EXHAUSTED", "", [DAY]).retry_after_ms is None
    assert (
        refused(429, "RESOURCE_EXHAUSTED", "", [{**RETRY, "retryDelay": "9" * 7 + "s"}]).retry_after_ms
        == 86_400_000
    )
    assert refused(429, "RESOURCE_EXHAUSTED", "", [{**RETRY, "retryDelay": 3}, 3]).retry_after_ms is None


def test_an_error_in_a_list_or_inside_a_200_is_read_too() -> None:
    body = orjson.dumps([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [RETRY]}}])
    found = GEMINI.refusal(PROVIDER, 429, {}, body, NOW_MS)
    assert (found.code, found.retry_after_ms) == ("RATE_LIMIT_EXCEEDED", 34_500)
    inside = answer({"error": {"status": "UNAVAILABLE"}, "usageMetadata": {"promptTokenCount": 5}})
    assert isinstance(inside, Failure)
    assert (inside.code, inside.usage) == ("PROVIDER_ERROR", Usage(5, 0))


# Anything at all

NAMES = st.sampled_from(
    [
        "candidates",
        "content",
        "parts",
        "text",
        "thought",
        "functionCall",
        "args",
        "name",
        "id",
        "finishReason",
        "index",
        "usageMetadata",
        "promptTokenCount",
        "candidatesTokenCount",
        "promptFeedback",
        "blockReason",
        "error",
        "code",
        "status",
        "message",
        "details",
        "retryDelay",
        "logprobsResult",
        "chosenCandidates",
        "topCandidates",
        "token",
        "thoughtSignature",
        "responseId",
        "modelVersion",
        "inlineData",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 60), 1 << 60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["STOP", "34s", "f", ""])
    | st.text(max_size=5)
)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
)


@given(ANYTHING)
def test_no_answer_or_error_raises(reply: object) -> None:
    raw = orjson.dumps(reply)
    for dialect in (GEMINI, DIALECTS["vertex-anthropic"]):
        found = dialect.answer(PROVIDER, call({}), raw, NOW_MS)
        if isinstance(found, Completion):
            assert orjson.loads(found.body)["choices"]
        assert isinstance(dialect.refusal(PROVIDER, 400, {}, raw, NOW_MS), Failure)


@given(st.lists(ANYTHING, max_size=3))
def test_no_candidates_raise(candidates: list) -> None:
    found = answer({"candidates": candidates})
    if isinstance(found, Completion):
        assert {c["finish_reason"] for c in orjson.loads(found.body)["choices"]} <= {
            "stop",
            "length",
            "tool_calls",
            "content_filter",
        }


def test_refusals_at_vertex_are_googles_or_anthropics() -> None:
    dialect = DIALECTS["vertex-anthropic"]
    own = b'{"type":"error","error":{"type":"invalid_request_error","message":"Prompt is too long"}}'
    assert dialect.refusal(PROVIDER, 413, {}, own, NOW_MS).code == "context_length_exceeded"
    google = orjson.dumps({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [RETRY]}})
    assert dialect.refusal(PROVIDER, 429, {}, google, NOW_MS).retry_after_ms == 34_500


def test_an_answer_that_is_not_in_its_language_is_billed_as_it_tells() -> None:
    used = {"promptTokenCount": 11, "candidatesTokenCount": 3}
    for candidates in (7, [7], [{"content": {"parts": 3}, "finishReason": "STOP"}]):
        raw = orjson.dumps({"candidates": candidates, "usageMetadata": used})
        found = GEMINI.answer(PROVIDER, call({}), raw, NOW_MS)
        assert isinstance(found, Failure), found
        assert (found.code, found.fail_over) == ("PROVIDER_ERROR", True)
        assert found.usage == Usage(11, 3)
