"""Columns of the log decide what its rows decide, and refuse what they refuse in the same words."""

import tempfile
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.events import Decision
from p402.ids import key_of
from p402.routing.batch import COLUMNS, RequestBatch
from p402.routing.columns import Asked
from p402.routing.live import LiveState
from p402.routing.rows import MODE_CODES, to_batch
from p402.routing.scale import PARAM_ONE
from p402.store.compactor import compact
from p402.store.reader import connect
from p402.store.schema import SCHEMAS, inputs_of, table_of
from p402.store.writer import LogWriter
from sim.replay import columns
from sim.replay.group import grouped
from sim.replay.lives import Lives
from sim.replay.source import UNFIT, Lost, groups, partitions, read
from tests.p402.routing.asked import EDGES, FAULTS, PLAIN, an_id, rows
from tests.p402.routing.worlds import a_snapshot

SNAPSHOT = a_snapshot(24)
LIVE = (LiveState.at_start(SNAPSHOT.n_arms),)
QUERY = "SELECT worker, live_seq, snapshot, id, inputs FROM decisions"


def decision(k, row, snapshot="x"):
    return Decision(
        ts_ms=1_800_000_000_000 + k, id=an_id(k), tenant="t", session="s", worker="w", snapshot=snapshot,
        live_seq=0, inputs=row, arm=None, count=0, n_eligible=0, n_explored=0, task="chat", baseline=None,
    )  # fmt: skip


def found_of(make):
    """A batch as plain columns, or how it was refused."""
    try:
        batch: RequestBatch = make()
    except UNFIT as error:
        return type(error), str(error)
    batch = batch.rows(slice(None))
    told = {name: getattr(batch, name) for name in COLUMNS}
    return {
        name: (column.dtype.str, column.shape, column.tobytes())
        for name, column in told.items()
        if column is not None
    }


def expected(inputs, ids=None):
    ids = [an_id(k) for k in range(len(inputs))] if ids is None else ids
    return found_of(lambda: to_batch(SNAPSHOT, ids, inputs, LIVE, [0] * len(inputs)))


def group_of(inputs):
    """Row inputs as a column of the log, without a file."""
    table = table_of("decision", [decision(k, row) for k, row in enumerate(inputs)])
    (group,) = grouped(table, Lives(lambda _workers: []), 64)
    return group


@st.composite
def logged(draw):
    """Rows of every kind, a few of them at fault or at an edge."""
    plain = draw(st.booleans())
    found = draw(st.lists(rows(SNAPSHOT), min_size=1, max_size=12))
    if plain:
        found = [msgspec.structs.replace(row, **PLAIN) for row in found]
    for changes in draw(st.lists(st.sampled_from((*EDGES, *EDGES, *FAULTS)), max_size=2)):
        k = draw(st.integers(0, len(found) - 1))
        found[k] = msgspec.structs.replace(found[k], **changes)
    return found


@settings(deadline=None, max_examples=60)
@given(logged())
def test_columns_become_the_batch_that_rows_become(inputs):
    group = group_of(inputs)
    assert group.inputs == inputs
    assert found_of(lambda: group.batch(SNAPSHOT)) == expected(inputs)


@settings(deadline=None, max_examples=8)
@given(logged())
def test_the_same_through_the_real_writer_and_compactor(inputs):
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder)
        with LogWriter(log, "w", lambda: 1_800_000_000_000) as writer:
            for k, row in enumerate(inputs):
                writer.append(decision(k, row))
        for _ in range(2):
            (piece,) = partitions(log)
            (group,) = read(piece)
            with connect(log) as con:
                (asked,) = groups(con, QUERY)
            for one in (group, asked):
                assert one.inputs == [msgspec.structs.replace(row) for row in inputs]
                assert found_of(lambda one=one: one.batch(SNAPSHOT)) == expected(inputs)
            compact(log)


@pytest.mark.parametrize("changes", FAULTS)
def test_a_fault_among_many_rows_is_refused_in_the_words_of_the_row_alone(changes):
    good = inputs_of(PLAIN_ROW)
    bad = msgspec.structs.replace(good, **changes)
    for inputs in ([good, bad, good], [bad, good], [good, good, bad]):
        found = found_of(lambda inputs=inputs: group_of(inputs).batch(SNAPSHOT))
        assert isinstance(found, tuple)
        assert found == expected(inputs) == expected([bad])


PLAIN_ROW = {
    "mode": "balanced", "features": [4096, *[0] * (len(SNAPSHOT.theta) - 1)], "task": 0, "prompt_tokens": 10,
    "prompt_bound": 20, "expected_output": 100, "ceiling_pico": 50 * 10**12,
}  # fmt: skip
CHANGES = st.fixed_dictionaries(
    {
        "mode": st.none() | st.sampled_from(list(MODE_CODES)),
        "weights": st.none() | st.sampled_from([(PARAM_ONE, 0, 0), (0, PARAM_ONE // 2, PARAM_ONE // 2)]),
        "explore": st.none() | st.booleans(),
        "variant": st.none() | st.integers(0, 2),
    }
)


@settings(deadline=None, max_examples=40)
@given(logged(), CHANGES)
def test_what_is_asked_otherwise_is_asked_of_every_row(inputs, changes):
    asked, group = Asked(**changes), group_of(inputs)
    told = {name: value for name, value in changes.items() if value is not None}
    if "weights" in told:
        told["weights"] = list(told["weights"])
    otherwise = [msgspec.structs.replace(row, **told) for row in inputs]
    assert [asked.one(row, k) for k, row in enumerate(inputs)] == otherwise
    assert found_of(lambda: group.batch(SNAPSHOT, asked=asked)) == expected(otherwise)
    assert found_of(lambda: group.batch(SNAPSHOT, otherwise)) == expected(otherwise)


def test_rows_may_each_be_asked_for_something_else():
    inputs = [inputs_of(PLAIN_ROW)] * 3
    asked = Asked(
        mode=np.array([0, 4, 3]),
        weights=np.array([[0, 0, 0], [PARAM_ONE, 0, 0], [0, 0, 0]]),
        explore=np.array([True, False, True]),
        variant=np.array([0, 0, 1]),
    )
    otherwise = [asked.one(row, k) for k, row in enumerate(inputs)]
    assert [row.mode for row in otherwise] == ["cost", "custom", "balanced"]
    assert [row.explore for row in otherwise] == [True, False, True]
    assert found_of(lambda: group_of(inputs).batch(SNAPSHOT, asked=asked)) == expected(otherwise)


@pytest.mark.parametrize(
    "name", ["mode", "features", "task", "prompt_tokens", "prompt_bound", "expected_output", "ceiling_pico"]
)
def test_a_row_without_what_every_row_has_is_lost_and_says_what(name):
    table = table_of("decision", [decision(k, inputs_of(PLAIN_ROW)) for k in range(3)])
    told = table.column("inputs").to_pylist()
    told[1][name] = None
    changed = pa.array(told, SCHEMAS["decision"].field("inputs").type)
    table = table.set_column(table.column_names.index("inputs"), "inputs", changed)
    lost, group = grouped(table, Lives(lambda _workers: []), 64)
    assert isinstance(lost, Lost)
    assert lost.table.column("id").to_pylist() == [an_id(1)]
    assert f"`{name}`" in lost.why
    assert group.column("id") == [an_id(0), an_id(2)]
    assert found_of(lambda: group.batch(SNAPSHOT)) == expected(
        [inputs_of(PLAIN_ROW)] * 2, [an_id(0), an_id(2)]
    )


@pytest.mark.parametrize("name", ["features", "weights", "exclude_providers", "tried"])
def test_a_hole_in_a_list_is_no_row(name):
    kind = SCHEMAS["decision"].field("inputs").type
    given = pa.array([{**PLAIN_ROW, name: [None]}, PLAIN_ROW, None], kind)
    assert columns.inputs(given).odd.tolist() == [True, False, True]


def test_more_names_than_a_column_holds_are_read_row_by_row():
    inputs = [inputs_of(PLAIN_ROW), inputs_of({**PLAIN_ROW, "exclude_providers": ["nobody"] * 100})]
    assert found_of(lambda: group_of(inputs).batch(SNAPSHOT)) == expected(inputs)


def test_fields_that_an_old_file_lacks_are_their_defaults():
    kind = pa.struct([field for field in SCHEMAS["decision"].field("inputs").type if field.name in PLAIN_ROW])
    old = columns.inputs(pa.array([PLAIN_ROW] * 2, kind))
    new = columns.inputs(pa.array([PLAIN_ROW] * 2, SCHEMAS["decision"].field("inputs").type))
    assert old.policy.values == new.policy.values == ("default",)
    assert old.explore.tolist() == new.explore.tolist() == [True, True]
    assert old.n.tolist() == new.n.tolist() == [1, 1]
    assert not old.odd.any()


def test_a_slice_of_rows_has_their_columns_and_no_others():
    inputs = [
        msgspec.structs.replace(inputs_of(PLAIN_ROW), prompt_tokens=k, tried=["gone/away"] * (k % 4))
        for k in range(9)
    ]
    group = group_of(inputs)
    ids = [an_id(k) for k in range(9)]
    assert found_of(lambda: group.part(3, 7).batch(SNAPSHOT)) == expected(inputs[3:7], ids[3:7])
    assert found_of(lambda: group.take(np.array([8, 1])).batch(SNAPSHOT)) == expected(
        [inputs[8], inputs[1]], [ids[8], ids[1]]
    )
    assert found_of(lambda: group.row(5).batch(SNAPSHOT)) == expected(inputs[5:6], ids[5:6])
    sliced = columns.inputs(group.given.slice(4, 2))
    assert sliced.prompt_tokens.tolist() == [4, 5]
    assert sliced.tried.codes.shape == (2, 1)


@given(
    st.lists(
        st.one_of(st.integers(0, 99).map(an_id), st.text(max_size=40), st.just("req_" + "F" * 32), st.none())
    )
)
def test_keys_are_those_of_the_ids_one_by_one(ids):
    key, ours = columns.keys(pa.array(ids, pa.string()))
    for k, text in enumerate(ids):
        try:
            one = key_of(text or "")
        except ValueError:
            assert not ours[k]
        else:
            assert ours[k]
            assert key[k].tolist() == list(one)
