"""Failure modes 5 to 7 and 23 to 26: what a stream does between its first byte and its last."""

import asyncio
import threading

import orjson
import pytest

from tests.serve.failure_modes.whole import Says, until, whole_gateway
from tests.serve.test_command import answer
from tests.serve.test_mutated_bodies import EVENTS, event_bytes
from tests.serve.upstream.loopback import DONE, ROLE, USAGE, Exchange, chunk_of

SLOW = {"idle_timeout_ms": 300, "first_byte_timeout_ms": 5_000}
BUSY = b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n'
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


def events_of(text: str) -> list[dict]:
    """JSON of every event but `[DONE]`."""
    found = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    return [orjson.loads(line) for line in found if line != "[DONE]"]


def said(text: str) -> str:
    deltas = [choice["delta"] for event in events_of(text) for choice in event.get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)


def plays(*events: bytes, cut: bool = False):
    """A provider that sends events as they are, and then ends or loses the connection."""

    async def reply(x: Exchange) -> None:
        if not x.body.get("stream"):
            await answer(x)
            return
        await x.begin()
        for event in events:
            await x.send(event)
        if cut:
            x.writer.transport.abort()
        else:
            await x.end()

    return reply


def claude(*events: dict, cut: bool = False) -> Says:
    return Says(plays(*map(event_bytes, events), cut=cut), dialect="anthropic")


def whole(word: str) -> tuple[bytes, ...]:
    return ROLE, chunk_of(word), chunk_of(finish="stop"), USAGE, DONE


BEGUN = EVENTS[:3]
TRUNCATED = {
    "the body ends": Says(plays(ROLE, chunk_of("Hal"))),
    "the connection is lost": Says(plays(ROLE, chunk_of("Hal"), cut=True)),
    "anthropic: the body ends": claude(*BEGUN),
    "anthropic: the connection is lost": claude(*BEGUN, cut=True),
    "anthropic: the block ends": claude(*EVENTS[:4]),
}


@pytest.mark.parametrize("how", TRUNCATED)
def test_failure_mode_05_a_truncated_stream_is_an_error_and_never_a_clean_stop(tmp_path, how):
    with whole_gateway(tmp_path, TRUNCATED[how]) as gateway:
        text = gateway.ask(stream=True).text
        *before, last = events_of(text)
        assert last["error"]["code"] == "PROVIDER_ERROR"
        assert "data: [DONE]" not in text
        assert said(text) in ("Hal", "hi")
        assert all(c["finish_reason"] is None for event in before for c in event["choices"])
        (outcome,) = gateway.until_quiet(1)
        assert outcome["status"] == "failed"
        assert outcome["cost_nano"] > 0


@pytest.mark.parametrize(
    "broken",
    [Says(plays(ROLE, chunk_of("Hal"), BUSY)), Says(plays(ROLE, chunk_of("Hal"), cut=True)),
     claude(*BEGUN, OVERLOADED)],
    ids=["error event", "lost", "anthropic"],
)  # fmt: skip
def test_failure_mode_06_no_other_provider_is_asked_after_the_first_token(tmp_path, broken):
    with whole_gateway(tmp_path, broken, plays(*whole("Other"))) as gateway:
        text = gateway.ask(stream=True).text
        assert "error" in events_of(text)[-1]
        assert "Other" not in text
        assert gateway.called() == {"a": 1, "b": 0}


@pytest.mark.parametrize(
    "broken",
    [Says(plays(BUSY)), Says(plays(ROLE, b": ping\n\n", BUSY)), Says(plays(ROLE)),
     Says(plays(ROLE, cut=True)),
     claude(EVENTS[0], OVERLOADED), claude(EVENTS[0], EVENTS[1], cut=True)],
    ids=["first", "after the role", "nothing", "lost", "anthropic", "anthropic lost"],
)  # fmt: skip
def test_failure_mode_07_an_error_inside_a_200_before_content_is_failed_over_unseen(tmp_path, broken):
    with whole_gateway(tmp_path, broken, plays(*whole("Other"))) as gateway:
        reply = gateway.ask(stream=True)
        assert reply.status_code == 200
        assert reply.headers["x-p402-provider"] == "b"
        assert said(reply.text) == "Other"
        assert reply.text.count('"role"') == 1, "nothing of the first provider's is heard"
        assert reply.text.endswith("data: [DONE]\n\n")
        metadata = events_of(reply.text)[-1]["p402_metadata"]
        assert [attempt["status"] for attempt in metadata["attempts"]] == ["failed", "ok"]
        assert gateway.called() == {"a": 1, "b": 1}


def tool_event(*pieces: dict, finish: str | None = None) -> bytes:
    return chunk_of(finish=finish, tool_calls=list(pieces)) if pieces else chunk_of(finish=finish)


def piece(index: int | None, made: str | None, name: str | None, more: str) -> dict:
    fields: dict = {"function": {"arguments": more, **({"name": name} if name else {})}}
    return {**fields, **({} if index is None else {"index": index}), **({"id": made} if made else {})}


NUMBERED = {
    "right": (0, 0, 1, 1),
    "none": (None, None, None, None),
    "all zero": (0, 0, 0, 0),
}


@pytest.mark.parametrize("how", NUMBERED)
def test_failure_mode_23_calls_without_an_index_or_on_one_index_stay_apart(tmp_path, how):
    w, x, y, z = NUMBERED[how]
    events = (
        tool_event(piece(w, "call_1", "f", '{"a"')),
        tool_event(piece(x, None, None, ": 1}")),
        tool_event(piece(y, "call_2", "g", '{"b"')),
        tool_event(piece(z, None, None, ": 2}")),
        tool_event(finish="tool_calls"),
        DONE,
    )
    with whole_gateway(tmp_path, plays(*events)) as gateway:
        found: dict[int, dict] = {}
        for event in events_of(gateway.ask(stream=True).text):
            for choice in event["choices"]:
                for call in choice["delta"].get("tool_calls", ()):
                    whole = found.setdefault(call["index"], {"id": call.get("id"), "arguments": ""})
                    whole["arguments"] += call["function"]["arguments"]
    assert found == {
        0: {"id": "call_1", "arguments": '{"a": 1}'},
        1: {"id": "call_2", "arguments": '{"b": 2}'},
    }


TOOL_USE = (
    EVENTS[0],
    {"type": "content_block_start", "index": 0,
     "content_block": {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
)  # fmt: skip


@pytest.mark.parametrize(
    "provider",
    [
        Says(plays(tool_event(piece(0, "call_1", "f", "{}")), tool_event(finish="stop"), USAGE, DONE)),
        claude(*TOOL_USE),
    ],
    ids=["openai", "anthropic"],
)
def test_failure_mode_24_a_stream_of_tool_calls_ends_with_tool_calls(tmp_path, provider):
    with whole_gateway(tmp_path, provider) as gateway:
        events = events_of(gateway.ask(stream=True).text)
    reasons = [c["finish_reason"] for event in events for c in event["choices"]]
    assert [reason for reason in reasons if reason is not None] == ["tool_calls"]


BIG = "große Wörter 你好 🦊 " * 20_000
FORMS = {
    "crlf": lambda event: event.replace(b"\n", b"\r\n"),
    "cr": lambda event: event.replace(b"\n", b"\r"),
    "no space": lambda event: event.replace(b"data: ", b"data:"),
    "comments, ids and retries": lambda event: (
        b": ping\nid: 7\nretry: 10\nevent: message\n" + event + b":\n\n"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_failure_mode_25_any_form_of_the_standard_cut_anywhere_is_the_same_text(tmp_path, form):
    raw = b"".join(FORMS[form](event) for event in (ROLE, chunk_of("é🦊"), chunk_of(BIG), *whole("!")[2:]))

    async def cuts(x: Exchange) -> None:
        await x.begin()
        first, rest = raw[:400], raw[400:]
        for at in range(len(first)):  # through every character and every line end
            await x.send(first[at : at + 1])
        for at in range(0, len(rest), 9_973):
            await x.send(rest[at : at + 9_973])
        await x.end()

    with whole_gateway(tmp_path, cuts) as gateway:
        text = gateway.ask(stream=True).text
    assert said(text) == "é🦊" + BIG
    assert text.endswith("data: [DONE]\n\n")


def test_failure_mode_26_a_stall_after_the_first_token_ends_the_stream_and_frees_its_place(tmp_path):
    async def stalls(x: Exchange) -> None:
        await x.begin()
        await x.send(ROLE + chunk_of("Hal"))
        await x.left()

    patience = "".join(f"{name} = {value}\n" for name, value in SLOW.items())
    with whole_gateway(tmp_path, Says(stalls, more=patience)) as gateway:
        text = gateway.ask(stream=True).text
        assert events_of(text)[-1]["error"]["code"] == "PROVIDER_TIMEOUT"
        assert "data: [DONE]" not in text
        until(lambda: gateway.calls_open == 0 and gateway.providers["a"].open == 0)
        (outcome,) = gateway.until_quiet(1)
        assert (outcome["status"], outcome["code"]) == ("failed", "PROVIDER_TIMEOUT")


PHASES = {
    "connect": ("connect_timeout_ms = 200\nmax_connections = 1\n", None),
    "first byte": ("first_byte_timeout_ms = 200\n", ()),
    "first content": ("first_byte_timeout_ms = 200\n", (ROLE,)),
    "total": ("total_timeout_ms = 600\n", (chunk_of("a"),) * 200),
}


@pytest.mark.parametrize("phase", PHASES)
def test_failure_mode_26_each_phase_of_a_call_has_a_time_of_its_own(tmp_path, phase):
    more, events = PHASES[phase]

    async def slow(x: Exchange) -> None:
        if events is None:
            await x.left()
            return
        if events:
            await x.begin()
        for event in events:
            await x.send(event)
            await asyncio.sleep(0.02)
        await x.left()

    with whole_gateway(tmp_path, Says(slow, more=more)) as gateway:
        if events is None:  # the only place of the pool is taken by another call
            taken = threading.Thread(target=gateway.leave, args=(3.0,))
            taken.start()
            until(lambda: gateway.called()["a"] == 1)
        reply = gateway.ask(stream=True)
        error = events_of(reply.text)[-1]["error"] if reply.status_code == 200 else reply.json()["error"]
        assert error["code"] == "PROVIDER_TIMEOUT"
        assert (reply.status_code == 200) == (phase == "total")
        if events is None:
            taken.join()
        until(lambda: gateway.calls_open == 0)
