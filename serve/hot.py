"""The hot path at the ASGI seam: the same handler, without a framework around it.

One coroutine from receive to send. A request that takes longer than a moment gets one task that
watches for the client leaving; it then cancels the answer, which aborts the upstream call and
settles what was used. Everything that is not hot goes to the application behind.

Source: ASGI 3.0, HTTP connection scope; measured in the project's performance study, section 3.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from p402.errors import Refusal, TooLarge
from serve.errors import exception_reply, refusal_reply
from serve.handlers.chat import chat
from serve.handlers.front import Front, answer
from serve.http import BODY_IDLE_S, HttpReply, HttpRequest
from serve.routes import HOT_PATHS
from serve.wire import MAX_BODY_BYTES
from serve.wire.json import too_large

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
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

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http" and scope["path"] in HOT_PATHS and scope["method"] == "POST":
            await _serve(self._front, scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _serve(front: Front, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    try:
        body = await _read_body(headers, receive)
    except TooLarge as error:
        await _send_whole(exception_reply(error, front.new_id()), send)
        return
    except TimeoutError:
        await _send_whole(refusal_reply(TOO_SLOW, front.new_id(), headers=CLOSE), send)
        return
    if body is None:
        return
    watch = _Watch(receive)
    try:
        reply = await answer(front, chat, HttpRequest("POST", scope["path"], headers, body))
        if isinstance(reply.body, bytes):
            watch.stop()
            await _send_whole(reply, send)
        else:
            await _send_pieces(reply, send, watch)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not watch.left or task is None:
            raise
        task.uncancel()  # nobody is there to be answered, and nobody asked this task to stop
    finally:
        watch.stop()


async def _read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
    """The whole body; None if the client left. TooLarge before it is read, or as soon as it is too long."""
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise TooLarge(too_large(int(length)))
    parts: list[bytes] = []
    size = 0
    while True:
        message = await _within(BODY_IDLE_S, receive)
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if size + len(part) > MAX_BODY_BYTES:
                raise TooLarge(too_large(None))
            return b"".join((*parts, part)) if parts else part
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLarge(too_large(None))
        parts.append(part)


async def _within(seconds: float, receive: Receive) -> Message:
    """Receive, or TimeoutError; `asyncio.timeout` does the same for four times the CPU."""
    task = asyncio.current_task()
    late = False

    def interrupt() -> None:
        nonlocal late
        if task is not None:
            late = True
            task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, interrupt)
    try:
        return await receive()
    except asyncio.CancelledError:
        if not late or task is None or task.uncancel() > 0:
            raise
        raise TimeoutError from None
    finally:
        timer.cancel()


async def _send_whole(reply: HttpReply, send: Send) -> None:
    body = reply.body
    headers = [*reply.headers, (b"content-length", b"%d" % len(body))] if isinstance(body, bytes) else []
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_pieces(reply: HttpReply, send: Send, watch: "_Watch") -> None:
    stream = reply.body
    if isinstance(stream, bytes):
        raise TypeError("a whole body is not sent in pieces")
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)})
        async for piece in stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        await stream.aclose()
    watch.stop()
    await send({"type": "http.response.body", "body": b""})


class _Watch:
    """Cancels the task that made it once the client has left, unless stopped before.

    It must be stopped before the last send: servers report a finished answer as a disconnect too.
    """

    __slots__ = ("_receive", "_task", "_timer", "_watcher", "left")

    def __init__(self, receive: Receive) -> None:
        self.left = False
        self._receive = receive
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._start)

    def stop(self) -> None:
        """Watch no longer; idempotent."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _start(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._task is not None:
            self.left = True
            self._task.cancel()
