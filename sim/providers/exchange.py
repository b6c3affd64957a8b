"""One HTTP exchange over ASGI: body in, reply out, and patience in between.

It knows no provider and no JSON; a client that leaves raises `ClientLeft` out of any wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from p402.errors import TooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MAX_BODY = 20 * 2**20
SHORTEST_PAUSE_S = 0.0005  # shorter waits are saved up: the event loop's timers are no finer
_WATCHED_PAUSE_S = 0.02  # during longer waits a client that leaves is noticed

JSON = (b"content-type", b"application/json")
_MARK = (b"x-simulated", b"true")


class ClientLeft(Exception):
    """The client closed its connection."""


class Exchange:
    """One request's body in, reply out, and patience in between."""

    __slots__ = ("_gone", "_receive", "_send")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._gone: asyncio.Future[MutableMapping[str, Any]] | None = None

    async def body(self) -> bytes:
        """Read the whole request body; more than `MAX_BODY` bytes raise TooLarge."""
        data, more = b"", True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            data += message.get("body", b"")
            more = message.get("more_body", False)
            if len(data) > MAX_BODY:
                raise TooLarge(f"the body is larger than {MAX_BODY} bytes")
        return data

    async def pause(self, seconds: float) -> None:
        """Wait; a client that leaves during a long wait ends the exchange."""
        if seconds < _WATCHED_PAUSE_S:
            if seconds >= SHORTEST_PAUSE_S:
                await asyncio.sleep(seconds)
            return
        if self._gone is None:
            self._gone = asyncio.ensure_future(self._receive())
        done, _ = await asyncio.wait({self._gone}, timeout=seconds)
        if done:
            raise ClientLeft

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers, with the mark that says simulated."""
        headers = [*headers, _MARK, (b"cache-control", b"no-store")]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def part(self, data: bytes, *, last: bool = False) -> None:
        """Send a piece of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def reply(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """Send a whole JSON reply."""
        await self.start(status, [JSON, (b"content-length", b"%d" % len(body)), *(headers or [])])
        await self.part(body, last=True)

    def close(self) -> None:
        """Stop listening for the client's leaving."""
        if self._gone is not None:
            self._gone.cancel()
