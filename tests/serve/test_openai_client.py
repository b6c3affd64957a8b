"""P1: the official OpenAI client works unchanged after `base_url` and key."""

import asyncio

import openai
import pytest

from p402.ports import Failure
from tests.serve.gateway import CHUNKS, KEY, Gateway, PlayedStream, PlayedUpstream

MESSAGES = [{"role": "user", "content": "What is 2 + 2?"}]
BUSY = Failure("RATE_LIMIT_EXCEEDED", 429, "acme is busy", fail_over=True, counts=True, retry_after_ms=1500)
BROKE = Failure("PROVIDER_ERROR", 502, "acme broke", fail_over=False, counts=True)


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
def client(gateway):
    with (
        gateway.served() as port,
        openai.OpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY, max_retries=0, timeout=20
        ) as client,
    ):
        yield client


def test_p1_a_completion_is_the_providers_with_the_metadata_beside_it(client):
    found = client.chat.completions.create(model="auto", messages=MESSAGES)
    assert found.choices[0].message.content == "4"
    assert found.usage.total_tokens == 10
    assert found.p402_metadata["provider"] == "zeta"
    assert found.p402_metadata["cost_usd"] == pytest.approx(0.00001)


def test_p1_a_stream_is_read_to_its_end_and_its_last_chunk_carries_the_metadata(client):
    chunks = list(client.chat.completions.create(model="p402/cost", messages=MESSAGES, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Four"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is None
    assert chunks[-1].p402_metadata["routing_mode"] == "cost"


def test_p1_usage_of_a_stream_comes_once_if_it_is_asked_for(client):
    chunks = list(
        client.chat.completions.create(
            model="auto", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage is not None] == [10]


def test_p1_options_travel_in_extra_body(client, gateway):
    found = client.chat.completions.create(
        model="large", messages=MESSAGES, extra_body={"p402": {"mode": "cost", "session_id": "s-1"}}
    )
    assert found.p402_metadata["session_id"] == "s-1"
    assert found.p402_metadata["baseline_model"] == "large"
    assert "p402" not in gateway.upstream.calls[0].body


def test_p1_models_can_be_listed_and_read(client):
    assert {"p402/auto", "small", "large"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("acme/large").owned_by == "acme"


def test_p1_errors_raise_the_clients_own_classes(client, gateway):
    def call(**fields):
        return client.chat.completions.create(**{"model": "auto", "messages": MESSAGES, **fields})

    with pytest.raises(openai.BadRequestError) as bad:
        call(extra_body={"p402": {"mod": "cost"}})
    assert (bad.value.code, bad.value.param) == ("INVALID_INPUT", "p402.mod")
    with pytest.raises(openai.NotFoundError) as unknown:
        call(model="lagre")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="p402_live_wrong").chat.completions.create(
            model="auto", messages=MESSAGES
        )
    gateway.upstream.whole = lambda call: BUSY
    with pytest.raises(openai.RateLimitError) as busy:
        call()
    assert busy.value.response.headers["retry-after"] == "2"
    gateway.upstream.whole = lambda call: BROKE
    with pytest.raises(openai.InternalServerError) as broke:
        call()
    assert broke.value.code == "PROVIDER_ERROR"


def test_p1_a_stream_that_breaks_raises_and_does_not_end_well(client, gateway):
    gateway.upstream.stream = lambda call: PlayedStream(CHUNKS[:2], BROKE)
    read = []
    chunks = client.chat.completions.create(model="auto", messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIError, match="acme broke"):
        read.extend(chunk.choices[0].delta.content for chunk in chunks)
    assert read == ["Fo", "ur"]


def test_p1_the_asynchronous_client_works_alike():
    async def run(port: int) -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/api/v2", api_key=KEY) as client:
            whole = await client.chat.completions.create(model="auto", messages=MESSAGES)
            stream = await client.chat.completions.create(model="auto", messages=MESSAGES, stream=True)
            text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
            return whole.choices[0].message.content, text

    with Gateway(upstream=PlayedUpstream()).served() as port:
        assert asyncio.run(run(port)) == ("4", "Four")
