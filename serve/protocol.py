"""HTTP/1.1 on the socket with bounds on the head of a request: its size and the time it may take.

uvicorn bounds neither: a peer could send header bytes without end, or open connections and say
nothing. What the parser rejects (two lengths, a length beside chunks, folded headers) is answered
in the API's own error shape, and the connection is closed. Where it follows a sound request whose answer is
still owed, that answer is given first and is the last. A request that would rather go on in another protocol
is answered in this. What answers a POST may send by plain calls.
It knows nothing of paths or bodies.

Source: RFC 9110, section 7.8 (a server may ignore `Upgrade`); RFC 9112, sections 5.2, 6.3 and 11; reference
study "Reliability and security", section 5.
"""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final, cast

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from p402.errors import Refusal
from p402.ids import request_id
from serve.clock import SystemClock
from serve.errors import error_object
from serve.http import DIRECT, Header

MAX_HEAD_BYTES: Final = 32 << 10
"""More than this, beside what one read from the socket brought, is refused."""

HEAD_S: Final = 10.0
"""From the connection, or the first byte of a later request, to the end of the head."""

_CLOCK: Final = SystemClock()
_OF_UPGRADES: Final = frozenset({b"upgrade", b"http2-settings"})


class HeadWithBody:
    """A transport that sends an answer's head together with what follows it: one packet, not two.

    uvicorn writes them apart, and each write is a call of the operating system that wakes the client. A
    head that nothing follows at once is sent at the loop's next turn.
    """

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send, or keep a head for a moment."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Send what is kept, and close."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)


class DirectCycle:
    """`serve.http.Direct` over one exchange of uvicorn's: the same bytes as its messages give."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def whole(self, status: int, headers: Iterable[Header], body: bytes) -> bool:
        """Send a whole answer, unless something is to be waited for, closed or logged."""
        cycle = self._cycle
        if cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
            return False
        if cycle.waiting_for_100_continue or cycle.access_log or not cycle.keep_alive:
            return False
        lines = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            if name == b"connection":
                return False
            lines += (name, b": ", value, b"\r\n")
        lines += (b"content-length: %d\r\n\r\n" % len(body), body)
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(b"".join(lines))
        cycle.message_event.set()
        cycle.on_response()
        return True

    def piece(self, body: bytes) -> bool:
        """Send one chunk, unless the socket must be waited for."""
        cycle = self._cycle
        if not cycle.chunked_encoding or cycle.response_complete or cycle.flow.write_paused:
            return False
        if body and not cycle.disconnected:
            cycle.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol over httptools, bounded."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._in_head = False
        self._head_bytes = 0
        self._deaf = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        whole = cast("asyncio.Transport", HeadWithBody(transport, self.loop))
        super().connection_made(whole)
        self._patience = self.loop.call_later(HEAD_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; count and time what belongs to a head that is not complete yet."""
        if self._deaf:  # it is read, and dropped: on a paused socket nobody would see the client leave
            return
        self._feed(data)
        if not self._in_head:
            if self._patience is not None:
                self._rest()
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, f"the request's head is too large: expected at most {MAX_HEAD_BYTES} bytes")
        elif self._patience is None:
            self._patience = self.loop.call_later(HEAD_S, self._too_slow)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        if self._would_upgrade():
            return
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()
        if self.scope["method"] == "POST":
            extensions: dict[str, Any] = {DIRECT: DirectCycle(self.cycle)}
            self.scope["extensions"] = extensions

    def on_message_complete(self) -> None:
        """Its body is complete."""
        if not self._would_upgrade():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; `msg` is uvicorn's text, ours says what to do."""
        del msg
        self._refuse(
            400,
            "this is not a well-formed HTTP/1.1 request; send one length or chunks, and no folded headers",
        )

    def _feed(self, data: bytes) -> None:
        """Parse, as uvicorn does but for `Upgrade`, behind which it loses the body."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._would_upgrade():
                self._feed(self._asked_plainly() + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")

    def _would_upgrade(self) -> bool:
        """Whether the request asks for another protocol; a tunnel is none that could be ignored."""
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"

    def _asked_plainly(self) -> bytes:
        """The head again without its wish, for a fresh parser: the old one reads on no more."""
        head = [
            b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        ]
        for name, value in self.headers:
            if name == b"connection":
                kept = [word for word in value.split(b",") if word.strip().lower() not in _OF_UPGRADES]
                head.append(b"connection: " + b",".join(kept))
            elif name not in _OF_UPGRADES:
                head.append(b"%b: %b" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's first
        return b"\r\n".join((*head, b"", b""))

    def _too_slow(self) -> None:
        self._refuse(408, f"the request's head did not arrive within {HEAD_S:.0f} s; send it at once")

    def _refuse(self, status: int, message: str) -> None:
        """Answer and close; answers that are owed to requests before it are given instead."""
        self._rest()
        self._in_head = False
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle  # None before the first
        owed = None if cycle is None or cycle.response_complete else cycle
        if owed is not None and not owed.more_body:
            self._deaf = True
            owed.keep_alive = False
            return
        if owed is None or not (owed.response_started or self.pipeline):
            made = request_id(_CLOCK.now_ms(), _CLOCK.random_bits())
            body = orjson.dumps({"error": error_object(Refusal("INVALID_INPUT", status, message), made)})
            self.transport.write(
                b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%b"
                % (status, HTTPStatus(status).phrase.encode(), len(body), body)
            )
        self.transport.close()

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
