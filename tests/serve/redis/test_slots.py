"""Slots of keys against redis-py, and what a cluster says of itself."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot as theirs

from serve.redis.calls import RedisRefused, Reply
from serve.redis.slots import SLOTS, Redirection, key_slot, read_owners, read_redirection

braced = st.lists(st.sampled_from([b"{", b"}", b"a", b"tenant", b"\xff", b"\0"])).map(b"".join)


@given(st.binary() | braced)
def test_a_keys_slot_is_the_one_redis_py_finds(key: bytes) -> None:
    assert key_slot(key) == theirs(key)


@given(st.text(st.characters(codec="utf-8", exclude_characters="{}"), min_size=1), braced)
def test_all_keys_of_a_tenant_have_its_slot(tenant: str, rest: bytes) -> None:
    assert key_slot(b"p402:{%b}" % tenant.encode() + rest) == key_slot(tenant.encode())


def test_known_keys_have_known_slots() -> None:
    assert [key_slot(key) for key in (b"", b"123456789", b"foo{}{bar}", b"{user1000}.following")] == [
        0,
        0x31C3,
        8363,
        3443,
    ]


@given(st.sets(st.integers(1, SLOTS - 1), max_size=9), st.randoms())
def test_a_map_gives_each_slot_the_master_of_its_range(cuts: set[int], chance: random.Random) -> None:
    bounds = [0, *sorted(cuts), SLOTS]
    ranges: list[Reply] = [
        [first, after - 1, [b"10.0.0.%d" % number, 7000 + number, b"id", []], [b"10.0.1.1", 1, b"replica"]]
        for number, (first, after) in enumerate(itertools.pairwise(bounds))
    ]
    chance.shuffle(ranges)
    gap = ranges.pop() if len(ranges) > 1 else None
    owners = read_owners(ranges, "asked")
    assert len(owners) == SLOTS
    for number, (first, after) in enumerate(itertools.pairwise(bounds)):
        is_gap = isinstance(gap, list) and gap[0] == first
        assert set(owners[first:after]) == {None if is_gap else (f"10.0.0.{number}", 7000 + number)}


@pytest.mark.parametrize(
    ("host", "node"),
    [(b"h", ("h", 7)), (b"::1", ("::1", 7)), (b"", ("asked", 7)), (None, ("asked", 7)), (b"?", None)],
)
def test_a_node_without_a_host_is_at_the_host_that_was_asked(
    host: bytes | None, node: tuple[str, int] | None
) -> None:
    assert read_owners([[0, 5, [host, 7, b"id"]]], "asked")[:7] == [node] * 6 + [None]
    said = "?" if host == b"?" else (host or b"").decode()
    told = read_redirection(RedisRefused(f"MOVED 5 {said}:7"), "asked")
    assert told == (None if node is None else Redirection(5, node, ask=False))


@pytest.mark.parametrize(
    "reply",
    [
        None, b"OK", 3, [1], [[]], [[0, 1]], [[0, 1, b"h"]], [[0, 1, [b"h"]]], [[0, SLOTS, [b"h", 1]]],
        [[5, 4, [b"h", 1]]], [[-1, 4, [b"h", 1]]], [[0, 4, [b"h", b"1"]]], [[0, 4, [1, 1]]],
    ],
)  # fmt: skip
def test_what_is_no_map_is_refused(reply: Reply) -> None:
    with pytest.raises(ValueError, match="no "):
        read_owners(reply, "asked")


def test_a_redirection_is_read_and_any_other_error_is_none() -> None:
    def read(said: str) -> Redirection | None:
        return read_redirection(RedisRefused(said), "asked")

    assert read("ASK 16383 127.0.0.1:7001") == Redirection(16383, ("127.0.0.1", 7001), ask=True)
    assert read("MOVED 0 [::1]:7001") == Redirection(0, ("::1", 7001), ask=False)
    for said in (
        "", "ERR x", "MOVED", "MOVED 1", "MOVED x h:1", "MOVED 16384 h:1", "ASK 1 h:", "ASK 1 h:0",
        "ASK 1 h:99999",
        "TRYAGAIN Multiple keys request during rehashing of slot", "CLUSTERDOWN Hash slot not served",
    ):  # fmt: skip
        assert read(said) is None
