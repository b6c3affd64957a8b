"""The hot path at the ASGI seam: the same handler, without a framework around it.

One coroutine from receive to send. A client that leaves cancels the answer (`serve.presence`), which aborts
the upstream call and settles what was used. Where the server takes an answer by plain calls
(`serve.http.Direct`), ASGI's messages are left out. What is not hot goes to the application behind.

Source: ASGI 3.0, HTTP connection scope; measured in the project's performance study, section 3.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from p402.errors import Refusal, TooLarge
from serve.errors import exception_reply, refusal_reply
from serve.handlers.chat import chat
from serve.handlers.front import Front, answer
from serve.http import BODY_IDLE_S, DIRECT, ByteStream, Direct, HttpReply, HttpRequest
from serve.presence import Message, Presence, Presences, Receive
from serve.routes import HOT_PATHS
from serve.wire import MAX_BODY_BYTES
from serve.wire.json import too_large

Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

WATCH_AFTER_S: Final = 0.1
"""An answer that comes sooner needs no watcher; with it, a client's leaving is seen well within 0.5 s."""

TOO_SLOW: Final = Refusal(
    "INVALID_INPUT", 408, f"the body stopped arriving: found no byte for {BODY_IDLE_S:.0f} s; send it at once"
)
CLOSE: Final = ((b"connection", b"close"),)


class Seam:
    """An ASGI application that answers the hot paths itself and passes on the rest."""

    def __init__(self, app: App, front: Front) -> None:
        self._app = app
        self._front = front
        self._presences = Presences()

    def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one ASGI scope."""
        if scope["type"] == "http" and scope["path"] in HOT_PATHS and scope["method"] == "POST":
            return self._serve(scope, receive, send)
        return self._app(scope, receive, send)

    async def _serve(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        front, headers = self._front, dict(scope["headers"])
        direct: Direct | None = scope.get("extensions", {}).get(DIRECT)
        client = self._presences.begin(receive)
        try:
            reply = await _replied(front, scope["path"], headers, client, receive)
            if reply is None:
                return
            front.meter.answered(reply.status)
            body = reply.body
            if isinstance(body, bytes):
                client.end()
                if direct is None or not direct.whole(reply.status, reply.headers, body):
                    await _send_whole(reply, body, send)
            else:
                await _send_pieces(reply, body, send, direct)
                client.end()
                await send({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not client.left or task is None:
                raise
            task.uncancel()  # nobody is there to be answered, and nobody asked this task to stop
        finally:
            client.end()


async def _replied(
    front: Front, path: str, headers: dict[bytes, bytes], client: Presence, receive: Receive
) -> HttpReply | None:
    """What is to be answered; None to a client that left with its body."""
    try:
        body = await _read_body(headers, client, receive)
    except TooLarge as error:
        return exception_reply(error, front.new_id())
    except TimeoutError:
        return refusal_reply(TOO_SLOW, front.new_id(), headers=CLOSE)
    if body is None:
        return None
    client.waits(WATCH_AFTER_S)
    return await answer(front, chat, HttpRequest("POST", path, headers, body))


async def _read_body(headers: dict[bytes, bytes], client: Presence, receive: Receive) -> bytes | None:
    """The whole body; None if the client left. TooLarge before it is read, or as soon as it is too long."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise TooLarge(too_large(int(length)))
    parts: list[bytes] = []
    size = 0
    while True:
        client.sends_within(BODY_IDLE_S)
        try:
            message = await receive()
        except asyncio.CancelledError:
            if not client.patience_ended():
                raise
            raise TimeoutError from None
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLarge(too_large(None))
        if not message.get("more_body", False):
            return b"".join((*parts, part)) if parts else part
        parts.append(part)


async def _send_whole(reply: HttpReply, body: bytes, send: Send) -> None:
    headers = [*reply.headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_pieces(reply: HttpReply, stream: ByteStream, send: Send, direct: Direct | None) -> None:
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers]})
        async for piece in stream:
            if direct is None or not direct.piece(piece):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        await stream.aclose()
