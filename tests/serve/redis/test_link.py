"""The link to a real server, through a wire that delays, swallows, cuts and resets."""

import asyncio
import builtins
import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from p402.errors import ConfigError
from serve.redis.address import read_address
from serve.redis.calls import NO_RUN, RUN, Cause, RedisAway, RedisRefused, Script
from serve.redis.connection import Connection
from serve.redis.link import Link
from tests.serve.redis.proxy import proxy
from tests.serve.redis.server import Server, free_port, redis_server

PAIR = Script.of("return {KEYS[1], ARGV[1]}")
COUNT = Script.of("return redis.call('INCR', KEYS[1])")
SECRET = "hunter2secret"


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return request.param


@contextlib.asynccontextmanager
async def link(url: str, **options: Any) -> AsyncIterator[Link]:
    made = Link(read_address(url), **options)
    try:
        yield made
    finally:
        await made.aclose()
        assert made.waiting == 0


async def away(waiting: Awaitable[object]) -> RedisAway:
    with pytest.raises(RedisAway) as caught:
        await waiting
    return caught.value


async def outcomes(*calls: Awaitable[object]) -> list[object]:
    return await asyncio.gather(*calls, return_exceptions=True)


def test_a_thousand_calls_at_once_get_their_own_replies(run: Any, redis: Server) -> None:
    async def one(at: Link, number: int) -> None:
        for turn in range(number % 5):
            await asyncio.sleep(0)
            assert await at.call("ECHO", f"{number}.{turn}") == f"{number}.{turn}".encode()
        assert await at.call("EVALSHA", PAIR.sha, 1, "k", number) == [b"k", b"%d" % number]

    async def scene() -> int:
        async with link(redis.url, scripts=[PAIR], deadline_ms=20_000) as at:
            await asyncio.gather(*(one(at, number) for number in range(1_000)))
            return at.opened

    assert run(scene()) == 1


def test_all_calls_of_a_turn_leave_in_one_write(
    run: Any, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    send = Connection.send
    monkeypatch.setattr(
        Connection, "send", lambda self, calls: (writes.append(len(calls)), send(self, calls))[1]
    )

    async def scene() -> None:
        async with link(redis.url, scripts=[PAIR, COUNT]) as at:
            await asyncio.gather(*(at.call("PING") for _ in range(300)))
            assert writes == [4, 300]  # name, INFO and two scripts, then the calls that had waited for them
            await asyncio.gather(*(at.call("PING") for _ in range(200)))
            assert writes == [4, 300, 200]
            await at.call("PING")
            assert writes == [4, 300, 200, 1]

    run(scene())


def test_asking_goes_right_ahead_of_its_call_or_not_at_all(
    run: Any, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[list[str]] = []
    send = Connection.send

    def words(packed: bytes) -> str:
        return " ".join(word.decode() for word in packed.split(b"\r\n")[2::2][:2])

    monkeypatch.setattr(
        Connection,
        "send",
        lambda self, calls: (sent.append([words(call.packed) for call in calls]), send(self, calls))[1],
    )

    async def scene() -> None:
        sent.clear()
        async with link(redis.url, scripts=[PAIR]) as at:
            await at.open()
            waiting = [at.call("ECHO", number, asking=number % 2 == 1) for number in range(4)]
            left = at.call("ECHO", 4, asking=True)
            left.cancel()
            assert await outcomes(*waiting) == [b"0", b"1", b"2", b"3"]
            assert sent[1:] == [["ECHO 0", "ASKING", "ECHO 1", "ECHO 2", "ASKING", "ECHO 3"]]
            await at.call("SCRIPT", "FLUSH")
            sent.clear()
            script = f"EVALSHA {PAIR.sha.decode()}"
            assert await at.call("EVALSHA", PAIR.sha, 1, "k", 1, asking=True) == [b"k", b"1"]
            assert sent == [["ASKING", script], ["SCRIPT LOAD", "ASKING", script]]
            assert await at.call("ECHO", 5) == b"5"
            assert sent[2:] == [["ECHO 5"]]

    run(scene())


def test_one_timer_keeps_all_deadlines(redis: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> int:
        loop, made = asyncio.get_running_loop(), []
        async with link(redis.url) as at:
            await at.open()
            timer = loop.call_at
            monkeypatch.setattr(loop, "call_at", lambda *given: (made.append(given), timer(*given))[1])
            for _ in range(5):
                await asyncio.gather(*(at.call("PING") for _ in range(100)))
            count = len(made)
            monkeypatch.undo()
            return count

    assert asyncio.run(scene()) <= 2  # a second one where the five took longer than a deadline


def test_an_error_reply_is_its_callers_alone(run: Any, redis: Server) -> None:
    async def scene() -> list[object]:
        async with link(redis.url) as at:
            return await outcomes(
                at.call("ECHO", 1), at.call("NO-SUCH"), at.call("EVALSHA", "f" * 40, 0), at.call("ECHO", 2)
            )

    first, unknown, unscripted, last = run(scene())
    assert (first, last) == (b"1", b"2")
    assert isinstance(unknown, RedisRefused)
    assert isinstance(unscripted, RedisRefused)
    assert (unknown.code, unscripted.code) == ("ERR", "NOSCRIPT")


def test_a_part_that_is_none_is_the_callers_fault_and_nobody_elses(redis: Server) -> None:
    async def scene() -> bytes:
        async with link(redis.url) as at:
            other = at.call("ECHO", 1)
            with pytest.raises(TypeError):
                at.call("SET", "k", None)  # type: ignore[arg-type]
            return await other  # type: ignore[return-value]

    assert asyncio.run(scene()) == b"1"


def test_scripts_that_redis_forgot_are_loaded_again_and_their_calls_sent_again_once(
    run: Any, redis: Server
) -> None:
    async def scene() -> tuple[list[object], list[object], int]:
        async with link(redis.url, scripts=[PAIR, COUNT], deadline_ms=20_000) as at:
            await at.call("DEL", "count")
            replies: list[object] = []
            for _ in range(5):
                flush, *counts = await asyncio.gather(
                    at.call("SCRIPT", "FLUSH"),
                    *(at.call("EVALSHA", COUNT.sha, 1, "count") for _ in range(99)),
                )
                assert flush == b"OK"
                replies += counts
            unknown = await outcomes(at.call("EVALSHA", "f" * 40, 0), at.call("EVALSHA", PAIR.sha, 1, "k", 1))
            return replies, unknown, at.opened

    replies, (unknown, known), opened = run(scene())
    assert sorted(replies) == list(range(1, 496))  # each was done exactly once
    assert isinstance(unknown, RedisRefused)
    assert unknown.code == "NOSCRIPT"
    assert known == [b"k", b"1"]
    assert opened == 1


def test_callers_that_leave_neither_shift_replies_nor_hold_the_others(run: Any, redis: Server) -> None:
    async def scene() -> int:
        async with link(redis.url) as at:
            await at.open()
            for turns in (0, 1, 2, 3):
                tasks = [asyncio.create_task(call(at, number)) for number in range(100)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for task in tasks[::3]:
                    task.cancel()
                replies = await asyncio.gather(*tasks, return_exceptions=True)
                for number, reply in enumerate(replies):
                    if number % 3:
                        assert reply == b"%d" % number
            assert await at.call("ECHO", "x") == b"x"
            return at.opened

    async def call(at: Link, number: int) -> object:
        return await at.call("ECHO", number)

    assert run(scene()) == 1


def test_a_command_whose_caller_left_after_it_was_sent_is_carried_out(redis: Server) -> None:
    async def scene() -> object:
        async with link(redis.url) as at:
            await at.call("DEL", "left")
            sent = at.call("INCR", "left")
            await asyncio.sleep(0.01)
            sent.cancel()
            unsent = at.call("INCR", "left")
            unsent.cancel()
            return await at.call("GET", "left")

    assert asyncio.run(scene()) == b"1"


def test_calls_beyond_the_limit_are_refused_at_once(redis: Server) -> None:
    async def scene() -> None:
        async with link(redis.url, limit=3) as at:
            calls = [at.call("ECHO", number) for number in range(3)]
            with pytest.raises(RedisAway, match="has 3 calls to answer already") as crowded:
                at.call("PING")
            assert (crowded.value.cause, crowded.value.may_be_done) == (Cause.CROWDED, False)
            assert await asyncio.gather(*calls) == [b"0", b"1", b"2"]
            assert await at.call("PING") == b"PONG"

    asyncio.run(scene())


def test_closing_waits_for_what_is_under_way_and_takes_no_more(run: Any, redis: Server) -> None:
    async def scene() -> None:
        async with link(redis.url) as at:
            under_way = at.call("ECHO", 1)
            await at.aclose()
            assert under_way.result() == b"1"
            with pytest.raises(RedisAway) as closed:
                at.call("PING")
            assert closed.value.cause is Cause.CLOSED
            assert (await away(at.open())).cause is Cause.CLOSED

    run(scene())


def test_user_database_name_and_unix_socket_are_as_the_url_says(run: Any, tmp_path: Path) -> None:
    async def scene(server: Server) -> None:
        async with link(server.url.replace("//", f"//:{SECRET}@") + "/3", name="p402-w1") as at:
            await at.call("ACL", "SETUSER", "worker", "on", f">{SECRET}", "~*", "+@all", "-client")
            info = await at.call("CLIENT", "LIST")
            assert b" name=p402-w1 " in info
            assert b" db=3 " in info
        async with link(f"unix://worker:{SECRET}@{server.socket}?db=2", scripts=[PAIR]) as at:
            assert await at.call("ACL", "WHOAMI") == b"worker"  # though it may not name its connection
            assert await at.call("EVALSHA", PAIR.sha, 1, "k", 1) == [b"k", b"1"]

    with redis_server(tmp_path, "--requirepass", SECRET) as server:
        run(scene(server))


def test_a_greeting_that_is_refused_is_told_without_the_password(run: Any, tmp_path: Path) -> None:
    async def told(url: str, **options: Any) -> str:
        async with link(url, **options) as at:
            opened, called = await away(at.open()), await away(at.call("PING"))
            assert opened.cause is called.cause is Cause.DENIED
            assert not called.may_be_done
            assert (str(called), at.opened) == (str(opened), 0)
            return str(opened)

    async def scene(server: Server) -> None:
        good = server.url.replace("//", f"//:{SECRET}@")
        assert "refused AUTH: WRONGPASS" in await told(server.url.replace("//", f"//:{SECRET[::-1]}@"))
        assert "refused AUTH: WRONGPASS" in await told(server.url.replace("//", f"//nobody:{SECRET[::-1]}@"))
        assert "refused CLIENT SETNAME: NOAUTH" in await told(server.url)
        assert "refused SELECT 99: ERR" in await told(f"{good}/99")
        assert "refused SCRIPT LOAD: ERR" in await told(good, scripts=[Script.of("no lua")])

    with redis_server(tmp_path, "--requirepass", SECRET) as server:
        run(scene(server))


@contextlib.asynccontextmanager
async def impostor(reply: bytes, *, closes: bool = False) -> AsyncIterator[str]:
    """Something that answers whatever it is first told with these bytes."""
    open_ones: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.append(writer)
        await reader.read(1 << 16)
        writer.write(reply)
        if not closes:
            await reader.read()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for writer in open_ones:
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest.mark.parametrize(
    ("reply", "closes", "cause"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, Cause.MALFORMED),
        (b"+OK\r\n+OK\r\n+OK\r\n", False, Cause.MALFORMED),
        (b"+O", True, Cause.LOST),
        (b"", True, Cause.LOST),
        (b"-LOADING Redis is loading the dataset in memory\r\n" * 2, False, Cause.DENIED),
    ],
)
def test_what_does_not_greet_as_redis_does_is_not_asked(
    run: Any, reply: bytes, closes: bool, cause: Cause
) -> None:
    async def scene() -> None:
        async with impostor(reply, closes=closes) as url, link(url) as at:
            opened, called = await away(at.open()), await away(at.call("PING"))
            assert opened.cause is called.cause is cause
            assert (called.may_be_done, at.opened) == (False, 0)

    run(scene())


def test_what_had_not_left_when_the_connection_was_lost_fails_with_it_and_is_known_not_to_be_done(
    redis: Server,
) -> None:
    async def scene() -> None:
        async with link(redis.url) as at:
            await at.open()
            connection = at._connection
            assert connection is not None
            left = at.call("ECHO", 1)
            await asyncio.sleep(0)
            unsent = at.call("ECHO", 2)
            connection.connection_lost(None)
            first, second = await outcomes(left, unsent)
            assert isinstance(first, RedisAway)
            assert isinstance(second, RedisAway)
            assert (first.may_be_done, second.may_be_done) == (True, False)
            assert await at.call("ECHO", 3) == b"3"

    asyncio.run(scene())


def test_closing_while_a_connection_is_made_leaves_none(run: Any, redis: Server) -> None:
    async def scene() -> None:
        async with proxy(redis.port) as between:
            at = Link(read_address(between.url))
            opening = asyncio.create_task(at.open())
            await asyncio.sleep(0)
            await at.aclose()
            await opening
            await asyncio.sleep(0.05)
            assert (between.connections, between.open, at._connection) == (1, 0, None)

    run(scene())


def test_a_server_that_repeats_what_it_was_told_does_not_make_us_show_the_password() -> None:
    told = f"-ERR unknown command 'AUTH', with args beginning with: '{SECRET}'\r\n+OK\r\n+OK\r\n".encode()

    async def scene() -> str:
        async with impostor(told) as url, link(url.replace("//", f"//:{SECRET}@")) as at:
            return repr(await away(at.open()))

    said = asyncio.run(scene())
    assert "refused AUTH: ERR;" in said
    assert SECRET not in said


def test_a_command_can_name_the_run_of_the_very_server_that_carries_it_out(run: Any, tmp_path: Path) -> None:
    async def asked(at: Link) -> tuple[Any, Any, Any]:
        info, first, script = await asyncio.gather(
            at.call("INFO", "server"), at.call("ECHO", RUN), at.call("EVALSHA", PAIR.sha, 1, "k", RUN)
        )
        (told,) = (line for line in info.splitlines() if line.startswith(b"run_id:"))
        return told.removeprefix(b"run_id:"), first, script[1]

    async def scene(server: Server) -> None:
        async with link(server.url, scripts=[PAIR]) as at:
            before = await asked(at)
            assert len(set(before)) == 1
            await at.call("SCRIPT", "FLUSH")
            assert await asked(at) == before
            server.kill()
            server.start()
            await outcomes(at.call("PING"))
            after = await asked(at)
            assert len(set(after)) == 1
            assert after != before

    with redis_server(tmp_path) as server:
        run(scene(server))


def test_a_server_that_does_not_tell_its_run_is_used_without(run: Any, redis: Server) -> None:
    async def scene() -> None:
        async with link(redis.url) as at:
            await at.call("ACL", "SETUSER", "worker", "on", f">{SECRET}", "~*", "+@all", "-info")
            try:
                async with link(redis.url.replace("//", f"//worker:{SECRET}@")) as other:
                    assert await other.call("ECHO", RUN) == NO_RUN
            finally:
                await at.call("ACL", "DELUSER", "worker")

    run(scene())


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{port}", "unix:///no/such/socket", "redis://no-such-host.invalid"]
)
def test_where_nobody_listens_every_call_fails_at_once_and_the_next_tries_again(run: Any, url: str) -> None:
    async def scene() -> None:
        async with link(url.format(port=free_port())) as at:
            for _ in range(2):
                begun = time.monotonic()
                for error in await outcomes(*(at.call("PING") for _ in range(50))):
                    assert isinstance(error, RedisAway)
                    assert error.cause in {Cause.REFUSED, Cause.SLOW_CONNECT}
                    assert not error.may_be_done
                assert time.monotonic() - begun < 0.3

    run(scene())


def test_a_frozen_server_fails_every_waiting_call_within_300_ms_and_is_found_back(
    run: Any, tmp_path: Path
) -> None:
    async def timed(at: Link) -> tuple[float, RedisAway]:
        begun = time.monotonic()
        return await away(at.call("INCR", "n")), time.monotonic() - begun  # type: ignore[return-value]

    async def scene(server: Server) -> None:
        async with link(server.url) as at:
            await at.open()
            server.freeze()
            early = [asyncio.create_task(timed(at)) for _ in range(50)]
            await asyncio.sleep(0.1)
            late = [asyncio.create_task(timed(at)) for _ in range(50)]
            for error, took in await asyncio.gather(*early):
                assert (error.cause, error.may_be_done) == (Cause.SLOW, True)
                assert 0.14 < took < 0.3
            for _, took in await asyncio.gather(*late):
                assert took < 0.2  # with the connection, not at a deadline of its own
            error, took = await timed(at)  # its kernel takes the connection; nobody answers the greeting
            assert (error.cause, error.may_be_done) == (Cause.SLOW_CONNECT, False)
            assert took < 0.3
            server.thaw()
            assert await at.call("ECHO", 1) == b"1"
            assert at.opened == 2

    with redis_server(tmp_path) as server:
        try:
            run(scene(server))
        finally:
            server.thaw()


def test_a_killed_server_fails_every_waiting_call_at_once_and_is_found_back(run: Any, tmp_path: Path) -> None:
    async def scene(server: Server) -> None:
        async with link(server.url, scripts=[PAIR]) as at:
            await at.open()
            server.freeze()
            calls = [at.call("INCR", "n") for _ in range(50)]
            await asyncio.sleep(0.02)
            server.kill()
            for error in await outcomes(*calls):
                assert isinstance(error, RedisAway)
                assert (error.cause, error.may_be_done) == (Cause.LOST, True)
            assert (await away(at.call("PING"))).cause is Cause.REFUSED
            server.start()
            assert await at.call("EVALSHA", PAIR.sha, 1, "k", 1) == [
                b"k",
                b"1",
            ]  # the new one has the scripts
            server.kill()  # while nothing is asked
            server.start()
            await asyncio.sleep(0.02)
            assert await at.call("ECHO", 1) == b"1"

    with redis_server(tmp_path) as server:
        run(scene(server))


def test_a_slow_wire_fails_calls_in_time_and_late_replies_reach_nobody(run: Any, redis: Server) -> None:
    async def scene() -> None:
        async with proxy(redis.port) as between, link(between.url) as at:
            assert await at.call("ECHO", "a") == b"a"
            between.delay_s = 0.05
            assert await at.call("ECHO", "b") == b"b"
            between.delay_s = 0.2
            assert (await away(at.call("ECHO", "c"))).cause is Cause.SLOW
            between.delay_s = 0.0
            for number in range(20):
                assert await at.call("ECHO", number) == b"%d" % number
                await asyncio.sleep(0.02)
            assert at.opened == 2

    run(scene())


def test_a_wire_that_swallows_everything_costs_each_call_its_deadline_and_leaves_no_connection(
    run: Any, redis: Server
) -> None:
    async def scene() -> None:
        async with proxy(redis.port) as between, link(between.url) as at:
            await at.open()
            between.swallow = True
            for cause in (Cause.SLOW, Cause.SLOW_CONNECT, Cause.SLOW_CONNECT):
                begun = time.monotonic()
                assert (await away(at.call("PING"))).cause is cause
                assert time.monotonic() - begun < 0.3
            await asyncio.sleep(0.05)
            assert (between.connections, between.open) == (3, 0)
            between.swallow = False
            assert await at.call("PING") == b"PONG"

    run(scene())


def test_a_reset_wire_fails_every_waiting_call_and_the_next_gets_a_fresh_one(run: Any, redis: Server) -> None:
    async def scene() -> None:
        async with proxy(redis.port) as between, link(between.url) as at:
            for _ in range(3):
                await at.open()
                between.reset = True
                for error in await outcomes(*(at.call("PING") for _ in range(50))):
                    assert isinstance(error, RedisAway)
                    assert (error.cause, error.may_be_done) == (Cause.LOST, True)
                between.reset = False
                assert await at.call("ECHO", 1) == b"1"

    run(scene())


@pytest.mark.parametrize("size", [0, 1, 7, 12, 13, 100])
def test_half_a_reply_is_never_taken_for_the_next_calls(run: Any, redis: Server, size: int) -> None:
    async def scene() -> None:
        async with proxy(redis.port) as between, link(between.url, scripts=[PAIR]) as at:
            await at.open()
            between.cut = size
            calls = [at.call("ECHO", f"{number:06}") for number in range(50)]  # 12 bytes a reply, and 1
            for number, reply in enumerate(await outcomes(*calls)):
                if number < size // 12:
                    assert reply == f"{number:06}".encode()
                else:
                    assert isinstance(reply, RedisAway)
                    assert (reply.cause, reply.may_be_done) == (Cause.LOST, True)
            for number in range(20):
                assert await at.call("ECHO", number) == b"%d" % number
            assert at.opened == 2

    if size:
        run(scene())


def test_a_loop_that_stood_still_fails_no_call(run: Any, redis: Server) -> None:
    class Sleeper(asyncio.Protocol):
        """Another connection, whose reader takes its time while ours is answered."""

        def data_received(self, data: bytes) -> None:
            redis.thaw()
            time.sleep(0.2)

    async def scene() -> int:
        near, far = socket.socketpair()
        transport, _ = await asyncio.get_running_loop().create_connection(Sleeper, sock=near)
        try:
            async with link(redis.url) as at:
                await at.open()
                for _ in range(3):
                    redis.freeze()
                    calls = [at.call("ECHO", number) for number in range(10)]
                    await asyncio.sleep(0.02)
                    far.send(b"x")
                    assert await outcomes(*calls) == [b"%d" % number for number in range(10)]
                return at.opened
        finally:
            transport.close()
            far.close()

    try:
        assert run(scene()) == 1
    finally:
        redis.thaw()


def test_over_tls_only_a_trusted_server_is_asked(run: Any, redis: Server, tmp_path: Path) -> None:
    ours, trusts = certificate(tmp_path)

    async def scene() -> None:
        async with proxy(redis.port, tls=ours) as between:
            url = between.url.replace("redis://", "rediss://")
            async with link(url, tls=trusts, scripts=[PAIR], connect_ms=1_000, deadline_ms=1_500) as at:
                assert await at.call("EVALSHA", PAIR.sha, 1, "k", 1) == [b"k", b"1"]
            async with link(url, connect_ms=1_000, deadline_ms=1_500) as at:
                assert (await away(at.call("PING"))).cause is Cause.REFUSED

    run(scene())


def test_without_the_extra_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name == "hiredis":
            raise ModuleNotFoundError(name=name)
        return real(name, *rest)

    async def scene() -> None:
        with pytest.raises(ConfigError, match=r"pip install 'p402\[redis\]'"):
            Link(read_address("redis://h"))

    monkeypatch.setattr(builtins, "__import__", absent)
    asyncio.run(scene())


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for 127.0.0.1, and one of a client that trusts it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "redis")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "redis.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))
