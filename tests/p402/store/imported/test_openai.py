"""Request and response bodies of the OpenAI wire become calls, in each form that logs keep them in."""

import json

import pytest

from p402.store.imported.openai import read
from p402.store.imported.record import Skipped
from p402.store.imported.values import Unreadable

REQUEST = {
    "model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 64, "n": 2,
    "user": "ann", "stream": True, "metadata": {"session_id": "s1"},
    "response_format": {"type": "json_schema", "json_schema": {}},
}  # fmt: skip
CHAT = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1_763_632_800,
    "model": "gpt-4o-2024-08-06",
    "choices": [], "service_tier": "flex",
    "usage": {
        "prompt_tokens": 30, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 5},
    },
}  # fmt: skip
RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1_763_632_800,
    "model": "gpt-5", "status": "completed",
    "usage": {
        "input_tokens": 30, "output_tokens": 12, "input_tokens_details": {"cached_tokens": 20},
        "output_tokens_details": {"reasoning_tokens": 5},
    },
}  # fmt: skip
USED = (30, 12, 20, 5)


def used(record):
    return record.prompt_tokens, record.output_tokens, record.cached_tokens, record.reasoning_tokens


@pytest.mark.parametrize("row", [
    {"request": REQUEST, "response": CHAT},
    {"request_body": json.dumps(REQUEST), "response_body": json.dumps(CHAT)},
    {"req": {"body": REQUEST}, "resp": {"status_code": 200, "body": CHAT}},
])  # fmt: skip
def test_two_bodies_are_one_call_however_they_lie(row):
    (record,) = read(row)
    assert (record.source_id, record.model, record.ts_ms) == (
        "chatcmpl-1",
        "gpt-4o-2024-08-06",
        1_763_632_800_000,
    )
    assert used(record) == USED
    assert (record.max_output, record.n, record.session, record.user, record.schema) == (
        64,
        2,
        "s1",
        "ann",
        True,
    )
    assert (record.stream, record.messages, record.status) == (True, REQUEST["messages"], "ok")
    assert record.tags == {"service_tier": "flex"}


def test_a_response_of_the_other_api_is_read_alike():
    asked = {"model": "gpt-5", "instructions": "be brief", "input": "hi", "max_output_tokens": 9}
    (record,) = read({"request": asked, "response": RESPONSE})
    assert used(record) == USED
    assert record.max_output == 9
    assert record.messages == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]


def test_the_rows_own_time_and_latency_come_first():
    row = {"request": REQUEST, "response": CHAT, "timestamp": "2025-11-20T10:00:00.250Z"}
    assert read({**row, "latency_ms": 12.5})[0].latency_ms == 12.5
    (record,) = read({**row, "end_time": "2025-11-20T10:00:01Z"})
    assert (record.ts_ms, record.latency_ms) == (1_763_632_800_250, 750.0)


def test_a_line_of_a_batchs_output_has_no_request():
    (record,) = read({"id": "batch_req_1", "custom_id": "c", "response": {"status_code": 200, "body": CHAT}})
    assert (record.source_id, record.messages, used(record)) == ("chatcmpl-1", None, USED)


def test_a_stored_completion_stands_alone():
    (record,) = read({**CHAT, "messages": REQUEST["messages"]})
    assert (record.messages, used(record)) == (REQUEST["messages"], USED)


@pytest.mark.parametrize(("row", "code"), [
    ({"response": {"status_code": 429, "body": {"error": {"code": "x"}}}}, "429"),
    ({"response": {"error": {"code": "context_length_exceeded"}}}, "context_length_exceeded"),
    ({"response": None, "error": {"type": "timeout"}}, "timeout"),
    ({"response": {**RESPONSE, "status": "failed"}}, "failed"),
])  # fmt: skip
def test_a_call_that_failed_is_kept_as_failed(row, code):
    (record,) = read({"request": REQUEST, "timestamp": 1_763_632_800, "id": "r", **row})
    assert (record.status, record.code) == ("failed", code)


@pytest.mark.parametrize("row", [
    {"response": {"object": "list", "model": "text-embedding-3-small"}},
    {"endpoint": "https://api.openai.com/v1/embeddings", "response": {"model": "m"}},
])  # fmt: skip
def test_what_is_no_chat_is_skipped(row):
    assert isinstance(read(row)[0], Skipped)


@pytest.mark.parametrize("row", [
    {}, {"hello": "world"}, {"request": REQUEST}, {"response": {"object": "chat.completion", "created": 1}},
    {"response": {**CHAT, "created": None}}, {"response": {**CHAT, "usage": {"prompt_tokens": -1}}},
    {"response": "data: {}\n\ndata: [DONE]"},
])  # fmt: skip
def test_what_is_no_call_is_refused(row):
    with pytest.raises(Unreadable, match="expected"):
        read(row)
