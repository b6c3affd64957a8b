"""How a stream ends: with the metadata and `[DONE]`, or with an error and nothing after it."""

import orjson
import pytest

from p402.answer import StreamEnd
from p402.errors import Refusal
from serve.sse import last_events
from tests.serve.test_metadata import WIRE, metadata


def events(data: bytes) -> list[bytes]:
    assert data.endswith(b"\n\n")
    found = data.removesuffix(b"\n\n").split(b"\n\n")
    assert all(event.startswith(b"data: ") for event in found)
    return [event.removeprefix(b"data: ") for event in found]


def ended(last: bytes = b"", *, include_usage: bool = False, failure: Refusal | None = None) -> list[bytes]:
    return events(last_events(StreamEnd(metadata(), failure), 7, last, include_usage=include_usage))


def test_p9_a_clean_stream_ends_in_the_metadata_and_done():
    chunk, done = ended()
    found = orjson.loads(chunk)
    assert done == b"[DONE]"
    assert set(found) == {"id", "object", "created", "model", "choices", "p402_metadata"}
    assert (found["choices"], found["object"], found["created"]) == ([], "chat.completion.chunk", 7)
    assert set(found["p402_metadata"]) >= WIRE


def test_usage_comes_with_the_metadata_if_the_client_asked_for_it():
    found = orjson.loads(ended(include_usage=True)[0])
    assert found["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 1,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


@pytest.mark.parametrize(
    "last", [b'data: {"choices":[],"usage":{"prompt_tokens":9}}\n\n', b'data: {"usage" : {}}\n\n']
)
def test_usage_that_the_provider_has_sent_is_not_counted_twice(last):
    assert "usage" not in orjson.loads(ended(last, include_usage=True)[0])


def test_a_null_usage_is_no_usage():
    assert "usage" in orjson.loads(ended(b'data: {"choices":[],"usage":null}\n\n', include_usage=True)[0])


def test_a_broken_stream_ends_in_an_error_without_finish_reason_or_done():
    (only,) = ended(failure=Refusal("PROVIDER_ERROR", 502, "the provider's stream broke"))
    found = orjson.loads(only)
    assert found["error"]["code"] == "PROVIDER_ERROR"
    assert found["error"]["request_id"] == "req_1"
    assert found["p402_metadata"]["cost_usd"] == 0.0000015
    assert b"finish_reason" not in only
    assert b"[DONE]" not in only
