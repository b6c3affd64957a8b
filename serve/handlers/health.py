"""`GET /healthz` and `GET /readyz`: for whoever watches the process, without a key."""

from serve.handlers.front import Front
from serve.http import HttpReply, HttpRequest, json_reply


async def healthz(front: Front, request: HttpRequest) -> HttpReply:  # noqa: ARG001 - a handler's shape
    """The process lives and its loop turns."""
    return json_reply(200, b'{"status":"ok"}')


async def readyz(front: Front, request: HttpRequest) -> HttpReply:  # noqa: ARG001 - a handler's shape
    """Whether to send requests here."""
    if front.ready():
        return json_reply(200, b'{"status":"ready"}')
    return json_reply(503, b'{"status":"not ready"}', ((b"retry-after", b"1"),))
