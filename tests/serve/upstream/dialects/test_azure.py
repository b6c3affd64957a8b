"""Azure OpenAI: its addresses, its key, its filter results and its refusals."""

import json

import pytest

from p402.ports import Call, Completion, Failure
from p402.settings import Secret
from serve.upstream.client import HttpUpstream
from serve.upstream.dialects.azure import Azure
from serve.upstream.provider import Provider
from tests.serve.upstream import loopback as scenes
from tests.serve.upstream.loopback import Exchange, loopback, run

KEY = "0123456789abcdef0123456789abcdef"
NOW_MS = 1_795_651_200_000
FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"hate": {"filtered": True, "severity": "high"}},
        },
    }
}


def provider(base: str, **over: object) -> Provider:
    return Provider(**{"name": "acme", "dialect": "azure", "base_url": base, "api_key": Secret(KEY),
                       "transport": scenes.TRANSPORT, **over})  # fmt: skip


def call(*, stream: bool = False, model: str = "gpt 5/blue", include_usage: bool = False) -> Call:
    body = {"messages": [{"role": "user", "content": "hi"}]}
    return Call(
        request_id="req_1", provider="acme", model=model, body=body,
        output_cap=None, stream=stream, include_usage=include_usage, prompt_tokens=7,
    )  # fmt: skip


@pytest.mark.parametrize("path", ["", "/openai", "/openai/v1", "/openai/v1/"])
def test_each_way_to_write_the_endpoint_is_the_same_address(path: str) -> None:
    base = f"https://a.openai.azure.com{path}"
    new, old = provider(base), provider(base, api_version="2024-10-21")
    assert Azure().url(new, "d", stream=True) == "https://a.openai.azure.com/openai/v1/chat/completions"
    assert Azure().url(old, "gpt 5/blue", stream=False) == (
        "https://a.openai.azure.com/openai/deployments/gpt%205%2Fblue/chat/completions?api-version=2024-10-21"
    )


@pytest.mark.usefixtures("hand")
def test_an_older_path_with_its_version_reaches_the_server_as_it_is() -> None:
    async def scene() -> tuple[object, Exchange]:
        answer = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
                  "usage": {"prompt_tokens": 1, "completion_tokens": 1}}  # fmt: skip
        async with loopback(lambda x: x.json(answer, headers="x-ms-region: here\r\n")) as server:
            found = provider(server.url.removesuffix("/v1"), api_version="2024-10-21")
            client = HttpUpstream({"acme": found}, lambda: NOW_MS)
            try:
                return await client.complete(call()), server.requests[0]
            finally:
                await client.aclose()

    found, request = run(scene())
    assert isinstance(found, Completion)
    line = request.head.split(b"\r\n")[0].decode()
    assert line == "POST /openai/deployments/gpt%205%2Fblue/chat/completions?api-version=2024-10-21 HTTP/1.1"
    assert f"api-key: {KEY}".encode() in request.head
    assert b"authorization" not in request.head.lower()
    assert KEY not in line


def events(*chunks: dict | bytes) -> bytes:
    return b"".join(
        b"data: " + (c if isinstance(c, bytes) else json.dumps(c).encode()) + b"\n\n" for c in chunks
    )


def test_chunks_that_say_nothing_stay_behind() -> None:
    first = {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    late = {"choices": [{"index": 0, "content_filter_results": {}, "content_filter_offsets": {"x": 1}}]}
    word = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}]}
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    used = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
    for include_usage, wanted in ((True, [word, end, used]), (False, [word, end])):
        reading = Azure().reading(
            provider("https://h"), call(stream=True, include_usage=include_usage), NOW_MS
        )
        assert reading.feed(events(first)) == b""
        assert not reading.committed
        said = reading.feed(events(word, late, end, used, b"[DONE]"))
        assert said == events(*wanted)
        assert (reading.ended, reading.failure, reading.usage.prompt) == (True, None, 9)


def test_an_answer_that_was_filtered_midway_says_so() -> None:
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]}
    reading = Azure().reading(provider("https://h"), call(stream=True), NOW_MS)
    assert reading.feed(events(end, b"[DONE]")) == events(end)
    assert (reading.ended, reading.failure) == (True, None)


def refused(status: int, error: dict, **headers: str) -> Failure:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Azure().refusal(provider("https://h"), status, named, json.dumps(error).encode(), NOW_MS)


def test_a_filtered_prompt_is_the_clients() -> None:
    found = refused(400, FILTERED)
    assert (found.code, found.status, found.fail_over, found.counts) == ("content_filter", 400, False, False)


def test_a_limit_tells_when_to_come_back_to_the_millisecond() -> None:
    found = refused(
        429, {"error": {"code": "429", "message": "slow"}}, retry_after_ms="1250", retry_after="2"
    )
    assert (found.code, found.retry_after_ms, found.fail_over) == ("RATE_LIMIT_EXCEEDED", 1_250, True)


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "DeploymentNotFound"), (400, "OperationNotSupported"), (401, "401"), (403, "403")],
)
def test_what_the_operator_chose_is_not_the_clients(status: int, code: str) -> None:
    found = refused(status, {"error": {"code": code, "message": "no"}})
    assert (found.fail_over, found.counts) == (True, True)
    assert found.code in ("PROVIDER_ERROR", "PROVIDER_AUTH")
