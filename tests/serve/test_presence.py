"""Clients are looked after with one timer for all, and nothing is left when their requests are over."""

import asyncio

import pytest

from serve.presence import TICK_S, Presences

LEFT = {"type": "http.disconnect"}


async def never() -> dict:
    await asyncio.Event().wait()
    raise AssertionError("nothing is ever received")


def run(test) -> None:
    """Run a test on a loop of its own that counts its timers."""

    async def counted() -> None:
        loop = asyncio.get_running_loop()
        timers = []
        call_later = loop.call_later

        def counting(delay, *args, **named):
            timers.append(call_later(delay, *args, **named))
            return timers[-1]

        loop.call_later = counting
        await test(timers)

    asyncio.run(counted())


def test_requests_that_are_answered_at_once_share_one_timer_and_leave_none_running():
    async def many(timers) -> None:
        presences = Presences()
        for _ in range(100):
            client = presences.begin(never)
            client.sends_within(30.0)
            client.waits(0.1)
            client.end()
            client.end()
        assert len(timers) == 1
        await asyncio.sleep(2.5 * TICK_S)
        assert len([t for t in timers if t.when() > asyncio.get_running_loop().time()]) == 0
        presences.begin(never).end()  # and a later one is looked after again
        assert timers[-1].when() > asyncio.get_running_loop().time()

    run(many)


def test_a_client_that_leaves_while_it_waits_cancels_its_own_request_only():
    async def leaving(_) -> None:
        presences = Presences()

        async def request(receive) -> str:
            client = presences.begin(receive)
            client.waits(0.0)
            try:
                await asyncio.sleep(4 * TICK_S)
            except asyncio.CancelledError:
                assert client.left
                return "left"
            finally:
                client.end()
            return "answered"

        async def gone() -> dict:
            return LEFT

        assert await asyncio.gather(request(gone), request(never)) == ["left", "answered"]
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    run(leaving)


def test_patience_ends_with_the_body_that_stops_and_begins_anew_with_each_piece():
    async def slow(_) -> None:
        presences = Presences()
        client = presences.begin(never)
        for _ in range(4):
            client.sends_within(2.5 * TICK_S)
            await asyncio.sleep(TICK_S)
        assert not client.patience_ended()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(5 * TICK_S)
        assert client.patience_ended()
        client.end()

    run(slow)


def test_a_cancellation_from_elsewhere_is_not_taken_for_ours():
    async def stopped(_) -> None:
        client = Presences().begin(never)
        client.sends_within(30.0)
        task = asyncio.current_task()
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(1)
        assert not client.patience_ended()
        task.uncancel()
        client.end()

    run(stopped)


def test_a_cancellation_that_meets_ours_is_not_swallowed():
    async def both(_) -> None:
        client = Presences().begin(never)
        client.sends_within(0.0)
        task = asyncio.current_task()
        client.ring()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(1)
        assert not client.patience_ended()
        task.uncancel()
        client.end()

    run(both)
