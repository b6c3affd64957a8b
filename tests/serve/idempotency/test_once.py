"""One exchange under a key: followed or left, whole or broken off, kept or too large to be."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from p402.errors import StoreError
from serve.http import HttpReply
from serve.idempotency.keeper import Keeper
from serve.idempotency.key import key_of
from serve.idempotency.law import GONE, IN_FLIGHT, LEASE_MS, UNKNOWN
from serve.idempotency.once import AWAY, Ended, Once
from serve.idempotency.rows import Limits

NOW = 1_790_000_000_000
KEY = key_of(b"k", "t", "/v1", b"{}")
SMALL = Limits(answer_bytes=1_000)
WHOLE = HttpReply(200, ((b"content-type", b"x"),), b"whole")


class Events:
    """A stream of pieces; `gate` holds it after the first."""

    def __init__(self, count: int, size: int = 100) -> None:
        self.left = count
        self.size = size
        self.gate = asyncio.Event()
        self.read = self.closed = 0

    def __aiter__(self):
        return self

    async def __anext__(self) -> bytes:
        if self.read == 1:
            await self.gate.wait()
        if not self.left or self.closed:
            raise StopAsyncIteration
        self.left -= 1
        self.read += 1
        return b"x" * self.size

    async def aclose(self) -> None:
        self.closed += 1


class Sender:
    """`first` of an exchange: counts how often it was asked to send."""

    def __init__(self, reply: HttpReply, *, spent: bool = True) -> None:
        self.ended = Ended(reply, spent)
        self.gate = asyncio.Event()
        self.gate.set()
        self.sent = 0

    async def __call__(self) -> Ended:
        self.sent += 1
        await self.gate.wait()
        return self.ended


@asynccontextmanager
async def once(path: Path, clock: list[int] | None = None, limits: Limits = SMALL):
    keeper = Keeper(path / "a.db", lambda: (clock or [NOW])[0], limits)
    made = Once(keeper)
    try:
        yield made, keeper
    finally:
        await made.close(0.05)


async def until(true) -> None:
    for _ in range(500):
        if await true() if asyncio.iscoroutinefunction(true) else true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 5 s")


def scene(coroutine) -> None:
    """Run it, and see that no task is left behind."""

    async def run() -> None:
        await coroutine
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def streamed(events: Events) -> HttpReply:
    return HttpReply(200, (), events)


def test_a_stream_that_is_too_large_to_keep_is_given_whole_and_not_made_again(tmp_path):
    async def run():
        async with once(tmp_path) as (made, _):
            events = Events(40)
            events.gate.set()
            sender = Sender(streamed(events))
            reply = await made.answer(KEY, sender)
            await asyncio.sleep(0.05)
            assert 10 < events.read < 20  # no further ahead than what would be kept
            assert len(b"".join([piece async for piece in reply.body])) == 4_000
            assert events.closed
            assert await made.answer(KEY, sender) is GONE
            assert sender.sent == 1

    scene(run())


def test_a_stream_that_nobody_reads_and_nobody_could_be_given_again_is_closed(tmp_path):
    async def run():
        async with once(tmp_path) as (made, _):
            events = Events(1_000)
            sender = Sender(streamed(events))
            reply = await made.answer(KEY, sender)
            await reply.body.aclose()
            events.gate.set()
            await until(lambda: events.closed)
            assert events.read <= 12

            async def gone() -> bool:
                return await made.answer(KEY, sender) is GONE

            await until(gone)

    scene(run())


def test_an_answer_that_the_file_does_not_take_is_given_all_the_same_and_not_made_again(
    tmp_path, monkeypatch
):
    clock = [NOW]

    async def fails(*_):
        raise StoreError("the disk is full")

    async def run():
        async with once(tmp_path, clock) as (made, keeper):
            monkeypatch.setattr(keeper, "keep", fails)
            whole = Sender(WHOLE)
            assert (await made.answer(KEY, whole)).body == b"whole"
            assert await made.answer(KEY, whole) is IN_FLIGHT
            clock[0] += LEASE_MS
            assert await made.answer(KEY, whole) is UNKNOWN
            assert whole.sent == 1

            events = Events(3)
            events.gate.set()
            stream = await made.answer(key_of(b"l", "t", "/v1", b""), Sender(streamed(events)))
            assert [piece async for piece in stream.body] == [b"x" * 100] * 3

    scene(run())


def test_nothing_is_sent_where_the_file_cannot_be_used(tmp_path):
    (tmp_path / "a.db").mkdir()

    async def run():
        async with once(tmp_path) as (made, _):
            sender = Sender(WHOLE)
            assert await made.answer(KEY, sender) is AWAY
            assert sender.sent == 0

    scene(run())


def test_a_lease_is_renewed_for_as_long_as_the_exchange_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("serve.idempotency.once.TEND_S", 0.01)
    clock = [NOW]

    async def run():
        async with once(tmp_path, clock) as (made, _):
            sender = Sender(WHOLE)
            sender.gate.clear()
            asking = asyncio.create_task(made.answer(KEY, sender))
            await until(lambda: sender.sent)
            for _ in range(4):
                clock[0] += LEASE_MS // 2
                await asyncio.sleep(0.1)
                assert await made.answer(KEY, sender) is IN_FLIGHT
            sender.gate.set()
            assert (await asking).body == b"whole"

    scene(run())


def test_a_stop_waits_for_what_nobody_waits_for_and_then_breaks_it_off(tmp_path):
    async def run():
        async with once(tmp_path) as (made, _):
            sender = Sender(WHOLE)
            sender.gate.clear()
            for name in (b"k", b"l"):
                asking = asyncio.create_task(made.answer(key_of(name, "t", "/v1", b"{}"), sender))
                await until(lambda name=name: sender.sent == 1 + (name == b"l"))
                asking.cancel()
                if name == b"k":
                    asyncio.get_running_loop().call_later(0.02, sender.gate.set)
                    await made.close(5)
                    sender.gate.clear()
            await made.close(0.02)
            assert (await made.answer(KEY, sender)).body == b"whole"
            assert await made.answer(key_of(b"l", "t", "/v1", b"{}"), sender) is UNKNOWN
            assert sender.sent == 2

    scene(run())


def test_a_fault_in_what_sends_reaches_the_caller_and_is_not_sent_again(tmp_path):
    class Faulty(Sender):
        async def __call__(self) -> Ended:
            self.sent += 1
            raise RuntimeError("a bug")

    async def run():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with once(tmp_path) as (made, _):
            sender = Faulty(WHOLE)
            with pytest.raises(RuntimeError, match="a bug"):
                await made.answer(KEY, sender)
            assert await made.answer(KEY, sender) is UNKNOWN
            assert sender.sent == 1

    scene(run())


def test_answers_of_an_earlier_process_are_looked_after_without_a_request(tmp_path):
    clock = [NOW]

    async def run():
        async with once(tmp_path, clock) as (made, _):
            await made.answer(KEY, Sender(WHOLE))
        clock[0] += 48 * 3_600_000
        async with once(tmp_path, clock) as (made, _):
            made.start()

            def forgotten() -> bool:
                db = sqlite3.connect(tmp_path / "a.db")
                (count,) = db.execute("SELECT count(*) FROM entry").fetchone()
                db.close()
                return count == 0

            await until(forgotten)

    scene(run())
