"""The dialect: what goes out, what usage comes back, what an error means."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import ConfigError
from p402.ports import Call, Completion, Usage
from p402.settings import Secret
from serve.upstream import failures
from serve.upstream.dialect import Unsupported
from serve.upstream.dialects import openai, openai_usage
from serve.upstream.dialects.openai import OpenAi
from serve.upstream.provider import Provider
from serve.upstream.tokens import tier_of

KEY = "sk-secret-0123456789"
PROVIDER = Provider("acme", "openai", "https://api.example.com/v1", Secret(KEY), models={"m": "acme/m-1"})
NOW_MS = 1_795_305_600_000  # 2026-11-22 00:00:00 UTC


def call(body: dict | None = None, **over) -> Call:
    fields = {
        "request_id": "req_1",
        "provider": "acme",
        "model": "m",
        "body": body or {"messages": []},
        "output_cap": None,
        "stream": False,
        "include_usage": False,
        "prompt_tokens": 7,
    }
    return Call(**{**fields, **over})


def sent(body: dict | None = None, provider: Provider = PROVIDER, **over) -> dict:
    return orjson.loads(openai.body_of(provider, call(body, **over)))


def test_a_field_that_could_steer_the_call_is_not_sent() -> None:
    evil = {
        "api_base": "http://evil", "base_url": "x", "api_key": "k", "headers": {}, "extra_body": {},
        "models": ["dear"], "route": "fallback", "service_tier": "priority", "p402": {},
    }  # fmt: skip
    assert sent({"messages": [], "temperature": 0.5, "model": "theirs", **evil}) == {
        "messages": [], "temperature": 0.5, "model": "acme/m-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search", "web_search": {"enable": True}},
        {"type": "builtin_function", "function": {"name": "$web_search"}},
        {"type": "openrouter:web_search"},
        {"type": None},
    ],
)
def test_a_tool_that_the_provider_runs_and_bills_by_use_is_not_sent(tool: dict) -> None:
    mine = {"type": "function", "function": {"name": "f"}}
    with pytest.raises(Unsupported, match="a tool of type"):
        sent({"messages": [], "tools": [mine, tool]})
    tools = [mine, {"function": {"name": "g"}}, {"type": "custom", "custom": {"name": "h"}}]
    assert sent({"messages": [], "tools": tools})["tools"] == tools


def test_a_cache_is_asked_for_at_the_price_that_usage_can_tell() -> None:
    """Usage in OpenAI's form has one count of cache writes, and an hour's cost more than five minutes'."""
    knowing = Provider("acme", "openai", "http://h/v1", message_fields=frozenset({"cache_control"}))
    hour, plain = {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral"}

    def body(mark: dict) -> dict:
        part = {"type": "text", "text": "a", "cache_control": mark}
        tool = {"type": "function", "function": {"name": "f"}, "cache_control": mark}
        return {"messages": [{"role": "user", "content": [part], "cache_control": mark}], "tools": [tool]}

    given = body(hour)
    assert sent(given, knowing).items() >= body(plain).items()
    assert given == body(hour), "the client's own body is as it was"


def test_an_operator_may_pass_on_more_fields() -> None:
    wider = Provider("acme", "openai", "http://h/v1", extra_fields=frozenset({"route"}))
    assert sent({"messages": [], "route": "x"}, wider)["route"] == "x"


@pytest.mark.parametrize("named", ["max_tokens", "max_completion_tokens"])
def test_the_cap_is_set_only_where_the_client_named_none(named: str) -> None:
    assert sent({"messages": [], named: 5}, output_cap=9).items() >= {named: 5}.items()
    assert "max_tokens" not in sent({"messages": [], "max_completion_tokens": 5}, output_cap=9)
    assert sent({"messages": [], named: None}, output_cap=9)["max_tokens"] == 9
    modern = Provider("acme", "openai", "http://h/v1", output_field="max_completion_tokens")
    assert sent(provider=modern, output_cap=9)["max_completion_tokens"] == 9


def test_a_cap_goes_by_the_word_that_is_known_to_be_the_providers() -> None:
    strict = Provider("acme", "openai", "http://h/v1", renames_cap=True)
    assert sent({"messages": [], "max_completion_tokens": 5}, strict, output_cap=9) == {
        "messages": [], "model": "m", "max_tokens": 5,
    }  # fmt: skip
    both = {"messages": [], "max_completion_tokens": 5, "max_tokens": 4}
    assert sent(both, strict) == {"messages": [], "model": "m", "max_tokens": 4}
    modern = Provider("acme", "openai", "http://h/v1", output_field="max_completion_tokens", renames_cap=True)
    assert sent({"messages": [], "max_tokens": 5}, modern)["max_completion_tokens"] == 5


@pytest.mark.parametrize("given", [None, [], {"logprobs": True}])
def test_an_omitted_field_is_not_sent_and_is_said_only_where_it_was_given(given: object) -> None:
    plain = Provider("acme", "openai", "http://h/v1", omit_fields=frozenset({"logprobs", "stream_options"}))
    body = {"messages": [], **(given if isinstance(given, dict) else {"logprobs": given})}
    assert sent(body, plain, stream=True) == {"messages": [], "model": "m", "stream": True}
    assert OpenAi().ignored(plain, call(body)) == (() if body["logprobs"] is None else ("logprobs",))


def test_usage_is_always_asked_of_a_stream() -> None:
    body = sent({"messages": [], "stream_options": {"include_usage": False, "x": 1}}, stream=True)
    assert body["stream_options"] == {"include_usage": True, "x": 1}
    assert body["stream"] is True
    assert sent({"messages": [], "stream": True, "stream_options": {}}).keys() == {"messages", "model"}


def test_the_key_is_in_one_header_and_nowhere_else() -> None:
    assert OpenAi().headers(PROVIDER) == {"authorization": f"Bearer {KEY}"}
    assert OpenAi().headers(Provider("acme", "openai", "http://h/v1")) == {}
    assert KEY not in repr(PROVIDER)


def test_what_is_left_out_is_said() -> None:
    body = {"messages": [], "service_tier": "priority", "route": "x", "model": "m", "stream": True}
    assert sorted(OpenAi().ignored(PROVIDER, call(body))) == ["route", "service_tier"]
    wider = Provider("acme", "openai", "http://h/v1", extra_fields=frozenset({"route"}))
    assert OpenAi().ignored(wider, call(body)) == ("service_tier",)
    assert OpenAi().ignored(PROVIDER, call({"messages": [], "seed": 1})) == ()


def test_what_other_languages_put_into_messages_stays_behind_unless_the_provider_knows_it() -> None:
    body = {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": {"type": "x"}}]},
            {"role": "assistant", "content": "a", "reasoning_content": "r", "thinking_blocks": [{}],
             "tool_calls": [{"id": "1", "extra_content": {"google": {}}}]},
            {"role": "user", "content": "plain"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}],
    }  # fmt: skip
    before = orjson.dumps(body)
    bare = Provider("acme", "openai", "http://h/v1", message_fields=frozenset())
    assert sent(body, bare)["messages"] == [
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        {"role": "assistant", "content": "a", "tool_calls": [{"id": "1"}]},
        {"role": "user", "content": "plain"},
    ]
    assert sent(body, bare)["tools"] == [{"type": "function", "function": {"name": "f"}}]
    assert sent(body)["messages"][1].keys() == {"role", "content", "reasoning_content", "tool_calls"}
    every = frozenset({"cache_control", "thinking_blocks", "reasoning_content", "extra_content"})
    knowing = Provider("acme", "openai", "http://h/v1", message_fields=every)
    assert sent(body, knowing)["messages"] == body["messages"]
    assert orjson.dumps(body) == before, "the client's body serves the next attempt too"


@pytest.mark.parametrize(
    "over",
    [
        {"dialect": "smoke"},
        {"base_url": "ftp://h"},
        {"base_url": "http://user:pw@h/v1"},
        {"headers": {"x": "a\r\nb: c"}},
        {"max_connections": 0},
        {"output_field": "n"},
    ],
)
def test_a_provider_that_cannot_work_is_a_config_error(over: dict) -> None:
    fields = {"name": "p", "dialect": "openai", "base_url": "http://h/v1", **over}
    with pytest.raises(ConfigError, match=r"providers\.p"):
        Provider(**fields)


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Usage(10, 5)),
        (
            {
                "prompt_tokens": 10, "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(10, 5, cached=4, cache_write=3, reasoning=2),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 6}, Usage(10, 5, cached=6)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35}, Usage(10, 25, reasoning=20)),
        ({"prompt_tokens": 3, "completion_tokens": 1, "cached_tokens": 99}, Usage(3, 1, cached=3)),
        ({"prompt_tokens": True, "completion_tokens": 5}, None),
        ({"prompt_tokens": -1, "completion_tokens": 5}, None),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": None}, Usage(10, 5)),
        (None, None),
    ],
)  # fmt: skip
def test_usage_has_one_normal_form(reported, usage) -> None:
    assert openai_usage.usage_of(reported) == usage


@pytest.mark.parametrize("told", [None, "", "default", "Standard", "on_demand", "auto", 7, {}])
def test_the_standard_service_tier_is_none(told) -> None:
    assert tier_of(told) is None


@pytest.mark.parametrize("details", ["prompt_tokens_details", "completion_tokens_details"])
def test_sound_has_prices_of_its_own_and_none_is_known(details: str) -> None:
    used = {"prompt_tokens": 10, "completion_tokens": 5}
    assert openai_usage.usage_of({**used, details: {"audio_tokens": 3}}) == Usage(10, 5, tier="audio")
    assert openai_usage.usage_of({**used, details: {"audio_tokens": 3}}, "flex") == Usage(10, 5, tier="flex")
    for none in (0, None, "many"):
        assert openai_usage.usage_of({**used, details: {"audio_tokens": none}}) == Usage(10, 5)


@pytest.mark.parametrize(
    ("told", "tier"),
    [("flex", "flex"), ("priority", "priority"), ("x" * 99, "x" * 32), ("a\r\nb", "other"), ("é", "other")],
)
def test_any_other_service_tier_is_kept_as_far_as_it_is_a_word(told, tier) -> None:
    used = {"prompt_tokens": 10, "completion_tokens": 5}
    assert openai_usage.usage_of(used, told) == Usage(10, 5, tier=tier)


def test_a_whole_answer_is_of_the_tier_it_names_whether_it_tells_its_tokens_or_not() -> None:
    reply = {"choices": [{"message": {"content": "x" * 8}}], "service_tier": "priority"}
    used = {"usage": {"prompt_tokens": 10, "completion_tokens": 5}}
    for body, usage in (
        (reply | used, Usage(10, 5, tier="priority")),
        (reply, Usage(7, 2, estimated=True, tier="priority")),
        (reply | used | {"service_tier": "default"}, Usage(10, 5)),
    ):
        found = OpenAi().answer(PROVIDER, call(), orjson.dumps(body), NOW_MS)
        assert isinstance(found, Completion)
        assert found.usage == usage


def test_missing_usage_is_estimated_from_the_text_and_flagged() -> None:
    message = {"content": "x" * 400, "tool_calls": [{"function": {"name": "f", "arguments": "y" * 99}}]}
    answer = OpenAi().answer(PROVIDER, call(), orjson.dumps({"choices": [{"message": message}]}), NOW_MS)
    assert isinstance(answer, Completion)
    assert answer.usage == Usage(7, 125, estimated=True)


def classify(status: int, body: object = None, headers: dict | None = None):
    raw = body if isinstance(body, bytes) else orjson.dumps({"error": body} if body is not None else {})
    return failures.from_status(PROVIDER, status, headers or {}, raw, NOW_MS)


@pytest.mark.parametrize(
    ("status", "error", "code", "shown", "fail_over", "counts"),
    [
        (429, {"code": "rate_limit_exceeded"}, "RATE_LIMIT_EXCEEDED", 429, True, True),
        (429, {"code": "insufficient_quota"}, "insufficient_quota", 429, True, True),
        (402, {"message": "Insufficient Balance"}, "insufficient_quota", 429, True, True),
        (401, {"message": "bad key"}, "PROVIDER_AUTH", 502, True, True),
        (403, None, "PROVIDER_AUTH", 502, True, True),
        (400, {"message": "API key not valid."}, "PROVIDER_AUTH", 502, True, True),
        (500, None, "PROVIDER_ERROR", 502, True, True),
        (503, None, "PROVIDER_ERROR", 502, True, True),
        (529, None, "PROVIDER_ERROR", 502, True, True),
        (520, None, "PROVIDER_ERROR", 502, True, True),
        (524, None, "PROVIDER_TIMEOUT", 504, True, True),
        (504, None, "PROVIDER_TIMEOUT", 504, True, True),
        (408, None, "PROVIDER_TIMEOUT", 504, True, True),
        (302, None, "PROVIDER_ERROR", 502, True, True),
        (204, None, "PROVIDER_ERROR", 502, True, True),
        (404, {"code": "model_not_found"}, "PROVIDER_ERROR", 502, True, True),
        (400, {"code": "context_length_exceeded"}, "context_length_exceeded", 400, False, False),
        (413, {"message": "maximum context length is 8192"}, "context_length_exceeded", 400, False, False),
        (400, {"message": "bad temperature"}, "INVALID_INPUT", 400, False, False),
        (422, "not an object", "INVALID_INPUT", 422, False, False),
        (400, {"code": "content_filter"}, "content_filter", 400, False, False),
    ],
)  # fmt: skip
def test_each_status_has_its_meaning(status, error, code, shown, fail_over, counts) -> None:
    failure = classify(status, error)
    assert (failure.code, failure.status, failure.fail_over, failure.counts) == (
        code,
        shown,
        fail_over,
        counts,
    )


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        ({"retry-after": "2"}, 2_000),
        ({"retry-after": "0.5"}, 500),
        ({"retry-after-ms": "150"}, 150),
        ({"retry-after": "Sun, 22 Nov 2026 00:00:30 GMT"}, 30_000),
        ({"retry-after": "Sat, 21 Nov 2026 00:00:30 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after": "9" * 400}, 86_400_000),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict, wait_ms: int | None) -> None:
    assert classify(429, None, headers).retry_after_ms == wait_ms


@given(st.text(max_size=2_000), st.sampled_from([400, 401, 404, 422, 429, 500]))
def test_a_message_is_bounded_and_holds_neither_key_nor_url(noise: str, status: int) -> None:
    words = f"{noise[:50]} {KEY} see https://internal.example/x?key=1 sk-proj-abcdefgh12345 {noise}"
    message = classify(status, {"message": words}).message
    assert len(message) < 500
    assert KEY not in message
    assert "internal.example" not in message
    assert "abcdefgh12345" not in message
    assert all(c.isprintable() for c in message)


LEAVES = st.none() | st.booleans() | st.integers() | st.text()
NAMES = st.sampled_from(["error", "code", "message", "type", "detail", "x"])


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=12))
def test_no_shape_of_error_body_raises(body) -> None:
    try:
        raw = orjson.dumps(body)
    except TypeError:
        raw = b"\xff"
    failures.from_status(PROVIDER, 400, {}, raw, NOW_MS)
    failures.from_error_event(PROVIDER, body)
