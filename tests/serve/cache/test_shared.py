"""The cache of all hosts on a real Redis: what lies there, what ends, and what a worker reads of it."""

import asyncio
import logging
import re
from pathlib import Path

import numpy as np
import pytest

from p402.cache.contract import SEMANTIC, Hit, Miss
from serve.cache import room, shared
from serve.cache.code import pack, prefix_of, unpack
from serve.redis.slots import key_slot
from tests.conformance.cache import (
    AGAIN,
    ASKED,
    AT_96,
    AT_99,
    ONCE_MORE,
    SAID,
    Table,
    entry,
    kept,
    mixed,
    query,
    what,
)
from tests.serve.cache.test_hands import RealTime, hand
from tests.serve.redis.cluster_server import ask
from tests.serve.redis.server import Server

TIME = RealTime()
NEAR = {SAID: ASKED, AGAIN: AT_96, ONCE_MORE: AT_99}


def play(redis: Server, story, count: int = 1, **bounds) -> None:
    """Tell a story to hands on an empty Redis."""
    ask(redis, "FLUSHALL")

    async def run() -> None:
        hands = [hand(redis.url, Table(NEAR), **bounds) for _ in range(count)]
        await story(*hands)
        for one in hands:
            await one.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def left(redis: Server) -> set[str]:
    """Keys behind the tenant's prefix, of all digests the first letter."""
    found = {key.decode().partition("}:")[2] for key in ask(redis, "KEYS", "*")}
    return {re.sub("[0-9a-f]{16,}", "#", name) for name in found}


def test_redis_has_a_tenants_keys_in_one_slot_under_digests_and_all_of_them_end(redis: Server):
    async def story(one):
        await kept(one, query(AGAIN, "Acme Inc"), entry(TIME, ttl_ms=600_000))

    play(redis, story)
    keys = ask(redis, "KEYS", "*")
    tables = {"used", "ends", "facts", "ids", "state"}
    assert left(redis) == {"e:#", "s:#:#", *tables}
    assert {key_slot(key) for key in keys} == {key_slot(prefix_of("Acme Inc").encode())}
    for key in keys:
        assert key.startswith(b"p402:cache:{")
        assert b"Acme" not in key
        assert b"river" not in key
        assert 590_000 < ask(redis, "PTTL", key) <= 601_000


def test_all_that_leads_to_an_entry_lives_as_long_as_the_longest(redis: Server):
    async def story(one):
        for n, ttl_ms in enumerate((50_000, 900_000, 50_000)):
            await kept(one, query(f"{SAID}{n}"), entry(TIME, f"e{n}", ttl_ms=ttl_ms))

    play(redis, story)
    for name in ("used", "ends", "facts", "ids", "state"):
        assert 890_000 < ask(redis, "PTTL", prefix_of("t") + name) <= 901_000
    assert sorted(ask(redis, "PTTL", key) > 100_000 for key in ask(redis, "KEYS", "*:e:*")) == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("how", ["evict", "clear", "expire", "crowd"])
def test_what_is_gone_leaves_no_trace(redis: Server, how):
    async def story(one):
        await kept(one, query(AGAIN), entry(TIME, "e1", ttl_ms=300 if how == "expire" else 60_000))
        match how:
            case "evict":
                assert await one.evict("t", "e1")
            case "clear":
                assert await one.clear("t") == 1
            case "expire":
                await TIME.elapse(301)
        await kept(one, query("other", compared=False), entry(TIME, "e2"))

    play(redis, story, max_entries=1 if how == "crowd" else 100)
    assert left(redis) == {"e:#", "used", "ends", "facts", "ids", "state"}
    for table, size in (("used", "ZCARD"), ("ends", "ZCARD"), ("facts", "HLEN"), ("ids", "HLEN")):
        assert ask(redis, size, prefix_of("t") + table) == 1
    assert ask(redis, "HKEYS", prefix_of("t") + "ids") == [b"e2"]


def test_a_tenant_has_so_many_bytes_whoever_keeps_them(redis: Server):
    async def story(one, other):
        for n in range(12):
            await kept(
                (one, other)[n % 2], query(f"q{n}", compared=False), entry(TIME, f"e{n}", b"x" * 1_000)
            )
        assert 6 <= (await one.tally("t")).entries < 10
        assert await what(one, query("q11", compared=False)) is not None
        assert await what(one, query("q0", compared=False)) is None
        await kept(one, query("large", compared=False), entry(TIME, "large", b"x" * 10_001))
        assert await what(one, query("large", compared=False)) is None
        await one.clear("t")

    play(redis, story, 2, max_bytes=10_000)
    assert ask(redis, "HGET", prefix_of("t") + "state", "size") == b"0"


def test_an_id_that_two_prompts_have_evicts_the_later(redis: Server):
    async def story(one):
        await kept(one, query("first"), entry(TIME, "e1"))
        await kept(one, query("second"), entry(TIME, "e1"))
        assert (await one.tally("t")).entries == 1
        assert await one.evict("t", "e1")
        assert (await one.tally("t")).entries == 0

    play(redis, story, max_entries=1)


def test_thousands_are_cleared_in_many_calls_and_counted_once(redis: Server):
    async def story(one):
        for n in range(shared.CLEARED * 2 + 7):
            one.keep(query(f"q{n}"), Miss(), entry(TIME, f"e{n}"))
            if n % 500 == 0:
                await one.settled()
        await one.settled()
        assert await one.clear("t") == shared.CLEARED * 2 + 7

    play(redis, story)
    assert left(redis) == {"state"}


def test_what_waits_to_be_kept_is_cleared_and_evicted_too(redis: Server):
    async def story(one):
        one.keep(query("first"), Miss(), entry(TIME, "e1"))
        assert await one.evict("t", "e1")
        one.keep(query("first"), Miss(), entry(TIME, "e1"))
        one.keep(query("theirs", "u"), Miss(), entry(TIME, "e2"))
        assert await one.clear("t") == 0
        await one.settled()
        assert (await one.tally("t")).entries == 0
        assert (await one.tally("u")).entries == 1

    play(redis, story)


def test_a_worker_that_comes_late_reads_a_large_scope_in_pages_for_which_nobody_waits(redis: Server):
    count = 3 * shared.PROMPTS + 5
    texts = [f"{SAID}{' ' * n}x" for n in range(count)]
    known = Table({f" {text}": mixed(n) for n, text in enumerate(texts)})

    async def story(one):
        for n, text in enumerate(texts):
            one.keep(query(text), Miss(mixed(n)), entry(TIME, f"e{n}"))
        await one.settled()
        late = hand(redis.url, known)
        assert await what(late, query(f" {texts[-1]}")) is None
        assert late.collect()["p402_cache_known_prompts"] < count
        await late.settled()
        assert late.collect()["p402_cache_known_prompts"] == count
        for n in (0, shared.PROMPTS, count - 1):
            assert await what(late, query(f" {texts[n]}")) == (f"e{n}", SEMANTIC)
        assert late.collect()["p402_cache_prompts_read_total"] == count - shared.PROMPTS
        await late.close()

    play(redis, story)


def test_of_look_ups_at_once_one_is_told_what_is_new_and_all_go_by_it(redis: Server):
    async def story(one, other):
        await what(other, query("first"))
        await kept(one, query(AGAIN), entry(TIME, "e1"))
        told = await asyncio.gather(*(what(other, query(SAID)) for _ in range(16)))
        assert told == [("e1", SEMANTIC)] * 16

    play(redis, story, 2)


def test_a_redis_that_forgot_everything_is_followed_anew(redis: Server):
    async def story(one, other):
        for n in range(5):
            await kept(one, query(f"q{n}"), entry(TIME, f"e{n}"))
        assert await what(other, query(SAID)) is None
        assert other.collect()["p402_cache_known_prompts"] == 5
        ask(redis, "FLUSHALL")
        await kept(one, query(AGAIN), entry(TIME, "new"))
        for each in (one, other):
            assert await what(each, query(SAID)) == ("new", SEMANTIC)

    play(redis, story, 2)


def test_what_was_kept_after_redis_forgot_is_known_however_much_that_is(redis: Server):
    async def story(one, other):
        for n in range(2):
            await kept(one, query(f"q{n}"), entry(TIME, f"e{n}"))
        await what(other, query("third"))
        ask(redis, "FLUSHALL")
        await kept(one, query(AGAIN), entry(TIME, "new"))
        for n in range(5):
            await kept(one, query(f"r{n}"), entry(TIME, f"f{n}"))
        assert await what(other, query(SAID)) == ("new", SEMANTIC)

    play(redis, story, 2)


def test_a_redis_whose_clock_went_back_as_it_forgot_is_read_from_the_beginning(redis: Server):
    async def story(one, other):
        await kept(one, query(AGAIN), entry(TIME, "e1"))
        await kept(one, query("second"), entry(TIME, "e2"))
        await what(other, query("third"))
        (scope,) = ask(redis, "KEYS", "*:s:*")
        for n, exact in enumerate(ask(redis, "ZRANGE", scope, 0, -1)):
            ask(redis, "ZADD", scope, n + 1, exact)
        ask(redis, "HSET", prefix_of("t") + "state", "last", 2)
        await kept(one, query(ONCE_MORE), entry(TIME, "e3"))
        ask(redis, "HSET", prefix_of("t") + "state", "last", 3)
        ask(redis, "ZADD", scope, 3, query(ONCE_MORE).exact.hex())
        assert await what(other, query(SAID)) == ("e3", SEMANTIC)
        assert other.collect()["p402_cache_known_prompts"] == 3

    play(redis, story, 2)


def test_a_prompt_that_ended_is_asked_for_once_and_dropped(redis: Server):
    async def story(one):
        await kept(one, query(AGAIN), entry(TIME, "e1", ttl_ms=300))
        await kept(one, query("other"), entry(TIME, "e2"))
        await what(one, query("third"))
        await TIME.elapse(301)
        for _ in range(2):
            found = await one.find(query(SAID))
            assert isinstance(found, Miss)
            assert np.array_equal(found.vector, ASKED)
        assert one.collect()["p402_cache_gone_total"] == 1
        assert one.collect()["p402_cache_known_prompts"] == 1

    play(redis, story)


def test_a_prompt_that_ended_before_a_worker_came_is_told_to_nobody(redis: Server):
    async def story(one):
        await kept(one, query(AGAIN), entry(TIME, "e1", ttl_ms=300))
        assert len(ask(redis, "KEYS", "*:s:*")) == 1
        await TIME.elapse(301)
        late = hand(redis.url, Table(NEAR))
        assert await what(late, query(SAID)) is None
        assert late.collect()["p402_cache_known_prompts"] == 0
        assert ask(redis, "KEYS", "*:s:*") == []
        await late.close()

    play(redis, story)


@pytest.mark.parametrize(
    "said",
    [b"", b"x", b"\x90", b"\x93\xa1a\xa1b\xa1c", pack(entry(TIME))[:-3]],
    ids=["nothing", "no pack", "too short", "of words", "cut"],
)
def test_what_is_no_entry_of_ours_is_not_given(redis: Server, said):
    async def story(one):
        await kept(one, query(AGAIN), entry(TIME, "e1"))
        (key,) = ask(redis, "KEYS", "*:e:*")
        ask(redis, "HSET", key, "entry", said)
        assert await what(one, query(AGAIN)) is None
        assert await what(one, query(SAID)) is None
        await kept(one, query(AGAIN), entry(TIME, "e2"))
        assert (await one.find(query(AGAIN))).entry.id == "e2"
        assert one.collect()["p402_cache_failed_total"] == 0

    play(redis, story)


def test_a_key_of_somebody_else_makes_a_miss_and_is_left_alone(redis: Server, caplog):
    async def story(one):
        name = f"{prefix_of('t')}e:{query('Hi').exact.hex()}"
        ask(redis, "SET", name, "theirs")
        for _ in range(5):
            assert await one.find(query("Hi")) == Miss(None)
        assert one.collect()["p402_cache_failed_total"] == 3
        assert ask(redis, "GET", name) == b"theirs"

    with caplog.at_level(logging.WARNING, "p402.cache"):
        play(redis, story)
    (told,) = caplog.records
    assert "WRONGTYPE" in told.getMessage()


def test_entries_and_their_bytes_are_one_another():
    for made in (entry(TIME), entry(TIME, "\ud800名", bytes(range(256)))):
        assert unpack(pack(made)) == made


def test_a_redis_that_is_nearly_full_is_given_no_answers_and_gives_those_it_has(
    redis: Server, caplog, monkeypatch
):
    monkeypatch.setattr(room, "EVERY_S", 0.0)

    async def story(one):
        await kept(one, query("first"), entry(TIME, "e1"))
        used = int(re.search(rb"used_memory:(\d+)", raw_memory(redis))[1])
        ask(redis, "CONFIG", "SET", "maxmemory", int(used * 1.25))
        for n in range(3):
            await kept(one, query(f"q{n}"), entry(TIME, f"q{n}"))
        assert (await one.tally("t")).entries == 1
        assert one.collect()["p402_cache_dropped_total"] == 3
        ask(
            redis, "CONFIG", "SET", "maxmemory", max(1, used // 2)
        )  # beyond it nothing that takes room is done
        assert (await one.find(query("first"))).entry.id == "e1"
        assert await one.evict("t", "e1")
        ask(redis, "CONFIG", "SET", "maxmemory", 0)
        await kept(one, query("second"), entry(TIME, "e2"))
        assert (await one.tally("t")).entries == 1

    try:
        with caplog.at_level(logging.WARNING, "p402.cache"):
            play(redis, story)
    finally:
        ask(redis, "CONFIG", "SET", "maxmemory", 0)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "left is for budgets" in caplog.records[0].getMessage()


def raw_memory(redis: Server) -> bytes:
    from redis import Redis

    with Redis(port=redis.port) as client:
        client.response_callbacks.clear()
        return client.execute_command("INFO", "memory")


def test_an_embedder_that_is_late_or_broken_makes_a_miss(redis: Server, capsys):
    class Broken(Table):
        async def embed(self, text):
            if text == "late":
                await asyncio.Event().wait()
            raise RuntimeError("no model")

    async def run() -> None:
        one = hand(redis.url, Broken(), bound_s=0.3)
        assert await one.find(query("late")) == Miss(None)
        assert await one.find(query("broken")) == Miss(None)
        told = one.collect()
        assert (told["p402_cache_late_total"], told["p402_cache_failed_total"]) == (1, 0)
        one.keep(query("late"), Miss(None), entry(TIME))
        await one.settled()
        assert isinstance(await one.find(query("late")), Hit)
        await one.close()

    asyncio.run(run())
    assert "no model" in capsys.readouterr().err


def test_a_redis_user_with_the_rights_that_the_page_names_is_enough(redis: Server):
    page = (Path(shared.__file__).parent / "README.md").read_text()
    rights = re.search(r"`~p402:cache:\* (\+[^`]+)`", page)[1].split()
    way = ["+evalsha", "+script|load", "+ping", "+info", "+client|setname"]
    ask(redis, "FLUSHALL")
    ask(redis, "ACL", "SETUSER", "cache", "on", ">secret", "~p402:cache:*", *way, *rights)

    async def run() -> None:
        one = hand(redis.url.replace("//", "//cache:secret@"), Table(NEAR), max_entries=2)
        for n, text in enumerate((AGAIN, "second", "third", ONCE_MORE)):
            await kept(one, query(text), entry(TIME, f"e{n}", ttl_ms=300 if n else 60_000))
        assert await what(one, query(SAID)) == ("e3", SEMANTIC)
        assert (await one.tally("t")).entries == 2
        assert await one.evict("t", "e3")
        await TIME.elapse(301)
        await kept(one, query("last"), entry(TIME, "last"))
        assert await one.clear("t") == 1
        told = one.collect()
        assert (told["p402_cache_failed_total"], told["p402_cache_dropped_total"]) == (0, 0)
        await one.close()

    try:
        asyncio.run(run())
    finally:
        ask(redis, "ACL", "DELUSER", "cache")
