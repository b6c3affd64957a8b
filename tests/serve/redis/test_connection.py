"""One connection's replies, however they are cut, and what is none."""

import asyncio
from collections.abc import Sequence

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.redis.calls import Call, Cause, RedisRefused, Reply
from serve.redis.connection import SHORT, Connection, Malformed


class Wire(asyncio.Transport):
    """The far side of the socket."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def abort(self) -> None:
        self.closed = True


WIRE = (
    b"+OK\r\n:42\r\n$11\r\nhello\r\nyou!\r\n$-1\r\n*3\r\n:1\r\n$0\r\n\r\n*1\r\n+x\r\n-OOM no memory\r\n*0\r\n"
)
REPLIES = [b"OK", 42, b"hello\r\nyou!", None, [1, b"", [b"x"]], "OOM", []]


def hear(
    pieces: Sequence[bytes], calls: int, *, then_lost: bool = False, left: frozenset[int] = frozenset()
) -> tuple[list[object], Cause | None, bool]:
    """What each call is told of replies in these pieces, why the connection ended, and if it is closed."""

    async def scene() -> tuple[list[object], Cause | None, bool]:
        ends: list[Cause] = []
        reader = hiredis.Reader(protocolError=Malformed, replyError=RedisRefused, notEnoughData=SHORT)
        connection, wire = Connection(reader, lambda _, cause: ends.append(cause), lambda _: False), Wire()
        connection.connection_made(wire)
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Reply]] = [loop.create_future() for _ in range(calls)]
        connection.send([Call(b"x", answer, 0.0) for answer in futures])
        for number in left:
            futures[number].cancel()
        for piece in pieces:
            connection.data_received(piece)
        if then_lost:
            connection.connection_lost(None)
        assert len(ends) <= 1
        assert wire.writes == [b"x" * calls]
        return [told(future) for future in futures], ends[0] if ends else None, wire.closed

    return asyncio.run(scene())


def told(future: asyncio.Future[Reply]) -> object:
    if future.cancelled():
        return "left"
    if not future.done():
        return "waits"
    error = future.exception()
    return error.code if isinstance(error, RedisRefused) else future.result()


def cut(data: st.DataObject, wire: bytes) -> list[bytes]:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=12)))
    return [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]


@given(st.data())
def test_any_cut_of_the_replies_is_the_same_replies_in_their_order(data: st.DataObject) -> None:
    assert hear(cut(data, WIRE), len(REPLIES)) == (REPLIES, None, False)


@given(st.data())
def test_a_call_whose_caller_left_keeps_its_place(data: st.DataObject) -> None:
    left = data.draw(st.frozensets(st.integers(0, len(REPLIES) - 1)))
    expected = ["left" if n in left else reply for n, reply in enumerate(REPLIES)]
    assert hear(cut(data, WIRE), len(REPLIES), left=left) == (expected, None, False)


@given(st.integers(0, len(WIRE) - 1))
def test_replies_cut_short_are_some_of_the_first_and_the_connection_is_lost(size: int) -> None:
    replies, cause, closed = hear([WIRE[:size]], len(REPLIES), then_lost=True)
    whole = replies.index("waits")
    assert replies == REPLIES[:whole] + ["waits"] * (len(REPLIES) - whole)
    assert (cause, closed) == (Cause.LOST, True)


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400\r\n", b"\0", b"$x\r\n", b":1x\r\n", b"\r\n", b"*-7\r\n"])
def test_what_is_no_reply_ends_the_connection(junk: bytes) -> None:
    assert hear([b"+OK\r\n" + junk, b"+OK\r\n"], 3) == ([b"OK", "waits", "waits"], Cause.MALFORMED, True)


@pytest.mark.parametrize("more", [b"+OK\r\n", b"+O", b"$5\r\nhel", b"\0"])
def test_more_than_was_asked_ends_the_connection_with_its_first_byte(more: bytes) -> None:
    assert hear([b"+OK\r\n" + more], 1) == ([b"OK"], Cause.MALFORMED, True)
    assert hear([b"+OK\r\n", more], 1) == ([b"OK"], Cause.MALFORMED, True)


def test_an_error_in_an_array_is_a_value_there() -> None:
    ((reply,), _, _) = hear([b"*2\r\n:1\r\n-WRONGTYPE of value\r\n"], 1)
    assert isinstance(reply, list)
    assert isinstance(reply[1], RedisRefused)
