"""`Idempotency-Key` at the door: the first answer, byte for byte, by either way; nothing is billed twice."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import orjson
import pytest

from p402.events import Decision, Outcome
from p402.ports import Completion, Failure, Usage
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
from tests.serve.test_hot import PATH, body, until

REPLAY = ("x-p402-idempotent-replay", "true")
BROKE = Failure("PROVIDER_ERROR", 502, "acme broke", fail_over=False, counts=True)
BILLED = Failure("PROVIDER_ERROR", 502, "acme broke", fail_over=False, counts=True, usage=Usage(9, 1))

both_ways = pytest.mark.parametrize("seam", [True, False])
streamed_or_not = pytest.mark.parametrize("stream", [True, False])


@pytest.fixture
def gateway(tmp_path):
    return Gateway(clock=RealClock(), answers=tmp_path / "answers.db")


def post(port: int, content: bytes, key: str = "k-1", **headers: str) -> RawReply:
    return exchange(port, "POST", PATH, content, {"idempotency-key": key, **headers})


def error(reply: RawReply) -> dict:
    return orjson.loads(reply.body)["error"]


def told(reply: RawReply) -> tuple:
    """A reply without what belongs to the moment."""
    return reply.status, sorted(h for h in reply.headers if h[0] != "date" and h != REPLAY), reply.body


@both_ways
@streamed_or_not
def test_the_first_answer_is_given_again_byte_for_byte_and_nobody_is_called(gateway, seam, stream):
    with gateway.served(seam=seam) as port:
        first, *again = [post(port, body(stream=stream)) for _ in range(3)]
    assert first.status == 200
    assert REPLAY not in first.headers
    for reply in again:
        assert told(reply) == told(first)
        assert REPLAY in reply.headers
    assert len(gateway.upstream.calls) == len(gateway.log.of(Decision)) == len(gateway.guard.settled) == 1


@streamed_or_not
def test_the_first_answer_is_the_one_that_a_request_without_a_key_gets(tmp_path, stream):
    found = []
    for headers in ({}, {"idempotency-key": "k"}):
        gateway = Gateway(answers=tmp_path / "answers.db")
        with gateway.served() as port:
            found.append(told(exchange(port, "POST", PATH, body(stream=stream), headers)))
    assert found[0] == found[1]


def test_an_answer_that_came_by_one_way_is_given_again_by_the_other(tmp_path):
    found = []
    for seam in (True, False):
        with Gateway(answers=tmp_path / "answers.db").served(seam=seam) as port:
            found.append(post(port, body(stream=True)))
    assert told(found[0]) == told(found[1])
    assert REPLAY in found[1].headers


def test_a_request_without_a_key_opens_no_file(gateway, tmp_path):
    with gateway.served() as port:
        assert exchange(port, "POST", PATH, body()).status == 200
    assert list(tmp_path.iterdir()) == []


@both_ways
def test_another_body_under_the_same_key_is_422(gateway, seam):
    with gateway.served(seam=seam) as port:
        post(port, body())
        reply = post(port, body() + b" ")
        assert (reply.status, error(reply)["code"], error(reply)["param"]) == (
            422,
            "INVALID_INPUT",
            "Idempotency-Key",
        )
        moved = exchange(port, "POST", "/api/v2/chat/completions", body(), {"idempotency-key": "k-1"})
        assert moved.status == 422
    assert len(gateway.upstream.calls) == 1


@both_ways
def test_a_key_belongs_to_its_tenant(gateway, seam):
    with gateway.served(seam=seam) as port:
        mine = post(port, body())
        theirs = post(port, body(), authorization=f"Bearer {OTHER_KEY}")
        nobodys = post(port, body(), authorization="Bearer p402_live_wrong")
    assert REPLAY not in theirs.headers
    assert theirs.body != mine.body
    assert nobodys.status == 401
    assert len(gateway.upstream.calls) == 2


@both_ways
@pytest.mark.parametrize("key", ["x" * 256, "caf\xe9", "a\tb"])
def test_a_key_that_is_not_printable_ascii_of_at_most_255_is_400_and_names_the_header(gateway, seam, key):
    with gateway.served(seam=seam) as port:
        reply = post(port, body(), key)
        assert post(port, body(), "x" * 255).status == 200
    assert (reply.status, error(reply)["code"], error(reply)["param"]) == (
        400,
        "INVALID_INPUT",
        "Idempotency-Key",
    )
    assert "Idempotency-Key" in error(reply)["message"]


class GatedUpstream(PlayedUpstream):
    """Answers when it is told to."""

    gate: threading.Event

    async def complete(self, call):
        self.calls.append(call)
        await asyncio.to_thread(self.gate.wait, 20)
        return self.whole(call)


class GatedStream(PlayedStream):
    """Gives its first chunk at once, and the rest when it is told to."""

    gate: threading.Event

    async def __anext__(self):
        if self._position == 1:
            await asyncio.to_thread(self.gate.wait, 20)
        return await super().__anext__()


def gated() -> tuple[GatedUpstream, threading.Event]:
    upstream, gate = GatedUpstream(), threading.Event()
    upstream.gate = gate

    def play(call):
        stream = GatedStream()
        stream.gate = gate
        return stream

    upstream.stream = play
    return upstream, gate


@both_ways
@streamed_or_not
def test_a_request_in_flight_is_409_and_says_when_to_ask_again(tmp_path, seam, stream):
    upstream, gate = gated()
    gateway = Gateway(clock=RealClock(), upstream=upstream, answers=tmp_path / "answers.db")
    with gateway.served(seam=seam) as port, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, port, body(stream=stream))
        until(lambda: upstream.calls, 5)
        early = post(port, body(stream=stream))
        assert post(port, body(seed=1)).status == 422
        gate.set()
        assert first.result(10).status == 200
        late = post(port, body(stream=stream))
    assert (early.status, error(early)["code"], error(early)["retry_after_ms"]) == (
        409,
        "IDEMPOTENCY_IN_FLIGHT",
        1000,
    )
    assert early.header("retry-after") == "1"
    assert told(late) == told(first.result())
    assert len(upstream.calls) == 1


@both_ways
@streamed_or_not
def test_fifty_at_once_under_one_key_make_one_call(gateway, seam, stream):
    with gateway.served(seam=seam) as port, ThreadPoolExecutor(50) as pool:
        replies = list(pool.map(lambda _: post(port, body(stream=stream)), range(50)))
        last = post(port, body(stream=stream))
    assert {reply.status for reply in replies} <= {200, 409}
    answers = {told(reply)[2] for reply in replies if reply.status == 200}
    assert answers == {last.body}
    assert len(gateway.upstream.calls) == len(gateway.guard.settled) == 1


@both_ways
@streamed_or_not
def test_a_client_that_leaves_is_billed_once_and_its_retry_gets_the_answer(tmp_path, seam, stream):
    upstream, gate = gated()
    gateway = Gateway(clock=RealClock(), upstream=upstream, answers=tmp_path / "answers.db")
    with gateway.served(seam=seam) as port:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"http://127.0.0.1:{port}{PATH}",
                content=body(stream=stream),
                timeout=0.4,
                headers={"authorization": f"Bearer {KEY}", "idempotency-key": "k-1"},
            )
        time.sleep(0.4)  # by now its leaving has been seen
        assert gateway.guard.settled == []
        assert post(port, body(stream=stream)).status == 409
        gate.set()
        until(lambda: gateway.guard.settled, 2)
        until(lambda: post(port, body(stream=stream)).status != 409, 2)
        reply = post(port, body(stream=stream))
    assert (reply.status, REPLAY in reply.headers) == (200, True)
    assert reply.body.startswith(b"".join(CHUNKS)) if stream else reply.body.startswith(ANSWER.rstrip()[:-1])
    (outcome,) = gateway.log.of(Outcome)
    assert outcome.status == "ok"
    assert len(upstream.calls) == 1


@both_ways
def test_a_mistake_frees_its_key_for_the_corrected_request(gateway, seam):
    with gateway.served(seam=seam) as port:
        for wrong, status in ((b"{", 400), (body(p402={"mod": "cost"}), 400), (body(model="lagre"), 404)):
            reply = post(port, wrong)
            assert (reply.status, REPLAY in reply.headers) == (status, False)
        assert post(port, body()).status == 200
    assert len(gateway.upstream.calls) == 1


@both_ways
@streamed_or_not
def test_a_failure_that_cost_nothing_frees_its_key(gateway, seam, stream):
    gateway.upstream.whole = gateway.upstream.stream = lambda call: BROKE
    with gateway.served(seam=seam) as port:
        assert post(port, body(stream=stream)).status == 502
        gateway.upstream.whole, gateway.upstream.stream = PlayedUpstream().whole, PlayedUpstream().stream
        reply = post(port, body(stream=stream))
    assert (reply.status, REPLAY in reply.headers) == (200, False)
    assert [charged for _, charged in gateway.guard.settled].count(0) == 1


@both_ways
def test_a_refusal_for_want_of_money_or_disk_frees_its_key(gateway, seam):
    gateway.log.full = True
    with gateway.served(seam=seam) as port:
        assert post(port, body()).status == 503
        gateway.log.full = False
        assert post(port, body(p402={"max_cost": 0})).status == 402
        assert post(port, body()).status == 200


@both_ways
@streamed_or_not
def test_a_failure_that_was_billed_is_the_last_word_on_its_key(gateway, seam, stream):
    gateway.upstream.whole = gateway.upstream.stream = lambda call: BILLED
    with gateway.served(seam=seam) as port:
        first = post(port, body(stream=stream))
        gateway.upstream.whole, gateway.upstream.stream = PlayedUpstream().whole, PlayedUpstream().stream
        again = post(port, body(stream=stream))
    assert first.status == 502
    assert told(again) == told(first)
    assert REPLAY in again.headers
    assert len(gateway.upstream.calls) == 1


@both_ways
def test_a_fault_of_ours_after_the_call_is_the_last_word_on_its_key(gateway, seam, capsys):
    gateway.upstream.whole = lambda call: Completion(b"[]", USAGE)
    with gateway.served(seam=seam) as port:
        first, again = post(port, body()), post(port, body())
    assert first.status == 500
    assert told(again) == told(first)
    assert len(gateway.upstream.calls) == 1
    capsys.readouterr()


@both_ways
def test_a_stream_that_broke_is_given_again_as_it_broke(gateway, seam):
    gateway.upstream.stream = lambda call: PlayedStream(CHUNKS[:2], BROKE)
    with gateway.served(seam=seam) as port:
        first, again = post(port, body(stream=True)), post(port, body(stream=True))
    assert b'"error"' in first.body.split(b"\n\n")[-2]
    assert told(again) == told(first)
    assert len(gateway.upstream.calls) == 1


@both_ways
def test_a_dry_run_is_given_again(gateway, seam):
    with gateway.served(seam=seam) as port:
        first, again = [post(port, body(p402={"dry_run": True})) for _ in range(2)]
    assert told(again) == told(first)
    assert gateway.upstream.calls == []


@both_ways
def test_a_file_that_cannot_be_used_refuses_what_has_a_key_and_nothing_else(seam, tmp_path, caplog):
    path = tmp_path / "answers.db"
    path.write_bytes(b"no database" * 100)
    gateway = Gateway(answers=path)
    with gateway.served(seam=seam) as port:
        for _ in range(3):
            reply = post(port, body())
            assert (reply.status, error(reply)["code"]) == (503, "INTERNAL_ERROR")
            assert error(reply)["retry_after_ms"] > 0
            assert reply.header("retry-after") is not None
            assert str(path) not in error(reply)["message"]
        assert gateway.upstream.calls == []
        assert exchange(port, "POST", PATH, body()).status == 200
        assert exchange(port, "GET", "/readyz").status == 200
        path.unlink()
        assert post(port, body()).status == 200
    assert caplog.text.count("are refused until that is mended") == 1


def test_a_client_that_stopped_reading_does_not_keep_its_retry_waiting(tmp_path):
    large = chunk({"content": "x" * 60_000})

    def play(call):
        return PlayedStream((large,) * 200 + CHUNKS[-1:])

    gateway = Gateway(upstream=PlayedUpstream(stream=play), answers=tmp_path / "answers.db")
    with (
        gateway.served() as port,
        httpx.Client(timeout=20) as client,
        client.stream(
            "POST",
            f"http://127.0.0.1:{port}{PATH}",
            content=body(stream=True),
            headers={"authorization": f"Bearer {KEY}", "idempotency-key": "k-1"},
        ) as reply,
    ):
        until(lambda: gateway.guard.settled, 5)
        again = post(port, body(stream=True))
        assert again.body.count(large) == 200
        assert reply.read() == again.body


def test_a_stop_breaks_off_what_nobody_waits_for_and_its_key_is_not_sent_again(tmp_path, monkeypatch):
    monkeypatch.setattr("serve.idempotency.once.Once.close.__defaults__", (0.1,))
    upstream = PlayedUpstream(hangs=True)
    gateway = Gateway(clock=RealClock(), upstream=upstream, answers=tmp_path / "answers.db")
    with gateway.served() as port:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"http://127.0.0.1:{port}{PATH}",
                content=body(),
                timeout=0.3,
                headers={"authorization": f"Bearer {KEY}", "idempotency-key": "k-1"},
            )
        time.sleep(0.3)
    assert upstream.cancelled == 1
    assert len(gateway.guard.settled) == 1
    with Gateway(clock=RealClock(), answers=tmp_path / "answers.db").served() as port:
        reply = post(port, body())
    assert (reply.status, error(reply)["code"]) == (409, "IDEMPOTENCY_NO_REPLAY")
    assert error(reply)["retry_after_ms"] is None
    assert reply.header("x-should-retry") == "false"


def test_the_openai_client_sends_a_key_and_gets_the_first_answer_again(gateway):
    with (
        gateway.served() as port,
        openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY, max_retries=0) as client,
    ):

        def ask(content: str = "Hi", **more):
            return client.chat.completions.create(
                model="auto",
                messages=[{"role": "user", "content": content}],
                extra_headers={"Idempotency-Key": "order-7"},
                **more,
            )

        assert ask().to_dict() == ask().to_dict()
        with pytest.raises(openai.UnprocessableEntityError):
            ask("Ho")
        streams = [
            list(
                client.chat.completions.create(
                    model="auto",
                    messages=[{"role": "user", "content": "Hi"}],
                    stream=True,
                    extra_headers={"Idempotency-Key": "order-8"},
                )
            )
            for _ in range(2)
        ]
        assert streams[0] == streams[1]
    assert len(gateway.upstream.calls) == 2
