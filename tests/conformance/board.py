"""What every board does alike: one suite, run against each hand.

`open_some(clock, count)` is an asynchronous context manager that gives `count` hands on one board, as workers
have; the clock is a list of one integer, wall time in ms.
"""

import asyncio

from p402.ports import WORD_MS

NOW = 1_790_000_000_000


async def told(hand, worker: str, data: bytes) -> dict[bytes, int]:
    """What the others left, with its age."""
    words = await hand.exchange(worker, data)
    found = {word.data: word.age_ms for word in words}
    assert len(found) == len(words)
    return found


class BoardConformance:
    """Subclass with a fixture `open_some`."""

    def run(self, open_some, story, count=2) -> None:
        clock = [NOW]

        async def tell() -> None:
            async with open_some(clock, count) as hands:
                await story(clock, *hands)
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 1

        asyncio.run(tell())

    def test_a_board_that_nobody_used_has_no_words(self, open_some) -> None:
        async def story(_clock, one, other) -> None:
            assert await told(one, "a", b"1") == {}

        self.run(open_some, story)

    def test_each_reads_what_the_others_left_last_and_never_its_own(self, open_some) -> None:
        async def story(_clock, one, other, third) -> None:
            await one.exchange("a", b"a1")
            await other.exchange("b", b"b1")
            assert await told(third, "c", b"c1") == {b"a1": 0, b"b1": 0}
            assert await told(one, "a", b"a2") == {b"b1": 0, b"c1": 0}
            assert await told(third, "c", b"c2") == {b"a2": 0, b"b1": 0}

        self.run(open_some, story, 3)

    def test_a_word_has_its_age_and_is_given_until_it_is_too_old(self, open_some) -> None:
        async def story(clock, one, other) -> None:
            await one.exchange("a", b"old")
            clock[0] += 1_234
            assert await told(other, "b", b"") == {b"old": 1_234}
            clock[0] = NOW + WORD_MS
            assert await told(other, "b", b"") == {b"old": WORD_MS}
            clock[0] += 1
            assert await told(other, "b", b"") == {}
            clock[0] = NOW + 1  # and it does not come back
            assert await told(other, "b", b"") == {}

        self.run(open_some, story)

    def test_a_word_of_a_clock_that_went_back_is_given_to_nobody(self, open_some) -> None:
        async def story(clock, one, other) -> None:
            await one.exchange("a", b"of tomorrow")
            clock[0] -= 60_000
            assert await told(other, "b", b"") == {}
            await one.exchange("a", b"of today")
            assert await told(other, "b", b"") == {b"of today": 0}

        self.run(open_some, story)

    def test_any_bytes_are_given_as_they_were_left(self, open_some) -> None:
        async def story(_clock, one, other) -> None:
            for data in (b"", b":", b"a:b:c", bytes(range(256)), b"\x00\r\n" * 5_000):
                await one.exchange("a", data)
                assert await told(other, "b", b"") == {data: 0}

        self.run(open_some, story)

    def test_a_worker_that_ends_is_read_until_it_is_too_old(self, open_some) -> None:
        async def story(clock, one, other) -> None:
            await one.exchange("a", b"last")
            await one.close()
            await one.close()
            assert await told(other, "b", b"") == {b"last": 0}
            clock[0] += WORD_MS + 1
            assert await told(other, "b", b"") == {}

        self.run(open_some, story)

    def test_sixty_four_workers_read_all_others_at_once(self, open_some) -> None:
        async def story(_clock, *hands) -> None:
            for _ in range(2):
                found = await asyncio.gather(
                    *(told(hands[n % 4], f"w{n}", b"%d" % n * 1_000) for n in range(64))
                )
            for n, words in enumerate(found):
                assert set(words) == {b"%d" % k * 1_000 for k in range(64) if k != n}

        self.run(open_some, story, 4)
