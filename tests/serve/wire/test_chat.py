"""Chat bodies: what is understood, what passes through, and what each mistake is told."""

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import InvalidInput, InvalidMode, MissingField, ModelNotFound, RequestError
from p402.request import FORMS, Options
from p402.routing.scale import PARAM_ONE
from serve.wire import parse_chat
from serve.wire.options import parse_weights

HELLO = [{"role": "user", "content": "Hello"}]


def parsed(messages=HELLO, **fields):
    return parse_chat(orjson.dumps({"messages": messages, **fields}))


def refused(error: type[RequestError], param: str | None, *words: str, messages=HELLO, **fields):
    with pytest.raises(error) as caught:
        parsed(messages, **fields)
    assert type(caught.value) is error
    assert caught.value.param == param
    for word in words:
        assert word in caught.value.message
    return caught.value


@pytest.mark.parametrize("model", ["auto", "p402/auto", None])
def test_no_concrete_model_is_routed(model):
    request = parsed(model=model)
    assert (request.model, request.options.mode) == (None, None)


def test_an_absent_model_is_routed_and_options_are_the_defaults():
    assert parsed().model is None
    assert parsed().options == Options()


@pytest.mark.parametrize("mode", ["cost", "quality", "speed", "balanced"])
def test_p3_a_mode_can_be_named_by_model_or_by_field(mode):
    assert parsed(model=f"p402/{mode}").options.mode == mode
    assert parsed(model=f"p402/{mode}").model is None
    assert parsed(p402={"mode": mode}).options.mode == mode
    assert parsed(model=f"p402/{mode}", p402={"mode": mode, "explain": True}).options.mode == mode


def test_p3_a_concrete_model_keeps_its_name_beside_a_mode():
    request = parsed(model="gpt-x", p402={"mode": "speed"})
    assert (request.model, request.options.mode) == ("gpt-x", "speed")


def test_p3_weights_of_any_unit_sum_to_one():
    options = parsed(p402={"mode": {"cost": 1, "quality": 2}}).options
    assert options.mode == "custom"
    assert options.weights.cost + options.weights.quality + options.weights.speed == PARAM_ONE
    assert abs(options.weights.quality - 2 * options.weights.cost) <= 2
    assert options.weights.speed == 0


@given(st.tuples(*[st.floats(0, allow_nan=False, allow_infinity=False) | st.integers(0, 2**63)] * 3))
def test_weights_are_exact_shares_of_one(parts):
    if not any(parts):
        return
    weights = parse_weights(dict(zip(("cost", "quality", "speed"), parts, strict=True)))
    shares = (weights.cost, weights.quality, weights.speed)
    assert sum(shares) == PARAM_ONE
    largest = max(parts)
    total = math.fsum(part / largest for part in parts)
    for part, share in zip(parts, shares, strict=True):
        assert abs(share / PARAM_ONE - part / largest / total) < 2**-18


def test_messages_are_read_for_routing():
    request = parsed(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Grüße"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
            {"role": "tool", "tool_call_id": "1", "content": "42"},
        ],
        tools=[{"type": "function", "function": {"name": "f"}}],
    )
    transcript = request.transcript
    assert (transcript.system, transcript.first_user, transcript.last_user) == ("Be brief.", "Grüße", "Grüße")
    assert transcript.turns == 4
    assert transcript.has_tools
    assert transcript.binds_family
    assert not transcript.has_schema
    tools = len(orjson.dumps([{"type": "function", "function": {"name": "f"}}]))
    call = len(orjson.dumps({"id": "1", "type": "function"}))
    assert transcript.text_bytes == len("Be brief.") + len("Grüße".encode()) + 2 + tools + call


def test_parts_are_text_images_or_bytes():
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA"}}
    transcript = parsed(
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "text", "text": "here"},
                    sound,
                ],
            }
        ]
    ).transcript
    assert transcript.last_user == "Look\nhere"
    assert transcript.images == 1
    assert transcript.text_bytes == 8 + len(orjson.dumps(sound))


@pytest.mark.parametrize(
    "told",
    [
        {"refusal": "x" * 5_000},
        {"reasoning_content": "x" * 5_000},
        {"reasoning_details": [{"type": "reasoning.text", "text": "x" * 5_000}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "x" * 5_000, "signature": "s"}]},
        {"function_call": {"name": "f", "arguments": "x" * 5_000}},
        {"name": "x" * 5_000},
    ],
)
def test_whatever_of_a_message_a_provider_would_read_counts_as_prompt(told: dict) -> None:
    hi = {"role": "user", "content": "hi"}
    plain = parsed(messages=[hi, {"role": "assistant", "content": "a"}]).transcript
    fuller = parsed(messages=[hi, {"role": "assistant", "content": "a", **told}]).transcript
    assert 5_000 <= fuller.text_bytes - plain.text_bytes < 5_200
    unread = {"refusal": None, "tool_call_id": "call_1", "cache_control": {"type": "ephemeral"},
              "extra_content": {"google": {"thought_signature": "x" * 5_000}}}  # fmt: skip
    assert parsed(messages=[{**hi, **unread}]).transcript.text_bytes == 2


@pytest.mark.parametrize("kind", ["application/pdf", "video/mp4", "audio/wav", "text/plain"])
def test_what_is_no_image_is_not_counted_as_one(kind: str) -> None:
    """A film behind an image's part may have a million tokens, and a hold of an image's."""
    url = f"data:{kind};base64," + "A" * 5_000
    part = {"type": "image_url", "image_url": {"url": url}}
    transcript = parsed(messages=[{"role": "user", "content": [part]}]).transcript
    assert transcript.text_bytes >= 5_000
    png = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5_000}}
    assert parsed(messages=[{"role": "user", "content": [png]}]).transcript.text_bytes == 0


@pytest.mark.parametrize(
    ("fields", "forms"),
    [
        ({}, set()),
        ({"n": 1, "logprobs": False, "response_format": {"type": "text"}}, set()),
        ({"n": 2, "logprobs": True, "logit_bias": {"1": 2}}, {"n", "logprobs", "logit_bias"}),
        ({"response_format": {"type": "json_object"}, "prediction": {"type": "content"}},
         {"json_object", "prediction"}),
        ({"functions": [{"name": "f"}], "audio": {"voice": "v"}}, {"functions", "audio"}),
        ({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://h/i.png"}},
            {"type": "file", "file": {"file_id": "f"}}, {"type": "input_audio", "input_audio": {}}]}]},
         {"image_url", "file", "audio"}),
        ({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}]}, set()),
    ],
)  # fmt: skip
def test_forms_that_not_every_language_has_are_noted(fields: dict, forms: set[str]):
    assert parsed(**fields).transcript.forms == forms
    assert forms <= FORMS


def test_a_user_turn_after_tools_closes_the_tool_call():
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "x"},
    ]
    assert parsed(messages).transcript.binds_family
    assert not parsed([*messages, {"role": "user", "content": "b"}]).transcript.binds_family
    assert not parsed([*messages, {"role": "assistant", "content": "b"}]).transcript.binds_family


SIGNED = {"extra_content": {"google": {"thought_signature": "AA=="}}}
SEALED = {
    "thinking_blocks": {"thinking_blocks": [{"type": "thinking", "thinking": "x", "signature": "s"}]},
    "redacted_blocks": {"thinking_blocks": [{"type": "redacted_thinking", "data": "e"}]},
    "thinking_part": {"content": [{"type": "thinking", "thinking": "x", "signature": "s"}]},
    "redacted_part": {"content": [{"type": "text", "text": "b"}, {"type": "redacted_thinking", "data": "e"}]},
    "reasoning_encrypted": {"reasoning_details": [{"type": "reasoning.encrypted", "data": "e"}]},
    "reasoning_signed": {"reasoning_details": [{"type": "reasoning.text", "text": "x", "signature": "s"}]},
    "reasoning_formatted": {
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "format": "openai-responses-v1"}]
    },
    "encrypted_detail": {"reasoning_details": [{"type": "later", "encrypted_content": "e"}]},
    "encrypted_part": {"content": [{"type": "reasoning", "summary": [], "encrypted_content": "e"}]},
    "encrypted_message": {"encrypted_content": "e"},
    "signed_message": SIGNED,
    "signed_call": {"tool_calls": [{"id": "1", **SIGNED}]},
}
LABS = {
    "thinking_blocks": "anthropic", "redacted_blocks": "anthropic", "thinking_part": "anthropic",
    "redacted_part": "anthropic", "signed_message": "google", "signed_call": "google",
    "reasoning_formatted": "openai",
}  # fmt: skip
OPEN = {
    "no_signature": {"thinking_blocks": [{"type": "thinking", "thinking": "x"}]},
    "null_signature": {"content": [{"type": "thinking", "thinking": "x", "signature": None}]},
    "summary": {"reasoning_details": [{"type": "reasoning.summary", "summary": "x"}]},
    "plain_reasoning": {"reasoning_content": "x", "reasoning": "x"},
    "text": {"content": [{"type": "text", "text": "b", "signature": "s"}]},
    "closed_call": {"tool_calls": [{"id": "1"}]},
    "not_google": {"extra_content": {"other": {"thought_signature": "AA=="}}},
    "odd": {"thinking_blocks": "x", "reasoning_details": [7, {"type": ["x"]}], "extra_content": [1]},
}


def after(answer: dict, role: str = "assistant") -> list[dict]:
    """A transcript in which a message with these fields was said, and a user goes on."""
    said = {"role": role, "content": "b", **answer}
    return [*HELLO, said, {"role": "tool", "content": "x"}, {"role": "user", "content": "And then?"}]


@pytest.mark.parametrize("name", SEALED)
def test_a_seal_tells_its_lab_where_its_form_does(name):
    assert parsed(after(SEALED[name])).transcript.sealed_by == LABS.get(name)
    both = [*after({"encrypted_content": "e"}), {"role": "assistant", "content": "c", **SEALED[name]}]
    assert parsed(both).transcript.sealed_by == LABS.get(name)


@pytest.mark.parametrize("answer", SEALED.values(), ids=SEALED)
def test_reasoning_that_only_its_lab_can_read_binds_for_the_rest_of_the_transcript(answer):
    request = parsed(after(answer))
    assert request.transcript.binds_family
    assert request.body["messages"] == after(answer)


@pytest.mark.parametrize("answer", OPEN.values(), ids=OPEN)
def test_reasoning_in_the_open_binds_nothing(answer):
    assert not parsed(after(answer)).transcript.binds_family


def test_what_a_user_says_is_no_reasoning():
    assert not parsed(after(SEALED["thinking_part"], role="user")).transcript.binds_family


def test_a_previous_response_binds():
    assert parsed(previous_response_id="resp_1").transcript.binds_family
    assert not parsed(previous_response_id=None).transcript.binds_family
    assert not parsed().transcript.binds_family


def test_a_json_schema_is_a_need_and_a_json_object_is_not():
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}
    assert parsed(response_format=schema).transcript.has_schema
    assert not parsed(response_format={"type": "json_object"}).transcript.has_schema


def test_openai_fields_travel_on_and_p402_does_not():
    request = parsed(temperature=0.5, some_new_field={"x": 1}, p402={"session_id": "s1"}, n=2, seed=7)
    assert request.body == {
        "messages": HELLO,
        "temperature": 0.5,
        "some_new_field": {"x": 1},
        "n": 2,
        "seed": 7,
    }
    assert request.n == 2
    assert request.options.session_id == "s1"


def test_null_counts_as_absent():
    request = parsed(
        temperature=None,
        n=None,
        stream=None,
        stream_options=None,
        max_tokens=None,
        tools=None,
        response_format=None,
        p402={"mode": None, "max_cost": None, "tags": None, "cache": None},
    )
    assert (request.n, request.stream, request.max_output) == (1, False, None)
    assert request.options == Options()


def test_output_caps_are_read_from_either_name():
    assert parsed(max_tokens=5).max_output == 5
    assert parsed(max_completion_tokens=6, max_tokens=5).max_output == 6
    assert parsed(max_completion_tokens=1, max_tokens=90_000).max_output == 90_000, (
        "a provider knows one word"
    )
    refused(InvalidInput, "max_tokens", max_completion_tokens=6, max_tokens="9")


def test_every_option_is_read():
    options = parsed(
        p402={
            "cache": True,
            "cache_ttl": 60,
            "prefer_providers": ["a", "b"],
            "exclude_providers": ["c", "c"],
            "require_capabilities": ["vision"],
            "max_cost": 0.1,
            "session_id": "s",
            "failover": False,
            "task": "code",
            "action_type": "answer",
            "tags": {"team": "x"},
            "explain": True,
            "dry_run": True,
        }
    ).options
    assert options == Options(
        cache=True,
        cache_ttl_s=60,
        prefer_providers=("a", "b"),
        exclude_providers=("c",),
        require_capabilities=("vision",),
        max_cost_pico=100_000_000_000,
        session_id="s",
        failover=False,
        task="code",
        action_type="answer",
        tags={"team": "x"},
        explain=True,
        dry_run=True,
    )


def test_aliases_mean_the_same():
    options = parsed(p402={"max_cost_usd": 0.25, "task_type": "math"}).options
    assert (options.max_cost_pico, options.task) == (250_000_000_000, "math")
    assert parsed(p402={"max_cost": 1, "max_cost_usd": 1.0}).options.max_cost_pico == 10**12
    refused(InvalidInput, "p402.max_cost_usd", "p402.max_cost", p402={"max_cost": 1, "max_cost_usd": 2})
    refused(InvalidInput, "p402.task_type", "p402.task", p402={"task_type": "math", "task": "chat"})
    assert (
        parsed(p402={"task_type": None, "task": "chat", "max_cost_usd": 1, "max_cost": None}).options.task
        == "chat"
    )


def test_a_ceiling_beyond_exact_arithmetic_is_taken_as_the_highest_that_is_exact():
    assert parsed(p402={"max_cost": 1e300}).options.max_cost_pico == 2**53 - 1


@pytest.mark.parametrize(
    ("fields", "error", "param", "words"),
    [
        ({"messages": None}, MissingField, "messages", ["non-empty array"]),
        ({"messages": []}, InvalidInput, "messages", ["at least one"]),
        ({"messages": "hi"}, InvalidInput, "messages", ['"hi"', "an array"]),
        ({"messages": ["hi"]}, InvalidInput, "messages[0]", ["an object"]),
        ({"messages": [{"content": "x"}]}, MissingField, "messages[0].role", ["user"]),
        ({"messages": [{"role": "usr", "content": "x"}]}, InvalidInput, "messages[0].role", ["`user`"]),
        ({"messages": [{"role": 3, "content": "x"}]}, InvalidInput, "messages[0].role", ["found 3"]),
        ({"messages": [{"role": "user"}]}, MissingField, "messages[0].content", ["string"]),
        (
            {"messages": [{"role": "assistant", "content": None}]},
            MissingField,
            "messages[0].content",
            ["tool_calls"],
        ),
        ({"messages": [{"role": "user", "content": 3}]}, InvalidInput, "messages[0].content", ["found 3"]),
        (
            {"messages": [{"role": "user", "content": ["x"]}]},
            InvalidInput,
            "messages[0].content[0]",
            ["`type`"],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
            InvalidInput,
            "messages[0].content[0].text",
            ["a string"],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
            InvalidInput,
            "messages[0].content[0].image_url",
            ["`url`"],
        ),
        ({"messages": HELLO * 2049}, InvalidInput, "messages", ["2049", "at most 2048"]),
        (
            {"messages": [{"role": "assistant", "tool_calls": [3]}]},
            InvalidInput,
            "messages[0].tool_calls[0]",
            ["an object"],
        ),
        ({"n": 0}, InvalidInput, "n", ["1 to 8"]),
        ({"n": 9}, InvalidInput, "n", ["found 9"]),
        ({"n": True}, InvalidInput, "n", ["found true"]),
        ({"n": 1.0}, InvalidInput, "n", ["found 1.0"]),
        ({"stream": "yes"}, InvalidInput, "stream", ["true or false"]),
        ({"stream_options": {"include_usage": True}}, InvalidInput, "stream_options", ["without `stream`"]),
        (
            {"stream": True, "stream_options": {"include_usage": 1}},
            InvalidInput,
            "stream_options.include_usage",
            ["true or false"],
        ),
        ({"stream": True, "stream_options": []}, InvalidInput, "stream_options", ["an object"]),
        ({"max_tokens": 0}, InvalidInput, "max_tokens", ["found 0"]),
        ({"max_completion_tokens": "9"}, InvalidInput, "max_completion_tokens", ['"9"']),
        ({"temperature": "hot"}, InvalidInput, "temperature", ["a number"]),
        ({"temperature": True}, InvalidInput, "temperature", ["a boolean"]),
        ({"stop": 3}, InvalidInput, "stop", ["array of strings"]),
        ({"tools": {}}, InvalidInput, "tools", ["an array"]),
        ({"tools": [3]}, InvalidInput, "tools[0]", ["an object"]),
        ({"response_format": "json"}, InvalidInput, "response_format", ["`type`"]),
        ({"response_format": {"type": "json_schema"}}, InvalidInput, "response_format.json_schema", ["null"]),
        ({"model": ""}, InvalidInput, "model", ["non-empty"]),
        ({"model": 3}, InvalidInput, "model", ["found 3"]),
        ({"model": "a\r\nb"}, InvalidInput, "model", ["control characters"]),
        ({"model": "x" * 257}, InvalidInput, "model", ["256"]),
        ({"model": "p402/chep"}, ModelNotFound, "model", ["p402/cost", "did you mean"]),
        ({"p402": []}, InvalidInput, "p402", ["an object"]),
        ({"p402": {"mod": "cost"}}, InvalidInput, "p402.mod", ["unknown field", "did you mean `mode`"]),
        ({"p402": {"max_kost": 1}}, InvalidInput, "p402.max_kost", ["`max_cost`"]),
        ({"p402": {"mode": "cheap"}}, InvalidMode, "p402.mode", ['"cheap"', "balanced"]),
        ({"p402": {"mode": "qualty"}}, InvalidMode, "p402.mode", ["`quality`"]),
        ({"p402": {"mode": 1}}, InvalidMode, "p402.mode", ["found 1"]),
        ({"p402": {"mode": "custom"}}, InvalidMode, "p402.mode", ["weights"]),
        ({"p402": {"mode": {}}}, InvalidMode, "p402.mode", ["all 0"]),
        ({"p402": {"mode": {"cost": -1}}}, InvalidMode, "p402.mode.cost", ["found -1"]),
        ({"p402": {"mode": {"cost": "1"}}}, InvalidMode, "p402.mode.cost", ['"1"']),
        ({"p402": {"mode": {"costs": 1}}}, InvalidMode, "p402.mode.costs", ["`cost`"]),
        ({"model": "p402/cost", "p402": {"mode": "speed"}}, InvalidMode, "p402.mode", ["one of them"]),
        ({"model": "p402/cost", "p402": {"mode": {"cost": 1}}}, InvalidMode, "p402.mode", ["one of them"]),
        ({"p402": {"cache": 1}}, InvalidInput, "p402.cache", ["true or false"]),
        ({"p402": {"cache_ttl": 0}}, InvalidInput, "p402.cache_ttl", ["found 0"]),
        ({"p402": {"max_cost": -1}}, InvalidInput, "p402.max_cost", ["0 or more"]),
        ({"p402": {"max_cost": "1"}}, InvalidInput, "p402.max_cost", ['"1"']),
        ({"p402": {"task": "cod"}}, InvalidInput, "p402.task", ["`code`"]),
        (
            {"p402": {"require_capabilities": ["visoin"]}},
            InvalidInput,
            "p402.require_capabilities[0]",
            ["`vision`"],
        ),
        ({"p402": {"prefer_providers": "groq"}}, InvalidInput, "p402.prefer_providers", ["an array"]),
        ({"p402": {"prefer_providers": ["x"] * 65}}, InvalidInput, "p402.prefer_providers", ["at most 64"]),
        ({"p402": {"session_id": ""}}, InvalidInput, "p402.session_id", ["non-empty"]),
        ({"p402": {"session_id": "a\nb"}}, InvalidInput, "p402.session_id", ["control"]),
        ({"p402": {"tags": {"a": 1}}}, InvalidInput, "p402.tags.a", ["a string"]),
        (
            {"p402": {"tags": {str(i): "" for i in range(17)}}},
            InvalidInput,
            "p402.tags",
            ["17", "at most 16"],
        ),
        ({"p402": {"dry_run": "no"}}, InvalidInput, "p402.dry_run", ["true or false"]),
    ],
)
def test_bad_input_is_told_where_and_what(fields, error, param, words):
    refused(error, param, *words, **fields)


def test_a_long_value_is_shortened_in_the_message():
    found = refused(InvalidMode, "p402.mode", p402={"mode": "x" * 100_000})
    assert len(found.message) < 300


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SOUND = {
    "model": "p402/cost",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
    "stream": True,
    "stream_options": {"include_usage": True},
    "n": 1,
    "max_tokens": 5,
    "tools": [{"type": "function"}],
    "response_format": {"type": "json_schema", "json_schema": {}},
    "temperature": 1,
    "p402": {
        "mode": "cost",
        "cache": True,
        "cache_ttl": 5,
        "prefer_providers": ["a"],
        "require_capabilities": ["chat"],
        "max_cost": 0.1,
        "session_id": "s",
        "failover": True,
        "task": "code",
        "tags": {"a": "b"},
        "explain": True,
    },
}


def paths(value, at=()):
    yield at
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, entry in entries:
        yield from paths(entry, (*at, name))


def replaced(value, path, new):
    if not path:
        return new
    name, *rest = path
    if isinstance(value, dict):
        return {**value, name: replaced(value[name], rest, new)}
    return [replaced(entry, rest, new) if i == name else entry for i, entry in enumerate(value)]


def answered_or_refused(body: bytes) -> None:
    """Parse, or raise an error that is the client's and that JSON can carry."""
    found: RequestError | None = None
    try:
        parse_chat(body)
    except RequestError as error:
        found = error
    if found is not None:
        assert 400 <= found.status < 500
        orjson.dumps([found.message, found.param])
        assert len(found.message) < 2_000


@given(path=st.sampled_from(list(paths(SOUND))), value=JSON)
def test_a_field_replaced_by_anything_is_never_a_server_error(path, value):
    answered_or_refused(orjson.dumps(replaced(SOUND, path, value)))


@given(data=st.data())
def test_mutated_bytes_are_never_a_server_error(data):
    body = bytearray(orjson.dumps(SOUND))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(body)))
        cut = data.draw(st.integers(0, 20))
        body[at : at + cut] = data.draw(
            st.binary(max_size=10) | st.sampled_from([b"{", b"]", b'"', b"\\", b"1e999"])
        )
    answered_or_refused(bytes(body))


@given(st.binary(max_size=200))
def test_any_bytes_are_never_a_server_error(body):
    answered_or_refused(body)
