"""Three providers, of which the cheapest is dead, slow or lying: clients see correct answers all the same.

The whole gateway as a process, real sockets, two wire formats. The metadata tells the story, the breaker
opens, and the log that it leaves is replayed to the same decisions.
"""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
import pytest
from openai import AsyncOpenAI

from p402.ports import Usage
from tests.serve.test_command import environment, gateway, rows, stopped
from tests.serve.upstream.dialects.conformance.anthropic_speaker import AnthropicSpeaker
from tests.serve.upstream.dialects.conformance.values import Said
from tests.serve.upstream.loopback import DONE, ROLE, Exchange, loopback

SPEAKER = AnthropicSpeaker()
ANSWER = Said(texts=("four, ", "or so"), usage=Usage(11, 3))
CALLS = 18
CONFIG = """
[server]
port = 0
state = "sqlite:///{folder}/state.db"
log = "{folder}/log"
store = "{folder}/store"
registry = "{folder}/registry"
[tenants.default]
default_mode = "cost"
exploration = false
cache_in_cost_mode = false
baseline_model = "sonnet"
requests_per_hour = 1000000
max_in_flight = 1000
[providers.cheap]
base_url = "{bad}"
api_key = "sk-1"
first_byte_timeout_ms = 250
[[providers.cheap.models]]
id = "mini"
context_window = 8000
output_limit = 1000
input_usd_per_mtok = 0.1
output_usd_per_mtok = 0.2
[providers.lab]
dialect = "anthropic"
base_url = "{good}"
api_key = "sk-2"
[[providers.lab.models]]
id = "claude-sonnet-4-5"
model_family = "sonnet"
context_window = 8000
output_limit = 1000
input_usd_per_mtok = 3
output_usd_per_mtok = 15
[providers.spare]
base_url = "{spare}"
api_key = "sk-3"
[[providers.spare.models]]
id = "large"
context_window = 8000
output_limit = 1000
input_usd_per_mtok = 30
output_usd_per_mtok = 150
"""


async def good(x: Exchange) -> None:
    """A provider that speaks Anthropic's Messages."""
    if not x.body.get("stream"):
        await x.json(SPEAKER.whole(ANSWER))
        return
    await x.begin()
    for piece in SPEAKER.pieces(ANSWER):
        await x.send(piece)
    await x.end()


async def unasked(x: Exchange) -> None:
    raise AssertionError("the dearest provider is not needed")


async def dead(x: Exchange) -> None:
    x.writer.transport.abort()


async def slow(x: Exchange) -> None:
    if x.body.get("stream"):  # it says hello, and nothing more
        await x.begin()
        await x.send(ROLE)
    await x.left()


async def overloaded_within(x: Exchange) -> None:
    """A lie: status 200, and then an error in place of an answer."""
    if not x.body.get("stream"):
        await x.json({"error": {"message": "overloaded", "code": 503}})
        return
    await x.begin()
    await x.send(ROLE)
    await x.send(b'data: {"error":{"message":"overloaded","code":503}}\n\n')
    await x.end()


async def empty_success(x: Exchange) -> None:
    """A lie: a success with nothing in it."""
    if not x.body.get("stream"):
        await x.json({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}})
        return
    await x.begin()
    await x.send(ROLE)
    await x.send(DONE)
    await x.end()


async def not_json(x: Exchange) -> None:
    """A lie: a page of HTML with status 200."""
    page = b"<html><body>Welcome to the captive portal</body></html>"
    if not x.body.get("stream"):
        await x.json(page)
        return
    await x.begin()
    await x.send(b"data: " + page + b"\n\n")
    await x.end()


async def asked(client: AsyncOpenAI, stream: bool) -> tuple[str, dict]:
    """What a client is told, and the metadata."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "2+2?"}], "max_tokens": 100}
    if not stream:
        completion = await client.chat.completions.create(**body)
        return completion.choices[0].message.content, completion.model_extra["p402_metadata"]
    text, told, finishes = "", {}, []
    async for chunk in await client.chat.completions.create(**body, stream=True):
        told = (chunk.model_extra or {}).get("p402_metadata") or told
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finishes += [choice.finish_reason] if choice.finish_reason else []
    assert finishes == ["stop"]
    return text, told


@pytest.mark.parametrize("bad", [dead, slow, overloaded_within, empty_success, not_json])
def test_clients_of_a_bad_provider_see_correct_answers_and_the_log_replays(bad, tmp_path: Path) -> None:
    async def scene() -> tuple[list[dict], int]:
        async with AsyncExitStack() as stack:
            sites = [await stack.enter_async_context(loopback(reply)) for reply in (bad, good, unasked)]
            urls = dict(zip(("bad", "good", "spare"), (site.url for site in sites), strict=True))
            (tmp_path / "p402.toml").write_text(CONFIG.format(folder=tmp_path, **urls))
            process, url = await stack.enter_async_context(gateway(tmp_path))
            client = AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
            told = []
            async with client:
                for number in range(CALLS):
                    text, metadata = await asked(client, stream=number % 2 == 1)
                    assert text == "four, or so"
                    told.append(metadata)
                    await asyncio.sleep(0.1)  # the breaker's word is published once a second
            status, _, err = await stopped(process)
            assert (status, "Traceback" in err) == (0, False), err
            return told, len(sites[0].requests)

    told, tried = asyncio.run(scene())
    first, last = told[0], told[-1]
    assert first["failover"] is True
    assert [(a["provider"], a["status"]) for a in first["attempts"]] == [("cheap", "failed"), ("lab", "ok")]
    assert (last["provider"], len(last["attempts"])) == ("lab", 1), "the breaker is open"
    assert tried < CALLS
    for metadata in told:
        assert metadata["cost_usd"] == sum(a["cost_usd"] for a in metadata["attempts"])
        assert (metadata["input_tokens"], metadata["output_tokens"]) == (11, 3)
        # Who was waited for until our patience ended may bill the prompt, and nobody says whether.
        waited = bad is slow and len(metadata["attempts"]) > 1
        assert metadata["usage_estimated"] is waited
        assert metadata["attempts"][0]["cost_usd"] > 0 or not waited
    deltas = [row["arms"] for row in rows(tmp_path) if row["kind"] == "live"]
    assert any(arms.get("cheap/mini", {}).get("open_circuit") for arms in deltas), (
        "the log tells that the breaker opened"
    )
    folders = ["--log", str(tmp_path / "log"), "--store", str(tmp_path / "store")]
    verified = subprocess.run(
        [sys.executable, "-m", "p402.cli", "replay", "--verify", "--json", *folders],
        capture_output=True,
        env=environment(),
        cwd=tmp_path,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr.decode()
    assert orjson.loads(verified.stdout)["rows"] > 0
