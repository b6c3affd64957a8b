"""20,000 mutated requests over real sockets to a real gateway: no 5xx, no reset, no hang, nothing held after.

The provider behind it answers at once and never fails, so that every fault is the gateway's own. Half of the
arms speak OpenAI's language, half Anthropic's. What breaks is told by its number: `mutation(NUMBER)`.
"""

import asyncio
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson
import pytest

from tests.serve.mutations import GENERATIONS, SEED, Mutation, mutation
from tests.serve.test_command import HELLO, answer, gateway, rows, stopped, write_config
from tests.serve.upstream.loopback import Exchange, loopback

pytestmark = pytest.mark.slow

REQUESTS = 20_000
CONNECTIONS = 24
HANG_S = 20.0
CLAUDES = """
[providers.claude]
dialect = "anthropic"
base_url = "{url}"
api_key = "sk-2"
"""
CLAUDE = """
[[providers.claude.models]]
id = "{id}"
context_window = 8000
output_limit = 1000
capabilities = ["chat", "vision", "function_calling", "json_schema"]
input_usd_per_mtok = 1
output_usd_per_mtok = 2
"""
USED = {"input_tokens": 11, "output_tokens": 3}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": USED,
}
EVENTS = (
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
)
ERROR = {"message": str, "type": str, "code": str}


def event_bytes(event: dict) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))


async def provider(exchange: Exchange) -> None:
    """Answer at once in the language that was spoken."""
    if b"/chat/completions " in exchange.head[:60]:
        await answer(exchange)
    elif exchange.body.get("stream"):
        await exchange.begin()
        await exchange.send(b"".join(map(event_bytes, EVENTS)))
        await exchange.end()
    else:
        await exchange.json(MESSAGE)


@dataclass
class Found:
    """What came back."""

    statuses: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def note(self, sent: Mutation, what: str) -> None:
        self.wrong.append(f"mutation({sent.number}) [{sent.framed}]: {what}; body {sent.body[:300]!r}")

    def report(self) -> str:
        histogram = ", ".join(f"{name}: {count}" for name, count in sorted(self.statuses.items()))
        first = "\n".join(self.wrong[:20])
        return f"seed {SEED}; {len(self.wrong)} wrong of {REQUESTS}; {histogram}\n{first}"


async def reply_of(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Status, head and body of one answer."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if status != 100:
            break
    if b"transfer-encoding: chunked" not in head:
        (size,) = [int(x[15:]) for x in head.split(b"\r\n") if x.startswith(b"content-length:")]
        return status, head, await reader.readexactly(size)
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return status, head, b"".join(parts)


def judged(status: int, head: bytes, body: bytes) -> tuple[str, str | None]:
    """A word for the histogram, and what is wrong with the answer."""
    if b"cache-control: no-store\r\n" not in head:
        return str(status), "may be cached"
    if b"text/event-stream" in head:
        whole = status == 200 and body.endswith(b"data: [DONE]\n\n") and b'"p402_metadata"' in body
        return f"{status} stream", None if whole else f"a stream that ends {body[-200:]!r}"
    found = orjson.loads(body)
    if status == 200:
        return "200", None if "p402_metadata" in found else f"no metadata in {body[:200]!r}"
    error = found["error"]
    name = f"{status} {error['code']}"
    if any(not isinstance(error[key], kind) for key, kind in ERROR.items()) or "param" not in error:
        return name, f"not an error object: {body[:300]!r}"
    if not error["request_id"].startswith("req_"):
        return name, "no request id"
    if status >= 500 and not (error["code"] == "NO_PROVIDER_AVAILABLE" and error["reasons"]):
        return name, f"a server error: {body[:300]!r}"
    return name, None


async def client(port: int, numbers: asyncio.Queue[int], found: Found) -> None:
    """Send one mutation after another over a connection that is kept for as long as the gateway keeps it."""
    reader = writer = None
    while not numbers.empty():
        sent = mutation(numbers.get_nowait())
        if writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        assert reader is not None
        try:
            async with asyncio.timeout(HANG_S):
                writer.write(sent.wire)
                if sent.framed == "long":  # its rest never comes: the gateway must see that nobody is there
                    writer.write_eof()
                    name = "no answer" if not await reader.read() else "an answer"
                    found.statuses[f"{name} to half a body"] += 1
                    writer.close()
                    writer = None
                    continue
                status, head, body = await reply_of(reader)
                name, wrong = judged(status, head, body)
                found.statuses[name] += 1
                if wrong is not None:
                    found.note(sent, wrong)
                if sent.framed == "short" or b"connection: close" in head:
                    writer.close()
                    writer = None
        except (OSError, EOFError, TimeoutError, ValueError, KeyError) as error:
            found.note(sent, f"{type(error).__name__} {error}")
            if writer is not None:
                writer.close()
                writer = None
    if writer is not None:
        writer.close()


def held(folder: Path) -> int:
    """Nano-USD that the ledger still holds, and the holds that are open."""
    db = sqlite3.connect(folder / "state.db")
    try:
        (nano,) = db.execute("SELECT coalesce(sum(held_nano), 0) FROM day").fetchone()
    finally:
        db.close()
    return nano


def configured(folder: Path, url: str) -> None:
    models = "".join(CLAUDE.format(id=made) for made in GENERATIONS)
    write_config(folder, url, CLAUDES.format(url=url) + models)


def test_20_000_mutated_bodies_bring_no_5xx_no_reset_no_hang_and_leave_nothing_held(tmp_path):
    found = Found()

    async def scene() -> tuple[int, str]:
        async with loopback(provider) as upstream:
            upstream.requests = _Forgetful()
            configured(tmp_path, upstream.url)
            async with gateway(tmp_path, "--max-seconds", "240") as (process, url):
                port = int(url.rpartition(":")[2])
                numbers: asyncio.Queue[int] = asyncio.Queue()
                for number in range(REQUESTS):
                    numbers.put_nowait(number)
                await asyncio.gather(*(client(port, numbers, found) for _ in range(CONNECTIONS)))
                async with httpx.AsyncClient(base_url=url, timeout=20) as sound:
                    for model in ("m", *GENERATIONS):
                        for stream in (False, True):
                            asked = {**HELLO, "model": model, "stream": stream}
                            good = await sound.post("/v1/chat/completions", json=asked)
                            assert good.status_code == 200, good.text
                status, _, err = await stopped(process)
        return status, err

    status, err = asyncio.run(scene())
    assert not found.wrong, found.report()
    assert status == 0
    assert "Traceback" not in err, err[-3_000:]
    assert held(tmp_path) == 0
    kinds = Counter(row["kind"] for row in rows(tmp_path))
    assert kinds["decision"] == kinds["outcome"]
    # It was worth it: much passed the door, in both languages, and much did not.
    answered = found.statuses["200"] + found.statuses["200 stream"]
    assert 0.2 * REQUESTS < answered < 0.8 * REQUESTS, found.report()
    assert len(found.statuses) >= 10, found.report()


class _Forgetful(list):
    """Twenty thousand exchanges are not to be kept."""

    def append(self, _: object) -> None:
        pass
