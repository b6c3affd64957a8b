"""Rows find the live state they saw, whatever the chunks."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.events import ArmLive, Live
from p402.routing.live import LiveState
from p402.store.reader import connect
from p402.store.schema import table_of
from sim.replay.lives import projected
from sim.replay.source import MAX_LIVES, LiveGap, Lives, groups
from sim.replay.verify import CHOICES
from tests.sim.replay.plain_fold import Delta, LiveFold

live = st.builds(
    ArmLive,
    open_circuit=st.booleans(),
    half_open=st.booleans(),
    ttft_ms=st.integers(0, 5_000),
    error_rate=st.integers(0, 4_096),
)
moves = st.lists(st.dictionaries(st.sampled_from(["a/m", "b/m", "c/m"]), live, min_size=1), max_size=8)


def lives_of(deltas, ts_ms=0):
    """Live states by the deltas of a log, which come in two tables and in no order."""
    events = [Live(ts_ms=ts_ms, worker=d.worker, seq=d.seq, arms=d.arms) for d in reversed(deltas)]
    tables = [table_of("live", part) for part in (events[::2], events[1::2])]
    return Lives(lambda _workers: tables)


def told(fold, worker, seq):
    """A state by arm id, or what stands in its way."""
    try:
        state = fold.at(worker, seq)
    except LiveGap as gap:
        return str(gap)
    return state.seq, dict(state.table)


@settings(deadline=None)
@given(histories=st.dictionaries(st.sampled_from(["w0", "w1", "w2"]), moves), skip=st.integers(1, 3))
def test_a_fold_gives_each_worker_the_last_word_on_every_arm(histories, skip):
    deltas = [
        Delta(worker, seq, arms)
        for worker in sorted(histories)
        for seq, arms in enumerate(histories[worker], start=1)
    ]
    folds = LiveFold(iter(deltas)), lives_of(deltas)
    for worker in sorted(histories):
        for seq in range(0, len(histories[worker]) + 1, skip):
            expected = {}
            for arms in histories[worker][:seq]:
                expected.update(arms)
            for fold in folds:
                assert told(fold, worker, seq) == (seq, expected)


@settings(deadline=None)
@given(
    histories=st.dictionaries(st.sampled_from(["w0", "w1"]), moves),
    broken=st.lists(st.tuples(st.integers(0, 20), st.integers(-1, 9)), max_size=3),
    asked=st.lists(
        st.tuples(st.sampled_from(["w0", "w1", "w2"]), st.integers(-1, 10)), min_size=1, max_size=9
    ),
)
def test_states_as_numbers_are_those_of_the_plain_fold_and_so_is_what_stands_in_their_way(
    histories, broken, asked
):
    deltas = [
        Delta(worker, seq, arms)
        for worker, told in histories.items()
        for seq, arms in enumerate(told, start=1)
    ]
    for place, seq in broken:  # some deltas are lost, some have another's number
        if place < len(deltas):
            deltas[place] = deltas[place]._replace(seq=seq)
    deltas = [d for d in deltas if d.seq]
    seen = set()
    deltas = [d for d in deltas if (d.worker, d.seq) not in seen and not seen.add((d.worker, d.seq))]
    lives = lives_of(deltas)
    for worker, seq in asked:  # in no order
        plain = LiveFold(iter(sorted(deltas, key=lambda d: (d.worker, d.seq))))
        assert told(lives, worker, seq) == told(plain, worker, seq)
    together = lives_of(deltas).many(sorted(set(asked)))
    for (worker, seq), state in zip(sorted(set(asked)), together, strict=True):
        found = str(state) if isinstance(state, LiveGap) else (state.seq, dict(state.table))
        assert found == told(lives, worker, seq)


@settings(deadline=None)
@given(histories=st.dictionaries(st.sampled_from(["w0", "w1"]), moves), arms=st.sets(st.sampled_from("abcd")))
def test_live_columns_of_many_states_are_those_of_each_table(histories, arms):
    deltas = [Delta(w, seq, told) for w in histories for seq, told in enumerate(histories[w], start=1)]
    asked = [(w, seq) for w in sorted(histories) for seq in range(len(histories[w]) + 1)]
    index = {arm: k for k, arm in enumerate(sorted({f"{name}/m" for name in arms} | {"x/m"}))}
    states = lives_of(deltas).many(asked)
    for state, live in zip(states, projected(states, index), strict=True):
        plain = LiveState.project(state.seq, state.table, index)
        for name in (field.name for field in fields(LiveState)):
            found, wanted = getattr(live, name), getattr(plain, name)
            assert np.array_equal(found, wanted) if isinstance(wanted, np.ndarray) else found == wanted, name


def test_a_delta_of_a_number_twice_is_no_basis_but_the_same_line_twice_is_one():
    arm = {"a/m": ArmLive(open_circuit=False, ttft_ms=5, error_rate=0)}
    deltas = [Delta("w", seq, arm) for seq in (1, 2, 2, 3)]
    assert lives_of(deltas).at("w", 3).table == arm  # logged at one moment
    events = [Live(ts_ms=k, worker="w", seq=seq, arms=arm) for k, seq in enumerate((1, 2, 2, 3))]
    lives = Lives(lambda _workers: [table_of("live", events)])
    assert lives.at("w", 1).table == arm
    assert told(lives, "w", 2) == told(LiveFold(iter(deltas)), "w", 2)
    assert "two deltas have seq 2" in told(lives, "w", 3)


def test_a_worker_without_deltas_starts_with_nothing_measured():
    arm = ArmLive(open_circuit=True, ttft_ms=5, error_rate=7)
    fold = lives_of([Delta("w1", 1, {"a/m": arm})])
    assert fold.at("w0", 0).table == {}
    with pytest.raises(LiveGap, match=r"worker 'w0' at seq 1.*delta 1 is not in the log"):
        fold.at("w0", 1)
    assert fold.at("w1", 0).table == {}
    assert fold.at("w1", 1).table == {"a/m": arm}


def test_a_gap_names_worker_and_first_missing_delta():
    arm = ArmLive(open_circuit=False, ttft_ms=5, error_rate=0)
    fold = lives_of([Delta("w", seq, {"a/m": arm}) for seq in (1, 2, 4)])
    assert fold.at("w", 2).seq == 2
    for seq in (3, 4, 9):
        with pytest.raises(LiveGap, match=rf"worker 'w' at seq {seq} is unknown: delta 3 is not"):
            fold.at("w", seq)


def test_live_columns_are_those_the_worker_decided_by(house, spec_of):
    """The state the flow held after its last request is the fold of what it logged."""
    snapshot = house.stored(spec_of())
    flow = house.worker("w", snapshot)
    house.mixed_traffic([flow], 60)
    house.close()
    held = flow.state.live
    with connect(house.log) as con:
        states = {s.seq: s.table for g in groups(con, CHOICES) for s in g.states}
    assert held.seq == max(states) > 3
    again = LiveState.project(held.seq, states[held.seq], snapshot.index)
    for name in ("open_circuit", "ttft_ms", "error_rate"):
        assert (getattr(again, name) == getattr(held, name)).all()


@pytest.mark.parametrize("chunk_rows", [1, 7, 65_536])
def test_every_row_comes_once_whatever_the_chunk(busy, chunk_rows):
    with connect(busy.log) as con:
        expected = sorted(con.execute(f"SELECT id, coalesce(attempt, -1) FROM ({CHOICES})").fetchall())
        seen = []
        for group in groups(con, CHOICES, chunk_rows=chunk_rows):
            assert len(group.states) <= MAX_LIVES
            attempts = [-1 if a is None else a for a in group.column("attempt")]
            seen += zip(group.column("id"), attempts, strict=True)
            for seq, row in zip(group.column("live_seq"), group.live_row, strict=True):
                assert group.states[row].seq == seq
    assert sorted(seen) == expected
