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

# Degrees such that no two pairs of prompts are equally near; all of the first four are above the cosine.
DEGREES = (0, 1, 3, 7, 40)
TEXTS = tuple(f"How do rivers{' ' * n} reach the sea ?" for n in range(1, 6))
OTHERWISE = "How do 7 rivers reach the sea ?"
VECTORS = {
    text: vector(math.cos(math.radians(a)), math.sin(math.radians(a)))
    for text, a in zip(TEXTS, DEGREES, strict=True)
} | {OTHERWISE: vector(math.cos(0.035), math.sin(0.035))}

CLOCK = RealTime()

prompts = st.tuples(
    st.sampled_from((*TEXTS, OTHERWISE)), st.sampled_from(("t", "u")), st.sampled_from(("s", "s", "r"))
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
    history=st.lists(st.tuples(st.integers(0, 1), steps), max_size=40),
    max_entries=st.sampled_from((1, 3, 100)),
)
def test_two_hands_say_what_the_law_says(play, history, max_entries):
    play(history, max_entries)
