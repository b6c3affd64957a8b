"""One suite that every dialect passes, whole and streamed, over real sockets and each transport.

What a model said reaches the client in OpenAI's form, whatever the wire; what the client asked is understood
by the provider; what goes wrong is the same failure everywhere. A new dialect adds a speaker, nothing else.
"""

import asyncio
import json

import pytest

from p402.ports import Call, Completion, Failure, Usage
from p402.settings import Secret
from serve.upstream.client import HttpUpstream
from serve.upstream.dialects.table import DIALECTS
from serve.upstream.provider import Provider, Timeouts
from tests.serve.upstream import loopback as scenes
from tests.serve.upstream.dialects.conformance.speakers import SPEAKERS, setting
from tests.serve.upstream.dialects.conformance.values import Asked, Heard, Said, Speaker
from tests.serve.upstream.loopback import Exchange, loopback, run

pytestmark = [
    pytest.mark.usefixtures("hand"),
    pytest.mark.parametrize("speaker", SPEAKERS, ids=lambda s: s.dialect),
]

KEY = "sk-secret-0123456789"
NOW_MS = 1_795_651_200_000
PATIENT = Timeouts(connect_ms=5_000, first_byte_ms=10_000, idle_ms=10_000, total_ms=30_000)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
TIME = {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}}}}
PARALLEL = (
    Asked("weather", {"place": "Zürich"}, "call_1"),
    Asked("time", {}, "call_2"),
    Asked("weather", {"place": "東京"}, "call_3"),
)
ASK = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
ANSWERS = {
    "text": Said(texts=("Grüezi ", "mit\n", "enand 😀")),
    "cut short": Said(texts=("and so",), finish="length"),
    "one call": Said(calls=PARALLEL[:1], finish="tool_calls"),
    "parallel calls": Said(calls=PARALLEL, finish="tool_calls"),
    "text and calls": Said(texts=("Let me ", "look."), calls=PARALLEL[:2], finish="tool_calls"),
    "thoughts": Said(thoughts=("hm, ", "so"), seal="c2ln", texts=("42",)),
    "thoughts and a call": Said(thoughts=("hm",), seal="c2ln", calls=PARALLEL[:1], finish="tool_calls"),
    "filtered": Said(texts=("I",), finish="content_filter"),
    "cached": Said(texts=("a",), usage=Usage(1_000, 5, cached=700, cache_write=200)),
    "odd text": Said(texts=("\u2028\x00", "data: [DONE]\n\n", '{"error": 1}')),
}


def call(speaker: Speaker, body: dict, **over: object) -> Call:
    fields = {
        "request_id": "req_1",
        "provider": "acme",
        "model": speaker.model,
        "body": body,
        "output_cap": None,
        "stream": False,
        "include_usage": False,
        "prompt_tokens": 7,
    }
    return Call(**{**fields, **over})


def upstream(speaker: Speaker, url: str) -> HttpUpstream:
    provider = Provider(
        **{"name": "acme", "dialect": speaker.dialect, "base_url": url, "api_key": Secret(KEY),
           "timeouts": PATIENT, "transport": scenes.TRANSPORT, **setting(speaker)}
    )  # fmt: skip
    return HttpUpstream({"acme": provider}, lambda: NOW_MS)


async def reply(x: Exchange, status: int, kind: str, headers: dict[str, str], body: bytes) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{lines}content-length: {len(body)}\r\n\r\n"
    x.writer.write(head.encode() + body)
    await x.writer.drain()


async def begin(x: Exchange, kind: str) -> None:
    x.writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
    await x.writer.drain()


async def whole_of(speaker: Speaker, said: Said, body: dict = ASK) -> Completion | Failure:
    async def tell(x: Exchange) -> None:
        await reply(x, 200, speaker.content_type(stream=False), {}, speaker.whole(said))

    async with loopback(tell) as provider:
        client = upstream(speaker, provider.url)
        try:
            return await client.complete(call(speaker, body))
        finally:
            await client.aclose()


async def streamed(speaker: Speaker, pieces: list[bytes], *, ends: bool = True, **over: object):
    """Events, usage and failure of a stream, or the failure before it."""

    async def tell(x: Exchange) -> None:
        await begin(x, speaker.content_type(stream=True))
        for piece in pieces:
            await x.send(piece)
        if ends:
            await x.end()
        else:
            x.writer.close()

    async with loopback(tell) as provider:
        client = upstream(speaker, provider.url)
        try:
            stream = await client.open_stream(call(speaker, ASK, stream=True, **over))
            if isinstance(stream, Failure):
                return stream
            events = b"".join([e async for e in stream])
            await stream.aclose()
            return events, stream.usage, stream.failure
        finally:
            await client.aclose()


def told(message: dict) -> Said:
    """A message in OpenAI's form as what was said."""
    return Said(
        texts=(message["content"],) if message.get("content") else (),
        thoughts=(message["reasoning_content"],) if message.get("reasoning_content") else (),
        calls=tuple(
            Asked(c["function"]["name"], json.loads(c["function"]["arguments"]), c["id"])
            for c in message.get("tool_calls") or ()
        ),
    )


def gathered(events: bytes) -> tuple[dict, list[str], list[dict]]:
    """The message that a stream adds up to, its finish reasons, and its usages: as a client adds them."""
    message: dict = {"content": "", "reasoning_content": "", "tool_calls": {}}
    finishes, usages = [], []
    for event in events.split(b"\n\n"):
        if not event:
            continue
        assert event.startswith(b"data: ")
        assert b"\n" not in event
        chunk = json.loads(event[6:])
        if chunk.get("usage"):
            usages.append(chunk["usage"])
        for choice in chunk["choices"]:
            assert choice["index"] == 0
            delta = choice["delta"]
            for name in ("content", "reasoning_content"):
                message[name] += delta.get(name) or ""
            for part in delta.get("tool_calls") or ():
                whole = message["tool_calls"].setdefault(
                    part["index"], {"id": part.get("id"), "function": {"name": "", "arguments": ""}}
                )
                assert part.get("id") in (None, whole["id"]), "two calls on one index"
                for name in ("name", "arguments"):
                    whole["function"][name] += part["function"].get(name) or ""
            if choice.get("finish_reason"):
                finishes.append(choice["finish_reason"])
    message["tool_calls"] = [message["tool_calls"][i] for i in sorted(message["tool_calls"])]
    return message, finishes, usages


def same_said(found: Said, wanted: Said, speaker: Speaker) -> None:
    assert "".join(found.texts) == "".join(wanted.texts)
    if "thoughts" not in speaker.lacks:
        assert "".join(found.thoughts) == "".join(wanted.thoughts)
    assert [(c.name, c.arguments) for c in found.calls] == [(c.name, c.arguments) for c in wanted.calls]
    ids = [c.id for c in found.calls]
    assert len(set(ids)) == len(ids)
    assert all(ids)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_whole_answer_says_the_same_in_openais_form(speaker: Speaker, name: str) -> None:
    said = ANSWERS[name]
    answer = run(whole_of(speaker, said))
    assert isinstance(answer, Completion), answer
    reply = json.loads(answer.body)
    (choice,) = reply["choices"]
    assert choice["finish_reason"] == said.finish
    assert choice["message"]["role"] == "assistant"
    same_said(told(choice["message"]), said, speaker)
    used = said.usage
    assert used is not None
    assert (answer.usage.prompt, answer.usage.output, answer.usage.cached, answer.usage.estimated) == (
        used.prompt, used.output, used.cached, False,
    )  # fmt: skip
    if "cache_write" not in speaker.lacks:
        assert answer.usage.cache_write == used.cache_write
    assert reply["usage"]["prompt_tokens"] == used.prompt
    assert reply["usage"]["completion_tokens"] == used.output


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream_says_the_same_in_openais_form(speaker: Speaker, name: str, include_usage: bool) -> None:
    said = ANSWERS[name]
    found = run(streamed(speaker, speaker.pieces(said), include_usage=include_usage))
    assert not isinstance(found, Failure), found
    events, usage, failure = found
    assert failure is None
    assert b"[DONE]" not in events.replace(b"data: [DONE]\\n", b""), "the end is the gateway's to say"
    message, finishes, usages = gathered(events)
    assert finishes == [said.finish]
    same_said(told(message), said, speaker)
    used = said.usage
    assert used is not None
    assert (usage.prompt, usage.output, usage.cached, usage.estimated) == (
        used.prompt, used.output, used.cached, False,
    )  # fmt: skip
    assert len(usages) == include_usage
    assert all(u["prompt_tokens"] == used.prompt for u in usages)


@pytest.mark.parametrize("stream", [False, True])
def test_missing_usage_is_estimated_and_flagged(speaker: Speaker, stream: bool) -> None:
    said = Said(texts=("x" * 400,), usage=None)
    if stream:
        found = run(streamed(speaker, speaker.pieces(said)))
        assert not isinstance(found, Failure)
        usage = found[1]
    else:
        answer = run(whole_of(speaker, said))
        assert isinstance(answer, Completion)
        usage = answer.usage
    assert usage == Usage(7, 100, estimated=True)


def test_a_stream_cut_anywhere_is_never_a_clean_end(speaker: Speaker) -> None:
    pieces = speaker.pieces(ANSWERS["text and calls"])
    finish_at = next(i for i in range(len(pieces)) if finished(speaker, pieces[: i + 1]))
    for kept in range(finish_at):
        for ends in (True, False):
            found = run(streamed(speaker, pieces[:kept], ends=ends))
            if isinstance(found, Failure):
                assert found.fail_over, "nothing was said yet, another may answer"
                continue
            events, usage, failure = found
            assert failure is not None
            assert failure.code == "PROVIDER_ERROR"
            assert gathered(events)[1] == [], "a finish that nobody said"
            assert usage.output > 0


def finished(speaker: Speaker, pieces: list[bytes]) -> bool:
    found = run(streamed(speaker, pieces))
    return not isinstance(found, Failure) and found[2] is None


def test_an_error_inside_a_200_before_content_may_go_elsewhere(speaker: Speaker) -> None:
    found = run(streamed(speaker, [*speaker.pieces(ANSWERS["text"])[:1], speaker.broken()]))
    assert isinstance(found, Failure)
    assert (found.fail_over, found.counts) == (True, True)


def test_an_error_after_content_breaks_the_stream(speaker: Speaker) -> None:
    pieces = speaker.pieces(Said(texts=("a", "b", "c")))
    for kept in range(1, len(pieces)):
        found = run(streamed(speaker, [*pieces[:kept], speaker.broken()]))
        if isinstance(found, Failure) or found[2] is None:
            continue  # before content, or after the provider's last word
        events, _, failure = found
        assert failure.counts
        assert b"verload" not in events
        cut = run(streamed(speaker, pieces[:kept], ends=False))
        assert events == cut[0], "nothing is made up"


@pytest.mark.parametrize(
    ("kind", "code", "status", "fail_over", "counts", "retry_after_ms"),
    [
        ("rate", "RATE_LIMIT_EXCEEDED", 429, True, True, 7_000),
        ("overloaded", "PROVIDER_ERROR", 502, True, True, None),
        ("key", "PROVIDER_AUTH", 502, True, True, None),
        ("context", "context_length_exceeded", 400, False, False, None),
        ("bad_request", "INVALID_INPUT", 400, False, False, None),
        ("quota", "insufficient_quota", 429, True, True, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_the_same_failure_in_every_wire(
    speaker: Speaker,
    kind: str,
    code: str,
    status: int,
    fail_over: bool,
    counts: bool,
    retry_after_ms: int,
    stream: bool,
) -> None:
    async def scene() -> Completion | Failure:
        said, headers, body = speaker.refusal(kind)
        async with loopback(lambda x: reply(x, said, "application/json", headers, body)) as provider:
            client = upstream(speaker, provider.url)
            asked = call(speaker, ASK, stream=stream)
            try:
                return await (client.open_stream(asked) if stream else client.complete(asked))
            finally:
                await client.aclose()

    found = run(scene())
    assert isinstance(found, Failure)
    assert (found.code, found.status, found.fail_over, found.counts) == (code, status, fail_over, counts)
    assert found.retry_after_ms == retry_after_ms
    assert KEY not in found.message


async def understood(speaker: Speaker, body: dict, **over: object) -> tuple[Heard, dict]:
    async with loopback(
        lambda x: reply(x, 200, speaker.content_type(stream=False), {}, speaker.whole(ANSWERS["text"]))
    ) as provider:
        client = upstream(speaker, provider.url)
        try:
            answer = await client.complete(call(speaker, body, **over))
            assert isinstance(answer, Completion), answer
        finally:
            await client.aclose()
    (request,) = provider.requests
    lines = request.head.decode().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
    assert KEY not in lines[0], "a key in a URL ends up in logs"
    return speaker.heard(lines[0].split(" ")[1], headers, request.body), request.body


def test_a_request_is_understood(speaker: Speaker) -> None:
    body = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "What is this?"},
            {"role": "user", "content": [
                {"type": "text", "text": "And this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            ]},
        ],
        "max_completion_tokens": 321,
        "temperature": 0.5,
        "stop": ["END", "STOP"],
    }  # fmt: skip
    heard, _ = run(understood(speaker, body))
    assert heard.system == ("Be brief.", "Be kind.")
    assert heard.turns == (
        ("user", (("text", "What is this?"), ("text", "And this?"), ("image", "image/png", "aGk="))),
    )
    assert (heard.model, heard.stream) == (speaker.model, False)
    assert (heard.stop, heard.most, heard.temperature) == (("END", "STOP"), 321, 0.5)
    assert (heard.tools, heard.schema) == ((), None)


def test_the_cap_of_the_hold_is_sent_where_the_client_named_none(speaker: Speaker) -> None:
    heard, _ = run(understood(speaker, {"messages": ASK["messages"]}, output_cap=55))
    assert heard.most == 55
    heard, _ = run(understood(speaker, {"messages": ASK["messages"], "max_tokens": 9}, output_cap=55))
    assert heard.most == 9


def test_tools_their_calls_and_their_results_are_understood(speaker: Speaker) -> None:
    body = {
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "Let me look.", "tool_calls": [
                {"id": c.id, "type": "function",
                 "function": {"name": c.name, "arguments": json.dumps(c.arguments)}} for c in PARALLEL
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "noon"}]},
            {"role": "tool", "tool_call_id": "call_3", "content": "sun"},
            {"role": "user", "content": "Well?"},
        ],
        "max_tokens": 100,
        "tools": [WEATHER, TIME],
    }  # fmt: skip
    heard, _ = run(understood(speaker, body))
    assert heard.tools == (("weather", "The weather of a place.", ("place",)), ("time", None, ()))
    assert heard.turns == (
        ("user", (("text", "Weather?"),)),
        ("assistant", (("text", "Let me look."), *(("call", c.name, c.arguments) for c in PARALLEL))),
        ("user", (("result", "weather", "rain"), ("result", "time", "noon"), ("result", "weather", "sun"),
                  ("text", "Well?"))),
    )  # fmt: skip


@pytest.mark.parametrize("choice", ["auto", "none", "required", "weather"])
def test_the_choice_of_a_tool_is_understood(speaker: Speaker, choice: str) -> None:
    if choice == "none" and "tool_choice_none" in speaker.lacks:
        pytest.skip("its wire has no word for it")
    wanted = {"type": "function", "function": {"name": choice}} if choice == "weather" else choice
    heard, _ = run(understood(speaker, {**ASK, "tools": [WEATHER, TIME], "tool_choice": wanted}))
    assert heard.choice == choice


def test_a_schema_is_understood(speaker: Speaker) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    heard, _ = run(understood(speaker, {**ASK, "response_format": wanted}))
    assert heard.schema == schema


def test_what_a_provider_said_can_be_sent_back_to_it(speaker: Speaker) -> None:
    """An assistant's message as the client got it, thoughts and seals with it."""
    said = ANSWERS["thoughts and a call"]
    answer = run(whole_of(speaker, said))
    assert isinstance(answer, Completion)
    message = json.loads(answer.body)["choices"][0]["message"]
    made = message["tool_calls"][0]["id"]
    body = {**ASK, "tools": [WEATHER], "messages": [
        {"role": "user", "content": "Weather?"},
        message,
        {"role": "tool", "tool_call_id": made, "content": "rain"},
    ]}  # fmt: skip
    heard, _ = run(understood(speaker, body))
    spoken = [part for part in heard.turns[1][1] if part[0] != "thought"]
    assert spoken == [("call", "weather", {"place": "Zürich"})]
    assert heard.turns[2] == ("user", (("result", "weather", "rain"),))
    if "seal" not in speaker.lacks:
        assert ("thought", "hm", "c2ln") in heard.turns[1][1]


def test_cache_markers_reach_whoever_knows_them_and_nobody_else(speaker: Speaker) -> None:
    mark = {"type": "ephemeral"}
    body = {**ASK, "tools": [{**WEATHER, "cache_control": mark}], "messages": [
        {"role": "system", "content": [{"type": "text", "text": "long", "cache_control": mark}]},
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": mark}]},
    ]}  # fmt: skip
    _, sent = run(understood(speaker, body))
    assert speaker.cached(sent) == (3 if speaker.marks else 0)


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("n", {"n": 2}),
        ("logprobs", {"logprobs": True}),
        ("json_object", {"response_format": {"type": "json_object"}}),
        ("image_url", {"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://h/i.png"}}]}]}),
    ],
)  # fmt: skip
def test_what_a_wire_cannot_say_goes_to_another_provider_unsent(
    speaker: Speaker, word: str, fields: dict
) -> None:
    async def scene() -> tuple[Completion | Failure, int]:
        async with loopback(
            lambda x: reply(x, 200, speaker.content_type(stream=False), {}, speaker.whole(ANSWERS["text"]))
        ) as provider:
            client = upstream(speaker, provider.url)
            try:
                return await client.complete(call(speaker, {**ASK, **fields})), len(provider.requests)
            finally:
                await client.aclose()

    found, asked = run(scene())
    assert (word in speaker.lacks) == (word in DIALECTS[speaker.dialect].lacks), "or routing would not know"
    if word in speaker.lacks:
        assert isinstance(found, Failure)
        assert (found.code, found.fail_over, found.counts, asked) == ("INVALID_INPUT", True, False, 0)
    else:
        assert isinstance(found, Completion)
        assert asked == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_closes_the_call(speaker: Speaker, stream: bool) -> None:
    async def scene() -> None:
        asked, left = asyncio.Event(), asyncio.Event()

        async def tell(x: Exchange) -> None:
            asked.set()
            if stream:
                await begin(x, speaker.content_type(stream=True))
                for piece in speaker.pieces(ANSWERS["text"])[:-2]:
                    await x.send(piece)
            await x.left()
            left.set()

        async with loopback(tell) as provider:
            client = upstream(speaker, provider.url)
            if stream:
                opened = await client.open_stream(call(speaker, ASK, stream=True))
                assert not isinstance(opened, Failure), opened
                await opened.aclose()
            else:
                task = asyncio.create_task(client.complete(call(speaker, ASK)))
                await asyncio.wait_for(asked.wait(), 5)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await asyncio.wait_for(left.wait(), 5)
            await client.aclose()
            assert (client.connections(), client.under_way()) == (0, 0)

    run(scene())
