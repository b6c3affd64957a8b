"""What every hand of the sessions' port does alike: one suite, run against each.

`open_some(kept_ms, count)` is an asynchronous context manager that gives `count` hands on one store, as
workers have, and its time; `elapse` lets time go by, the store's and the workers'; `settled` waits until what
a hand was told is left.
"""

import asyncio
from dataclasses import dataclass

import pytest

from p402.ports import SESSION_MS, Warmth

NOW = 1_790_000_000_000
STRANGE = ("", " ", "s", "s\x00", "s:1", "1:s", "é", "\ud800", "名" * 300, "x" * 100_000)


def warmth(arm="a/one", tokens=5_000, at_ms=NOW, answers=1) -> Warmth:
    return Warmth(arm, tokens, at_ms, answers)


@dataclass
class HandTime:
    """The time of a suite's hands: set by hand."""

    ms: int = NOW

    def now_ms(self) -> int:
        return self.ms

    async def elapse(self, ms: int) -> None:
        self.ms += ms


def what(found: Warmth | None):
    return None if found is None else (found.arm, found.tokens, found.answers)


class SessionsConformance:
    """Subclass with a fixture `open_some`."""

    async def settled(self, hand) -> None:
        await hand.settled()

    def run(self, open_some, story, count=2, kept_ms=SESSION_MS) -> None:
        async def tell() -> None:
            async with open_some(kept_ms, count) as (time, hands):
                await story(time, *hands)
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 1

        asyncio.run(tell())

    def test_nobody_knows_a_session_that_was_not_noted(self, open_some) -> None:
        async def story(_time, one, _other) -> None:
            assert await one.recall("t", "s", 0) is None
            assert await one.recall("t", "s", 3) is None

        self.run(open_some, story)

    def test_all_know_what_any_left_last_and_how_long_ago(self, open_some) -> None:
        async def story(time, one, other, third) -> None:
            one.note("t", "s", warmth())
            await self.settled(one)
            before = time.now_ms()
            await time.elapse(30)
            for hand in (one, other, third):
                found = await hand.recall("t", "s", 0)
                assert what(found) == ("a/one", 5_000, 1)
                assert found.at_ms <= time.now_ms() - 30
                assert abs(found.at_ms - before) <= 1_000
            # Noted later, though it says of itself that it is from before:
            other.note("t", "s", warmth("b/two", 7_000, at_ms=5, answers=2))
            await self.settled(other)
            for hand in (one, other, third):
                found = await hand.recall("t", "s", 2)
                assert what(found) == ("b/two", 7_000, 2)
                assert found.at_ms > before

        self.run(open_some, story, 3)

    def test_of_many_words_on_a_session_the_last_is_left(self, open_some) -> None:
        async def story(_time, one, other) -> None:
            for n in range(300):
                one.note("t", "s", warmth(tokens=n, answers=n))
                one.note("t", f"s{n}", warmth(tokens=n))
            await self.settled(one)
            assert what(await other.recall("t", "s", 299)) == ("a/one", 299, 299)
            for n in range(300):
                assert what(await other.recall("t", f"s{n}", 1)) == ("a/one", n, 1)

        self.run(open_some, story)

    def test_tenants_and_sessions_are_apart_whatever_their_names(self, open_some) -> None:
        async def story(_time, one, other) -> None:
            pairs = [(tenant, session) for tenant in STRANGE for session in STRANGE]
            for n, (tenant, session) in enumerate(pairs):
                one.note(tenant, session, warmth(tokens=n))
            await self.settled(one)
            for n, (tenant, session) in enumerate(pairs):
                assert what(await other.recall(tenant, session, 0)) == ("a/one", n, 1)

        self.run(open_some, story)

    @pytest.mark.parametrize("arm", ["a", "a/b c", "x/" + "y" * 5_000, "é/名", "9 9 9"])
    def test_any_arm_and_count_is_told_as_it_was_left(self, open_some, arm) -> None:
        async def story(_time, one, other) -> None:
            for tokens, answers in ((0, 0), (1 << 53, 1), (200_000, 2_048)):
                one.note("t", "s", warmth(arm, tokens, answers=answers))
                await self.settled(one)
                assert what(await other.recall("t", "s", 0)) == (arm, tokens, answers)

        self.run(open_some, story)

    def test_a_session_is_forgotten_after_its_time_and_known_anew_when_noted_again(self, open_some) -> None:
        async def story(time, one, other) -> None:
            one.note("t", "s", warmth())
            await self.settled(one)
            await time.elapse(301)
            assert await other.recall("t", "s", 0) is None
            other.note("t", "s", warmth("b/two"))
            await self.settled(other)
            if isinstance(time, HandTime):
                await time.elapse(300)
                assert what(await one.recall("t", "s", 0)) == ("b/two", 5_000, 1)

        self.run(open_some, story, kept_ms=300)

    def test_what_a_worker_noted_before_it_ended_is_known(self, open_some) -> None:
        async def story(_time, one, other) -> None:
            one.note("t", "s", warmth())
            await one.close()
            await one.close()
            assert what(await other.recall("t", "s", 0)) == ("a/one", 5_000, 1)

        self.run(open_some, story)

    def test_many_workers_ask_and_tell_at_once(self, open_some) -> None:
        async def story(_time, *hands) -> None:
            for k, hand in enumerate(hands):
                for n in range(50):
                    hand.note("t", f"s{k}-{n}", warmth(tokens=n))
            for hand in hands:
                await self.settled(hand)
            asked = [(hand, k, n) for hand in hands for k in range(len(hands)) for n in range(0, 50, 7)]
            told = await asyncio.gather(*(hand.recall("t", f"s{k}-{n}", 0) for hand, k, n in asked))
            assert [what(found) for found in told] == [("a/one", n, 1) for _, _, n in asked]

        self.run(open_some, story, 4)
