"""Load on one HTTP/1.1 endpoint, and how long its answers took.

Two kinds: closed (each connection asks again once answered) for cost per request, and open
(arrivals at a fixed rate whatever the server does, timed from when they were due) for latency.
A sample counts as good only if its status is 200 and its body ends as the caller says it must.
It knows nothing of what it loads.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import urlsplit

import httptools

PATIENCE_S: Final = 10.0
"""How long the last answers may take after the last request."""

MOST_OPEN: Final = 512
"""Connections of an open load; an arrival beyond them is an error."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of request: its bytes by number, and what the end of a good answer holds."""

    request: Callable[[int], bytes]
    ends_with: bytes
    contains: bytes = b""


@dataclass(slots=True)
class Load:
    """What came of a load. Times in ms, of good answers only.

    Attributes
    ----------
    first_ms, total_ms
        From the request (or, open, from when it was due) to the first byte of the body, and to its end.
    problem
        What the first bad answer looked like.
    """

    sent: int = 0
    errors: int = 0
    seconds: float = 0.0
    first_ms: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)
    problem: str = ""

    def quantile(self, of: list[float], share: float) -> float:
        """Value below which that share of the samples lies; NaN where there is none."""
        ordered = sorted(of)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    def fail(self, problem: str) -> None:
        """Count a bad answer."""
        self.errors += 1
        self.problem = self.problem or problem


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, load: Load, shape: Shape, freed: Callable[["_Connection"], None]) -> None:
        self._load, self._shape, self._freed = load, shape, freed
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._since = self._first = 0.0
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def ask(self, number: int, since: float) -> None:
        """Send request `number`, timed from the monotonic instant `since`."""
        assert self._transport is not None
        self._since, self._first, self._body = since, 0.0, []
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(self._shape.request(number))

    def data_received(self, data: bytes) -> None:
        if self._parser is not None:
            self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Take a part of the answer; httptools calls this."""
        self._first = self._first or time.perf_counter()
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Judge a whole answer; httptools calls this."""
        now = time.perf_counter()
        assert self._parser is not None
        status, body = self._parser.get_status_code(), b"".join(self._body)
        good = status == 200 and body.endswith(self._shape.ends_with) and self._shape.contains in body
        if good:
            self._load.first_ms.append((self._first - self._since) * 1e3)
            self._load.total_ms.append((now - self._since) * 1e3)
        else:
            self._load.fail(f"status {status}: {body[-400:]!r}")
        self._parser = None
        self._freed(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._parser is not None:
            self._parser = None
            self._load.fail(f"the connection ended within an answer: {exc}")
            self._freed(self)
        self._transport = None

    @property
    def open(self) -> bool:
        """Whether it can carry a request."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()


async def closed(url: str, shape: Shape, connections: int, seconds: float) -> Load:
    """Keep that many connections busy for so long; requests under way then still count."""
    load, idle = Load(), asyncio.Event()
    host, port = _address(url)
    busy = 0
    until = time.perf_counter() + seconds

    def freed(connection: _Connection) -> None:
        nonlocal busy
        busy -= 1
        if time.perf_counter() < until and connection.open:
            go(connection)
        elif busy == 0:
            idle.set()

    def go(connection: _Connection) -> None:
        nonlocal busy
        busy += 1
        load.sent += 1
        connection.ask(load.sent, time.perf_counter())

    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: _Connection(load, shape, freed), host, port))[1]
        for _ in range(connections)
    ]
    began = time.perf_counter()
    for connection in made:
        go(connection)
    await _patiently(idle, load, lambda: busy, seconds)
    load.seconds = time.perf_counter() - began
    for connection in made:
        connection.close()
    return load


async def at_rate(url: str, shape: Shape, rate: float, seconds: float) -> Load:
    """Send `rate` requests a second for so long, whatever becomes of them."""
    load, idle = Load(), asyncio.Event()
    host, port = _address(url)
    free: deque[_Connection] = deque()
    made: list[_Connection] = []
    busy = 0
    last = False

    def freed(connection: _Connection) -> None:
        nonlocal busy
        busy -= 1
        if connection.open:
            free.append(connection)
        if last and busy == 0:
            idle.set()

    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        load.sent += 1
        if not free:
            if len(made) == MOST_OPEN:
                load.fail(f"{MOST_OPEN} requests under way: the server does not keep up")
                continue
            connection = (await loop.create_connection(lambda: _Connection(load, shape, freed), host, port))[
                1
            ]
            made.append(connection)
            free.append(connection)
        busy += 1
        free.pop().ask(number, max(due, began))
    last = True
    if busy:
        await _patiently(idle, load, lambda: busy, 0.0)
    load.seconds = time.perf_counter() - began
    for connection in made:
        connection.close()
    return load


async def _patiently(idle: asyncio.Event, load: Load, busy: Callable[[], int], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds + PATIENCE_S):
            await idle.wait()
    except TimeoutError:
        for _ in range(busy()):
            load.fail(f"no answer within {PATIENCE_S:g} s")


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"url is {url!r}: expected http://HOST:PORT")
    return parts.hostname, parts.port
