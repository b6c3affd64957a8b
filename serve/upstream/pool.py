"""One provider's HTTP/1.1 connections: the transport of every call unless configured otherwise.

The most recently used idle connection is taken first; where all are in use, calls wait in their
order. A request that finds its kept connection closed by the provider before a byte of answer goes
once over a fresh one. It knows nothing of dialects or of answers.

Source: RFC 9112, section 9.3.1 (retrying over a connection that closed); measured in the project's
performance study, section 2.
"""

import asyncio
import ssl
from collections import deque
from typing import Final
from urllib.parse import urlsplit

from serve.upstream.address import is_refused
from serve.upstream.http1 import Connection, Stale
from serve.upstream.transport import Cause, Head, Lost, Receiver

KEEPALIVE_S: Final = 15.0
"""Idle connections are closed by us after this, before most servers close them on us."""

Leave = Connection | None
"""A connection to use, or None: leave to open one."""


class Http1:
    """Connections to one host.

    Parameters
    ----------
    url
        Any URL of the host that every request goes to.
    tls
        May be None where the URL is http.
    limit
        Connections at most.
    patience_ms
        For a free connection, and again for a new one to be made.

    Attributes
    ----------
    url
        As given.
    """

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext | None,
        *,
        limit: int,
        patience_ms: int,
    ) -> None:
        self.url = url
        parts = urlsplit(url)
        assert parts.hostname is not None, "checked by configuration"
        self._host = parts.hostname
        self._tls = tls if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._limit = limit
        self._patience_s = patience_ms / 1_000
        self._open = 0
        self._idle: list[Connection] = []
        self._waiters: deque[asyncio.Future[Leave]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """Connections in use by exchanges."""
        return self._open - len(self._idle)

    async def exchange(self, head: Head, body: bytes, request_id: str, receiver: Receiver) -> None:
        """Send one request and return at its answer's end; `serve.upstream.transport` has the contract."""
        request = b"%bx-client-request-id: %b\r\ncontent-length: %d\r\n\r\n%b" % (
            head.wire, request_id.encode("ascii"), len(body), body,
        )  # fmt: skip
        connection = await self._acquire()
        try:
            if connection is not None:
                receiver.on_sent()
                try:
                    return await connection.start(request, receiver)
                except Stale:
                    connection = None
            connection = await self._connect()
            receiver.on_sent()
            await connection.start(request, receiver)
        finally:
            if connection is not None and connection.reusable:
                self._pass_on(connection)
            else:
                if connection is not None:
                    connection.abort()
                self._pass_on(None)

    async def aclose(self) -> None:
        """Close every idle connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._close(list(self._idle))

    async def _acquire(self) -> Leave:
        if self._idle:
            return self._idle.pop()
        if self._open < self._limit:
            self._open += 1
            return None
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Leave] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_later(self._patience_s, _give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())  # it came, but the caller was not woken any more
            raise
        finally:
            timer.cancel()

    async def _connect(self) -> Connection:
        """Open a connection, for which there is leave."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience_s):
                socket, made = await loop.create_connection(
                    lambda: Connection(self._lost), self._host, self._port, ssl=self._tls
                )
        except TimeoutError as error:
            raise Lost(Cause.SLOW_CONNECT) from error
        except (OSError, UnicodeError) as error:  # UnicodeError: what no name server would be asked for
            raise Lost(Cause.REFUSED) from error
        peer = socket.get_extra_info("peername")
        if peer and is_refused(self._host, peer[0]):  # nothing was sent, and no key
            made.abort()
            raise Lost(Cause.FORBIDDEN)
        return made

    def _pass_on(self, leave: Leave) -> None:
        """Give a connection, or the leave to open one, to whoever waits longest, or keep it."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(leave)
                return
        if leave is None:
            self._open -= 1
            return
        loop = asyncio.get_running_loop()
        leave.idle_since = loop.time()
        self._idle.append(leave)
        if self._sweeper is None:
            self._sweeper = loop.call_later(KEEPALIVE_S, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for too long; the list is in the order of falling idle."""
        self._sweeper = None
        loop = asyncio.get_running_loop()
        edge = loop.time() - KEEPALIVE_S
        self._close([c for c in self._idle if c.idle_since <= edge])
        if self._idle:
            self._sweeper = loop.call_at(self._idle[0].idle_since + KEEPALIVE_S, self._sweep)

    def _lost(self, connection: Connection) -> None:
        """Forget an idle connection that has closed."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._open -= 1

    def _close(self, idle: list[Connection]) -> None:
        for connection in idle:
            self._lost(connection)
            connection.abort()


def _give_up(waiter: asyncio.Future[Leave]) -> None:
    if not waiter.done():
        waiter.set_exception(Lost(Cause.CROWDED))
