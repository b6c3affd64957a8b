"""What is Anthropic's alone: generations of models, thinking, sealed thoughts, its ids, its counts."""

import contextlib
import re
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.ports import Call, Completion, Failure, Usage
from p402.settings import Secret
from serve.upstream.conversation import conversation_of
from serve.upstream.dialect import Unsupported
from serve.upstream.dialects.anthropic import Anthropic
from serve.upstream.dialects.anthropic_request import closed, generation
from serve.upstream.dialects.anthropic_words import usage_of
from serve.upstream.dialects.table import DIALECTS
from serve.upstream.provider import Provider
from tests.serve.upstream.dialects.conformance.anthropic_speaker import AnthropicSpeaker
from tests.serve.upstream.dialects.conformance.values import Asked, Said

DIALECT = Anthropic()
PROVIDER = Provider("acme", "anthropic", "https://api.example.com/v1", Secret("sk-ant-0123456789"))
NOW_MS = 1_795_651_200_000
HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
OLD, BUDGET, ONE, ADAPTIVE, NEWEST = (
    "claude-3-5-sonnet-20241022", "claude-3-7-sonnet-latest", "claude-haiku-4-5-20251001", "claude-opus-4-6",
    "claude-opus-4-7",
)  # fmt: skip


def call(body: dict, model: str = NEWEST, **over: object) -> Call:
    fields = {
        "request_id": "req_1",
        "provider": "acme",
        "model": model,
        "body": {"messages": HI, "max_tokens": 20_000, **body},
        "output_cap": None,
        "stream": False,
        "include_usage": False,
        "prompt_tokens": 7,
    }
    return Call(**{**fields, **over})


def sent(body: dict, model: str = NEWEST, **over: object) -> dict:
    return orjson.loads(DIALECT.body(PROVIDER, call(body, model, **over)))


@pytest.mark.parametrize(
    ("model", "made"),
    [
        ("claude-3-5-sonnet-20241022", (3, 5)),
        ("claude-3-haiku-20240307", (3, 0)),
        ("claude-3-7-sonnet@20250219", (3, 7)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-opus-4-1-20250805", (4, 1)),
        ("claude-haiku-4-5@20251001", (4, 5)),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", (4, 5)),
        ("us.anthropic.claude-opus-4-6-v1", (4, 6)),
        ("anthropic/claude-opus-4.7", (4, 7)),
        ("claude-haiku-5-5", (5, 5)),
        ("claude-sonnet-5", (5, 0)),
        ("our-own-name", (99, 0)),
    ],
)
def test_a_model_id_tells_its_generation(model: str, made: tuple[int, int]) -> None:
    assert generation(model) == made


def test_sampling_is_sent_to_the_models_that_take_it_and_told_where_it_is_not() -> None:
    body = {"temperature": 1.5, "top_p": 0.9, "top_k": 3}
    assert sent(body, OLD).items() >= {"temperature": 1.0, "top_p": 0.9, "top_k": 3}.items()
    assert sent(body, ONE).items() >= {"temperature": 1.0, "top_k": 3}.items()
    assert "top_p" not in sent(body, ONE), "one of the two is all that 4.5 takes"
    assert sent(body, NEWEST).keys().isdisjoint(body)
    told = {m: set(DIALECT.ignored(PROVIDER, call(body, m))) for m in (OLD, ONE, NEWEST)}
    assert told == {OLD: set(), ONE: {"top_p"}, NEWEST: set(body)}
    assert set(DIALECT.ignored(PROVIDER, call({"seed": 1, "store": True}))) == {"seed", "store"}


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "output"),
    [
        (OLD, "high", None, None),
        (BUDGET, "low", {"type": "enabled", "budget_tokens": 2_048}, None),
        (ONE, "high", {"type": "enabled", "budget_tokens": 16_384}, None),
        (ONE, "max", {"type": "enabled", "budget_tokens": 19_999}, None),
        (ADAPTIVE, "xhigh", {"type": "adaptive", "display": "summarized"}, {"effort": "high"}),
        (NEWEST, "xhigh", {"type": "adaptive", "display": "summarized"}, {"effort": "xhigh"}),
        (NEWEST, "minimal", {"type": "adaptive", "display": "summarized"}, {"effort": "low"}),
        (NEWEST, "none", None, None),
    ],
)
def test_effort_is_said_in_the_words_of_the_models_generation(
    model: str, effort: str, thinking: dict | None, output: dict | None
) -> None:
    body = sent({"reasoning_effort": effort, "temperature": 0.2}, model)
    assert (body.get("thinking"), body.get("output_config")) == (thinking, output)
    assert ("temperature" in body) == (thinking is None and model != NEWEST)


def test_anthropics_own_word_for_thinking_passes_and_a_budget_nobody_takes_becomes_adaptive() -> None:
    own = {"type": "enabled", "budget_tokens": 5_000}
    assert sent({"thinking": own}, ONE)["thinking"] == own
    assert sent({"thinking": own}, ADAPTIVE)["thinking"] == own
    assert sent({"thinking": own}, NEWEST)["thinking"] == {"type": "adaptive", "display": "summarized"}
    quiet = {"type": "adaptive", "display": "omitted"}
    assert sent({"thinking": quiet}, NEWEST)["thinking"] == quiet
    assert sent({"thinking": {"type": "disabled"}}, NEWEST)["thinking"] == {"type": "disabled"}
    assert "thinking" not in sent({"thinking": own, "max_tokens": 900}, ONE), "no room to think"


def test_an_effort_that_nobody_knows_beside_a_wish_to_think_is_a_middle_one() -> None:
    body = sent({"thinking": {"type": "enabled"}, "reasoning_effort": "banana"}, ONE)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 8_192}


def test_a_thread_that_lost_its_thoughts_is_not_thought_on_in() -> None:
    bare = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip
    result = {"role": "tool", "tool_call_id": "c", "content": "r"}
    kept = {**bare, "thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}]}
    sealed = {**bare, "thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]}
    base = {"tools": [TOOL], "reasoning_effort": "high"}
    assert "thinking" not in sent({**base, "messages": [*HI, bare, result]}, ONE)
    for message in (kept, sealed):
        body = sent({**base, "messages": [*HI, message, result]}, ONE)
        assert body["thinking"]["type"] == "enabled"
        assert body["messages"][1]["content"][0]["type"] in ("thinking", "redacted_thinking")


def test_ids_are_in_anthropics_alphabet_and_still_meet() -> None:
    made = "functions.f:0/ü"
    messages = [
        *HI,
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": made, "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": made, "content": "r"},
    ]  # fmt: skip
    body = sent({"messages": messages, "tools": [TOOL]})
    (use,), (result,) = body["messages"][1]["content"], body["messages"][2]["content"]
    assert use["id"] == result["tool_use_id"]
    assert use["id"].isascii()
    assert use["id"].startswith("functions_f_0__")
    assert use["input"] == {}


@pytest.mark.parametrize(
    ("dialect", "model"), [("anthropic", NEWEST), ("bedrock", "anthropic.claude-opus-4-7-v1:0")]
)
@given(made=st.lists(st.text(max_size=100), min_size=2, max_size=5, unique=True))
def test_ids_that_differ_stay_apart_in_another_alphabet(dialect: str, model: str, made: list[str]) -> None:
    """Two calls of one id, and results are taken for each other's."""
    calls = [{"id": x, "type": "function", "function": {"name": "f", "arguments": "{}"}} for x in made]
    results = [{"role": "tool", "tool_call_id": x, "content": f"r{i}"} for i, x in enumerate(made)]
    messages = [*HI, {"role": "assistant", "content": None, "tool_calls": calls}, *results]
    provider = Provider("acme", dialect, "https://h/v1", region="eu-west-1" if dialect == "bedrock" else None)
    raw = DIALECTS[dialect].body(provider, call({"messages": messages, "tools": [TOOL]}, model))
    _, asked, answered = orjson.loads(raw)["messages"]
    if dialect == "bedrock":
        ids = [block["toolUse"]["toolUseId"] for block in asked["content"]]
        told = [block["toolResult"]["toolUseId"] for block in answered["content"]]
    else:
        ids = [block["id"] for block in asked["content"]]
        told = [block["tool_use_id"] for block in answered["content"]]
    assert ids == told
    assert len(set(ids)) == len(made)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", x) for x in ids) or dialect == "bedrock"
    assert all(1 <= len(x) <= 64 for x in ids)


@pytest.mark.parametrize(
    ("dialect", "model"), [("anthropic", NEWEST), ("bedrock", "anthropic.claude-opus-4-7-v1:0")]
)
def test_text_of_nothing_but_blanks_is_not_sent_where_it_is_refused(dialect: str, model: str) -> None:
    """Other labs' models say a line feed beside a call, and a transcript of theirs must be answerable."""
    asked = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    parts = [{"type": "text", "text": " "}, {"type": "text", "text": "a"}, {"type": "text", "text": "\n"}]
    messages = [
        {"role": "system", "content": "\n"},
        *HI,
        {"role": "assistant", "content": "\n\n", "tool_calls": asked},
        {"role": "tool", "tool_call_id": "c", "content": " "},
        {"role": "user", "content": "\t"},
        {"role": "assistant", "content": "so"},
        {"role": "user", "content": parts},
    ]
    provider = Provider("acme", dialect, "https://h/v1", region="eu-west-1" if dialect == "bedrock" else None)
    body = orjson.loads(
        DIALECTS[dialect].body(provider, call({"messages": messages, "tools": [TOOL]}, model))
    )
    texts = [b["text"] for m in body["messages"] for b in m["content"] if "text" in b]
    assert texts == ["hi", "so", "a"]
    assert "system" not in body
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user", "assistant", "user"]


def test_one_tool_at_a_time_is_said() -> None:
    body = {"tools": [TOOL], "parallel_tool_calls": False}
    assert sent(body)["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert sent({**body, "tool_choice": "required"})["tool_choice"]["disable_parallel_tool_use"] is True
    assert "tool_choice" not in sent({"tools": [TOOL]})


def test_an_open_schema_is_closed_all_the_way_down() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "array", "items": {"type": "object"}}}}
    whole = closed({"type": "object", "properties": {"a": inner}, "$defs": {"x": {"type": "object"}}})
    assert orjson.dumps(whole).count(b'"additionalProperties":false') == 4
    assert closed({"type": "object", "additionalProperties": True})["additionalProperties"] is True


@pytest.mark.parametrize(
    "body",
    [
        {"n": 2},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"functions": [{"name": "f"}]},
        {"tools": [{"type": "web_search"}]},
        {"messages": [*HI, {"role": "assistant", "content": "And"}]},
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}
            ]
        },
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        {"tool_choice": {"type": "allowed_tools"}},
    ],
)
def test_what_cannot_be_said_is_unsupported(body: dict) -> None:
    with pytest.raises(Unsupported):
        DIALECT.body(PROVIDER, call(body))


def test_a_document_is_sent_as_one() -> None:
    file = {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
    }
    (part,) = sent({"messages": [{"role": "user", "content": [file]}]})["messages"][0]["content"]
    assert (part["type"], part["source"]["data"], part["title"]) == ("document", "JVBERg==", "a.pdf")


def test_what_the_cache_gave_and_took_is_part_of_the_prompt() -> None:
    reported = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 700,
        "cache_creation_input_tokens": 200,
    }
    assert usage_of(reported) == Usage(910, 5, cached=700, cache_write=200)
    assert usage_of({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": None}) == Usage(10, 5)
    assert usage_of({"input_tokens": 10}) is None
    assert usage_of({"input_tokens": -1, "output_tokens": 5}) is None
    assert usage_of({"input_tokens": 1 << 40, "output_tokens": 5}) is None


def read(chunks: list[bytes]) -> tuple:
    it = DIALECT.reading(PROVIDER, call({}, stream=True, include_usage=True), NOW_MS)
    out = b""
    for chunk in chunks:
        out += it.feed(chunk)
        if it.ended:
            break
    it.end_of_body()
    return out, it.committed, it.ended, it.failure, it.usage, it.reported


def test_a_break_after_the_first_word_charges_the_prompt_as_counted_and_the_words_as_estimated() -> None:
    said = Said(texts=("x" * 40, "y" * 40), usage=Usage(1_000, 900, cached=700))
    pieces = AnthropicSpeaker().pieces(said)
    *_, failure, usage, reported = read(pieces[:4])
    assert failure is not None
    assert (usage, reported) == (Usage(1_000, 10, cached=700, estimated=True), None)


def test_what_an_answer_is_said_to_have_used_before_it_is_said_is_no_report() -> None:
    """`message_start` has a first guess of the output; it would be billed as all of it."""
    pieces = AnthropicSpeaker().pieces(Said(texts=("x" * 400,), usage=Usage(1_000, 100)))
    for usage in ({}, {"usage": None}, {"usage": {}}, {"usage": {"output_tokens": None}}):
        told = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, **usage}
        *_, failure, used, reported = read(
            [*pieces[:-2], b"data: " + orjson.dumps(told) + b"\n\n", pieces[-1]]
        )
        assert failure is None
        assert (used, reported) == (Usage(1_000, 100, estimated=True), None)


def test_sealed_thoughts_come_whole_in_a_stream_too() -> None:
    out, *_ = read(AnthropicSpeaker().pieces(Said(thoughts=("a", "b"), seal="c2ln", texts=("t",))))
    deltas = [orjson.loads(e[6:])["choices"] for e in out.split(b"\n\n") if e]
    blocks = [d[0]["delta"]["thinking_blocks"] for d in deltas if d and "thinking_blocks" in d[0]["delta"]]
    assert blocks == [[{"type": "thinking", "thinking": "ab", "signature": "c2ln"}]]


def test_a_call_without_arguments_has_an_empty_object_of_them() -> None:
    """Clients parse what they added up, and an empty text is no JSON."""
    start = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    pieces = AnthropicSpeaker().pieces(Said(calls=(Asked("g", {"a": 1}, "d"),), finish="tool_calls"))
    told = [
        {"type": "content_block_start", "index": 7, "content_block": start},
        {
            "type": "content_block_delta",
            "index": 7,
            "delta": {"type": "input_json_delta", "partial_json": ""},
        },
        {"type": "content_block_stop", "index": 7},
    ]
    own = [b"data: " + orjson.dumps(event) + b"\n\n" for event in told]
    out, *_ = read([*pieces[:2], *own, *pieces[2:]])
    deltas = [c[0]["delta"] for e in out.split(b"\n\n") if e and (c := orjson.loads(e[6:])["choices"])]
    arguments = {0: "", 1: ""}
    for made in (made for delta in deltas for made in delta.get("tool_calls", ())):
        arguments[made["index"]] += made["function"].get("arguments", "")
    assert [orjson.loads(text) for text in arguments.values()] == [{}, {"a": 1}]


SAID = st.builds(
    Said,
    texts=st.lists(st.text(max_size=8), max_size=4).map(tuple),
    thoughts=st.lists(st.text(max_size=4), max_size=2).map(tuple),
    seal=st.just("c2ln"),
    calls=st.lists(
        st.builds(
            Asked,
            st.just("f"),
            st.dictionaries(st.text(max_size=3), st.integers()),
            st.text("ab1", min_size=1),
        ),
        max_size=3,
        unique_by=lambda c: c.id,
    ).map(tuple),
    finish=st.sampled_from(["stop", "length", "tool_calls"]),
)


@given(SAID, st.lists(st.integers(0, 10_000), max_size=20))
def test_a_stream_says_the_same_however_it_was_cut(said: Said, cuts: list[int]) -> None:
    pieces = AnthropicSpeaker().pieces(said)
    data = b"".join(pieces)
    ends = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    whole = read(pieces)
    assert whole[3] is None
    assert read([data[a:b] for a, b in pairwise(ends)]) == whole
    assert read([data[i : i + 1] for i in range(len(data))]) == whole


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 40) | st.text(max_size=5)
    | st.sampled_from(["text", "tool_use", "thinking", "end_turn", "message_start", "error", "text_delta"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "content", "usage", "index", "delta", "message", "text", "content_block",
                         "error", "stop_reason", "input_tokens", "output_tokens", "input", "id", "code"]),
        inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_any_json_in_place_of_an_answer_is_a_failure_or_an_answer(reply: object) -> None:
    raw = orjson.dumps(reply)
    found = DIALECT.answer(PROVIDER, call({}), raw, NOW_MS)
    assert isinstance(found, Completion | Failure)
    assert isinstance(DIALECT.refusal(PROVIDER, 500, {}, raw, NOW_MS), Failure)


@given(st.lists(JSON, max_size=6))
def test_any_events_never_raise_and_what_is_handed_on_is_openais_form(events: list) -> None:
    out, *_ = read([b"data: %b\n\n" % orjson.dumps(event) for event in events])
    for event in out.split(b"\n\n")[:-1]:
        assert "choices" in orjson.loads(event.removeprefix(b"data: "))


CONTENT = (
    st.none()
    | st.text(max_size=4)
    | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}))
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]), "content": CONTENT},
    optional={"tool_calls": st.lists(JSON, max_size=2).filter(lambda c: all(isinstance(x, dict) for x in c)),
              "tool_call_id": JSON, "thinking_blocks": JSON, "refusal": JSON, "cache_control": JSON},
)  # fmt: skip


@given(st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, min_size=1, max_size=5)},
    optional={"tools": st.lists(st.dictionaries(st.sampled_from(["type", "function"]), JSON)),
              "tool_choice": JSON.filter(lambda x: isinstance(x, str | dict | None)), "thinking": JSON,
              "stop": st.none() | st.text() | st.lists(JSON, max_size=2), "top_k": JSON,
              "reasoning_effort": st.none() | st.text(max_size=3)},
))  # fmt: skip
def test_any_body_that_the_door_lets_in_is_written_or_unsupported(body: dict) -> None:
    with contextlib.suppress(Unsupported):
        conversation_of(body)
        raw = DIALECT.body(PROVIDER, call(body))
        turns = orjson.loads(raw)["messages"]
        assert all(a["role"] != b["role"] for a, b in pairwise(turns)), "roles take turns"


def test_a_cache_write_of_an_hour_is_told_apart_and_another_service_tier_is_kept() -> None:
    kept = {"ephemeral_5m_input_tokens": 120, "ephemeral_1h_input_tokens": 80}
    reported = {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 200}
    assert usage_of({**reported, "cache_creation": kept, "service_tier": "standard"}) == Usage(
        210, 5, cache_write=200, cache_write_1h=80
    )
    assert usage_of({**reported, "service_tier": "priority"}) == Usage(
        210, 5, cache_write=200, tier="priority"
    )
    beyond = {"ephemeral_1h_input_tokens": 900}
    assert usage_of({**reported, "cache_creation": beyond}).cache_write_1h == 200
    for nothing in (None, [], {}, {"ephemeral_1h_input_tokens": "many"}):
        assert usage_of({**reported, "cache_creation": nothing}).cache_write_1h == 0
