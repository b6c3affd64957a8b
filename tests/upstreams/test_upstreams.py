"""The providers of the tests do what their scenarios say, in every wire format."""

import asyncio
import socket
import time
from itertools import pairwise

import httpx
import openai
import orjson
import pytest

from tests.upstreams.catalogue import CITY_PIECES, SCENARIOS, base_of
from tests.upstreams.openai import OpenAiChat
from tests.upstreams.scenario import Answer, Cut, ErrorEvent, Refuse, Scenario, Stall, Tokens, failing
from tests.upstreams.server import upstreams
from tests.upstreams.wire import Asked

WIRES = {"openai": OpenAiChat()}
"""A new wire format is held to these tests by an entry."""
ASKED = Asked("m", stream=True, usage=True)
BODY = {"model": "plain", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(params=WIRES)
def wire(request):
    return WIRES[request.param]


@pytest.fixture(scope="module")
def providers():
    with upstreams() as found:
        yield found


def events_of(body: bytes) -> list[bytes]:
    """Data of the events of a stream."""
    blocks = body.replace(b"\r\n", b"\n").split(b"\n\n")
    return [line[6:] for block in blocks for line in block.split(b"\n") if line.startswith(b"data: ")]


def ask(providers, model: str, *, stream: bool = True, provider: str = "acme") -> httpx.Response:
    body = {**BODY, "model": model, "stream": stream}
    return httpx.post(f"{providers.url(provider)}/chat/completions", json=body, timeout=20)


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_stream_says_is_an_event_for_each_piece(wire, name):
    answer = SCENARIOS[name].answer
    events = wire.events(answer, ASKED)
    said = sum(event.content for event in events)
    assert said >= len(answer.text) + len(answer.reasoning) + len(answer.calls)
    whole = b"".join(event.data for event in events)
    for piece in (*answer.text, *answer.reasoning):
        assert orjson.dumps(piece)[1:-1] in whole
        assert orjson.dumps("".join(answer.text))[1:-1] in wire.whole(answer, ASKED)


def test_a_wire_tells_usage_only_if_the_scenario_has_any(wire):
    told = wire.whole(Answer(("a",), tokens=Tokens(prompt=7_001, output=7_002)), ASKED)
    assert b"7001" in told
    assert b"7002" in told
    silent = wire.events(Answer(("a",), tokens=None), ASKED)
    assert b"tokens" not in b"".join(event.data for event in silent)


def test_a_wire_takes_no_other_path(wire):
    assert wire.asked("/v1/elsewhere", BODY) is None


def test_an_error_inside_a_stream_comes_after_as_many_pieces_as_it_says(providers):
    providers.play("acme", "m", failing(ErrorEvent(2, "odd"), Scenario(Answer(CITY_PIECES))))
    *before, last = events_of(ask(providers, "m").content)
    assert sum(b'"content":"' in event and b'"content":""' not in event for event in before) == 2
    assert orjson.loads(last)["error"]["code"] == "odd"


@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_is_seen_by_http_and_a_clean_one_is_not(providers, stream):
    providers.play("acme", "m", failing(Cut(1)), failing(Cut(1, clean=True)))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        ask(providers, "m", stream=stream)
    body = ask(providers, "m", stream=stream).content
    assert b"Fo" in body
    assert b"[DONE]" not in body
    assert not body.endswith(b"}")


def test_a_refusal_carries_its_status_headers_and_body(providers):
    refuse = Refuse(429, "odd", "wait", headers=(("retry-after", "7"),))
    providers.play("acme", "m", failing(refuse), failing(Refuse(502, body=b"<html>")))
    found = ask(providers, "m")
    assert (found.status_code, found.headers["retry-after"]) == (429, "7")
    assert found.json()["error"]["code"] == "odd"
    assert ask(providers, "m").content == b"<html>"
    assert ask(providers, "m").content == b"<html>", "the last scenario stays"


def test_small_pieces_and_crlf_cut_lines_and_characters_and_lose_nothing(providers):
    found = ask(providers, "unicode.me")
    assert b"\r\n\r\n" in found.content
    texts = [orjson.loads(event)["choices"] for event in events_of(found.content)[:-1]]
    assert "".join(c[0]["delta"].get("content") or "" for c in texts if c) == "Grüße aus 東京 🗼"


def test_a_stall_is_broken_off_by_whoever_leaves_and_the_journal_has_it(providers):
    body = orjson.dumps({**BODY, "model": "leaver", "stream": True})
    providers.play("zeta", "leaver", failing(Stall(20, after=1)))
    host, port = providers.root.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"POST /zeta/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        providers.journal.wait("leaver", lambda entries: entries and entries[-1].events == 2)
        left = time.monotonic()
    (entry,) = providers.journal.wait("leaver", lambda entries: entries[-1].ended_s is not None)
    assert entry.provider == "zeta"
    assert entry.body["stream"] is True
    assert left <= entry.left_s < left + 15
    assert entry.events == 2


def test_a_gap_lies_between_every_two_events(providers):
    providers.play("acme", "m", Scenario(Answer(("a", "b")), gap_s=0.05))
    came = []
    body = {**BODY, "model": "m", "stream": True}
    with httpx.stream("POST", f"{providers.url('acme')}/chat/completions", json=body) as found:
        came += [time.monotonic() for line in found.iter_lines() if line]
    assert len(came) == 5
    assert came[-1] - came[0] >= 0.15  # never sooner; later is the machine's affair
    assert all(a <= b for a, b in pairwise(came))


def test_the_official_client_reads_every_scenario_without_a_gateway(providers):
    """Else a test through the gateway would not know whose fault it has found."""

    async def read(name: str) -> str:
        async with openai.AsyncOpenAI(
            base_url=providers.url("acme"), api_key="sk-1", max_retries=0, timeout=1
        ) as client:
            chunks = await client.chat.completions.create(**BODY | {"model": f"{name}.me"}, stream=True)
            finished, texts = False, []
            async for chunk in chunks:
                texts += [c.delta.content or "" for c in chunk.choices]
                finished = finished or any(c.finish_reason for c in chunk.choices)
            return "".join(texts) if finished else "unfinished"

    async def all_of_them() -> dict[str, object]:
        names = list(SCENARIOS)
        found = await asyncio.gather(*(read(name) for name in names), return_exceptions=True)
        return dict(zip(names, found, strict=True))

    for name, found in asyncio.run(all_of_them()).items():
        scenario = SCENARIOS[name]
        if scenario.fault is None:
            assert found == "".join(scenario.answer.text), name
        elif scenario.fault == Cut(2, clean=True):
            assert found == "unfinished", "the client alone does not see this one"
        else:
            assert isinstance(found, Exception), name


def test_a_model_without_a_scenario_is_unknown(providers):
    assert base_of("cut.langchain") == "cut"
    assert base_of("cut") == "cut"
    assert ask(providers, "unheard-of").status_code == 404
