"""The head of a request: what is malformed, endless or slow is told so and let go."""

import asyncio
import logging
import socket
import time
from contextlib import closing

import orjson
import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from serve.protocol import MAX_HEAD_BYTES, DirectCycle
from tests.serve.gateway import Gateway, exchange

PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def port():
    with Gateway(keyless=True).served() as port:
        yield port


def said(port: int, *pieces: bytes, pause: float = 0.0) -> tuple[int, dict, float]:
    """Status and error of what is answered to raw bytes, and after how long the gateway closed."""
    begun = time.monotonic()
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
                time.sleep(pause)
        except ConnectionError:
            pass  # it has heard enough
        raw = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    return int(head.split()[1]), orjson.loads(body)["error"], time.monotonic() - begun


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/route HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -2\r\n\r\n{}",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: 1\r\n folded\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost : x\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_is_not_sound_http_is_400_and_the_connection_closed(port, head):
    status, error, _ = said(port, head)
    assert (status, error["code"], error["type"]) == (400, "INVALID_INPUT", "invalid_request_error")
    assert error["request_id"].startswith("req_")
    assert exchange(port, "GET", "/healthz").status == 200


def raw_of(port: int, sent: bytes) -> bytes:
    """Everything that is answered to raw bytes until the gateway closes."""
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        client.sendall(sent)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize("requests", [1, 3])
def test_what_follows_a_request_and_is_no_http_ends_the_connection_and_not_the_answer(port, requests):
    body = b'{"messages":[{"role":"user","content":"Hi"}]}'
    request = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (
        PATH.encode(),
        len(body),
        body,
    )
    raw = raw_of(port, request * requests + b'ore"}]}\r\n\r\n')
    assert raw.count(b"HTTP/1.1 200") == raw.count(b"HTTP/1.1") == requests
    last = raw[raw.rindex(b"HTTP/1.1 200") :]
    assert b"connection: close\r\n" in last
    assert last.endswith(b"}")


UPGRADES = {
    "as Java's client asks first": (
        b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
    ),
    "to a websocket": b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n",
}


@pytest.mark.parametrize("pause", [0.0, 0.1])
@pytest.mark.parametrize("how", UPGRADES)
def test_a_request_that_would_rather_speak_another_protocol_is_answered_in_this(port, how, pause):
    body = b'{"messages":[{"role":"user","content":"Hi"}]}'
    head = b"POST %b HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n" % (
        PATH.encode(),
        UPGRADES[how],
        len(body),
    )
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        for last in (b"", b"connection: close\r\n"):
            client.sendall(head.replace(b"host: x\r\n", b"host: x\r\n" + last) + body[:9])
            time.sleep(pause)
            client.sendall(body[9:])
            if not last:
                assert client.recv(1 << 20).startswith(b"HTTP/1.1 200")
        raw = b"".join(iter(lambda: client.recv(65536), b""))
    assert raw.startswith(b"HTTP/1.1 200")
    assert b"connection: close\r\n" in raw


def test_a_tunnel_is_refused(port):
    status, _, _ = said(port, b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n")
    assert status in (400, 405)


def test_a_body_that_is_not_chunked_as_it_says_is_400(port):
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % PATH.encode()
    status, error, took = said(port, head + b'5\r\n{"mes\r\nnot a size\r\n')
    assert (status, error["code"]) == (400, "INVALID_INPUT")
    assert took < 5


def test_a_head_without_end_is_431(port):
    flood = [b"GET /healthz HTTP/1.1\r\nx-a: "] + [b"a" * 8192] * 64
    status, error, _ = said(port, *flood, pause=0.002)
    assert status == 431
    assert str(MAX_HEAD_BYTES) in error["message"]


def test_many_headers_that_fit_are_read(port):
    headers = {f"x-{i}": "v" * 100 for i in range(200)}
    assert exchange(port, "GET", "/healthz", headers=headers).status == 200


@pytest.mark.parametrize("pieces", [(), (b"GET /healthz HT",)])
def test_a_head_that_does_not_come_is_408(monkeypatch, pieces):
    monkeypatch.setattr("serve.protocol.HEAD_S", 0.2)
    with Gateway(keyless=True).served() as port:
        status, _, took = said(port, *pieces)
        assert status == 408
        assert 0.15 < took < 5
        assert exchange(port, "GET", "/healthz").status == 200


def test_a_second_head_on_a_kept_connection_is_timed_too(monkeypatch):
    monkeypatch.setattr("serve.protocol.HEAD_S", 0.3)
    with (
        Gateway(keyless=True).served() as port,
        closing(socket.create_connection(("127.0.0.1", port), 20)) as client,
    ):
        client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        time.sleep(0.5)  # idle between requests is not a slow head
        client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /hea")
        rest = b"".join(iter(lambda: client.recv(65536), b""))
    assert rest.count(b"HTTP/1.1 200") == 1
    assert rest.count(b"HTTP/1.1 408") == 1


def test_pipelined_requests_are_answered_in_order(port):
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        client.sendall(
            b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
            b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n"
            b"GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        raw = b"".join(iter(lambda: client.recv(65536), b""))
    assert [raw.index(mark) for mark in (b'"ok"', b'"ready"', b"NOT_FOUND")] == sorted(
        raw.index(mark) for mark in (b'"ok"', b'"ready"', b"NOT_FOUND")
    )


def test_an_answer_leaves_with_its_head_in_one_packet(port):
    body = b'{"messages":[{"role":"user","content":"Hi"}]}'
    request = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (PATH.encode(), len(body))
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        for _ in range(3):
            client.sendall(request + body)
            head, _, rest = client.recv(1 << 20).partition(b"\r\n\r\n")
            assert b"content-length: %d" % len(rest) in head
            assert rest.endswith(b"}")


def test_a_head_that_no_body_follows_is_sent_too(port):
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        for _ in range(2):  # the connection lives on
            client.sendall(b"HEAD /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(b"\r\n\r\n")
        client.sendall(b"HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        assert client.recv(65536) == b""


def test_a_client_that_waits_to_be_told_to_continue_is_told(port):
    body = b'{"messages":[{"role":"user","content":"Hi"}]}'
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        client.sendall(
            b"POST %b HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
            % (PATH.encode(), len(body))
        )
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_pipelined_completions_are_answered_in_order_and_each_in_one_packet(port):
    requests = []
    for text in ("one", "two", "three"):
        body = b'{"messages":[{"role":"user","content":"Hi"}],"p402":{"session_id":"%b"}}' % text.encode()
        requests.append(
            b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (PATH.encode(), len(body), body)
        )
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        client.sendall(b"".join(requests) + b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        raw = b"".join(iter(lambda: client.recv(65536), b""))
    assert raw.count(b"HTTP/1.1 200 OK") == 4
    marks = [raw.index(b'"session_id":"%b"' % name) for name in (b"one", b"two", b"three")]
    assert marks == sorted(marks)
    assert raw.index(b'{"status":"ok"}') > marks[-1]


@pytest.mark.parametrize(
    ("version", "header"), [(b"HTTP/1.0", b""), (b"HTTP/1.1", b"connection: close\r\n")], ids=["1.0", "close"]
)
@pytest.mark.parametrize("stream", [b"false", b"true"])
def test_an_answer_after_which_the_connection_ends_says_so(port, version, header, stream):
    body = b'{"messages":[{"role":"user","content":"Hi"}],"stream":%b}' % stream
    with closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        client.sendall(
            b"POST %b %b\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n%b"
            % (PATH.encode(), version, header, len(body), body)
        )
        raw = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, rest = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in head.split(b"\r\n")
    assert b'"p402_metadata":' in rest


def test_a_head_is_the_same_whether_it_was_sent_by_calls_or_by_messages(port):
    heads = []
    for header in (b"", b"expect: 100-continue\r\n"):
        body = b'{"messages":[{"role":"user","content":"Hi"}]}'
        with closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
            client.sendall(
                b"POST %b HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n"
                % (PATH.encode(), header, len(body))
            )
            if header:
                assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(body)
            raw = client.recv(65536)
        heads.append([line.partition(b":")[0] for line in raw.partition(b"\r\n\r\n")[0].split(b"\r\n")])
    assert heads[0] == heads[1]


class Socket(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.written += b"<closed>"


def cycle(**over) -> tuple[RequestResponseCycle, list]:
    ends: list[bool] = []
    made = RequestResponseCycle(
        scope={"type": "http", "method": "POST"},
        transport=Socket(),
        flow=FlowControl(Socket()),
        logger=logging.getLogger("none"),
        access_logger=logging.getLogger("none"),
        access_log=False,
        default_headers=[(b"date", b"today")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=lambda: ends.append(True),
    )
    for name, value in over.items():
        setattr(made, name, value)
    return made, ends


HEADERS = ((b"content-type", b"application/json"), (b"x-p402-model", b"m"))


def by_messages(pieces: list[bytes], headers, status: int, *, whole: bool) -> bytes:
    """What uvicorn sends for the same answer."""
    made, _ = cycle()

    async def run() -> None:
        length = [(b"content-length", b"%d" % len(pieces[0]))] if whole else []
        await made.send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
        for piece in pieces:
            await made.send({"type": "http.response.body", "body": piece, "more_body": not whole})

    asyncio.run(run())
    return made.transport.written


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 70_000])
def test_a_whole_answer_by_a_call_is_what_uvicorn_sends(body):
    made, ends = cycle()
    assert DirectCycle(made).whole(404, HEADERS, body)
    assert made.transport.written == by_messages([body], HEADERS, 404, whole=True)
    assert (made.response_complete, made.message_event.is_set(), ends) == (True, True, [True])


@pytest.mark.parametrize("pieces", [[b"a"], [b"data: {}\n\n" * 100, b"", b"x" * 70_000]])
def test_a_piece_by_a_call_is_what_uvicorn_sends(pieces):
    made, ends = cycle()
    start = {"type": "http.response.start", "status": 200, "headers": [*HEADERS]}
    asyncio.run(made.send(start))
    assert all(DirectCycle(made).piece(piece) for piece in pieces)
    assert made.transport.written == by_messages(pieces, HEADERS, 200, whole=False)
    assert ends == []


@pytest.mark.parametrize(
    "over",
    [
        {"response_started": True},
        {"disconnected": True},
        {"keep_alive": False},
        {"waiting_for_100_continue": True},
        {"access_log": True},
    ],
    ids=lambda over: next(iter(over)),
)
def test_what_is_not_a_plain_answer_is_left_to_messages(over):
    made, ends = cycle(**over)
    assert not DirectCycle(made).whole(200, HEADERS, b"{}")
    assert (made.transport.written, ends, made.response_complete) == (b"", [], False)


def test_a_socket_that_is_full_and_an_answer_that_closes_are_left_to_messages():
    made, ends = cycle()
    assert not DirectCycle(made).whole(200, (*HEADERS, (b"connection", b"close")), b"{}")
    made.flow.pause_writing()
    assert not DirectCycle(made).whole(200, HEADERS, b"{}")
    made.chunked_encoding = True
    assert not DirectCycle(made).piece(b"a")
    assert (made.transport.written, ends, made.response_started) == (b"", [], False)


def test_a_piece_is_not_sent_before_the_head_nor_after_the_end():
    made, _ = cycle()
    assert not DirectCycle(made).piece(b"a")
    made, _ = cycle(chunked_encoding=True, response_complete=True)
    assert not DirectCycle(made).piece(b"a")
    assert made.transport.written == b""
