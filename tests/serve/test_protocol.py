"""The head of a request: what is malformed, endless or slow is told so and let go."""

import socket
import time
from contextlib import closing

import orjson
import pytest

from serve.protocol import MAX_HEAD_BYTES
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
