"""One request decided straight from its row inputs is the batch of one of it, field by field, bit by bit."""

from dataclasses import fields

import numpy as np
import pytest
from asked import EDGES, FAULTS, PLAIN, an_id, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple, replace
from worlds import a_snapshot, any_world, some_lives

from p402.errors import InvalidInput
from p402.routing.decide import Decided, decide, decide_one
from p402.routing.lens import Lens
from p402.routing.live import LiveState
from p402.routing.look import look
from p402.routing.rows import lens_of, to_batch

WORLDS = [a_snapshot(24), a_snapshot(1, 3), *(any_world(seed, 1)[0] for seed in range(6)), a_snapshot(300)]
IDS = st.sampled_from([an_id(3), "req_1"])
LIVES = [some_lives(snapshot, 6, np.random.default_rng(7)) for snapshot in WORLDS]


@st.composite
def asked(draw):
    """Number of a snapshot, a row of any kind, and a live state; in some all breakers are open."""
    world = draw(st.integers(0, len(WORLDS) - 1))
    snapshot = WORLDS[world]
    row = draw(rows(snapshot))
    if draw(st.booleans()):
        row = replace(row, **PLAIN)
    for changes in draw(st.lists(st.sampled_from(EDGES), max_size=2)):
        row = replace(row, **changes)
    live = draw(st.sampled_from(LIVES[world]))
    if draw(st.integers(0, 4)) == 0:
        live = LiveState(9, np.ones(snapshot.n_arms, np.bool_), live.ttft_ms, live.error_rate)
    return world, row, live


def batch_of(snapshot, row, live, request_id):
    return to_batch(snapshot, [request_id], [row], (live,), [0])


def same(one, other):
    """Whether two fields hold the same, type included."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one is other or (type(one) is type(other) and one == other)


@settings(max_examples=300, deadline=None)
@given(asked())
def test_p20_one_request_is_seen_as_the_batch_of_one_of_it(given):
    world, row, live = given
    snapshot = WORLDS[world]
    straight, batched = lens_of(snapshot, row, live), look(snapshot, batch_of(snapshot, row, live, an_id(1)))
    for field in fields(Lens):
        one, other = getattr(straight, field.name), getattr(batched, field.name)
        assert same(one, other), (field.name, one, other)


@settings(max_examples=300, deadline=None)
@given(asked(), st.integers(0, 1 << 40))
def test_p20_one_request_is_decided_as_the_batch_of_one_of_it_and_as_one_of_two(given, k):
    world, row, live = given
    snapshot = WORLDS[world]
    made = decide_one(snapshot, an_id(k), row, live)
    two = to_batch(snapshot, [an_id(k), an_id(k + 1)], [row, row], (live,), [0, 0])
    for batch in (batch_of(snapshot, row, live, an_id(k)), two):
        table = decide(snapshot, batch)
        assert made == Decided(*(getattr(table, name)[0].item() for name in Decided.__struct_fields__))
    assert [type(value) for value in astuple(made)] == [int] * 5


@settings(max_examples=150, deadline=None)
@given(asked(), st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3), IDS)
def test_what_cannot_be_decided_is_refused_in_the_same_words(given, faults, request_id):
    world, row, live = given
    snapshot = WORLDS[world]
    for fault in faults:
        row = replace(row, **fault)
    with pytest.raises((InvalidInput, ValueError)) as batched:  # ValueError: an id that is none of ours
        batch_of(snapshot, row, live, request_id)
    with pytest.raises(batched.type) as straight:
        decide_one(snapshot, request_id, row, live)
    assert straight.type is batched.type
    assert str(straight.value) == str(batched.value)
