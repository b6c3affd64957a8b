"""What a handler takes and gives: a request and a reply of bytes, and no framework's types.

Quart's routes and the ASGI seam both translate to and from these, so one handler serves both.
It knows nothing of what any path means.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol, Self

import msgspec

Header = tuple[bytes, bytes]

JSON: Final[Header] = (b"content-type", b"application/json")
EVENTS: Final[Header] = (b"content-type", b"text/event-stream; charset=utf-8")
NO_STORE: Final[Header] = (b"cache-control", b"no-store")
"""Answers are private: no cache between us and the client may keep one."""

BODY_IDLE_S: Final = 30.0
"""A client that sends no byte of its body for this long is told so and let go."""


class ByteStream(Protocol):
    """A body that comes in pieces. `aclose` must be called on every way out; it is idempotent."""

    def __aiter__(self) -> Self:
        """Itself."""
        ...

    async def __anext__(self) -> bytes:
        """Next piece, to be sent at once."""
        ...

    async def aclose(self) -> None:
        """Let go of whatever makes the pieces."""
        ...


DIRECT: Final = "p402.direct"
"""Name of the ASGI extension by which a server offers `Direct` for a request."""


class Direct(Protocol):
    """A server that takes an answer by plain calls.

    Header names are in lower case and values printable: nothing is checked here. A call that gives False
    has done nothing, and the same is to be sent by ASGI's messages.
    """

    def whole(self, status: int, headers: Iterable[Header], body: bytes) -> bool:
        """Send a whole answer; `content-length` is added."""
        ...

    def piece(self, body: bytes) -> bool:
        """Send a part of a body whose head was sent."""
        ...


class HttpRequest(msgspec.Struct, frozen=True):
    """One request, its body read.

    Attributes
    ----------
    path
        As in the request line, percent-decoded, without the query.
    headers
        By lower-case name; of a name that comes twice, the last value.
    query
        As in the request line, without its question mark.
    """

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    body: bytes
    query: bytes = b""


class HttpReply(msgspec.Struct, frozen=True):
    """One answer. `content-length` is not among the headers: whoever sends it adds it."""

    status: int
    headers: tuple[Header, ...]
    body: bytes | ByteStream


def json_reply(status: int, body: bytes, headers: Iterable[Header] = ()) -> HttpReply:
    """Answer with JSON bytes."""
    return HttpReply(status, (JSON, NO_STORE, *headers), body)


def header_value(text: str) -> bytes:
    """Text as a header may carry it: what is not printable ASCII becomes a question mark."""
    if text.isascii() and text.isprintable():
        return text.encode("ascii")
    return "".join(c if " " <= c <= "~" else "?" for c in text).encode("ascii")
