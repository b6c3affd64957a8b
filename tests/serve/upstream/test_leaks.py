"""However clients leave, no connection, task or timer stays behind, and the provider knows soon."""

import asyncio
import random
import time

import pytest

from p402.ports import Completion, Failure
from serve.upstream.provider import Timeouts
from tests.serve.upstream.loopback import DONE, ROLE, Exchange, chunk_of, loopback, run
from tests.serve.upstream.test_client import WHOLE, call, upstream

pytestmark = pytest.mark.usefixtures("hand")


UNHURRIED = Timeouts(connect_ms=60_000, first_byte_ms=60_000, idle_ms=60_000, total_ms=120_000)
"""However busy the machine is, it is the clients that leave, and no patience that ends."""


async def hostile(x: Exchange) -> None:
    """Answer as the request's `user` says: never, role only, or a stream without end."""
    kind = x.body.get("user")
    if kind is None:
        await x.json(WHOLE)
        return
    if kind != "mute":
        await x.begin()
        await x.send(ROLE)
        while kind == "chatty":
            await x.send(chunk_of("word "))
            await asyncio.sleep(0.002)
    await x.left()


async def leave(client, kind: str, rng: random.Random, number: int, arrived: asyncio.Event | None) -> None:
    """Ask, and leave at any moment; with `arrived`, at any moment after the provider has read it."""

    async def consume() -> None:
        body = {"messages": [], "user": kind, "seed": number}
        if kind == "mute" and rng.random() < 0.5:
            await client.complete(call(body=body))
            return
        stream = await client.open_stream(call(body=body, stream=True))
        assert not isinstance(stream, Failure)
        try:
            async for _ in stream:
                pass
        finally:
            await stream.aclose()

    task = asyncio.create_task(consume())
    if arrived is not None:
        await arrived.wait()
    await asyncio.sleep(rng.random() * 0.05)
    task.cancel()
    if rng.random() < 0.5:  # a second cancel, now or while the first is being handled
        await asyncio.sleep(rng.choice([0, 0, 0.001]))
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


def test_240_hostile_cancels_leak_no_connection_and_no_task() -> None:
    async def scene() -> None:
        rng = random.Random(402)
        arrived = {number: asyncio.Event() for number in range(0, 240, 2)}

        async def reply(x: Exchange) -> None:
            if x.body.get("seed") in arrived:
                arrived[x.body["seed"]].set()
            await hostile(x)

        async with loopback(reply) as provider:
            client = upstream(provider.url, max_connections=20, timeouts=UNHURRIED)
            before = asyncio.all_tasks()
            for first in range(0, 240, 20):
                numbers = range(first, first + 20)
                kinds = [("mute", "role", "chatty")[number % 3] for number in numbers]
                await asyncio.gather(
                    *(
                        leave(client, kind, rng, i, arrived.get(i))
                        for i, kind in zip(numbers, kinds, strict=True)
                    )
                )
            deadline = time.monotonic() + 30.0  # what leaks never comes back; what is late does
            while (client.under_way() or provider.open) and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # no event: one of the two is the peer
            assert len(provider.requests) >= 120, "half of them leave a provider that has read their request"
            assert (client.under_way(), client.connections(), provider.open) == (0, 0, 0)
            left = [t for t in asyncio.all_tasks() - before if "loopback" not in str(t.get_coro())]
            assert left == []
            answers = await asyncio.gather(*(client.complete(call()) for _ in range(20)))
            assert all(isinstance(a, Completion) for a in answers)
            await client.aclose()

    run(scene())


def test_the_provider_sees_within_half_a_second_that_the_client_left() -> None:
    async def scene(kind: str, stream: bool) -> float:
        gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        arrived = asyncio.Event()

        async def reply(x: Exchange) -> None:
            arrived.set()
            if kind == "chatty":
                await x.begin()
                await x.send(ROLE + chunk_of("hello"))
            await x.left()
            gone.set_result(time.monotonic())

        async with loopback(reply) as provider:
            client = upstream(provider.url)
            if kind == "chatty":
                opened = await client.open_stream(call(stream=True))
                assert not isinstance(opened, Failure)
                left = time.monotonic()
                await opened.aclose()
                assert opened.failure is not None
            else:
                attempt = client.open_stream if stream else client.complete
                task = asyncio.create_task(attempt(call(stream=stream)))
                await arrived.wait()
                left = time.monotonic()
                task.cancel()
            seen = await asyncio.wait_for(gone, 2)
            await client.aclose()
            return seen - left

    for kind, stream in (("mute", False), ("mute", True), ("chatty", True)):
        assert run(scene(kind, stream)) < 0.5


def test_a_call_cancelled_before_its_first_step_leaves_no_timer_and_a_closed_client_no_waiter() -> None:
    async def scene() -> None:
        async with loopback(hostile) as provider:
            client = upstream(provider.url)
            task = asyncio.create_task(client.complete(call()))
            await asyncio.sleep(0)  # the call has begun, its owner has not
            await client.aclose()
            answer = await asyncio.wait_for(task, 1)
            assert isinstance(answer, Failure)
            assert client.under_way() == 0
            assert provider.requests == []

    run(scene())


def test_closing_the_client_ends_a_stream_under_way_as_a_failure() -> None:
    async def scene() -> None:
        async with loopback(hostile) as provider:
            client = upstream(provider.url)
            body = {"messages": [], "user": "chatty"}
            stream = await client.open_stream(call(body=body, stream=True))
            assert not isinstance(stream, Failure)
            await client.aclose()
            events = b"".join([e async for e in stream])
            assert events.startswith(ROLE)
            assert DONE not in events
            assert stream.failure is not None

    run(scene())
