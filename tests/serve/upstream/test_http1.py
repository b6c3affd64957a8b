"""HTTP/1.1 as the standard says, however the peer cuts, ends or breaks it; connections kept and let go."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from serve.upstream import pool
from serve.upstream.http1 import MAX_HEAD_BYTES, Connection, Stale
from serve.upstream.pool import Http1
from serve.upstream.transport import Cause, Flow, Head, Lost

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


@dataclass
class Heard:
    """A receiver that remembers."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    sent: int = 0

    def on_sent(self) -> None:
        self.sent += 1

    def on_head(self, status: int, headers: Mapping[str, str], flow: object) -> None:
        self.status, self.headers = status, headers

    def on_data(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        self.ended = True


class Wire(asyncio.Transport):
    """The far side of the socket."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False
        self.paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.closed = True


def hear(pieces: list[bytes], *, then: str = "open") -> tuple[Heard, BaseException | None, bool]:
    """What a receiver is told of an answer that comes in these pieces, and whether the connection is kept."""

    async def scene() -> tuple[Heard, BaseException | None, bool]:
        heard, connection = Heard(), Connection(lambda _: None)
        connection.connection_made(Wire())
        ended = connection.start(b"POST / HTTP/1.1\r\n\r\n", heard)
        for piece in pieces:
            connection.data_received(piece)
        if then != "open":
            connection.connection_lost(None if then == "closed" else ConnectionResetError())
        error = ended.exception() if ended.done() else asyncio.InvalidStateError("under way")
        return heard, error, connection.reusable

    return asyncio.run(scene())


HEAD = b"HTTP/1.1 200 OK\r\nx-a: 1\r\nX-A: 2\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\nx-a: 1\r\nX-A: 2\r\ncontent-length: 11\r\n\r\nhello world",
    "chunks": b"HTTP/1.1 200 OK\r\nx-a: 1\r\nX-A: 2\r\n"
    + CHUNKED
    + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\nx-a: 1\r\nX-A: 2\r\n"
    + CHUNKED
    + b"b\r\nhello world\r\n0\r\nx-t: 1\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    + HEAD
    + b"content-length: 11\r\n\r\nhello world",
    "to the end": HEAD + b"\r\nhello world",
}


@pytest.mark.parametrize("kind", WHOLE)
@given(data=st.data())
def test_any_cut_of_an_answer_is_the_same_answer(kind: str, data: st.DataObject) -> None:
    wire = WHOLE[kind]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=12)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    heard, error, kept = hear(pieces, then="closed" if kind == "to the end" else "open")
    assert (heard.status, heard.body, heard.ended, error) == (200, b"hello world", True, None)
    assert heard.headers["x-a"] == "1, 2"
    assert kept == (kind != "to the end")


@pytest.mark.parametrize("kind", ["length", "chunks", "trailers", "interim"])
@given(share=st.floats(0, 1, exclude_max=True), clean=st.booleans())
def test_an_answer_cut_short_is_lost_and_never_ended(kind: str, share: float, clean: bool) -> None:
    wire = WHOLE[kind]
    heard, error, kept = hear([wire[: int(share * len(wire))]], then="closed" if clean else "reset")
    assert isinstance(error, Lost)
    assert (error.cause, heard.ended, kept) == (Cause.LOST, False, False)


def test_a_body_that_lasts_as_long_as_its_connection_is_lost_with_a_reset() -> None:
    heard, error, _ = hear([WHOLE["to the end"]], then="reset")
    assert isinstance(error, Lost)
    assert not heard.ended


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + CHUNKED + b"2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"zz\r\nhi\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * (MAX_HEAD_BYTES + 1),
        b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * (MAX_HEAD_BYTES // 2) + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nbytes",
    ],
)
def test_what_is_not_an_http_answer_is_malformed(wire: bytes) -> None:
    heard, error, kept = hear([wire[i : i + 4096] for i in range(0, len(wire), 4096)])
    assert isinstance(error, Lost)
    assert (error.cause, heard.ended, kept) == (Cause.MALFORMED, False, False)


def test_an_error_of_the_receiver_is_raised_as_it_is() -> None:
    class Broken(Heard):
        def on_data(self, data: bytes) -> None:
            raise KeyError(data)

    async def scene() -> BaseException | None:
        connection = Connection(lambda _: None)
        connection.connection_made(Wire())
        ended = connection.start(b"POST / HTTP/1.1\r\n\r\n", Broken())
        connection.data_received(OK)
        return ended.exception()

    assert isinstance(asyncio.run(scene()), KeyError)


def test_a_connection_that_is_told_to_close_is_not_kept() -> None:
    _, error, kept = hear([OK.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n")])
    assert error is None
    assert not kept
    assert not hear([OK.replace(b"HTTP/1.1", b"HTTP/1.0")])[2]


@pytest.mark.parametrize(
    "piece",
    [b"x-t: a\r\n" * 500, b"x" * 4_000, b"0;x=" + b"y" * 4_000],
    ids=["equal trailers", "one endless trailer", "an endless extension"],
)
def test_what_is_no_body_is_bounded_after_the_head_too(piece: bytes) -> None:
    begin = HEAD + CHUNKED + b"5\r\nhello\r\n" + (b"" if piece.startswith(b"0") else b"0\r\n")
    pieces, begun = [begin, *([piece] * 100)], time.monotonic()
    heard, error, kept = hear(pieces)
    assert isinstance(error, Lost)
    assert (error.cause, heard.body, heard.ended, kept) == (Cause.MALFORMED, b"hello", False, False)
    assert time.monotonic() - begun < 2  # it took minutes, with the event loop standing still


def test_trailers_are_passed_over() -> None:
    told = HEAD + CHUNKED + b"2\r\nhi\r\n0\r\n" + b"x-a: 3\r\n" * 3_000 + b"\r\n"
    heard, error, kept = hear([told])
    assert (heard.body, heard.headers["x-a"], error, kept) == (b"hi", "1, 2", None, True)


def test_a_long_body_in_small_chunks_is_no_overhead() -> None:
    heard, error, kept = hear([HEAD + CHUNKED, *([b"1\r\nx\r\n"] * 30_000), b"0\r\n\r\n"])
    assert (len(heard.body), error, kept) == (30_000, None, True)


def test_a_connection_paused_at_its_answers_end_reads_the_next() -> None:
    async def scene() -> tuple[bool, bytes]:
        connection, wire = Connection(lambda _: None), Wire()
        connection.connection_made(wire)

        class Paused(Heard):
            def on_head(self, status: int, headers: Mapping[str, str], flow: Flow) -> None:
                flow.pause()

        ended = connection.start(b"POST / HTTP/1.1\r\n\r\n", Paused())
        connection.data_received(OK)
        await ended
        return wire.paused, wire.sent

    assert asyncio.run(scene()) == (False, b"POST / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize("more", [OK, OK[:20], b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhi", b"\0"])
def test_a_connection_that_says_more_than_was_asked_is_not_kept(more: bytes) -> None:
    heard, error, kept = hear([OK + more])
    assert (heard.body, heard.ended, error, kept) == (b"hi", True, None, False)


@contextlib.asynccontextmanager
async def server(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator["Site"]:
    """A peer whose script gets each connection with its number."""
    site = Site("")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        site.connections += 1
        site.open += 1
        site.most = max(site.most, site.open)
        try:
            await script(reader, writer, site.connections)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            site.open -= 1
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    site.url = f"http{'s' if tls else ''}://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1/chat"
    try:
        yield site
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Site:
    url: str
    connections: int = 0
    open: int = 0
    most: int = 0


async def request(reader: asyncio.StreamReader) -> bytes:
    """The body of one request."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    (size,) = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")]
    return await reader.readexactly(size)


def way(url: str, *, limit: int = 8, patience_ms: int = 300, tls: ssl.SSLContext | None = None) -> Http1:
    tls = tls or ssl.create_default_context()
    return Http1(url, tls, limit=limit, patience_ms=patience_ms)


async def post(client: Http1, body: bytes = b"{}") -> Heard:
    heard = Heard()
    await client.exchange(Head(client.url, {}), body, "req_1", heard)
    return heard


async def polite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
    while True:
        await request(reader)
        writer.write(OK)


def test_a_request_that_meets_a_kept_but_closed_connection_goes_once_over_a_fresh_one() -> None:
    seen: list[bytes] = []

    async def forgetful(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        seen.append(await request(reader))
        writer.write(OK)
        seen.append(await request(reader))
        if number > 1:
            writer.write(OK)

    async def scene() -> tuple[int, int]:
        async with server(forgetful) as site:
            client = way(site.url, limit=1)
            for body in (b"1", b"2", b"3"):
                assert (await post(client, body)).body == b"hi"
            left = client.connections
            await client.aclose()
            return site.connections, left

    assert uvloop.run(scene()) == (2, 0)
    assert seen == [b"1", b"2", b"2", b"3"]


def test_a_request_is_not_sent_again_once_a_byte_of_its_answer_has_come() -> None:
    seen: list[bytes] = []

    async def torn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        seen.append(await request(reader))
        writer.write(OK)
        seen.append(await request(reader))
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def scene() -> None:
        async with server(torn) as site:
            client = way(site.url)
            await post(client, b"1")
            with pytest.raises(Lost) as lost:
                await post(client, b"2")
            assert (lost.value.cause, client.connections) == (Cause.LOST, 0)
            await client.aclose()

    uvloop.run(scene())
    assert seen == [b"1", b"2"]


def test_a_fresh_connection_that_closes_at_once_is_lost_and_not_tried_for_ever() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await request(reader)

    async def scene() -> int:
        async with server(rude) as site:
            client = way(site.url)
            with pytest.raises(Lost):
                await post(client)
            await client.aclose()
            return site.connections

    assert uvloop.run(scene()) == 1


def test_what_nobody_asked_for_closes_an_idle_connection() -> None:
    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await request(reader)
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        await reader.read()

    async def scene() -> int:
        async with server(chatty) as site:
            client = way(site.url)
            assert (await post(client)).status == 200
            await asyncio.sleep(0.1)
            assert (await post(client)).status == 200
            await client.aclose()
            return site.connections

    assert uvloop.run(scene()) == 2


def test_a_connection_whose_request_is_still_being_sent_is_not_kept() -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(OK.replace(b"200 OK", b"413 Too Large"))
        await writer.drain()
        if number > 1:
            return
        await asyncio.sleep(0.3)
        while await reader.read(1 << 16):
            pass

    async def scene() -> list[int]:
        async with server(early) as site:
            client = way(site.url)
            statuses = [(await post(client, b"x" * (32 << 20))).status, (await post(client)).status]
            assert site.connections == 2
            await client.aclose()
            return statuses

    assert uvloop.run(scene()) == [413, 413]


def test_idle_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "KEEPALIVE_S", 0.05)

    async def scene() -> None:
        async with server(polite) as site:
            client = way(site.url)
            await asyncio.gather(*(post(client) for _ in range(3)))
            assert (site.open, client.connections) == (3, 0)
            for _ in range(6):  # one that is used is kept
                await asyncio.sleep(0.02)
                await post(client)
            assert site.open == 1
            await asyncio.sleep(0.15)
            assert site.open == 0
            await client.aclose()

    uvloop.run(scene())


def test_calls_beyond_the_limit_wait_in_their_order_and_cancelled_ones_leave_no_hole() -> None:
    order: list[bytes] = []

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            order.append(await request(reader))
            await asyncio.sleep(0.002)
            writer.write(OK if number % 3 else OK.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n"))
            if number % 3 == 0:
                return

    async def scene() -> None:
        rng = random.Random(402)
        async with server(slow) as site:
            client = way(site.url, limit=3, patience_ms=5_000)
            calls = [asyncio.ensure_future(post(client, b"%d" % n)) for n in range(120)]
            await asyncio.sleep(0)
            gone = set(rng.sample(range(120), 40))
            for n in sorted(gone):
                await asyncio.sleep(rng.random() * 0.002)
                calls[n].cancel()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            for n, answer in enumerate(answers):
                assert isinstance(answer, Heard) or n in gone
            assert site.most <= 3 + len(gone)  # a cancelled call's connection closes a moment after it
            assert client.connections == 0
            await client.aclose()

    uvloop.run(scene())
    numbers = [int(body) for body in order]
    assert len(numbers) == len(set(numbers))
    assert all(a - b < 12 for a, b in pairwise(numbers))  # three at once overtake a little


def test_no_more_connections_than_the_limit_are_open() -> None:
    async def scene() -> tuple[int, int]:
        async with server(polite) as site:
            client = way(site.url, limit=4, patience_ms=5_000)
            await asyncio.gather(*(post(client) for _ in range(200)))
            await client.aclose()
            return site.most, client.connections

    assert uvloop.run(scene()) == (4, 0)


def test_a_call_that_no_connection_frees_for_is_crowded_out() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await reader.read()

    async def scene() -> tuple[Cause, int]:
        async with server(silent) as site:
            client = way(site.url, limit=1, patience_ms=50)
            first = asyncio.ensure_future(post(client))
            await asyncio.sleep(0.01)
            with pytest.raises(Lost) as lost:
                await post(client)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await client.aclose()
            return lost.value.cause, client.connections

    assert uvloop.run(scene()) == (Cause.CROWDED, 0)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provider")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "provider.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_tls_is_spoken_to_whom_the_certificate_names_and_to_nobody_else(certificate: Path) -> None:
    far = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    far.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def scene() -> None:
        async with server(polite, far) as site:
            client = way(site.url, tls=trusting)
            for _ in range(2):
                assert (await post(client)).body == b"hi"
            assert site.connections == 1
            await client.aclose()
            for url, tls in (
                (site.url, ssl.create_default_context()),
                (site.url.replace("127.0.0.1", "localhost"), trusting),
            ):
                stranger = way(url, tls=tls)
                with pytest.raises(Lost) as lost:
                    await post(stranger)
                assert (lost.value.cause, stranger.connections) == (Cause.REFUSED, 0)

    uvloop.run(scene())


def test_a_peer_that_never_finishes_the_handshake_is_a_slow_connect() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await reader.read()

    async def scene() -> tuple[Cause, int]:
        async with server(mute) as site:
            client = way(site.url.replace("http://", "https://"), patience_ms=100)
            with pytest.raises(Lost) as lost:
                await post(client)
            return lost.value.cause, client.connections

    assert uvloop.run(scene()) == (Cause.SLOW_CONNECT, 0)


def test_a_used_connection_that_had_closed_before_it_was_asked_is_stale() -> None:
    async def scene() -> None:
        connection, wire = Connection(lambda _: None), Wire()
        connection.connection_made(wire)
        first = connection.start(b"POST / HTTP/1.1\r\n\r\n", Heard())
        connection.data_received(OK)
        await first
        wire.closed = True
        with pytest.raises(Stale):
            await connection.start(b"POST / HTTP/1.1\r\n\r\n", Heard())

    asyncio.run(scene())
