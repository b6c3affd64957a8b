"""Workers that learn from each other decide by what they logged themselves, so replay needs nobody else."""

import asyncio
import random
import shutil

import msgspec
import pytest

from p402.events import ArmLive
from p402.flow.peers import exchange
from p402.store.reader import connect
from sim.memory import MemoryBoard
from sim.replay.source import groups
from sim.replay.verify import CHOICES, verify


def quiet(done, total):
    pass


async def no_pause():
    pass


@pytest.fixture(scope="module")
def shared(house_of, spec_of, tmp_path_factory):
    """Two workers that exchange words once a second; at first only one calls the provider that fails."""
    house = house_of(tmp_path_factory.mktemp("shared"))
    house.upstream.failing = {"cedar": 1.0, "birch": 0.2}
    snapshot = house.stored(spec_of())
    flows = [house.worker("w-one", snapshot), house.worker("w-two", snapshot)]
    board = MemoryBoard(house.clock.now_ms)
    rng, last_ms = random.Random(7), 0
    for i in range(500):
        house.clock.ms += rng.randrange(500)
        if house.clock.ms - last_ms >= 1_000:
            last_ms = house.clock.ms
            for flow in flows:
                asyncio.run(exchange(flow.state, board, house.clock.now_ms, no_pause))
        who = i % 2
        only = ("alder", "birch", "elm") if who == 0 and i < 60 else ()
        away = ("cedar",) if who == 1 and i < 120 else only
        house.ask(flows[who], mode=("quality", "balanced", "speed")[i % 3], exclude_providers=away)
    house.close()
    return house


def test_p20_two_workers_that_share_what_they_saw_replay_bit_for_bit(shared):
    result = verify(shared.log, shared.store, quiet)
    assert result.faults == ()
    assert (result.mismatched, result.unverified) == (0, 0)
    assert result.decisions == 500


def test_p20_the_log_has_a_breaker_that_opened_by_anothers_word_and_requests_that_tried(shared):
    with connect(shared.log) as con:
        first = con.execute(
            """SELECT worker, min(ts_ms) FROM (SELECT worker, ts_ms, unnest(map_entries(arms)) AS e FROM live)
               WHERE e.value.open_circuit AND e.key LIKE 'cedar/%' GROUP BY worker ORDER BY worker"""
        ).fetchall()
        ((own,),) = con.execute(
            """SELECT count(*) FROM outcomes o JOIN decisions d USING (id, tenant)
               WHERE d.worker = 'w-two' AND d.ts_ms < $at AND len([1 FOR a IN o.attempts
                     IF a.arm LIKE 'cedar/%']) > 0""",
            {"at": first[1][1]},
        ).fetchall()
        tried = con.execute(
            """SELECT count(*) FROM (SELECT unnest(map_values(arms)) AS v FROM live) WHERE v.half_open"""
        ).fetchall()[0][0]
        probed = con.execute("SELECT count(*) FROM attempts WHERE len(inputs.probed) > 0").fetchall()[0][0]
        spaced = con.execute(
            """SELECT min(gap) FROM
               (SELECT ts_ms - lag(ts_ms) OVER (PARTITION BY worker ORDER BY seq) AS gap FROM live)"""
        ).fetchall()[0][0]
    assert [worker for worker, _ in first] == ["w-one", "w-two"]
    assert abs(first[1][1] - first[0][1]) <= 3_000  # each logs it with its own next request
    assert own == 0  # the second worker had called it never
    assert min(tried, probed) > 0
    assert spaced >= 1_000


def test_p20_a_probe_that_is_changed_in_the_log_is_found(shared, edit, tmp_path, house_of):
    shutil.copytree(shared.root, tmp_path / "copy")
    house = house_of(tmp_path / "copy")
    with connect(house.log) as con:
        rows = [
            (row["id"], row["attempt"])
            for group in groups(con, CHOICES)
            for row, inputs in zip(group.table.to_pylist(), group.inputs, strict=True)
            if inputs.probed and row["attempt"]
        ]

    def change(event):
        if event["kind"] == "live":
            for arm, live in event["arms"].items():
                found = msgspec.convert(live, ArmLive)
                event["arms"][arm] = msgspec.to_builtins(msgspec.structs.replace(found, half_open=False))
        return event

    assert rows
    assert edit(house.log, change) > 0
    assert verify(house.log, house.store, quiet).mismatched > 0
