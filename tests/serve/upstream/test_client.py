"""Attempts over real sockets: answers, failures, timeouts, and streams that begin and end as they should."""

import asyncio
import gzip
import time
import zlib

import orjson
import pytest

from p402.errors import ConfigError
from p402.ports import Call, Completion, Failure, Usage
from p402.settings import Secret
from serve.upstream.client import HttpUpstream
from serve.upstream.provider import Provider, Timeouts
from tests.serve.upstream import loopback as scenes
from tests.serve.upstream.loopback import DONE, ROLE, USAGE, Exchange, chunk_of, loopback, run

pytestmark = pytest.mark.usefixtures("hand")

KEY = "sk-secret-0123456789"
PATIENT = Timeouts(connect_ms=5_000, first_byte_ms=3_000, idle_ms=3_000, total_ms=20_000)
FAST = Timeouts(connect_ms=300, first_byte_ms=300, idle_ms=200, total_ms=2_000)
WHOLE = {
    "id": "c",
    "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 3},
}


def call(**over) -> Call:
    fields = {
        "request_id": "req_1",
        "provider": "acme",
        "model": "m",
        "body": {"messages": []},
        "output_cap": None,
        "stream": False,
        "include_usage": False,
        "prompt_tokens": 7,
    }
    return Call(**{**fields, **over})


def upstream(url: str, **over) -> HttpUpstream:
    provider = Provider(**{"name": "acme", "dialect": "openai", "base_url": url, "api_key": Secret(KEY),
                           "timeouts": FAST, "transport": scenes.TRANSPORT, **over})  # fmt: skip
    return HttpUpstream({"acme": provider}, lambda: int(time.time() * 1000))


async def ask(reply, **over):
    async with loopback(reply) as provider:
        client = upstream(provider.url)
        try:
            return await client.complete(call(**over)), provider
        finally:
            await client.aclose()


async def drink(reply, **over):
    """Events, usage and failure of a stream, or the failure before it."""
    async with loopback(reply) as provider:
        client = upstream(provider.url)
        try:
            stream = await client.open_stream(call(stream=True, **over))
            if isinstance(stream, Failure):
                return stream
            events = b"".join([e async for e in stream])
            await stream.aclose()
            await stream.aclose()
            return events, stream.usage, stream.failure
        finally:
            await client.aclose()


def test_a_whole_answer_comes_back_byte_for_byte_with_its_usage() -> None:
    answer, provider = run(ask(lambda x: x.json(WHOLE)))
    assert isinstance(answer, Completion)
    assert b'"content":"hi"' in answer.body
    assert answer.usage == Usage(11, 3)
    (request,) = provider.requests
    assert request.head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    names = {line.split(b":")[0].lower() for line in request.head.split(b"\r\n")[1:] if line}
    assert names == {
        b"host", b"authorization", b"content-type", b"content-length", b"accept", b"accept-encoding",
        b"user-agent", b"x-client-request-id",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"{broken", "PROVIDER_ERROR"),
        (b"[]", "PROVIDER_ERROR"),
        ({"choices": []}, "PROVIDER_ERROR"),
        ({"error": {"message": "overloaded"}}, "PROVIDER_ERROR"),
        ({"error": {"code": 429, "message": "slow"}}, "RATE_LIMIT_EXCEEDED"),
    ],
)
def test_a_200_that_is_no_answer_fails_over(reply, code: str) -> None:
    answer, _ = run(ask(lambda x: x.json(reply)))
    assert isinstance(answer, Failure)
    assert (answer.code, answer.fail_over, answer.counts) == (code, True, True)


def test_a_redirect_is_not_followed() -> None:
    answer, provider = run(ask(lambda x: x.json({}, "302 Found", "location: /v1/elsewhere\r\n")))
    assert isinstance(answer, Failure)
    assert answer.code == "PROVIDER_ERROR"
    assert "elsewhere" not in answer.message
    assert len(provider.requests) == 1


def test_a_cookie_of_one_call_does_not_travel_with_the_next() -> None:
    async def scene() -> list[Exchange]:
        async with loopback(lambda x: x.json(WHOLE, headers="set-cookie: s=1\r\n")) as provider:
            client = upstream(provider.url)
            await client.complete(call())
            await client.complete(call())
            await client.aclose()
            return provider.requests

    assert all(b"cookie" not in request.head.lower() for request in run(scene()))


def test_a_refused_connection_fails_over() -> None:
    async def scene() -> Failure | Completion:
        async with loopback(lambda x: x.json(WHOLE)) as provider:
            url = provider.url
        client = upstream(url)
        answer = await client.complete(call())
        await client.aclose()
        return answer

    answer = run(scene())
    assert isinstance(answer, Failure)
    assert (answer.code, answer.fail_over) == ("PROVIDER_ERROR", True)
    assert "127.0.0.1" not in answer.message


@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_of_ours_in_writing_a_request_is_no_providers_and_leaves_nothing(stream, monkeypatch) -> None:
    async def scene() -> None:
        async with loopback(lambda x: x.json(WHOLE)) as provider:
            client = upstream(provider.url)

            def fault(*_: object) -> bytes:
                raise KeyError("a word that the translation lacks")

            monkeypatch.setattr("serve.upstream.link.Link.prepared", fault)
            with pytest.raises(KeyError, match="lacks"):
                await (client.open_stream if stream else client.complete)(call(stream=stream))
            assert (client.under_way(), client.connections(), provider.requests) == (0, 0, [])
            await client.aclose()

    run(scene())


def test_a_provider_nobody_configured_is_a_failure_that_counts_against_nobody() -> None:
    async def scene() -> Failure | Completion:
        return await upstream("http://127.0.0.1:9/v1").complete(call(provider="other"))

    answer = run(scene())
    assert isinstance(answer, Failure)
    assert (answer.fail_over, answer.counts) == (True, False)


async def silent(x: Exchange) -> None:
    await x.left()


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_says_nothing_times_out(stream: bool) -> None:
    begun = time.monotonic()
    answer = run(drink(silent)) if stream else run(ask(silent))[0]
    assert isinstance(answer, Failure)
    assert (answer.code, answer.status, answer.fail_over) == ("PROVIDER_TIMEOUT", 504, True)
    assert answer.usage == Usage(7, 0, estimated=True), "it had the prompt, and may bill it"
    assert 0.25 < time.monotonic() - begun < 1.5


def test_a_stream_that_only_says_its_role_times_out_before_content() -> None:
    async def reply(x: Exchange) -> None:
        await x.begin()
        for _ in range(40):
            await x.send(ROLE + b": ping\n\n")
            await asyncio.sleep(0.05)

    answer = run(drink(reply))
    assert isinstance(answer, Failure)
    assert answer.code == "PROVIDER_TIMEOUT"


def test_a_full_pool_is_a_timeout_that_does_not_count() -> None:
    async def scene() -> tuple[Failure | Completion, ...]:
        async with loopback(silent) as provider:
            patience = Timeouts(connect_ms=100, first_byte_ms=600, idle_ms=200, total_ms=2_000)
            client = upstream(provider.url, max_connections=1, timeouts=patience)
            first = asyncio.create_task(client.complete(call()))
            await asyncio.sleep(0.05)
            second = await client.complete(call())
            answers = await first, second
            await client.aclose()
            return answers

    first, second = run(scene())
    assert isinstance(first, Failure)
    assert isinstance(second, Failure)
    assert (first.counts, second.code, second.counts) == (True, "PROVIDER_TIMEOUT", False)
    assert second.usage is None, "it was never sent"


def streamed(*parts: bytes, end: bool = True):
    async def reply(x: Exchange) -> None:
        await x.begin()
        for part in parts:
            await x.send(part)
        if end:
            await x.end()
        else:
            x.writer.close()

    return reply


HI = chunk_of("hi")
STOP = chunk_of(finish="stop")


def test_a_stream_is_handed_on_without_done_and_without_an_unasked_usage_chunk() -> None:
    assert run(drink(streamed(ROLE, HI, STOP, USAGE, DONE))) == (ROLE + HI + STOP, Usage(11, 3), None)


def test_a_usage_chunk_the_client_asked_for_is_kept() -> None:
    events, _, _ = run(drink(streamed(ROLE, HI, STOP, USAGE, DONE), include_usage=True))
    assert events == ROLE + HI + STOP + USAGE


def test_any_cut_of_the_bytes_gives_the_same_stream() -> None:
    whole = ROLE + chunk_of("né😀") + STOP + USAGE + DONE
    for size in (1, 7, 50):
        cuts = [whole[i : i + size] for i in range(0, len(whole), size)]
        events, usage, failure = run(drink(streamed(*cuts)))
        assert (events, usage, failure) == (whole[: -len(USAGE + DONE)], Usage(11, 3), None)


def test_usage_that_never_came_is_estimated_and_flagged() -> None:
    _, usage, failure = run(drink(streamed(ROLE, chunk_of("x" * 40), STOP, DONE)))
    assert (usage, failure) == (Usage(7, 10, estimated=True), None)


@pytest.mark.parametrize(
    "delta",
    [{"tool_calls": [{"index": 0}]}, {"refusal": "no"}, {"reasoning_content": "hm"}, {"reasoning": "hm"}],
)
def test_whatever_a_model_says_commits_the_stream(delta: dict) -> None:
    events, _, failure = run(drink(streamed(ROLE, chunk_of(**delta), STOP, DONE)))
    assert failure is None
    end = STOP if "tool_calls" not in delta else chunk_of(finish="tool_calls")  # failure mode 24
    assert events == ROLE + chunk_of(**delta) + end


def test_an_error_before_content_fails_over_with_what_was_billed() -> None:
    error = b'data: {"error":{"message":"overloaded"}}\n\n'
    answer = run(drink(streamed(ROLE, USAGE, error, DONE)))
    assert isinstance(answer, Failure)
    assert (answer.code, answer.fail_over, answer.usage) == ("PROVIDER_ERROR", True, Usage(11, 3))


@pytest.mark.parametrize(
    "parts",
    [
        (ROLE, HI, b'data: {"error":{"message":"boom"}}\n\n'),
        (ROLE, HI, b"event: error\ndata: {}\n\n"),
        (ROLE, HI, b"data: {broken\n\n", STOP, DONE),
        (ROLE, HI),
        (ROLE, HI, b"data: {unfinished"),
    ],
)
def test_a_stream_without_its_terminal_marker_is_a_failure_and_nothing_is_made_up(parts) -> None:
    events, usage, failure = run(drink(streamed(*parts)))
    assert events == ROLE + HI
    assert usage == Usage(7, 1, estimated=True)
    assert failure is not None
    assert failure.code == "PROVIDER_ERROR"


@pytest.mark.parametrize("last", [HI, STOP])
def test_a_connection_lost_in_mid_stream_is_a_failure(last: bytes) -> None:
    _, _, failure = run(drink(streamed(ROLE, HI, last, end=False)))
    assert failure is not None
    assert failure.code == "PROVIDER_ERROR"


def test_a_finish_reason_for_every_choice_and_a_clean_end_is_a_terminal_marker() -> None:
    _, _, failure = run(drink(streamed(ROLE, HI, STOP)))
    assert failure is None
    _, _, failure = run(drink(streamed(ROLE, HI, STOP), body={"messages": [], "n": 2}))
    assert failure is not None


def test_an_empty_but_finished_answer_is_an_answer() -> None:
    assert run(drink(streamed(ROLE, STOP, DONE)))[2] is None


@pytest.mark.parametrize("parts", [(DONE,), (ROLE, DONE), (), (b": nothing\n\n",)])
def test_a_stream_without_any_content_fails_over(parts) -> None:
    answer = run(drink(streamed(*parts)))
    assert isinstance(answer, Failure)
    assert answer.fail_over


def test_a_whole_answer_to_a_stream_call_fails_over() -> None:
    answer = run(drink(lambda x: x.json(WHOLE)))
    assert isinstance(answer, Failure)
    assert (answer.fail_over, answer.usage) == (True, Usage(11, 3))


def test_a_stall_in_mid_stream_is_a_timeout_with_the_events_so_far() -> None:
    async def reply(x: Exchange) -> None:
        await x.begin()
        await x.send(ROLE + HI)
        await x.left()

    events, usage, failure = run(drink(reply))
    assert events == ROLE + HI
    assert usage.estimated
    assert failure is not None
    assert failure.code == "PROVIDER_TIMEOUT"


def test_the_whole_call_has_a_limit_however_lively_the_stream() -> None:
    async def reply(x: Exchange) -> None:
        await x.begin()
        while True:
            await x.send(HI)
            await asyncio.sleep(0.05)

    begun = time.monotonic()
    _, _, failure = run(drink(reply))
    assert failure is not None
    assert failure.code == "PROVIDER_TIMEOUT"
    assert 1.9 < time.monotonic() - begun < 3


def test_a_slow_consumer_slows_the_provider_and_is_no_stall() -> None:
    async def scene() -> tuple[int, int, Failure | None]:
        sent = 0

        async def reply(x: Exchange) -> None:
            nonlocal sent
            await x.begin()
            for _ in range(200):
                await x.send(chunk_of("x" * 65_536))
                sent += 1
            await x.send(STOP + DONE)
            await x.end()

        async with loopback(reply) as provider:
            client = upstream(provider.url)
            stream = await client.open_stream(call(stream=True))
            assert not isinstance(stream, Failure)
            await asyncio.sleep(0.5)  # longer than idle_ms
            while_away = sent
            size = sum([len(e) async for e in stream])
            await client.aclose()
            return while_away, size, stream.failure

    while_away, size, failure = run(scene())
    assert failure is None
    assert size > 200 * 65_536
    assert while_away < 190  # socket buffers may take many, never all


def test_a_finished_stream_gives_its_connection_back() -> None:
    async def scene() -> int:
        async with loopback(streamed(ROLE, HI, STOP, DONE)) as provider:
            client = upstream(provider.url)
            for _ in range(5):
                stream = await client.open_stream(call(stream=True))
                assert not isinstance(stream, Failure)
                _ = [e async for e in stream]
                await stream.aclose()
            await client.aclose()
            return provider.connections

    assert run(scene()) == 1


def test_a_stream_that_ends_while_nobody_reads_leaves_its_connection_to_the_next_call() -> None:
    """Its last piece may fill the channel in the very read that ends it: the pause must not outlive it."""

    async def scene() -> list[Completion | Failure]:
        async def reply(x: Exchange) -> None:
            size = x.body.get("seed")
            if size is None:
                await x.json(WHOLE)
                return
            await x.begin()
            x.writer.write(
                b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (ROLE + HI, b": %s\n\n" % (b"." * size)))
            )
            long = chunk_of("x" * 900)
            x.writer.write(b"".join(b"%x\r\n%s\r\n" % (len(long), long) for _ in range(270)))
            last = STOP + DONE
            x.writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(last), last))
            await x.writer.drain()

        async with loopback(reply) as provider:
            client = upstream(provider.url, max_connections=1, timeouts=PATIENT)
            answers = []
            for size in range(0, 40_000, 1_500):
                body = {"messages": [], "seed": size}
                stream = await client.open_stream(call(stream=True, body=body))
                assert not isinstance(stream, Failure)
                await asyncio.sleep(0.02)
                await stream.aclose()
                answers.append(await client.complete(call()))
            await asyncio.sleep(0.05)
            assert (client.under_way(), client.connections()) == (0, 0)
            await client.aclose()
            return answers

    assert [a for a in run(scene()) if not isinstance(a, Completion)] == []


def test_a_host_that_no_name_server_would_be_asked_for_is_a_configuration_error() -> None:
    for url in ("http://a..b/v1", f"http://{'x' * 80}.example/v1"):
        with pytest.raises(ConfigError, match="base_url"):
            upstream(url)


@pytest.mark.parametrize("tokens", [1 << 23 | 1, 10**15, (1 << 64) - 1])
def test_usage_beyond_belief_counts_as_missing(tokens: int) -> None:
    told = {**WHOLE, "usage": {"prompt_tokens": tokens, "completion_tokens": 3}}
    answer, _ = run(ask(lambda x: x.json(told)))
    assert isinstance(answer, Completion)
    assert (answer.usage.estimated, answer.usage.prompt) == (True, 7)


CODED = gzip.compress(orjson.dumps(WHOLE))


def test_a_coded_body_of_several_members_is_read_to_its_end() -> None:
    plain = orjson.dumps(WHOLE)
    body = gzip.compress(plain[:30]) + gzip.compress(plain[30:])
    answer, _ = run(ask(lambda x: x.json(body, headers="content-encoding: gzip\r\n")))
    assert isinstance(answer, Completion)
    assert answer.body == plain


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_an_answer_that_was_coded_unasked_is_decoded(coding: str) -> None:
    body = CODED if coding == "gzip" else zlib.compress(orjson.dumps(WHOLE))
    answer, _ = run(ask(lambda x: x.json(body, headers=f"content-encoding: {coding}\r\n")))
    assert isinstance(answer, Completion)
    assert orjson.loads(answer.body) == WHOLE


@pytest.mark.parametrize(
    ("coding", "body"),
    [("br", b"{}"), ("gzip", b"{}"), ("gzip", gzip.compress(b" " * (65 << 20))), ("gzip", CODED[:40])],
    ids=["unknown", "not what it says", "too large", "cut"],
)
def test_an_answer_whose_coding_cannot_be_read_fails_over(coding: str, body: bytes) -> None:
    answer, _ = run(ask(lambda x: x.json(body, headers=f"content-encoding: {coding}\r\n")))
    assert isinstance(answer, Failure)
    assert (answer.code, answer.fail_over, answer.counts) == ("PROVIDER_ERROR", True, True)


def test_a_stream_that_turns_to_noise_in_its_coding_is_a_failure() -> None:
    async def reply(x: Exchange) -> None:
        press = zlib.compressobj(wbits=31)
        x.writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        await x.send(press.compress(ROLE + HI) + press.flush(zlib.Z_SYNC_FLUSH))
        await asyncio.sleep(0.05)
        await x.send(b"\xff" * 64)
        await x.left()

    events, _, failure = run(drink(reply))
    assert events == ROLE + HI
    assert failure is not None
    assert failure.code == "PROVIDER_ERROR"
    assert "coded" in failure.message
