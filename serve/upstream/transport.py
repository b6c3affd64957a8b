"""What an upstream call asks of HTTP, whoever speaks it.

A transport sends one prepared request and tells a receiver of the answer as it comes, by plain calls
on the event loop: no task wakes for a piece. It knows nothing of dialects, retries or money.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Protocol
from urllib.parse import urlsplit


class Head:
    """A request but for its body, its length and its id: made once, sent often.

    Parameters
    ----------
    url
        Where it goes; its host and port are the transport's own.
    headers
        By lower-case name; names and values are checked by configuration.

    Attributes
    ----------
    wire
        The request line and the header lines, as HTTP/1.1 has them.
    """

    __slots__ = ("headers", "url", "wire")

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url = url
        self.headers = headers
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.wire = f"POST {target} HTTP/1.1\r\nhost: {parts.netloc}\r\n{lines}".encode("ascii")


class Cause(Enum):
    """How an exchange came to nothing."""

    CROWDED = auto()
    """No connection became free in time."""
    SLOW_CONNECT = auto()
    """The connection was not made in time."""
    REFUSED = auto()
    """There was no connection to be had: refused, no such host, no trust in its certificate."""
    FORBIDDEN = auto()
    """The host's name led to an address that only an operator may name (`serve.upstream.address`)."""
    LOST = auto()
    """The connection ended before the answer did."""
    MALFORMED = auto()
    """What came is not an HTTP answer."""


class Lost(Exception):
    """There is no answer, or only a part of one."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.name.lower())
        self.cause = cause


class Flow(Protocol):
    """The tap of an answer that is coming in."""

    def pause(self) -> None:
        """Read no more for now; pieces already read may still come."""

    def resume(self) -> None:
        """Read on."""


class Receiver(Protocol):
    """Who is told of an answer. Its calls must not raise, nor take long."""

    def on_sent(self) -> None:
        """There is a connection, and the request goes over it now; again where it goes over another."""

    def on_head(self, status: int, headers: Mapping[str, str], flow: Flow) -> None:
        """The status and the headers, by lower-case name, have come."""

    def on_data(self, data: bytes) -> None:
        """A piece of the body, as it was sent: coded if a header says so."""

    def on_end(self) -> None:
        """The body is complete."""


class Transport(Protocol):
    """One provider's connections."""

    @property
    def connections(self) -> int:
        """Connections in use by exchanges; 0 after all of them are over."""

    async def exchange(self, head: Head, body: bytes, request_id: str, receiver: Receiver) -> None:
        """Send one request and return at its answer's end. Redirects are not followed.

        A cancelled exchange closes its connection before it returns. The receiver is told nothing more
        once it has returned.

        Raises
        ------
        Lost
            The answer did not come, or not whole; what came of it, the receiver was told.
        """

    async def aclose(self) -> None:
        """Close every idle connection."""
