"""The ASGI seam: the same bytes as Quart's route, and nothing left running when a client leaves."""

import asyncio
import socket
import time
from contextlib import closing

import httpx
import orjson
import pytest

from p402.events import Decision, Outcome
from p402.ports import Completion, Failure
from serve.hot import Seam
from serve.wire import MAX_BODY_BYTES
from tests.serve.gateway import (
    ANSWER,
    CHUNKS,
    KEY,
    OTHER_KEY,
    USAGE,
    Gateway,
    PlayedStream,
    PlayedUpstream,
    RawReply,
    RealClock,
    chunk,
    exchange,
)

HELLO = {"messages": [{"role": "user", "content": "What is 2 + 2?"}]}
BROKE = Failure("PROVIDER_ERROR", 502, "acme broke", fail_over=True, counts=True)
LIMITED = Failure(
    "RATE_LIMIT_EXCEEDED", 429, "acme is busy", fail_over=True, counts=True, retry_after_ms=1500
)
PATH = "/v1/chat/completions"


def body(**fields) -> bytes:
    return orjson.dumps({**HELLO, **fields})


CASES = {
    "whole": (body(), {}),
    "alias base": (body(model="p402/cost"), {}),
    "explained": (body(model="p402/quality", p402={"explain": True}), {}),
    "dry run": (body(p402={"dry_run": True}), {}),
    "stream": (body(stream=True), {}),
    "stream with usage": (body(stream=True, stream_options={"include_usage": True}), {}),
    "named model": (body(model="large"), {}),
    "unknown model": (body(model="lrage"), {}),
    "no eligible arm": (body(p402={"require_capabilities": ["long_context"], "max_cost": 0}), {}),
    "malformed": (b"{", {}),
    "empty": (b"", {}),
    "bad mode": (body(p402={"mode": "cheap"}), {}),
    "unknown field": (body(p402={"mod": "cost"}), {}),
    "no key": (body(), {"authorization": ""}),
    "wrong key": (body(), {"authorization": "Bearer p402_live_x"}),
    "another tenant": (body(), {"authorization": f"Bearer {OTHER_KEY}"}),
    "a host that is not ours": (body(), {"host": "evil.example"}),
}
UPSTREAMS = {
    "answers": PlayedUpstream,
    "fails": lambda: PlayedUpstream(whole=lambda call: BROKE, stream=lambda call: BROKE),
    "is busy": lambda: PlayedUpstream(whole=lambda call: LIMITED, stream=lambda call: LIMITED),
    "breaks streams": lambda: PlayedUpstream(stream=lambda call: PlayedStream(CHUNKS[:2], BROKE)),
    "is no object": lambda: PlayedUpstream(whole=lambda call: Completion(b"[]", USAGE)),
}


def comparable(reply: RawReply) -> tuple:
    """A reply without what the server itself adds."""
    headers = sorted(h for h in reply.headers if h[0] not in {"date", "server"})
    return reply.status, headers, reply.body


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_the_seam_and_quarts_route_give_the_same_bytes(upstream, capsys):
    replies = []
    for seam in (True, False):
        gateway = Gateway(upstream=UPSTREAMS[upstream]())
        with gateway.served(seam=seam) as port:
            found = {}
            for name, (data, headers) in CASES.items():
                path = "/api/v2/chat/completions" if name == "alias base" else PATH
                found[name] = comparable(exchange(port, "POST", path, data, headers))
            replies.append((found, gateway.log.events, gateway.guard.settled))
    assert replies[0] == replies[1]
    assert len({status for status, _, _ in replies[0][0].values()}) >= 5
    capsys.readouterr()


def test_a_body_of_the_wrong_size_gets_the_same_answer_on_both():
    answers = []
    for seam in (True, False):
        with (
            Gateway().served(seam=seam) as port,
            closing(socket.create_connection(("127.0.0.1", port))) as client,
        ):
            head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: {MAX_BODY_BYTES + 1}\r\n\r\n"
            client.sendall(head.encode() + b"{")
            raw = b"".join(iter(lambda: client.recv(65536), b""))
        lines, _, content = raw.partition(b"\r\n\r\n")
        answers.append(
            (sorted(line for line in lines.split(b"\r\n") if not line.startswith(b"date")), content)
        )
    assert answers[0] == answers[1]
    assert any(line.startswith(b"HTTP/1.1 413") for line in answers[0][0])
    assert orjson.loads(answers[0][1])["error"]["code"] == "INVALID_INPUT"


def test_a_chunked_body_is_cut_off_at_the_limit():
    with Gateway().served() as port, closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        client.sendall(f"POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        piece = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
        status = b""
        try:
            for _ in range(40):
                client.sendall(piece)
            status = client.recv(12)
        except ConnectionError:  # the gateway hung up while we were still sending, as it should
            status = b"HTTP/1.1 413"
        assert status == b"HTTP/1.1 413"


def test_a_body_in_many_pieces_is_one_request():
    with Gateway().served() as port, closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        data = body()
        client.sendall(
            f"POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {KEY}\r\n"
            f"content-length: {len(data)}\r\n\r\n".encode()
        )
        for i in range(0, len(data), 7):
            client.sendall(data[i : i + 7])
            time.sleep(0.002)
        raw = b"".join(iter(lambda: client.recv(65536), b""))
    assert raw.startswith(b"HTTP/1.1 200")


def test_p9_every_completion_carries_its_metadata_streamed_or_not():
    with Gateway().served() as port:
        whole = orjson.loads(exchange(port, "POST", PATH, body()).body)
        streamed = exchange(port, "POST", PATH, body(stream=True)).body
    last = orjson.loads(streamed.split(b"\n\n")[-3].removeprefix(b"data: "))
    assert set(whole["p402_metadata"]) == set(last["p402_metadata"])
    for found in (whole["p402_metadata"], last["p402_metadata"]):
        assert found["provider"] == "zeta"
        assert found["cost_usd"] == pytest.approx(0.00001)
        assert found["direct_cost"] == pytest.approx(0.000065)
        assert found["cached"] is False
        assert found["simulated"] is True


def test_a_stream_passes_the_providers_bytes_on_as_they_came():
    with Gateway().served() as port:
        reply = exchange(port, "POST", PATH, body(stream=True))
    assert reply.header("content-type") == "text/event-stream; charset=utf-8"
    assert reply.header("cache-control") == "no-store"
    assert reply.header("x-p402-provider") == "zeta"
    assert reply.body.startswith(b"".join(CHUNKS))
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert reply.body.count(b"data: ") == len(CHUNKS) + 2


def test_a_whole_answer_is_the_providers_bytes_and_the_block():
    with Gateway().served() as port:
        reply = exchange(port, "POST", PATH, body())
    assert reply.body.startswith(ANSWER.rstrip()[:-1])
    assert reply.header("x-p402-cost-usd") == "0.000010000"
    assert reply.header("x-p402-cached") == "false"


def until(true, seconds: float) -> float:
    """Wait until something is true; gives how long that took."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s"
        time.sleep(0.005)
    return time.monotonic() - begun


@pytest.mark.parametrize("seam", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_before_the_answer_aborts_the_call_within_half_a_second(seam, stream):
    gateway = Gateway(clock=RealClock(), upstream=PlayedUpstream(hangs=True))
    with gateway.served(seam=seam) as port:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"http://127.0.0.1:{port}{PATH}",
                content=body(stream=stream),
                timeout=0.3,
                headers={"authorization": f"Bearer {KEY}"},
            )
        until(lambda: gateway.upstream.cancelled == 1 and gateway.guard.settled, 0.5)
        (outcome,) = gateway.log.of(Outcome)
        assert outcome.status == "cancelled"
        assert exchange(port, "GET", "/healthz").status == 200


@pytest.mark.parametrize("seam", [True, False])
def test_a_client_that_leaves_a_stream_aborts_it_within_half_a_second_and_pays_for_what_came(seam):
    gateway = Gateway(
        clock=RealClock(), upstream=PlayedUpstream(stream=lambda call: PlayedStream(CHUNKS[:2], hangs=True))
    )
    with gateway.served(seam=seam) as port:
        with (
            httpx.Client() as client,
            client.stream(
                "POST",
                f"http://127.0.0.1:{port}{PATH}",
                content=body(stream=True),
                headers={"authorization": f"Bearer {KEY}"},
            ) as reply,
        ):
            assert next(reply.iter_raw()).startswith(CHUNKS[0])
        until(lambda: gateway.upstream.streams[0].closed >= 1 and gateway.guard.settled, 0.5)
        (outcome,) = gateway.log.of(Outcome)
        assert (outcome.status, outcome.output_tokens) == ("cancelled", USAGE.output)


def test_a_client_that_does_not_read_holds_its_stream_back_and_loses_nothing_of_it():
    large = chunk({"content": "x" * 60_000})
    streams: list[PlayedStream] = []

    def play(call):
        streams.append(PlayedStream((large,) * 500 + CHUNKS[-1:]))
        return streams[-1]

    with (
        Gateway(upstream=PlayedUpstream(stream=play)).served() as port,
        closing(socket.create_connection(("127.0.0.1", port), 20)) as client,
    ):
        data = body(stream=True)
        client.sendall(
            f"POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {KEY}\r\n"
            f"content-length: {len(data)}\r\n\r\n".encode()
            + data
        )
        until(lambda: streams and streams[0]._position > 0, 5)
        time.sleep(0.3)
        assert streams[0]._position < 300  # what the sockets hold, and no more
        raw = b"".join(iter(lambda: client.recv(1 << 20), b""))
    assert raw.count(large) == 500
    assert raw.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_a_full_disk_refuses_before_anything_is_sent_and_the_process_lives():
    gateway = Gateway()
    gateway.log.full = True
    with gateway.served() as port:
        reply = exchange(port, "POST", PATH, body())
        assert reply.status == 503
        error = orjson.loads(reply.body)["error"]
        assert error["code"] == "INTERNAL_ERROR"
        assert error["request_id"].startswith("req_")
        assert gateway.upstream.calls == []
        gateway.log.full = False
        assert exchange(port, "POST", PATH, body()).status == 200
    assert len(gateway.log.of(Decision)) == 1


def test_an_unforeseen_error_is_a_500_without_a_traceback_and_the_process_lives(capsys):
    def broken(call):
        raise RuntimeError("the inside of the gateway")

    gateway = Gateway(upstream=PlayedUpstream(whole=broken))
    with gateway.served() as port:
        reply = exchange(port, "POST", PATH, body())
        assert reply.status == 500
        assert b"inside" not in reply.body
        gateway.upstream.whole = PlayedUpstream().whole
        assert exchange(port, "POST", PATH, body()).status == 200
    assert "the inside of the gateway" in capsys.readouterr().err


def test_requests_on_one_connection_follow_each_other():
    with Gateway().served() as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for i in range(20):
            reply = client.post(
                PATH, content=body(stream=i % 2 == 1), headers={"authorization": f"Bearer {KEY}"}
            )
            assert reply.status_code == 200


def asgi(front, receive_events, scope_over=None) -> tuple[list, int]:
    """Drive the seam by hand; gives what was sent, and how many tasks it had left behind."""

    async def run():
        events = list(receive_events)
        sent = []

        async def receive():
            if not events:
                await asyncio.Event().wait()
            event = events.pop(0)
            return event() if callable(event) else event

        async def send(message):
            sent.append(message)

        async def never(scope, receive, send):
            raise AssertionError("the hot path went past the seam")

        scope = {"type": "http", "method": "POST", "path": PATH, "headers": [], **(scope_over or {})}
        await Seam(never, front)(scope, receive, send)
        await asyncio.sleep(0)
        return sent, len(asyncio.all_tasks()) - 1

    return asyncio.run(run())


def test_a_client_that_leaves_with_its_body_is_not_answered():
    gateway = Gateway(keyless=True)
    events = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    assert asgi(gateway.front, events) == ([], 0)
    assert gateway.log.events == []


def test_a_body_that_stops_arriving_is_408(monkeypatch):
    monkeypatch.setattr("serve.hot.BODY_IDLE_S", 0.05)
    sent, tasks = asgi(
        Gateway(keyless=True).front, [{"type": "http.request", "body": b"{", "more_body": True}]
    )
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert tasks == 0


def test_a_quick_answer_takes_no_task_and_leaves_none():
    events = [{"type": "http.request", "body": body(), "more_body": False}]
    sent, tasks = asgi(Gateway(keyless=True).front, events)
    assert sent[0]["status"] == 200
    assert tasks == 0


def test_a_server_that_stops_cancels_through_the_seam():
    gateway = Gateway(keyless=True, upstream=PlayedUpstream(hangs=True))

    async def run():
        async def receive():
            return {"type": "http.request", "body": body(), "more_body": False}

        async def send(message):
            raise AssertionError("nothing is to be sent")

        scope = {"type": "http", "method": "POST", "path": PATH, "headers": []}
        task = asyncio.create_task(Seam(send, gateway.front)(scope, receive, send))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert gateway.upstream.cancelled == 1
    assert len(gateway.guard.settled) == 1
