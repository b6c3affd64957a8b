"""Virtual time: moments in order, and nothing else is waited for."""

import asyncio

import pytest

from sim.world.clock import Loop, Until, VirtualClock, run_all


def test_moments_come_in_order_and_equal_ones_in_the_order_of_waiting():
    clock, seen = VirtualClock(1000), []

    async def at(name: str, *moments: float) -> None:
        for moment in moments:
            await Until(moment)
            seen.append((clock.ms, name))

    run_all(clock, [at("a", 1005, 1010), at("b", 1005, 1007), at("c", 1010)])
    assert seen == [(1005, "a"), (1005, "b"), (1007, "b"), (1010, "c"), (1010, "a")]
    assert clock.now_ms() == 1010


def test_a_moment_that_has_passed_is_now():
    clock, seen = VirtualClock(50), []

    async def late() -> None:
        await Until(10)
        seen.append(clock.ms)

    run_all(clock, [late()])
    assert seen == [50]


def test_what_waits_for_asyncio_is_told_what_to_do():
    clock = VirtualClock(0)

    async def other() -> None:
        await asyncio.sleep(1)

    with pytest.raises((TypeError, RuntimeError)):
        run_all(clock, [other()])


def test_an_error_ends_the_loop_and_closes_those_who_wait():
    clock, closed = VirtualClock(0), []

    async def waits() -> None:
        try:
            await Until(100)
        finally:
            closed.append(True)

    async def breaks() -> None:
        await Until(1)
        raise ValueError("broken")

    loop = Loop(clock)
    loop.start(waits())
    loop.start(breaks())
    with pytest.raises(ValueError, match="broken"):
        loop.run()
    assert closed == [True]


def test_bits_that_were_laid_out_come_once():
    clock = VirtualClock(0)
    first = clock.random_bits()
    clock.bits = 7
    assert clock.random_bits() == 7
    assert clock.random_bits() not in {7, first}
