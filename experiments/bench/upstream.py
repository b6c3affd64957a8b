"""The provider of the gateway's bench: answers in the OpenAI format, at once or chunk by chunk.

A bare asyncio protocol on uvloop, a few microseconds a request, so that it is never what is
measured. Words in the prompt rule one answer: `bench chunks=64 gap_ms=2` asks a stream for that
many chunks, each in a write of its own and that far apart. It knows nothing of gateways.

    python -m experiments.bench.upstream --ready-file FILE --max-seconds S
"""

import argparse
import asyncio
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import orjson
import uvloop

CHUNKS: Final = 20
"""Chunks of a stream whose prompt asks for no other number."""

TEXT: Final = "A short answer of some forty words, as long as what a model says to a short question. " * 3
USAGE: Final = {"prompt_tokens": 42, "completion_tokens": 61, "total_tokens": 103}
DONE: Final = b"data: [DONE]\n\n"

_ASKED = re.compile(rb"bench chunks=(\d{1,4}) gap_ms=(\d{1,4})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAMED = re.compile(rb'"stream" *: *true')
_SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def _whole() -> bytes:
    body = orjson.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": "bench",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
            ],
            "usage": USAGE,
        }
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return _piece(b"data: " + orjson.dumps(_envelope(choices)) + b"\n\n")


def _envelope(choices: list[dict[str, object]]) -> dict[str, object]:
    return {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "bench",
        "choices": choices,
    }


WHOLE: Final = _whole()
FIRST: Final = _chunk({"role": "assistant", "content": ""})
TOKEN: Final = _chunk({"content": " token"})
LAST: Final = (
    _chunk({}, "stop")
    + _piece(b"data: " + orjson.dumps(_envelope([]) | {"usage": USAGE}) + b"\n\n")
    + _piece(DONE)
    + b"0\r\n\r\n"
)


class Upstream(asyncio.Protocol):
    """One connection: reads requests that follow each other and answers each."""

    def __init__(self, later: Callable[..., asyncio.TimerHandle]) -> None:
        self._later = later
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the caller left, well or not
        """Write no more."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._buffer, 0, end + 2)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        if not _STREAMED.search(body):
            self._write(WHOLE)
            return
        asked = _ASKED.search(body)
        chunks, gap_ms = (int(asked[1]), int(asked[2])) if asked else (CHUNKS, 0)
        if gap_ms == 0:
            self._write(_SSE_HEAD + FIRST + TOKEN * chunks + LAST)
            return
        self._write(_SSE_HEAD + FIRST)
        self._later(gap_ms / 1000, self._go_on, chunks, gap_ms / 1000)

    def _go_on(self, left: int, gap_s: float) -> None:
        if left == 0:
            self._write(LAST)
            return
        self._write(TOKEN)
        self._later(gap_s, self._go_on, left - 1, gap_s)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def serve(ready: Path, seconds: float) -> None:
    """Serve on a free port of loopback for so long; `ready` gets the root URL once it does."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(loop.call_later), "127.0.0.1", 0, backlog=512)
    async with server:
        fresh = ready.with_name(f"{ready.name}.new")
        fresh.write_text(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
        fresh.replace(ready)
        await asyncio.sleep(seconds)


def main(argv: list[str]) -> int:
    """Serve until the time is up or a signal comes."""
    parser = argparse.ArgumentParser(prog="experiments.bench.upstream")
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--max-seconds", type=float, required=True)
    args = parser.parse_args(argv)
    uvloop.run(serve(args.ready_file, args.max_seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
