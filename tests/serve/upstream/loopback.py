"""A scripted provider on loopback: raw HTTP/1.1, one coroutine for each request; and who plays."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

T = TypeVar("T")
TRANSPORT = "http1"
PLAY = asyncio.run
"""Set by the `hand` fixture."""


def run(scene: Coroutine[Any, Any, T]) -> T:
    return PLAY(scene)


Reply = Callable[["Exchange"], Awaitable[None]]


def chunk_of(text: str | None = None, finish: str | None = None, **delta) -> bytes:
    if text is not None:
        delta["content"] = text
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({"id": "c", "choices": [choice]}) + b"\n\n"


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"
ROLE = chunk_of(role="assistant", text="")


@dataclass
class Exchange:
    """One request as the provider sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes
    body: dict

    async def json(self, reply: object, status: str = "200 OK", headers: str = "") -> None:
        raw = reply if isinstance(reply, bytes) else orjson.dumps(reply)
        self.writer.write(
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}"
            f"content-length: {len(raw)}\r\n\r\n".encode()
            + raw
        )
        await self.writer.drain()

    async def begin(self) -> None:
        self.writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        await self.writer.drain()

    async def send(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self.writer.drain()

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def left(self) -> None:
        """Wait until the caller has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(1024):
                pass


@dataclass
class Loopback:
    url: str
    requests: list[Exchange] = field(default_factory=list)
    connections: int = 0
    open: int = 0


@contextlib.asynccontextmanager
async def loopback(reply: Reply) -> AsyncIterator[Loopback]:
    tasks: set[asyncio.Task] = set()
    state = Loopback("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        state.connections += 1
        state.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                (size,) = [int(x.split(b":")[1]) for x in lines if x.startswith(b"content-length")]
                exchange = Exchange(reader, writer, head, orjson.loads(await reader.readexactly(size)))
                state.requests.append(exchange)
                await reply(exchange)
                if writer.is_closing():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            state.open -= 1
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield state
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
