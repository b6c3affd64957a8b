"""One HTTP/1.1 connection to a provider, one exchange after another.

Bytes are parsed by httptools as the event loop reads them and handed to the receiver in the same
turn. It knows nothing of pools, of time or of what is exchanged.

Source: RFC 9112, sections 6.3 (how long a body is), 8 (what is not whole) and 9.3 (keeping connections).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, cast

import httptools

from serve.upstream.transport import Cause, Lost, Receiver

MAX_HEAD_BYTES: Final = 64 << 10
"""More than this without a byte of a body, beside what one read from the socket brought, is no answer:
neither a head, nor chunk extensions, nor trailers are longer."""
_INTERIM: Final = range(100, 200)
_BODILESS: Final = frozenset({204, 304})


class Stale(Exception):
    """The provider had closed the kept connection before it read the request."""


class Connection(asyncio.Protocol):
    """A connection that `loop.create_connection` makes.

    Parameters
    ----------
    lost
        Called when the connection is closed while no exchange is under way.

    Attributes
    ----------
    reusable
        Whether the next exchange may go over it.
    idle_since
        Loop time at which the pool took it back; the pool's to set.
    """

    __slots__ = (
        "_begun", "_ended", "_framed", "_headers", "_in_body", "_lost", "_overhead", "_parser", "_paused",
        "_receiver", "_socket", "_used", "idle_since", "reusable",
    )  # fmt: skip

    def __init__(self, lost: Callable[["Connection"], None]) -> None:
        self.reusable = False
        self.idle_since = 0.0
        self._lost = lost
        self._parser = httptools.HttpResponseParser(self)
        self._socket: asyncio.Transport | None = None
        self._ended: asyncio.Future[None] | None = None
        self._receiver: Receiver | None = None
        self._used = self._begun = self._paused = False
        self._forget()

    def start(self, request: bytes, receiver: Receiver) -> asyncio.Future[None]:
        """Send a request; the future resolves at its answer's end.

        It fails with `Lost`, or with `Stale` where the same request may be sent over another connection.
        """
        assert self._ended is None, "one exchange at a time"
        ended = self._ended = asyncio.get_running_loop().create_future()
        self._receiver = receiver
        self._begun = self.reusable = False
        if self._socket is None or self._socket.is_closing():
            self._fail(ended, broken=False)
        else:
            self._socket.write(request)
        return ended

    def abort(self) -> None:
        """Close at once; an exchange under way is over, and its receiver is told nothing more."""
        self.reusable = False
        self._ended = self._receiver = None
        if self._socket is not None:
            self._socket.abort()

    def pause(self) -> None:
        """Read no more for now."""
        if self._socket is not None and not self._socket.is_closing():
            self._paused = True
            self._socket.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused and self._socket is not None and not self._socket.is_closing():
            self._socket.resume_reading()
        self._paused = False

    # Of asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Parse what came; what nobody asked for ends the connection."""
        ended = self._ended
        if ended is None:
            self._close()
            return
        self._begun = True
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:  # an error of ours in a call below
            self._over(ended, error.__context__ or error)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._over(ended, Lost(Cause.MALFORMED))
        if self._overhead > MAX_HEAD_BYTES and self._ended is not None:
            self._over(ended, Lost(Cause.MALFORMED))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended: an idle one, a body that lasts as long as it, or too early."""
        ended = self._ended
        self.reusable = False
        if ended is None:
            self._lost(self)
        elif self._in_body and not self._framed and exc is None:
            self._finish(keep=False)
        else:
            self._fail(ended, broken=self._begun)

    # Of httptools' parser

    def on_message_begin(self) -> None:
        """An answer begins; one that nobody asked for ends the connection, lest the next call reads it."""
        if self._receiver is None:
            self._close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, joined with those before it of the same name; trailers are passed over."""
        if self._in_body:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        before = self._headers.get(key)
        self._headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status, headers, receiver = self._parser.get_status_code(), self._headers, self._receiver
        if status in _INTERIM or receiver is None:
            return
        self._framed = _is_framed(status, headers)
        self._in_body = True
        receiver.on_head(status, headers, self)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._overhead = 0
        if self._receiver is not None:
            self._receiver.on_data(data)

    def on_message_complete(self) -> None:
        """The answer is whole, or one that only announced it."""
        if self._in_body:
            self._finish(keep=self._parser.should_keep_alive())
        else:
            self._forget()

    def _finish(self, *, keep: bool) -> None:
        ended, receiver = self._ended, self._receiver
        self._ended = self._receiver = None
        self._forget()
        self._used = True
        self.resume()  # its reader may have been away, and the next answer is another's
        self.reusable = keep and self._socket is not None and _is_quiet(self._socket)
        if receiver is not None:
            receiver.on_end()
        if ended is not None and not ended.done():
            ended.set_result(None)

    def _forget(self) -> None:
        """Be ready for a head."""
        self._headers: dict[str, str] = {}
        self._overhead = 0
        self._framed = self._in_body = False

    def _fail(self, ended: asyncio.Future[None], *, broken: bool) -> None:
        self._over(ended, Stale() if self._used and not broken else Lost(Cause.LOST))

    def _over(self, ended: asyncio.Future[None], error: BaseException) -> None:
        self._ended = self._receiver = None
        if not ended.done():
            ended.set_exception(error)
        self._close()

    def _close(self) -> None:
        self.reusable = False
        if self._socket is not None:
            self._socket.abort()


def _is_quiet(socket: asyncio.Transport) -> bool:
    """Whether nothing is left to be sent: an answer may come before its request was read."""
    return not socket.is_closing() and socket.get_write_buffer_size() == 0


def _is_framed(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the answer says where its body ends; else it ends with the connection."""
    return (
        status in _BODILESS
        or "content-length" in headers
        or headers.get("transfer-encoding", "").lower().endswith("chunked")
    )
