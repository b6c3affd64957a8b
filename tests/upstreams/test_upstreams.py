"""The providers of the tests do what their scenarios say, in every wire format."""

import asyncio
import socket
import time
from itertools import pairwise
from typing import Any

import httpx
import openai
import orjson
import pytest

from tests.upstreams.catalogue import CITY_PIECES, SCENARIOS, base_of
from tests.upstreams.scenario import Answer, Cut, ErrorEvent, Refuse, Scenario, Stall, Tokens, failing
from tests.upstreams.server import Upstreams, upstreams
from tests.upstreams.wire import Asked
from tests.upstreams.wires import WIRES

ASKED = Asked("m", stream=True, usage=True)
HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture(params=WIRES)
def named(request):
    return request.param


@pytest.fixture
def wire(named):
    return WIRES[named]


@pytest.fixture(scope="module")
def providers():
    with upstreams() as found:
        yield found


def request_of(named: str, model: str, *, stream: bool = True) -> tuple[str, dict[str, Any]]:
    """Path after the base URL, and body, of a question to a model."""
    if named == "anthropic":
        return "/messages", {"model": model, "max_tokens": 9, "messages": HI, "stream": stream}
    if named == "gemini":
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/models/{model}:{verb}", {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    return "/chat/completions", {"model": model, "messages": HI, "stream": stream}


def events_of(body: bytes) -> list[bytes]:
    """Data of the events of a stream."""
    blocks = body.replace(b"\r\n", b"\n").split(b"\n\n")
    return [line[6:] for block in blocks for line in block.split(b"\n") if line.startswith(b"data: ")]


def texts_of(named: str, events: list[bytes]) -> list[str]:
    """Pieces of text that a stream says."""
    found: list[str] = []
    for event in events:
        if event == b"[DONE]":
            continue
        match named, orjson.loads(event):
            case "openai", {"choices": [{"delta": {"content": str(text)}}]}:
                found.append(text)
            case "anthropic", {"delta": {"type": "text_delta", "text": text}}:
                found.append(text)
            case "gemini", {"candidates": [{"content": {"parts": [{"text": text}]}}]}:
                found.append(text)
    return [text for text in found if text]


def ask(
    providers: Upstreams, named: str, model: str, *, stream: bool = True, provider: str = "acme"
) -> httpx.Response:
    path, body = request_of(named, model, stream=stream)
    return httpx.post(providers.url(provider) + path, json=body, timeout=20)


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


@pytest.mark.parametrize("name", ["tools", "form"])
def test_a_call_is_told_with_its_name_and_arguments(wire, name):
    answer = SCENARIOS[name].answer
    whole = wire.whole(answer, ASKED).replace(b"\\", b"")
    streamed = b"".join(event.data for event in wire.events(answer, ASKED))
    for call in answer.calls:
        assert orjson.dumps(call.name) in streamed
        assert orjson.dumps(call.arguments)[1:-1] in whole


def test_a_wire_tells_usage_only_if_the_scenario_has_any(wire):
    told = wire.whole(Answer(("a",), tokens=Tokens(prompt=7_001, output=7_002)), ASKED)
    assert b"7001" in told
    assert b"7002" in told
    silent = wire.events(Answer(("a",), tokens=None), ASKED)
    assert b"tokens" not in b"".join(event.data for event in silent)


def test_a_wire_answers_under_the_name_that_it_was_asked_for(wire):
    assert b'"m"' in wire.whole(Answer(("a",)), ASKED)
    assert b'"m"' in wire.events(Answer(("a",)), ASKED)[0].data


def test_a_wire_takes_its_own_path_and_no_other(named, wire):
    path, body = request_of(named, "plain")
    assert wire.asked(f"/acme/v1{path}", body).model == "plain"
    assert wire.asked(f"/acme/v1{path}", body).stream
    assert not wire.asked(*request_of(named, "plain", stream=False)).stream
    assert wire.asked("/v1/elsewhere", body) is None
    for other in WIRES:
        assert other == named or WIRES[other].asked(f"/acme/v1{path}", body) is None


def test_an_error_inside_a_stream_comes_after_as_many_pieces_as_it_says(providers, named):
    providers.play("acme", "m", failing(ErrorEvent(2, "odd"), Scenario(Answer(CITY_PIECES))))
    *before, last = events_of(ask(providers, named, "m").content)
    assert len(texts_of(named, before)) == 2
    assert "odd" in orjson.loads(last)["error"].values()


@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_is_seen_by_http_and_a_clean_one_is_not(providers, named, wire, stream):
    providers.play("acme", "m", failing(Cut(1)), failing(Cut(1, clean=True)))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        ask(providers, named, "m", stream=stream)
    body = ask(providers, named, "m", stream=stream).content
    assert body
    if stream:
        assert texts_of(named, events_of(body)) == ["Fo"]
        assert wire.events(SCENARIOS["plain"].answer, ASKED)[-1].data not in body
    else:
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(body)


def test_what_ends_without_a_finish_has_said_all_but_why(providers, named):
    body = ask(providers, named, "no-finish.me").content
    assert tuple(texts_of(named, events_of(body))) == CITY_PIECES
    for word in (b'"stop"', b"end_turn", b'"STOP"', b"[DONE]"):
        assert word not in body


def test_a_refusal_carries_its_status_wait_and_body(providers, named):
    refuse = Refuse(429, "odd", "wait", headers=(("retry-after", "7"),))
    providers.play("acme", "m", failing(refuse), failing(Refuse(502, body=b"<html>")))
    found = ask(providers, named, "m")
    assert found.status_code == 429
    assert "odd" in found.json()["error"].values()
    if named == "gemini":
        assert found.json()["error"]["details"][-1]["retryDelay"] == "7s"
        assert "retry-after" not in found.headers
    else:
        assert found.headers["retry-after"] == "7"
    assert ask(providers, named, "m").content == b"<html>"
    assert ask(providers, named, "m").content == b"<html>", "the last scenario stays"


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("limited", (429, 429, 429)),
        ("quota", (429, 400, 429)),
        ("long", (400, 400, 400)),
        ("bad", (400, 400, 400)),
        ("locked", (401, 401, 400)),
        ("down", (503, 529, 503)),
    ],
)
def test_a_refusal_has_each_wires_own_words(name, statuses):
    refuse = SCENARIOS[name].fault
    assert isinstance(refuse, Refuse)
    said = [wire.refusal(refuse) for wire in WIRES.values()]
    assert tuple(refused.status for refused in said) == statuses
    errors = [orjson.loads(refused.body) for refused in said]
    assert errors[0]["error"]["code"] == refuse.code
    assert errors[1]["type"] == "error"
    assert errors[1]["error"]["type"].endswith("_error")
    assert errors[2]["error"]["status"].isupper()
    assert errors[2]["error"]["code"] == statuses[2]


def test_small_pieces_and_crlf_cut_lines_and_characters_and_lose_nothing(providers, named):
    found = ask(providers, named, "unicode.me").content
    assert b"\r\n\r\n" in found
    assert "東京 🗼".encode() in found, "its characters are bytes, else none could be cut"
    assert "".join(texts_of(named, events_of(found))) == "Grüße aus 東京 🗼"


def test_a_stall_is_broken_off_by_whoever_leaves_and_the_journal_has_it(providers, named):
    model = f"leaver-{named}"
    path, body = request_of(named, model)
    sent = orjson.dumps(body)
    providers.play("zeta", model, failing(Stall(20, after=1)))
    host, port = providers.root.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"POST /zeta/v1{path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(sent)}\r\n\r\n"
        connection.sendall(head.encode() + sent)
        providers.journal.wait(model, lambda entries: entries and entries[-1].said == 1)
        left = time.monotonic()
    (entry,) = providers.journal.wait(model, lambda entries: entries[-1].ended_s is not None)
    assert entry.provider == "zeta"
    assert entry.body == body
    assert left <= entry.left_s < left + 15
    assert entry.said == 1


def test_a_gap_lies_between_every_two_events(providers, named, wire):
    answer = Answer(("a", "b"))
    providers.play("acme", "m", Scenario(answer, gap_s=0.05))
    path, body = request_of(named, "m")
    came = []
    with httpx.stream("POST", providers.url("acme") + path, json=body) as found:
        came += [time.monotonic() for line in found.iter_lines() if line.startswith("data")]
    assert len(came) == len(wire.events(answer, wire.asked(f"/acme{path}", body)))
    assert came[-1] - came[0] >= 0.05 * (len(came) - 2)  # never sooner; later is the machine's affair
    assert all(a <= b for a, b in pairwise(came))


def test_the_official_client_reads_every_scenario_without_a_gateway(providers):
    """Else a test through the gateway would not know whose fault it has found."""

    async def read(name: str) -> str:
        async with openai.AsyncOpenAI(
            base_url=providers.url("acme"), api_key="sk-1", max_retries=0, timeout=1
        ) as client:
            chunks = await client.chat.completions.create(messages=HI, model=f"{name}.me", stream=True)
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
        elif isinstance(scenario.fault, Cut) and scenario.fault.clean:
            assert found == "unfinished", "the client alone does not see this one"
        else:
            assert isinstance(found, Exception), name


def test_a_model_without_a_scenario_is_unknown(providers, named):
    assert base_of("cut.langchain") == "cut"
    assert base_of("cut") == "cut"
    assert ask(providers, named, "unheard-of").status_code == 404
