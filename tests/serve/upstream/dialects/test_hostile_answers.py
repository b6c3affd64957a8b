"""Answers that are JSON of no known shape, in every language: a failure or an answer, never an error of ours.

Each is a real answer of a speaker of the suite with some of its values swapped for others. What reaches a
client has the types that clients of OpenAI's form rely on, whatever the provider sent.
"""

import json
import random
from typing import Any

import orjson
import pytest

from p402.ports import Call, Completion, Failure
from p402.settings import Secret
from serve.upstream.dialects.table import DIALECTS
from serve.upstream.provider import Provider
from serve.wire import parse_chat
from tests.serve.upstream.dialects.conformance.bedrock_speaker import event
from tests.serve.upstream.dialects.conformance.speakers import SPEAKERS, setting
from tests.serve.upstream.dialects.conformance.test_conformance import ANSWERS
from tests.serve.upstream.dialects.conformance.values import Said, Speaker

pytestmark = pytest.mark.parametrize("speaker", SPEAKERS, ids=lambda s: s.dialect)

ROUNDS = 300
ODD: tuple[Any, ...] = (None, True, 5, -1, 1.5, "", "x", [], {}, [1], {"a": 1}, [[]], [None], "\u2028", 1e300)


def nested(depth: int) -> dict:
    """JSON that orjson reads (to 1,024 levels) and does not write (beyond 254)."""
    value: dict = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def mutated(value: Any, rng: random.Random) -> Any:
    if rng.random() < 0.12:
        return nested(300) if rng.random() < 0.1 else rng.choice(ODD)
    if isinstance(value, dict):
        return {k: mutated(v, rng) for k, v in value.items() if rng.random() > 0.04}
    if isinstance(value, list):
        return [mutated(v, rng) for v in value if rng.random() > 0.04]
    return value


def provider_of(speaker: Speaker) -> Provider:
    return Provider(
        name="acme", dialect=speaker.dialect, base_url="https://h/v1", api_key=Secret("k-0123456789"),
        **setting(speaker),
    )  # fmt: skip


def call(speaker: Speaker, *, stream: bool) -> Call:
    return Call("req_1", "acme", speaker.model, {"messages": []}, None, stream, True, 7)


def mutated_pieces(speaker: Speaker, rng: random.Random) -> list[bytes]:
    pieces = []
    for piece in speaker.pieces(rng.choice(list(ANSWERS.values()))):
        head, mark, data = piece.partition(b"data: ")
        if speaker.dialect == "bedrock" and rng.random() < 0.3:
            kind = rng.choice(("messageStart", "contentBlockStart", "contentBlockDelta", "messageStop"))
            told = {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "a", "name": "b"}},
                    "delta": {"text": "x", "toolUse": {"input": "{"}}, "stopReason": "end_turn"}  # fmt: skip
            pieces.append(event(kind, **{k: mutated(v, rng) for k, v in told.items()}))
        elif mark and data.startswith(b"{") and rng.random() < 0.5:
            pieces.append(head + mark + json.dumps(mutated(json.loads(data), rng)).encode() + b"\n\n")
        elif rng.random() > 0.03:
            pieces.append(piece)
    return pieces


def is_strict(event_bytes: bytes) -> bool:
    """Whether every field of a chunk that clients add up has its type."""
    if not event_bytes.startswith(b"data: {"):
        return True
    chunk = orjson.loads(event_bytes[6:])
    assert isinstance(chunk["id"], str)
    assert isinstance(chunk["model"], str)
    assert type(chunk["created"]) is int
    for choice in chunk["choices"]:
        delta = choice["delta"]
        words = [delta.get(name) for name in ("role", "content", "reasoning_content")]
        for made in delta.get("tool_calls", ()):
            words += [made.get("id"), made["function"].get("name"), made["function"].get("arguments")]
        if not all(isinstance(word, str | None) for word in words):
            return False
    return True


def test_a_whole_answer_of_any_shape_is_a_completion_or_a_failure(speaker: Speaker) -> None:
    rng, dialect, provider = random.Random(402), DIALECTS[speaker.dialect], provider_of(speaker)
    for _ in range(ROUNDS):
        told = mutated(json.loads(speaker.whole(rng.choice(list(ANSWERS.values())))), rng)
        got = dialect.answer(provider, call(speaker, stream=False), json.dumps(told).encode(), 1_000)
        assert isinstance(got, Completion | Failure)


def test_arguments_nested_deeper_than_can_be_written_are_a_failure_of_the_provider(speaker: Speaker) -> None:
    said = ANSWERS["one call"]
    told = json.loads(speaker.whole(said))
    if speaker.dialect in ("openai", "azure"):
        pytest.skip("whole answers are passed on as they came")
    deep = json.dumps(nested(300))
    raw = json.dumps(told).replace(json.dumps(said.calls[0].arguments), deep)
    assert deep in raw
    got = DIALECTS[speaker.dialect].answer(provider_of(speaker), call(speaker, stream=False), raw.encode(), 1)
    assert isinstance(got, Failure)
    assert (got.code, got.counts, got.fail_over) == ("PROVIDER_ERROR", True, True)


def test_a_stream_of_any_shape_raises_nothing_and_gives_chunks_of_the_right_types(speaker: Speaker) -> None:
    rng, dialect, provider = random.Random(402), DIALECTS[speaker.dialect], provider_of(speaker)
    ours = speaker.dialect not in ("openai", "azure")
    for _ in range(ROUNDS):
        reading, out = dialect.reading(provider, call(speaker, stream=True), 1_000), b""
        for piece in mutated_pieces(speaker, rng):
            out += reading.feed(piece)
            if reading.ended:
                break
        if not reading.ended:
            out += reading.end_of_body()
        assert reading.ended
        assert reading.usage.output >= 0
        if ours:
            assert all(is_strict(one) for one in out.split(b"\n\n"))


def test_an_answer_of_nothing_or_of_thoughts_alone_has_a_text_and_can_be_sent_back(speaker: Speaker) -> None:
    """OpenAI's `content` is null beside tool calls only; clients read it without asking."""
    if speaker.dialect in ("openai", "azure"):
        pytest.skip("whole answers are passed on as they came")
    for said in (Said(), Said(thoughts=("hm",), seal="c2ln", finish="length")):
        asked = call(speaker, stream=False)
        got = DIALECTS[speaker.dialect].answer(provider_of(speaker), asked, speaker.whole(said), 1_000)
        assert isinstance(got, Completion)
        message = orjson.loads(got.body)["choices"][0]["message"]
        assert message["content"] == ""
        parse_chat(orjson.dumps({"messages": [{"role": "user", "content": "hi"}, message]}))


def endless(speaker: Speaker) -> tuple[list[bytes], bytes]:
    """Frames that open a thought, and 32 KiB more of it that never ends."""
    said = "x" * 32_768
    match speaker.dialect:
        case "anthropic" | "vertex-anthropic":
            opened = speaker.pieces(ANSWERS["thoughts"])[:3]
            delta = {"type": "thinking_delta", "thinking": said}
            more = {"type": "content_block_delta", "index": 0, "delta": delta}
            return opened, b"data: " + orjson.dumps(more) + b"\n\n"
        case "bedrock":
            delta = {"reasoningContent": {"text": said}}
            return [], event("contentBlockDelta", contentBlockIndex=0, delta=delta)
        case _:
            pytest.skip("keeps nothing of a thought")


def test_a_thought_without_end_is_not_kept_without_end(speaker: Speaker) -> None:
    opened, more = endless(speaker)
    reading, fed = (
        DIALECTS[speaker.dialect].reading(provider_of(speaker), call(speaker, stream=True), 1_000),
        0,
    )
    for piece in opened:
        reading.feed(piece)
    while not reading.ended and fed < 64 << 20:
        reading.feed(more)
        fed += len(more)
    assert isinstance(reading.failure, Failure)
    assert fed < 16 << 20
