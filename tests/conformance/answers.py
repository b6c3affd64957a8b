"""What every hand that keeps answers under keys does alike: one suite, run against each.

`open_two(clock, **limits)` is an asynchronous context manager that gives two hands which share their keys, as
two workers or two hosts do; the clock is a list of one integer, wall time in ms.
"""

import asyncio
from collections import Counter

from serve.http import HttpReply
from serve.idempotency.kept import OnePiece, pack
from serve.idempotency.key import Key, key_of
from serve.idempotency.law import GONE, IN_FLIGHT, KEPT_MS, LEASE_MS, OTHER_BODY, UNKNOWN, Claim
from serve.idempotency.rows import Holder, Limits

NOW = 1_790_000_000_000
SMALL = Limits(answer_bytes=2_000, total_bytes=10_000, entries=50)


def key(name: str, body: bytes = b"{}", tenant: str = "t") -> Key:
    return key_of(name.encode(), tenant, "/v1/chat/completions", body)


def held(name: str, token: bytes = b"1") -> Holder:
    return Holder(key(name).scope, token)


def reply(size: int = 10) -> bytes:
    return pack(HttpReply(200, ((b"content-type", b"x"),), b""), b"x" * size)


class AnswersConformance:
    """Subclass with a fixture `open_two`."""

    def run(self, open_two, story, **limits) -> None:
        clock = [NOW]

        async def tell() -> None:
            async with open_two(clock, **limits) as (one, other):
                await story(one, other, clock)
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 1

        asyncio.run(tell())

    def test_a_key_is_claimed_by_one_of_two_and_its_answer_is_given_by_both(self, open_two) -> None:
        async def story(one, other, clock) -> None:
            hands = (one, other)
            found = await asyncio.gather(
                *(hands[n].claim(key("k"), held("k", b"%d %d" % (i, n))) for i in range(20) for n in (0, 1))
            )
            assert Counter(type(each) for each in found)[Claim] == 1
            assert {id(each) for each in found if not isinstance(each, Claim)} == {id(IN_FLIGHT)}
            i, n = divmod(next(i for i, each in enumerate(found) if isinstance(each, Claim)), 2)
            await hands[n].keep(held("k", b"%d %d" % (i, n)), reply())
            for hand in hands:
                again = await hand.claim(key("k"), held("k", b"x"))
                assert (again.status, again.body) == (200, b"x" * 10)
                assert again.headers == ((b"content-type", b"x"), (b"x-p402-idempotent-replay", b"true"))
                assert await hand.claim(key("k", b"{ }"), held("k", b"x")) is OTHER_BODY

        self.run(open_two, story)

    def test_twenty_races_have_twenty_winners(self, open_two) -> None:
        async def story(one, other, clock) -> None:
            for race in range(20):
                name = f"race {race}"
                found = await asyncio.gather(
                    one.claim(key(name), held(name, b"1")), other.claim(key(name), held(name, b"2"))
                )
                assert sorted(type(each).__name__ for each in found) == ["Claim", "Refusal"]

        self.run(open_two, story)

    def test_a_key_belongs_to_its_tenant(self, open_two) -> None:
        async def story(one, other, clock) -> None:
            for hand, tenant in ((one, "t"), (other, "u")):
                theirs = key("k", tenant=tenant)
                assert isinstance(await hand.claim(theirs, Holder(theirs.scope, b"1")), Claim)

        self.run(open_two, story)

    def test_a_stream_comes_again_as_one(self, open_two) -> None:
        async def story(one, other, clock) -> None:
            await one.claim(key("k"), held("k"))
            await one.keep(held("k"), pack(HttpReply(200, (), OnePiece(b"")), b"data: 1\n\n"))
            for hand in (one, other):
                again = await hand.claim(key("k"), held("k", b"2"))
                assert [piece async for piece in again.body] == [b"data: 1\n\n"]

        self.run(open_two, story)

    def test_a_key_under_which_nothing_was_spent_is_free(self, open_two) -> None:
        async def story(one, other, clock) -> None:
            await one.claim(key("k"), held("k"))
            await other.release(held("k", b"2"))
            assert await other.claim(key("k"), held("k", b"2")) is IN_FLIGHT
            await one.release(held("k"))
            await one.renew([held("k")])
            await one.keep(held("k"), reply())
            assert isinstance(await other.claim(key("k", b"corrected"), held("k", b"2")), Claim)
            await one.release(held("k"))
            assert await one.claim(key("k", b"corrected"), held("k", b"3")) is IN_FLIGHT

        self.run(open_two, story)

    def test_a_lease_that_is_renewed_keeps_a_key_in_flight_and_one_that_is_not_ends(self, open_two) -> None:
        async def story(one, other, clock) -> None:
            for name in ("alive", "dead"):
                await one.claim(key(name), held(name))
            clock[0] += LEASE_MS - 1
            await one.renew([held("alive")])
            for hand in (one, other):
                assert await hand.claim(key("dead"), held("dead", b"2")) is IN_FLIGHT
            clock[0] += 1
            for hand in (one, other):
                assert await hand.claim(key("alive"), held("alive", b"2")) is IN_FLIGHT
                assert await hand.claim(key("dead"), held("dead", b"2")) is UNKNOWN
            await one.keep(held("dead"), reply())  # it was only slow
            for hand in (one, other):
                assert (await hand.claim(key("dead"), held("dead", b"2"))).status == 200

        self.run(open_two, story)

    def test_an_exchange_that_was_broken_off_is_unknown_at_once(self, open_two) -> None:
        async def story(one, other, clock) -> None:
            await one.claim(key("k"), held("k"))
            await one.abandon(held("k"))
            for hand in (one, other):
                assert await hand.claim(key("k"), held("k", b"2")) is UNKNOWN

        self.run(open_two, story)

    def test_an_answer_that_is_too_large_is_not_kept_and_not_made_again(self, open_two) -> None:
        async def story(one, other, clock) -> None:
            for name, content in (("large", reply(2_001)), ("none", None)):
                await one.claim(key(name), held(name))
                await one.keep(held(name), content)
                for hand in (one, other):
                    assert await hand.claim(key(name), held(name, b"2")) is GONE

        self.run(open_two, story, limits=SMALL)

    def test_an_answer_is_the_first_one_whatever_comes_later(self, open_two) -> None:
        async def story(one, other, clock) -> None:
            await one.claim(key("k"), held("k"))
            await one.keep(held("k"), reply(1))
            await one.keep(held("k"), reply(2))
            await one.abandon(held("k"))
            for hand in (one, other):
                assert (await hand.claim(key("k"), held("k", b"2"))).body == b"x"

        self.run(open_two, story)

    def test_after_a_day_a_key_is_free_but_not_while_it_is_in_flight(self, open_two) -> None:
        async def story(one, other, clock) -> None:
            for name in ("done", "long"):
                await one.claim(key(name), held(name))
            await one.keep(held("done"), reply())
            clock[0] += KEPT_MS - 1
            await one.renew([held("long")])
            assert (await one.claim(key("done"), held("done", b"2"))).status == 200
            clock[0] += 1
            for hand in (one, other):
                assert await hand.claim(key("long"), held("long", b"2")) is IN_FLIGHT
            assert isinstance(await other.claim(key("done", b"new"), held("done", b"2")), Claim)
            assert await one.claim(key("done", b"new"), held("done", b"3")) is IN_FLIGHT

        self.run(open_two, story)

    def test_it_is_there_once_a_key_has_come_and_after_a_close(self, open_two) -> None:
        async def story(one, other, clock) -> None:
            assert not one.exists()
            await one.prune()
            await one.claim(key("k"), held("k"))
            assert one.exists()
            await one.keep(held("k"), reply())
            for _ in range(2):
                await one.close()
            await one.prune()
            assert (await one.claim(key("k"), held("k", b"2"))).status == 200

        self.run(open_two, story)
