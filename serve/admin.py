"""The admin plane: `GET /metrics` on a port of its own, in the process that started the gateway.

A thread with an event loop of its own serves it, bounded as the data plane is, so that a scrape neither waits
for requests nor they for it. It knows nothing of requests; what workers counted, it reads.

Source: reference study "Reliability and security", section 5, 10.
"""

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final

from uvicorn import Server

from p402.errors import Refusal
from p402.ids import request_id
from p402.settings import Secret
from serve.clock import SystemClock
from serve.errors import exception_reply, refusal_reply
from serve.http import NO_STORE, HttpReply
from serve.metrics.sheets import Sheets
from serve.metrics.text import CONTENT_TYPE, exposition
from serve.server import admin_config

PATH: Final = "/metrics"
STOP_S: Final = 5.0

Message = MutableMapping[str, Any]
_CLOSE: Final = (b"connection", b"close")
_CLOCK: Final = SystemClock()


class Admin:
    """The ASGI application of the admin port.

    Parameters
    ----------
    key
        Bearer token that is asked for; None asks nobody.
    """

    def __init__(self, sheets: Sheets, key: Secret | None) -> None:
        self._sheets = sheets
        self._expected = None if key is None else f"Bearer {key.reveal()}".encode("ascii")

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],  # noqa: ARG002 - ASGI's; nothing here has a body
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        assert scope["type"] == "http", "there is neither lifespan nor websocket"
        made = request_id(_CLOCK.now_ms(), _CLOCK.random_bits())
        try:
            reply = self._reply(scope["method"], scope["path"], dict(scope["headers"]), made)
        except Exception as error:  # noqa: BLE001 - the last door of this plane
            reply = exception_reply(error, made)
        assert isinstance(reply.body, bytes), "nothing here streams"
        headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    def _reply(self, method: str, path: str, headers: dict[bytes, bytes], made: str) -> HttpReply:
        given = headers.get(b"authorization", b"")
        if self._expected is not None and not compare_digest(given, self._expected):
            refusal = Refusal(
                "invalid_api_key", 401, "the admin port asks for `server.admin_key` as a bearer token"
            )
            return refusal_reply(refusal, made, headers=(_CLOSE, (b"www-authenticate", b"Bearer")))
        if path != PATH:
            refusal = Refusal("NOT_FOUND", 404, f"the admin port has {PATH} only; the API is on another port")
            return refusal_reply(refusal, made, headers=(_CLOSE,))
        if method != "GET":
            refusal = Refusal("METHOD_NOT_ALLOWED", 405, f"{PATH} is read by GET")
            return refusal_reply(refusal, made, headers=(_CLOSE, (b"allow", b"GET")))
        return HttpReply(200, ((b"content-type", CONTENT_TYPE), NO_STORE), exposition(self._sheets.total()))


@contextmanager
def serve_admin(listener: socket.socket, folder: Path, key: Secret | None) -> Iterator[None]:
    """Serve what the workers write to a folder, on a socket that listens, while the block runs."""
    server = Server(admin_config(Admin(Sheets(folder), key)))
    thread = threading.Thread(target=server.run, args=([listener],), name="p402-admin", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(STOP_S)
