"""Every preset, from its lines in a configuration to a call that a server standing for it understands."""

import json
import tomllib
from decimal import Decimal
from urllib.parse import urlsplit

import pytest

from p402.ports import Call, Completion, Failure, Usage
from p402.settings import read_settings
from p402.settings.presets import PRESETS
from serve.upstream.client import HttpUpstream
from serve.worker import _providers
from tests.serve.upstream.dialects.conformance.speakers import SPEAKERS
from tests.serve.upstream.dialects.conformance.test_conformance import begin, gathered, reply
from tests.serve.upstream.dialects.conformance.values import Said, Speaker
from tests.serve.upstream.loopback import Exchange, loopback, run

NOW_MS = 1_795_651_200_000
KEY = "sk-secret-0123456789"
SPEAKING = {speaker.dialect: speaker for speaker in SPEAKERS}
SAID = Said(texts=("Grüezi ", "mitenand"), usage=Usage(11, 3))
MARK = {"type": "ephemeral"}
FULL = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": MARK}]},
        {"role": "assistant", "content": "so", "reasoning_content": "hm", "reasoning": "hm"},
        {"role": "user", "content": "and?"},
    ],
    "temperature": 0.5,
    "seed": 7,
    "user": "u-1",
    "logit_bias": {},
    "logprobs": False,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "provider": {"order": ["dear"]},
    "service_tier": "priority",
    "stream_options": {"include_usage": False},
}
MODELS = {"anthropic": "claude-sonnet-4-5", "bedrock": "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"}


def path_of(name: str) -> str:
    return urlsplit(PRESETS[name].base_url).path


def called(name: str, *, stream: bool) -> Call:
    return Call(
        request_id="req_1", provider=name, model=MODELS.get(PRESETS[name].dialect, "m-1"), body=FULL,
        output_cap=55, stream=stream, include_usage=False, prompt_tokens=7,
    )  # fmt: skip


def upstream(name: str, url: str) -> HttpUpstream:
    """The gateway's way from a configuration; only the host is another."""
    host = url.removesuffix("/v1")
    lines = f'[providers.{name}]\npreset = "{name}"\nbase_url = "{host}{path_of(name)}"\napi_key = "{KEY}"\n'
    if PRESETS[name].dialect == "bedrock":
        lines += 'region = "eu-west-1"\n'
    if PRESETS[name].needs_models or PRESETS[name].catalog is None:
        lines += "models = ['m-1']\n"
    settings = read_settings(tomllib.loads(lines, parse_float=Decimal), {})
    return HttpUpstream(_providers(settings.providers), lambda: NOW_MS)


async def ask(name: str, *, stream: bool) -> tuple[object, Exchange]:
    speaker: Speaker = SPEAKING[PRESETS[name].dialect]

    async def tell(x: Exchange) -> None:
        if not stream:
            await reply(x, 200, speaker.content_type(stream=False), {}, speaker.whole(SAID))
            return
        await begin(x, speaker.content_type(stream=True))
        for piece in speaker.pieces(SAID):
            await x.send(piece)
        await x.end()

    async with loopback(tell) as server:
        client = upstream(name, server.url)
        try:
            if stream:
                opened = await client.open_stream(called(name, stream=True))
                assert not isinstance(opened, Failure), opened
                events = b"".join([e async for e in opened])
                await opened.aclose()
                assert opened.failure is None
                return (events, opened.usage, opened.warnings), server.requests[0]
            return await client.complete(called(name, stream=False)), server.requests[0]
        finally:
            await client.aclose()


def headers_of(x: Exchange) -> dict[str, str]:
    lines = x.head.decode().split("\r\n")[1:]
    return {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}


def target(x: Exchange) -> str:
    return x.head.split(b" ")[1].decode()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", PRESETS)
def test_a_call_is_understood_and_its_answer_reaches_the_client(name: str, stream: bool) -> None:
    found, request = run(ask(name, stream=stream))
    if stream:
        events, usage, warnings = found
        assert gathered(events)[0]["content"] == "Grüezi mitenand"
    else:
        assert isinstance(found, Completion), found
        assert json.loads(found.body)["choices"][0]["message"]["content"] == "Grüezi mitenand"
        usage, warnings = found.usage, found.warnings
    assert (usage.prompt, usage.output, usage.estimated) == (11, 3, False)
    assert any("service_tier" in warning and "provider" in warning for warning in warnings)
    assert "provider" not in request.body
    assert "service_tier" not in request.body


OPENAI = [name for name, preset in PRESETS.items() if preset.dialect == "openai"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", OPENAI)
def test_what_is_sent_is_what_the_preset_says(name: str, stream: bool) -> None:
    known = PRESETS[name]
    _, request = run(ask(name, stream=stream))
    body, headers = request.body, headers_of(request)
    assert target(request) == f"{path_of(name)}/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body[known.output_field] == 55
    assert not {"max_tokens", "max_completion_tokens"} - {known.output_field} & body.keys()
    assert not set(known.omit_fields) & body.keys()
    assert {"temperature", *({"seed", "user"} - set(known.omit_fields))} <= body.keys()
    if stream and "stream_options" not in known.omit_fields:
        assert body["stream_options"] == {"include_usage": True}
    else:
        assert "stream_options" not in body
    sent = json.dumps(body["messages"])
    for field in ("cache_control", "reasoning_content", "reasoning"):
        assert (f'"{field}":' in sent) == (field in known.message_fields)


@pytest.mark.parametrize("name", [n for n in OPENAI if PRESETS[n].omit_fields])
def test_what_a_provider_refuses_is_left_out_and_that_is_said(name: str) -> None:
    found, _ = run(ask(name, stream=False))
    (warning,) = found.warnings
    left = set(PRESETS[name].omit_fields) & FULL.keys() - {"stream_options"}
    assert all(field in warning for field in left)
    assert "stream_options" not in warning, "what it asks for is done by the gateway"


@pytest.mark.parametrize(
    ("name", "path", "header"),
    [
        ("anthropic", "/v1/messages", ("x-api-key", KEY)),
        ("azure", "/openai/v1/chat/completions", ("api-key", KEY)),
        ("gemini", "/v1beta/models/m-1:generateContent", ("x-goog-api-key", KEY)),
        ("vertex", "/publishers/google/models/m-1:generateContent", ("x-goog-api-key", KEY)),
        ("vertex-anthropic", "/publishers/anthropic/models/m-1:rawPredict", ("x-goog-api-key", KEY)),
        (
            "bedrock",
            f"/model/{MODELS['bedrock'].replace(':', '%3A')}/converse",
            ("authorization", f"Bearer {KEY}"),
        ),
    ],
)
def test_the_other_languages_have_their_own_address_and_header(
    name: str, path: str, header: tuple[str, str]
) -> None:
    _, request = run(ask(name, stream=False))
    assert target(request) == path
    assert headers_of(request)[header[0]] == header[1]
