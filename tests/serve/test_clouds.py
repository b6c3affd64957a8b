"""A worker over a Bedrock and an Azure on loopback: signed, answered in OpenAI's form, billed exactly."""

import asyncio

import orjson
import pytest

from p402.ports import Usage
from p402.store.config import configure
from serve.handlers.chat import chat
from serve.handlers.front import answer
from serve.http import HttpRequest
from serve.worker import Worker
from tests.serve.test_command import HELLO
from tests.serve.upstream.aws.test_sigv4 import ID, SECRET, signature
from tests.serve.upstream.dialects.conformance.azure_speaker import AzureSpeaker
from tests.serve.upstream.dialects.conformance.bedrock_speaker import BedrockSpeaker
from tests.serve.upstream.dialects.conformance.test_conformance import begin, gathered
from tests.serve.upstream.dialects.conformance.values import Said
from tests.serve.upstream.loopback import Exchange, loopback

SAID = Said(texts=("hi ", "there"), usage=Usage(1_000, 5, cached=700, cache_write=0))
CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
PRICED = {"input_usd_per_mtok": 3, "output_usd_per_mtok": 15, "cache_read_usd_per_mtok": 0.3,
          "context_window": 200_000, "output_limit": 8_000}  # fmt: skip
COST_USD = (300 * 3 + 700 * 0.3 + 5 * 15) / 1e6
SPEAKERS = {"bedrock": BedrockSpeaker(), "azure": AzureSpeaker()}


def settings(name: str, url: str, folder) -> dict:
    own = {
        "bedrock": {"preset": "bedrock", "region": "eu-central-1", "base_url": url,
                    "models": [{"id": "sonnet", "upstream_model": CLAUDE, **PRICED}]},
        "azure": {"preset": "azure", "base_url": url, "api_key": "azure-key-0123456789",
                  "models": [{"id": "my-gpt", **PRICED}]},
    }[name]  # fmt: skip
    places = {part: f"{folder}/{part}" for part in ("log", "store", "registry")}
    return {"server": {"state": f"sqlite:///{folder}/state.db", **places}, "providers": {name: own}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", SPEAKERS)
def test_an_answer_of_a_cloud_is_openais_and_is_billed_by_its_classes(
    name: str, stream: bool, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    speaker = SPEAKERS[name]

    async def tell(x: Exchange) -> None:
        if not stream:
            await x.json(speaker.whole(SAID))
            return
        await begin(x, speaker.content_type(stream=True))
        for piece in speaker.pieces(SAID):
            await x.send(piece)
        await x.end()

    async def scene() -> tuple[bytes, Exchange]:
        async with loopback(tell) as provider:
            worker = Worker(configure(settings(name, provider.url.removesuffix("/v1"), tmp_path), {}))
            await worker.start()
            try:
                body = orjson.dumps({**HELLO, "stream": stream, "max_tokens": 50})
                reply = await answer(
                    worker.front, chat, HttpRequest("POST", "/v1/chat/completions", {}, body)
                )
                assert reply.status == 200, reply.body
                said = reply.body
                if not isinstance(said, bytes):
                    said = b"".join([event async for event in said])
                return said, provider.requests[0]
            finally:
                await worker.stop()

    said, request = asyncio.run(scene())
    if stream:
        events, _, _ = said.partition(b"data: [DONE]")
        assert gathered(events)[0]["content"] == "hi there"
        (told,) = [orjson.loads(e[6:]) for e in events.split(b"\n\n") if b"p402_metadata" in e]
    else:
        told = orjson.loads(said)
        assert told["choices"][0]["message"]["content"] == "hi there"
    metadata = told["p402_metadata"]
    assert (metadata["provider"], metadata["input_tokens"], metadata["cached_tokens"]) == (name, 1_000, 700)
    assert metadata["cost_usd"] == pytest.approx(COST_USD, abs=1e-12)
    if name == "bedrock":
        wanted, found, _ = signature(request.head, orjson.dumps(request.body), SECRET)
        assert wanted == found
    else:
        assert b"api-key: azure-key-0123456789" in request.head
