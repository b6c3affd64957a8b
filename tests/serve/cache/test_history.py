"""Two hands on one Redis say what the law over dictionaries says, whatever the history."""

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.cache.contract import Hit, Miss
from p402.cache.local import LocalCache
from tests.conformance.cache import Table, entry, query, settled, vector
from tests.serve.cache.test_hands import RealTime, hand
from tests.serve.redis.cluster_server import ask
from tests.serve.redis.server import Server

# Degrees of a Golomb ruler: no two pairs are equally near, and all are above the cosine but the last.
DEGREES = (0, 0.9, 3.6, 9, 16.2, 20.7, 22.5, 80)
# Every other prompt asks of seven rivers: guards let none of those answer for the rest, nor the other way.
TEXTS = tuple(f"How do {'7 ' * (n % 2)}rivers{' ' * n} reach the sea ?" for n in range(1, 1 + len(DEGREES)))
VECTORS = {
    text: vector(math.cos(math.radians(angle)), math.sin(math.radians(angle)))
    for text, angle in zip(TEXTS, DEGREES, strict=True)
}
CLOCK = RealTime()

prompts = st.tuples(
    st.sampled_from(TEXTS), st.sampled_from(("t", "t", "t", "u")), st.sampled_from(("s", "s", "s", "r"))
)
steps = st.one_of(
    st.tuples(st.just("find"), prompts),
    st.tuples(st.just("find"), prompts),
    st.tuples(st.just("keep"), prompts),
    st.tuples(st.just("keep"), prompts),
    st.tuples(st.just("evict"), st.tuples(st.integers(0, 12), st.sampled_from(("t", "u")))),
    st.tuples(st.just("clear"), st.sampled_from(("t", "u"))),
    st.tuples(st.just("count"), st.sampled_from(("t", "u"))),
)


async def do(cache, step, number: int):
    match step:
        case ("find", (text, tenant, scope)):
            found = await cache.find(query(text, tenant, scope))
            return (
                (found.entry.id, found.tier, round(found.similarity, 5)) if isinstance(found, Hit) else None
            )
        case ("keep", (text, tenant, scope)):
            cache.keep(query(text, tenant, scope), Miss(VECTORS[text]), entry(CLOCK, f"e{number}"))
            await settled(cache)
        case ("evict", (which, tenant)):
            return await cache.evict(tenant, f"e{which}")
        case ("clear", tenant):
            return await cache.clear(tenant)
        case ("count", tenant):
            return (await cache.tally(tenant)).entries
    return None


@pytest.fixture(scope="module")
def play(redis: Server):
    def story(history, max_entries: int) -> None:
        ask(redis, "FLUSHALL")

        async def run() -> None:
            law = LocalCache(CLOCK.now_ms, Table(VECTORS), max_entries)
            hands = [hand(redis.url, Table(VECTORS), max_entries=max_entries) for _ in range(2)]
            for number, (which, step) in enumerate(history):
                expected = await do(law, step, number)
                assert await do(hands[which], step, number) == expected, (number, step)
            for one in hands:
                await one.close()

        asyncio.run(run())

    return story


@settings(max_examples=60, deadline=None)
@given(
    history=st.lists(st.tuples(st.integers(0, 1), steps), max_size=60),
    max_entries=st.sampled_from((1, 3, 6, 100)),
)
def test_two_hands_say_what_the_law_says(play, history, max_entries):
    play(history, max_entries)
