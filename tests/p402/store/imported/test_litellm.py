"""Rows of LiteLLM's spend log become calls; its zeros and its cache hits are read for what they are."""

from dataclasses import replace

import pytest

from p402.store.imported.litellm import read
from p402.store.imported.record import Skipped
from p402.store.imported.values import Unreadable

ROW = {
    "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": "88dc28d0", "spend": 0.0001,
    "total_tokens": 30, "prompt_tokens": 10, "completion_tokens": 20, "startTime": "2025-11-20T10:00:00Z",
    "endTime": "2025-11-20T10:00:02Z", "completionStartTime": "2025-11-20T10:00:00.500Z",
    "model": "anthropic/claude-sonnet-4", "model_group": "smart", "custom_llm_provider": "anthropic",
    "user": "ann@example.org", "metadata": {}, "cache_hit": "False", "session_id": "s1", "status": "success",
    "messages": [{"role": "user", "content": "hi"}], "end_user": "",
}  # fmt: skip


def test_a_row_is_a_call():
    (record,) = read(ROW)
    assert (record.source_id, record.provider, record.model) == ("chatcmpl-1", "anthropic", "claude-sonnet-4")
    assert (record.cost_nano, record.prompt_tokens, record.output_tokens) == (100_000, 10, 20)
    assert (record.latency_ms, record.ttfb_ms, record.stream, record.session) == (2000.0, 500.0, True, "s1")
    assert record.tags == {"model_group": "smart", "call_type": "acompletion"}
    assert record.private == {"api_key": "88dc28d0", "user": "ann@example.org"}


def test_the_payload_of_its_logging_callbacks_says_the_same():
    payload = {k: v for k, v in ROW.items() if k not in {"request_id", "spend"}} | {
        "id": "chatcmpl-1", "response_cost": 0.0001, "startTime": 1763632800.0, "endTime": 1763632802.0,
        "completionStartTime": 1763632800.5, "cache_hit": False, "model_parameters": {"max_tokens": 9},
    }  # fmt: skip
    (record,) = read(payload)
    assert record.max_output == 9
    assert replace(record, max_output=None) == read(ROW)[0]
    assert read({**payload, "cache_hit": True})[0].status == "cached"


def test_the_cells_of_a_csv_export_say_the_same():
    cells = {k: str(v) for k, v in ROW.items()} | {
        "metadata": "{}",
        "messages": '[{"role":"user","content":"hi"}]',
    }
    assert read(cells) == read(ROW)


@pytest.mark.parametrize(("changed", "cost"), [
    ({"spend": 0}, None), ({"spend": "0.0"}, None), ({"spend": 0, "cache_hit": "True"}, 0),
    ({"spend": 0, "prompt_tokens": 0, "completion_tokens": 0}, 0), ({"spend": None}, None),
])  # fmt: skip
def test_no_spend_for_tokens_is_a_price_that_was_not_known(changed, cost):
    assert read({**ROW, **changed})[0].cost_nano == cost


def test_a_cache_hit_called_nobody():
    assert read({**ROW, "cache_hit": "True"})[0].status == "cached"


def test_a_call_whose_first_token_is_its_last_was_not_streamed():
    (record,) = read({**ROW, "completionStartTime": ROW["endTime"]})
    assert (record.stream, record.ttfb_ms) == (False, None)


@pytest.mark.parametrize("told", [
    {"usage_object": {"prompt_tokens_details": {"cached_tokens": 7}, "cache_creation_input_tokens": 2}},
    {"additional_usage_values": {"cache_read_input_tokens": 7, "cache_creation_input_tokens": 2}},
])  # fmt: skip
def test_cached_tokens_are_found_where_either_version_puts_them(told):
    (record,) = read({**ROW, "metadata": told})
    assert (record.cached_tokens, record.cache_write_tokens) == (7, 2)


def test_the_provider_is_told_by_the_models_prefix_where_no_column_has_it():
    (record,) = read({**ROW, "custom_llm_provider": "", "model": "openai/gpt-4o"})
    assert (record.provider, record.model) == ("openai", "gpt-4o")


def test_a_prompt_may_lie_in_the_request_that_the_proxy_got():
    sent = {"messages": [{"role": "user", "content": "yo"}], "max_tokens": 5, "tools": [{"type": "function"}]}
    (record,) = read({**ROW, "messages": {}, "proxy_server_request": sent})
    assert (record.messages, record.max_output, record.tools) == (sent["messages"], 5, sent["tools"])


def test_a_failure_is_kept_and_one_without_a_model_is_skipped():
    failed = {**ROW, "status": "failure", "metadata": {"error_information": {"error_code": "429"}}}
    assert (read(failed)[0].status, read(failed)[0].code) == ("failed", "429")
    assert isinstance(read({**failed, "model": ""})[0], Skipped)


@pytest.mark.parametrize("kind", ["aembedding", "image_generation", "atranscription"])
def test_other_kinds_of_call_are_skipped(kind):
    assert read({**ROW, "call_type": kind}) == [Skipped(f"a call of type {kind}")]


@pytest.mark.parametrize("changed", [
    {"startTime": None}, {"model": ""}, {"spend": "NaN"}, {"prompt_tokens": "many"}, {"endTime": "later"},
])  # fmt: skip
def test_what_cannot_be_so_is_refused(changed):
    with pytest.raises(Unreadable, match="expected"):
        read({**ROW, **changed})
