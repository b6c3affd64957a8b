"""Partitions show every row once, each alone, as the views do; and the same live states."""

import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

from p402.errors import StoreError
from p402.routing.batch import COLUMNS
from p402.store.compactor import compact
from p402.store.reader import connect
from p402.store.segments import LIVE, SEALED
from sim.replay.pieces import pieces_of as pieces_named
from sim.replay.pieces import rows_of
from sim.replay.snapshots import Snapshots
from sim.replay.source import CHOICE_KINDS, groups, lives_of, partitions, read
from sim.replay.verify import CHOICES


def by_row(found, store):
    """Every row of groups by id and attempt: its batch alone, and the live state it saw."""
    rows = {}
    snapshots = Snapshots(store)
    for group in found:
        snapshot = snapshots.get(group.snapshot)
        batch = group.batch(snapshot)
        attempts = group.column("attempt") if "attempt" in group.table.column_names else [None] * len(group)
        for i, key in enumerate(zip(group.column("id"), attempts, strict=True)):
            one = batch.rows(np.array([i]))
            told = {name: column.tolist() for name in COLUMNS if (column := getattr(one, name)) is not None}
            state = group.states[group.live_row[i]]
            told.pop("live_row")
            assert key not in rows
            rows[key] = told, state.seq, state.table, group.snapshot
    return rows


def plain(rows):
    """Without the columns that are there only because another row of the batch uses them."""
    unused = {
        "weights": [[0, 0, 0]], "budget_price": [0], "previous_arm": [-1], "excluded": [0], "model": [-1],
        "preferred": [[-1] * 4], "family": [-1], "probed": [0],
    }  # fmt: skip
    for told, *_ in rows.values():
        for name, value in unused.items():
            if told.get(name) == value:
                del told[name]
        if "previous_arm" not in told:
            told.pop("warm_tokens", None)
        if "tried" in told:
            told["tried"] = [[arm for arm in told["tried"][0] if arm >= 0]]
            if told["tried"] == [[]]:
                del told["tried"]
    return rows


def pieces_of(house, **options):
    for partition in partitions(house.log, CHOICE_KINDS):
        columns = ("attempt",) if partition.kind == "attempt" else ()
        yield from read(partition, columns, **options)


@pytest.mark.parametrize("compacted", [False, True])
def test_partitions_give_the_rows_of_the_views_with_the_same_live_states(busy, compacted):
    if compacted:
        compact(busy.log)
    with connect(busy.log) as con:
        expected = plain(by_row(groups(con, CHOICES), busy.store))
    assert len(expected) > 350
    found = plain(by_row(pieces_of(busy, chunk_rows=37), busy.store))
    assert found == expected
    assert found == plain(by_row(pieces_of(busy, lives=lives_of(busy.log)), busy.store))


def test_a_log_that_grew_between_compactions_has_both_kinds_of_pieces(busy, tmp_path):
    names = sorted(path for path in busy.log.glob("*/*.jsonl"))
    aside = tmp_path / "aside"
    aside.mkdir()
    shutil.move(names[0], aside)
    compact(busy.log)
    shutil.move(aside / names[0].name, names[0])
    found = partitions(busy.log, CHOICE_KINDS)
    assert {bool(p.path) for p in found} == {True, False}
    with connect(busy.log) as con:
        expected = plain(by_row(groups(con, CHOICES), busy.store))
    assert plain(by_row(pieces_of(busy), busy.store)) == expected
    assert sum(p.rows for p in found) == len(expected)


@pytest.mark.parametrize("compacted", [False, True])
def test_a_row_that_is_logged_twice_is_read_once(busy, compacted):
    with connect(busy.log) as con:
        expected = plain(by_row(groups(con, CHOICES), busy.store))
    for path in sorted(busy.log.glob("*/*.jsonl")):
        shutil.copy(path, path.with_name("again-" + path.name.split("-", 1)[1]))
    if compacted:
        compact(busy.log)
    found = partitions(busy.log, CHOICE_KINDS)
    assert sum(len(p.drop) for p in found) == len(expected)
    assert sum(p.rows for p in found) == len(expected)
    assert plain(by_row(pieces_of(busy), busy.store)) == expected


def test_a_partition_has_the_same_name_and_rows_in_another_process(busy):
    compact(busy.log)
    found = partitions(busy.log)
    assert found == partitions(busy.log)
    assert len({p.id for p in found}) == len(found)
    script = (
        "import pickle, sys; from sim.replay.source import read; p = pickle.loads(sys.stdin.buffer.read());"
        "print(p.id, *(x for g in read(p) for x in g.column('id')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps(found[0]), capture_output=True, check=True
    )
    assert done.stdout.decode().split() == [
        found[0].id, *(x for group in read(found[0]) for x in group.column("id"))
    ]  # fmt: skip


def test_a_segment_that_was_compacted_since_says_so(busy):
    found = partitions(busy.log)
    assert found[0].segments
    compact(busy.log)
    assert not [path for state in (LIVE, SEALED) for path in (busy.log / state).glob("*.jsonl")]
    with pytest.raises(StoreError, match="was compacted while the log was read"):
        list(read(found[0]))


def test_what_else_is_wanted_comes_along(busy):
    compact(busy.log)
    (partition, *_) = partitions(busy.log)
    group = next(iter(read(partition, ("arm", "count", "observe", "tenant", "id"))))
    assert {"arm", "count", "observe", "tenant", "id", "worker", "live_seq", "snapshot"} == {
        *group.table.column_names
    }
    assert set(group.column("tenant")) == {"acme"}


def test_of_a_record_only_the_fields_that_are_looked_at_are_read_and_they_are_the_same(busy):
    compact(busy.log)
    for kind, column, fields in (
        ("decision", "inputs", ("mode", "explore")),
        ("outcome", "attempts", ("status", "cost_nano")),
    ):
        (pieces,) = pieces_named(busy.log, [kind])
        for piece in pieces:
            whole = list(rows_of(piece, ("id", column), 64))
            some = list(rows_of(piece, ("id", column), 64, {column: fields}))
            for all_of_it, part in zip(whole, some, strict=True):
                assert part.column("id").equals(all_of_it.column("id"))
                kept = part.column(column).to_pylist()
                names = set(record_of(kept))
                assert names <= set(fields)
                assert names
                assert kept == [only(names, each) for each in all_of_it.column(column).to_pylist()]


def record_of(cells):
    first = next(cell for cell in cells if cell)
    return first[0] if isinstance(first, list) else first


def only(names, cell):
    if isinstance(cell, list):
        return [only(names, each) for each in cell]
    return {name: cell[name] for name in names}
