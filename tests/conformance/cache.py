"""What every hand of the cache's port does alike: one suite, run against each.

`open_some(count, embedders, max_entries)` is an asynchronous context manager that gives `count` hands on one
store, as workers have, and its time; `elapse` lets time go by, the store's and the workers'.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec
import numpy as np
import pytest

from p402.cache.contract import EXACT, SEMANTIC, Entry, Hit, Miss, Query, Vector
from p402.cache.shelf import MAX_ENTRIES

NOW = 1_790_000_000_000
DAY_MS = 86_400_000
DIMS = 16
STRANGE = ("", " ", "t", "t\x00", "t:1", "{t}", "*", "é", "\ud800", "名" * 300, "x" * 20_000)
BODIES = (b"", b"\x00", b"\xff\xfe\r\n$-1\r\n", "名é".encode(), os.urandom(262_144))


def vector(*parts: float) -> Vector:
    """Parts of a vector of length 1, and zeros."""
    made = np.zeros(DIMS, np.float32)
    made[: len(parts)] = parts
    return made


# Cosines are with the first.
ASKED = vector(1.0)
AT_99 = vector(0.99, 0.141067)
AT_96 = vector(0.96, 0.28)
AT_93 = vector(0.93, 0.367560)
AT_80 = vector(0.8, 0.6)


@dataclass
class Table:
    """An embedder that a test rules: vectors of known texts, and of all others one that is near to none."""

    vectors: Mapping[str, Vector | None] = field(default_factory=dict)
    id: str = "table"
    asked: list[str] = field(default_factory=list)

    async def embed(self, text: str) -> Vector | None:
        await asyncio.sleep(0)
        self.asked.append(text)
        if text in self.vectors:
            return self.vectors[text]
        drawn = np.frombuffer(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest(), "<i2")
        return (drawn / np.linalg.norm(drawn)).astype(np.float32)


@dataclass
class HandTime:
    """The time of a suite's hands: set by hand."""

    ms: int = NOW

    def now_ms(self) -> int:
        return self.ms

    async def elapse(self, ms: int) -> None:
        self.ms += ms


def query(
    text: str, tenant: str = "t", scope: str = "s", similarity: float = 0.92, *, compared: bool = True
) -> Query:
    """What is asked; of one scope or another."""
    name = tenant.encode("utf-8", "surrogatepass")
    own = blake2b(b"%d:%b:%b" % (len(name), name, scope.encode()), digest_size=16).digest()
    exact = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=own).digest()
    return Query(tenant, own, exact, text if compared else None, similarity)


def entry(time, made: str = "e1", body: bytes = b"{}", ttl_ms: int = DAY_MS) -> Entry:
    now_ms = time.now_ms()
    return Entry(
        id=made, arm="a/one", task="qa", body=body, prompt=9, output=5, cached=4, cache_write=3,
        cache_write_1h=2, reasoning=1, estimated=True, made_ms=now_ms, expires_ms=now_ms + ttl_ms,
    )  # fmt: skip


async def kept(hand, asked: Query, made: Entry) -> None:
    """Keep an answer with the vector of what was asked, and wait until it is kept."""
    miss = await hand.find(msgspec.structs.replace(asked, similarity=2.0))  # that nothing is near enough to
    hand.keep(asked, miss if isinstance(miss, Miss) else Miss(), made)
    await settled(hand)


async def settled(hand) -> None:
    """Wait until what a hand was told is kept; one that keeps at once has nothing to wait for."""
    if hasattr(hand, "settled"):
        await hand.settled()


async def what(hand, asked: Query) -> tuple[str, str] | None:
    """Id and tier of what is found."""
    found = await hand.find(asked)
    return (found.entry.id, found.tier) if isinstance(found, Hit) else None


# Texts of which the guards say that they ask the same, and one of which they do not.
SAID = "How do rivers reach the sea ?"
AGAIN = "how do rivers reach the sea ?"
ONCE_MORE = " How do rivers reach the sea ?"
OTHERWISE = "How do 7 rivers reach the sea ?"


class CacheConformance:
    """Subclass with a fixture `open_some`."""

    def run(self, open_some, story, count=1, embedders=None, max_entries=MAX_ENTRIES) -> None:
        async def tell() -> None:
            made = embedders if embedders is not None else [Table() for _ in range(count)]
            async with open_some(made, max_entries) as (time, hands):
                await story(time, *hands)
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 1

        asyncio.run(tell())

    # Exact repeats

    def test_what_was_kept_is_given_to_an_exact_repeat_as_it_was(self, open_some) -> None:
        async def story(time, hand) -> None:
            made = entry(time)
            await kept(hand, query("Hi"), made)
            assert await hand.find(query("Hi")) == Hit(made, EXACT, 1.0)
            assert await hand.find(query("Hi", compared=False)) == Hit(made, EXACT, 1.0)

        self.run(open_some, story)

    def test_one_byte_another_scope_or_another_tenant_is_no_repeat(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query("Hi", "acme", "one"), entry(time))
            for other in (
                query("Hi ", "acme", "one"),
                query("Hi", "acme", "two"),
                query("Hi", "zeta", "one"),
            ):
                assert isinstance(await hand.find(other), Miss)
            # Even one whose digests are the same, which no tenant can bring about:
            theirs = msgspec.structs.replace(query("Hi", "acme", "one"), tenant="zeta")
            assert isinstance(await hand.find(theirs), Miss)

        self.run(open_some, story)

    def test_a_later_answer_to_a_prompt_takes_the_place_of_an_earlier(self, open_some) -> None:
        async def story(time, hand) -> None:
            asked = query("Hi")
            await kept(hand, asked, entry(time, "e1", b"old"))
            await kept(hand, asked, entry(time, "e2", b"new"))
            found = await hand.find(asked)
            assert (found.entry.id, found.entry.body) == ("e2", b"new")
            assert (await hand.tally("t")).entries == 1
            assert not await hand.evict("t", "e1")
            assert await hand.evict("t", "e2")

        self.run(open_some, story)

    def test_without_an_embedder_exact_repeats_are_found_and_nothing_is_compared(self, open_some) -> None:
        async def story(time, hand) -> None:
            assert await hand.find(query(SAID)) == Miss(None)
            await kept(hand, query(SAID), entry(time))
            assert await what(hand, query(SAID)) == ("e1", EXACT)
            assert await hand.find(query(AGAIN)) == Miss(None)

        self.run(open_some, story, embedders=[None])

    @pytest.mark.parametrize("tenant", STRANGE)
    def test_any_tenant_text_and_id_is_kept_as_it_is(self, open_some, tenant) -> None:
        async def story(time, hand) -> None:
            for n, text in enumerate(STRANGE):
                made = entry(time, f"{text}:{n}", text.encode("utf-8", "surrogatepass"))
                await kept(hand, query(text, tenant), made)
            for n, text in enumerate(STRANGE):
                found = await hand.find(query(text, tenant))
                assert (found.entry.id, found.tier) == (f"{text}:{n}", EXACT)
            assert (await hand.tally(tenant)).entries == len(STRANGE)
            assert await hand.evict(tenant, f"{STRANGE[-1]}:{len(STRANGE) - 1}")
            assert await hand.clear(tenant) == len(STRANGE) - 1

        self.run(open_some, story)

    @pytest.mark.parametrize("number", range(len(BODIES)))
    def test_any_body_is_given_back_byte_for_byte(self, open_some, number) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query("Hi"), entry(time, body=BODIES[number]))
            assert (await hand.find(query("Hi"))).entry.body == BODIES[number]

        self.run(open_some, story)

    # By meaning

    def test_a_miss_carries_the_vector_of_what_was_asked(self, open_some) -> None:
        async def story(_time, hand) -> None:
            miss = await hand.find(query(SAID))
            assert isinstance(miss, Miss)
            assert np.array_equal(miss.vector, AT_96)
            assert await hand.find(query(SAID, compared=False)) == Miss(None)
            assert await hand.find(query("no vector")) == Miss(None)

        self.run(open_some, story, embedders=[Table({SAID: AT_96, "no vector": None})])

    def test_p11_a_prompt_above_the_cosine_to_which_the_guards_agree_is_answered(self, open_some) -> None:
        async def story(time, hand) -> None:
            made = entry(time)
            await kept(hand, query(AGAIN), made)
            found = await hand.find(query(SAID))
            assert (found.entry, found.tier) == (made, SEMANTIC)
            assert found.similarity == pytest.approx(0.96, abs=1e-6)

        self.run(open_some, story, embedders=[Table({SAID: ASKED, AGAIN: AT_96})])

    def test_p11_at_the_cosine_itself_nothing_is_given(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query(AGAIN), entry(time))
            same = float(np.float32(0.96))
            assert isinstance(await hand.find(query(SAID, similarity=same)), Miss)
            assert await what(hand, query(SAID, similarity=np.nextafter(np.float32(same), 0).item())) == (
                "e1",
                SEMANTIC,
            )

        self.run(open_some, story, embedders=[Table({SAID: ASKED, AGAIN: AT_96})])

    def test_p11_below_the_cosine_nothing_is_given_however_alike_the_words(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query(AGAIN), entry(time))
            assert isinstance(await hand.find(query(SAID)), Miss)

        self.run(open_some, story, embedders=[Table({SAID: ASKED, AGAIN: AT_80})])

    def test_p11_however_near_the_guards_are_asked(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query(OTHERWISE), entry(time))
            assert isinstance(await hand.find(query(SAID)), Miss)

        self.run(open_some, story, embedders=[Table({SAID: ASKED, OTHERWISE: ASKED})])

    def test_of_those_that_the_guards_accept_the_nearest_is_given(self, open_some) -> None:
        async def story(time, hand) -> None:
            for n, text in enumerate((ONCE_MORE, OTHERWISE, AGAIN)):
                await kept(hand, query(text), entry(time, f"e{n}"))
            found = await hand.find(query(SAID))
            assert found.entry.id == "e2"
            assert found.similarity == pytest.approx(0.96, abs=1e-6)

        table = Table({SAID: ASKED, OTHERWISE: AT_99, AGAIN: AT_96, ONCE_MORE: AT_93})
        self.run(open_some, story, embedders=[table])

    def test_p11_only_the_same_scope_and_tenant_are_compared(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query(AGAIN, "acme", "one"), entry(time))
            for other in (query(SAID, "acme", "two"), query(SAID, "zeta", "one")):
                assert isinstance(await hand.find(other), Miss)
            assert await what(hand, query(SAID, "acme", "one")) == ("e1", SEMANTIC)

        self.run(open_some, story, embedders=[Table({SAID: ASKED, AGAIN: AT_99})])

    def test_what_was_kept_without_words_or_vector_answers_exact_repeats_alone(self, open_some) -> None:
        async def story(time, hand) -> None:
            hand.keep(query(AGAIN), Miss(None), entry(time, "e1"))
            hand.keep(query(ONCE_MORE, compared=False), Miss(AT_99), entry(time, "e2"))
            await settled(hand)
            assert isinstance(await hand.find(query(SAID)), Miss)
            assert await what(hand, query(AGAIN)) == ("e1", EXACT)
            assert await what(hand, query(ONCE_MORE)) == ("e2", EXACT)

        self.run(open_some, story, embedders=[Table({SAID: ASKED, AGAIN: AT_99, ONCE_MORE: AT_99})])

    def test_many_prompts_of_a_scope_are_all_known(self, open_some) -> None:
        async def story(time, hand) -> None:
            for n in range(300):
                hand.keep(query(f"{SAID}{' ' * n}x"), Miss(spread[n]), entry(time, f"e{n}"))
            await settled(hand)
            for n in (0, 1, 150, 298, 299):
                assert await what(hand, query(f"  {SAID}{' ' * n}x")) == (f"e{n}", SEMANTIC)

        spread = [mixed(n) for n in range(300)]
        table = Table({f"  {SAID}{' ' * n}x": spread[n] for n in range(300)})
        self.run(open_some, story, embedders=[table])

    # How long

    def test_after_its_time_an_answer_is_given_to_nobody(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query(AGAIN), entry(time, "e1", ttl_ms=400))
            await kept(hand, query(ONCE_MORE), entry(time, "e2"))
            if isinstance(time, HandTime):
                assert await what(hand, query(AGAIN)) == ("e1", EXACT)
                assert await what(hand, query(SAID)) == ("e1", SEMANTIC)
            await time.elapse(400)
            assert await what(hand, query(SAID)) == ("e2", SEMANTIC)
            assert await what(hand, query(AGAIN)) == ("e2", SEMANTIC)
            assert (await hand.tally("t")).entries == 1
            assert not await hand.evict("t", "e1")
            assert await hand.clear("t") == 1

        table = Table({SAID: ASKED, AGAIN: AT_99, ONCE_MORE: AT_96})
        self.run(open_some, story, embedders=[table])

    def test_what_has_no_time_left_is_not_kept(self, open_some) -> None:
        async def story(time, hand) -> None:
            for ttl_ms in (0, -1, -DAY_MS):
                await kept(hand, query("Hi"), entry(time, ttl_ms=ttl_ms))
            assert (await hand.tally("t")).entries == 0
            assert isinstance(await hand.find(query("Hi")), Miss)

        self.run(open_some, story)

    def test_beyond_its_entries_a_tenants_own_longest_unused_goes_first(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query("theirs", "zeta"), entry(time, "z"))
            for n in range(3):
                await kept(hand, query(f"q{n}"), entry(time, f"e{n}"))
                await time.elapse(2)
            assert await what(hand, query("q0")) == ("e0", EXACT)
            await time.elapse(2)
            await kept(hand, query("q3"), entry(time, "e3"))
            assert [await what(hand, query(f"q{n}")) for n in (1, 0, 2, 3)] == [
                None,
                ("e0", EXACT),
                ("e2", EXACT),
                ("e3", EXACT),
            ]
            assert (await hand.tally("t")).entries == 3
            assert await what(hand, query("theirs", "zeta")) == ("z", EXACT)

        self.run(open_some, story, max_entries=3)

    def test_an_answer_by_meaning_is_a_use_too(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query(AGAIN), entry(time, "e1"))
            await time.elapse(2)
            await kept(hand, query("other"), entry(time, "e2"))
            await time.elapse(2)
            assert await what(hand, query(SAID)) == ("e1", SEMANTIC)
            await time.elapse(2)
            await kept(hand, query("third"), entry(time, "e3"))
            assert await what(hand, query("other", compared=False)) is None
            assert await what(hand, query(SAID)) == ("e1", SEMANTIC)

        self.run(open_some, story, embedders=[Table({SAID: ASKED, AGAIN: AT_96})], max_entries=2)

    # Forgotten on purpose

    def test_an_evicted_answer_is_given_to_nobody_and_the_others_are(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query(AGAIN), entry(time, "e1"))
            await kept(hand, query(ONCE_MORE), entry(time, "e2"))
            assert await what(hand, query(SAID)) == ("e1", SEMANTIC)
            assert await hand.evict("t", "e1")
            assert not await hand.evict("t", "e1")
            assert await what(hand, query(SAID)) == ("e2", SEMANTIC)
            assert await what(hand, query(AGAIN)) == ("e2", SEMANTIC)
            assert (await hand.tally("t")).entries == 1

        table = Table({SAID: ASKED, AGAIN: AT_99, ONCE_MORE: AT_96})
        self.run(open_some, story, embedders=[table])

    def test_what_was_forgotten_hides_no_other(self, open_some) -> None:
        near = {
            f"{' ' * n}{OTHERWISE}": vector(1 - n / 1_000, (1 - (1 - n / 1_000) ** 2) ** 0.5)
            for n in range(6)
        }

        async def story(time, hand) -> None:
            await kept(hand, query(AGAIN), entry(time, "e1"))
            for n, text in enumerate(near):
                await kept(hand, query(text), entry(time, f"o{n}"))
            assert await what(hand, query(SAID)) is None, (
                "four are asked about, and none of them says the same"
            )
            for n in range(len(near)):
                assert await hand.evict("t", f"o{n}")
            assert await what(hand, query(SAID)) == ("e1", SEMANTIC)

        self.run(open_some, story, embedders=[Table({SAID: ASKED, AGAIN: AT_96, **near})])

    def test_no_tenant_evicts_clears_or_counts_anothers(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query("Hi", "acme"), entry(time, "e1"))
            assert not await hand.evict("zeta", "e1")
            assert await hand.clear("zeta") == 0
            assert (await hand.tally("zeta")).entries == 0
            assert await what(hand, query("Hi", "acme")) == ("e1", EXACT)

        self.run(open_some, story)

    def test_a_cleared_tenant_has_nothing_and_may_keep_anew(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query(AGAIN), entry(time, "e1"))
            await kept(hand, query(AGAIN, scope="other"), entry(time, "e2"))
            await kept(hand, query(AGAIN, "zeta"), entry(time, "z"))
            assert await hand.clear("t") == 2
            assert await hand.clear("t") == 0
            for asked in (query(AGAIN), query(SAID), query(AGAIN, scope="other")):
                assert isinstance(await hand.find(asked), Miss)
            assert await what(hand, query(AGAIN, "zeta")) == ("z", EXACT)
            await kept(hand, query(AGAIN), entry(time, "e3"))
            assert await what(hand, query(SAID)) == ("e3", SEMANTIC)
            assert (await hand.tally("t")).entries == 1

        self.run(open_some, story, embedders=[Table({SAID: ASKED, AGAIN: AT_96})])

    def test_a_tally_tells_what_this_workers_look_ups_came_to(self, open_some) -> None:
        async def story(time, hand) -> None:
            assert msgspec.structs.astuple(await hand.tally("t")) == (0, 0, 0, 0)
            await kept(hand, query(AGAIN), entry(time))  # a miss
            for asked in (query(AGAIN), query(AGAIN), query(SAID), query("other"), query("Hi", "zeta")):
                await hand.find(asked)
            assert msgspec.structs.astuple(await hand.tally("t")) == (1, 2, 1, 2)
            assert msgspec.structs.astuple(await hand.tally("zeta")) == (0, 0, 0, 1)

        self.run(open_some, story, embedders=[Table({SAID: ASKED, AGAIN: AT_96})])

    def test_a_closed_hand_finds_and_keeps_nothing_and_does_not_raise(self, open_some) -> None:
        async def story(time, hand) -> None:
            await kept(hand, query("Hi"), entry(time))
            await hand.close()
            await hand.close()
            assert isinstance(await hand.find(query("Hi")), Miss)
            hand.keep(query("other"), Miss(), entry(time, "e2"))
            assert isinstance(await hand.find(query("other")), Miss)

        self.run(open_some, story)


class SharedCacheConformance(CacheConformance):
    """What hands on one store do besides."""

    def test_what_one_kept_all_give(self, open_some) -> None:
        async def story(time, one, other) -> None:
            made = entry(time)
            await kept(one, query(AGAIN), made)
            assert await other.find(query(AGAIN)) == Hit(made, EXACT, 1.0)
            assert await what(other, query(SAID)) == ("e1", SEMANTIC)
            assert (await one.tally("t")).entries == (await other.tally("t")).entries == 1

        tables = [Table({SAID: ASKED, AGAIN: AT_96}) for _ in range(2)]
        self.run(open_some, story, embedders=tables)

    def test_what_one_keeps_after_the_other_knew_the_scope_is_known_to_it(self, open_some) -> None:
        async def story(time, one, other) -> None:
            await kept(one, query("first"), entry(time, "e0"))
            assert await what(other, query(SAID)) is None
            await kept(one, query(AGAIN), entry(time, "e1"))
            assert await what(other, query(SAID)) == ("e1", SEMANTIC)
            await kept(one, query(ONCE_MORE), entry(time, "e2"))
            assert await what(other, query(SAID)) == ("e2", SEMANTIC)

        tables = [Table({SAID: ASKED, AGAIN: AT_96, ONCE_MORE: AT_99}) for _ in range(2)]
        self.run(open_some, story, embedders=tables)

    def test_what_one_evicts_or_clears_the_other_gives_no_more(self, open_some) -> None:
        async def story(time, one, other) -> None:
            await kept(one, query(AGAIN), entry(time, "e1"))
            assert await what(other, query(SAID)) == ("e1", SEMANTIC)
            assert await one.evict("t", "e1")
            assert await what(other, query(SAID)) is None
            assert await what(other, query(AGAIN)) is None
            await kept(one, query(AGAIN), entry(time, "e2"))
            assert await what(other, query(SAID)) == ("e2", SEMANTIC)
            assert await one.clear("t") == 1
            assert await what(other, query(SAID)) is None
            assert await what(other, query(AGAIN)) is None

        tables = [Table({SAID: ASKED, AGAIN: AT_96}) for _ in range(2)]
        self.run(open_some, story, embedders=tables)

    def test_vectors_of_another_embedder_are_not_compared(self, open_some) -> None:
        async def story(time, one, other) -> None:
            await kept(one, query(AGAIN), entry(time, "e1"))
            assert await what(other, query(SAID)) is None
            assert await what(other, query(AGAIN)) == ("e1", EXACT)
            other.keep(query(ONCE_MORE), Miss(AT_96), entry(time, "e2"))
            await settled(other)
            assert await what(other, query(SAID)) == ("e2", SEMANTIC)
            assert await what(one, query(SAID)) == ("e1", SEMANTIC)
            # Kept anew under the other's, the first one's vector is gone:
            other.keep(query(AGAIN), Miss(AT_99), entry(time, "e3"))
            await settled(other)
            assert await what(other, query(SAID)) == ("e3", SEMANTIC)

        table = {SAID: ASKED, AGAIN: AT_99}
        self.run(open_some, story, embedders=[Table(table, "one"), Table(table, "other")])

    def test_the_bound_of_entries_is_of_all_hands_together(self, open_some) -> None:
        async def story(time, *hands) -> None:
            for n in range(12):
                await kept(hands[n % 3], query(f"q{n}"), entry(time, f"e{n}"))
                await time.elapse(2)
            assert (await hands[0].tally("t")).entries == 4
            assert [await what(hands[0], query(f"q{n}")) is not None for n in range(12)] == [False] * 8 + [
                True
            ] * 4

        self.run(open_some, story, count=3, max_entries=4)

    def test_what_was_queued_before_a_close_is_kept(self, open_some) -> None:
        async def story(time, one, other) -> None:
            for n in range(50):
                one.keep(query(f"q{n}"), Miss(), entry(time, f"e{n}"))
            await one.close()
            assert (await other.tally("t")).entries == 50

        self.run(open_some, story, count=2)

    def test_many_hands_ask_and_keep_at_once(self, open_some) -> None:
        async def story(time, *hands) -> None:
            for k, hand in enumerate(hands):
                for n in range(40):
                    hand.keep(query(f"{k}-{n}"), Miss(), entry(time, f"e{k}-{n}"))
            for hand in hands:
                await settled(hand)
            asked = [(hand, k, n) for hand in hands for k in range(len(hands)) for n in range(0, 40, 7)]
            told = await asyncio.gather(*(what(hand, query(f"{k}-{n}")) for hand, k, n in asked))
            assert told == [(f"e{k}-{n}", EXACT) for _, k, n in asked]

        self.run(open_some, story, count=4)


def mixed(seed: int) -> Vector:
    """One of many vectors, no two of them near."""
    drawn = np.frombuffer(blake2b(b"%d" % seed, digest_size=32).digest(), "<i2").astype(np.float64)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)
