"""Langfuse's generations and scores become calls and rewards, in the spelling of each of its exports."""

import json
from decimal import Decimal

import pytest

from p402.store.imported import langfuse
from p402.store.imported.record import Skipped
from p402.store.imported.values import Unreadable


def read(row):
    return list(langfuse.read(row))


CAMEL = {
    "id": "gen-1", "traceId": "tr-1", "type": "GENERATION", "startTime": "2025-11-20T10:00:00.000Z",
    "endTime": "2025-11-20T10:00:01.500Z", "completionStartTime": "2025-11-20T10:00:00.400Z",
    "model": "gpt-4o", "modelParameters": {"max_tokens": 64},
    "usageDetails": {
        "input": 10, "input_cached_tokens": 20, "output": 7, "output_reasoning_tokens": 5, "total": 42,
    },
    "costDetails": {"input": Decimal("0.0001"), "output": Decimal("0.0002"), "total": Decimal("0.0003")},
    "input": {"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function"}]},
    "output": "hello", "level": "DEFAULT", "sessionId": "s1", "userId": "ann",
}  # fmt: skip
SNAKE = {
    "id": "gen-1", "trace_id": "tr-1", "type": "GENERATION", "start_time": "2025-11-20 10:00:00.000000",
    "end_time": "2025-11-20 10:00:01.500000", "completion_start_time": "2025-11-20 10:00:00.400000",
    "provided_model_name": "gpt-4o", "model_parameters": '{"max_tokens":64}',
    "usage_details": json.dumps(CAMEL["usageDetails"]), "total_cost": "0.0003",
    "input": json.dumps(CAMEL["input"]), "output": "hello", "level": "DEFAULT", "session_id": "s1",
    "user_id": "ann",
}  # fmt: skip
SCORE = {
    "id": "sc-1", "name": "helpful", "timestamp": "2025-11-20T11:00:00Z", "traceId": "tr-1",
    "observationId": "gen-1", "value": Decimal("0.5"), "dataType": "NUMERIC", "source": "ANNOTATION",
}  # fmt: skip


@pytest.mark.parametrize("row", [CAMEL, SNAKE], ids=["api", "blob storage"])
def test_a_generation_is_a_call_in_either_spelling(row):
    (record,) = read(row)
    assert (record.source_id, record.trace, record.session, record.user) == ("gen-1", "tr-1", "s1", "ann")
    assert (record.model, record.cost_nano, record.max_output) == ("gpt-4o", 300_000, 64)
    assert (record.latency_ms, record.ttfb_ms, record.stream) == (1500.0, 400.0, True)
    assert (record.messages, record.tools) == (CAMEL["input"]["messages"], CAMEL["input"]["tools"])


def test_usage_keys_add_up_to_prompt_and_answer():
    (record,) = read(CAMEL)
    assert (record.prompt_tokens, record.cached_tokens) == (30, 20)
    assert (record.output_tokens, record.reasoning_tokens) == (12, 5)
    usage = {"input": 10, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 4, "output": 7}
    (record,) = read({**CAMEL, "usageDetails": usage})
    assert (record.prompt_tokens, record.cached_tokens, record.cache_write_tokens) == (34, 20, 4)


@pytest.mark.parametrize("older", [
    {"usage": {"input": 10, "output": 7, "unit": "TOKENS"}},
    {"usage": {"promptTokens": 10, "completionTokens": 7}},
    {"promptTokens": 10, "completionTokens": 7}, {"Input Tokens": "10", "Output Tokens": "7"},
])  # fmt: skip
def test_older_exports_say_usage_otherwise(older):
    row = {k: v for k, v in CAMEL.items() if k != "usageDetails"}
    (record,) = read({**row, **older})
    assert (record.prompt_tokens, record.output_tokens) == (10, 7)


@pytest.mark.parametrize(("cost", "expected"), [
    ({"calculatedTotalCost": "0.25"}, 250_000_000), ({"totalCost": 0}, None), ({}, None),
    ({"costDetails": {"input": "0.1", "output": "0.2"}}, 300_000_000), ({"costDetails": {}}, None),
])  # fmt: skip
def test_a_cost_is_exact_and_no_cost_for_tokens_is_no_price(cost, expected):
    row = {k: v for k, v in CAMEL.items() if k != "costDetails"}
    assert read({**row, **cost})[0].cost_nano == expected


def test_a_trace_in_full_is_taken_apart():
    trace = {
        "id": "tr-9", "name": "t", "sessionId": "s9", "userId": "bob",
        "observations": [{k: v for k, v in CAMEL.items() if k not in {"sessionId", "userId", "traceId"}},
                         {"id": "sp", "type": "SPAN", "startTime": "2025-11-20T10:00:00Z"}],
        "scores": [{k: v for k, v in SCORE.items() if k not in {"observationId", "traceId"}}, "sc-77"],
    }  # fmt: skip
    record, span, score, bare = read(trace)
    assert (record.trace, record.session, record.user) == ("tr-9", "s9", "bob")
    assert span == Skipped("an observation of type SPAN")
    assert (score.observation, score.trace, score.quality) == (None, "tr-9", 0.5)
    assert isinstance(bare, Skipped)


@pytest.mark.parametrize(("said", "quality", "value"), [
    ({}, 0.5, "0.5"), ({"value": True}, 1.0, "True"), ({"value": 4}, None, "4"), ({"value": "1"}, 1.0, "1"),
    ({"value": 0, "stringValue": "bad", "dataType": "CATEGORICAL"}, None, "bad"),
    ({"value": None, "stringValue": "good", "dataType": "CATEGORICAL"}, None, "good"),
])  # fmt: skip
def test_only_a_number_within_0_and_1_is_a_quality(said, quality, value):
    (score,) = read({**SCORE, **said})
    assert (score.name, score.observation, score.quality, score.value) == ("helpful", "gen-1", quality, value)


def test_an_error_is_a_failed_call_and_its_message_is_not_kept():
    (record,) = read({**CAMEL, "level": "ERROR", "statusMessage": "prompt was: secret"})
    assert (record.status, record.code) == ("failed", "error")
    assert "secret" not in repr(record)


def test_a_call_of_no_session_belongs_with_its_trace():
    assert read({**CAMEL, "sessionId": None})[0].session == "tr-1"


@pytest.mark.parametrize("row", [
    {**CAMEL, "startTime": None}, {**CAMEL, "model": None}, {**CAMEL, "usageDetails": {"input": "x"}},
    {**SCORE, "timestamp": None}, {**SCORE, "observationId": None, "traceId": None},
])  # fmt: skip
def test_what_cannot_be_so_is_refused(row):
    with pytest.raises(Unreadable, match="expected"):
        read(row)


def test_what_is_neither_is_skipped():
    assert read({"id": "x", "foo": 1}) == [Skipped("a row that is neither observation nor score")]


def test_of_a_trace_one_damaged_observation_costs_no_other():
    sound = {k: v for k, v in CAMEL.items() if k not in {"sessionId", "userId", "traceId"}}
    parts = [sound, {**sound, "id": "gen-2", "startTime": None}, {**sound, "id": "gen-3"}]
    found, trace = [], {"id": "tr-1", "observations": parts}
    with pytest.raises(Unreadable, match="observation 2: startTime"):
        found.extend(langfuse.read(trace))
    assert [part.source_id for part in found] == ["gen-1", "gen-3"]
