"""Savings of a log against what the answers' `p402_metadata` said, field by field."""

import numpy as np
import polars as pl
import pytest

from experiments.notebook_log import write_log
from experiments.savings import (
    arm_shares,
    counted,
    failed_but_billed,
    hits_by,
    load_hits,
    load_rounds,
    savings_by,
)
from p402.events import AnyEvent
from p402.store.reader import connect
from p402.store.writer import LogWriter
from serve.metadata import metadata_fields
from tests.p402.flow.test_cache import a_question, a_world
from tests.p402.flow.world import a_tenant

FIELDS = ("cost_usd", "direct_cost", "savings")
SUMS = ("cost_usd", "direct_usd", "savings_usd")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    log = tmp_path_factory.mktemp("savings") / "log"
    answers = [metadata_fields(metadata) for metadata in write_log(log, rounds=600, seed=11)]
    with connect(log) as con:
        return answers, load_rounds(con), failed_but_billed(con)


def chance() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(3))


def test_p22_every_round_says_what_its_answer_said_field_by_field(world):
    answers, rounds, _ = world
    rows = {row["request_id"]: row for row in rounds.iter_rows(named=True)}
    assert len(answers) == sum(row["status"] == "ok" for row in rows.values()) > 500
    for said in answers:
        row = rows[said["request_id"]]
        for name in ("tenant_id", "session_id", "baseline_model"):
            assert row[name] == said[name], name
        assert row["mode"] == said["routing_mode"]
        assert row["arm"] == f"{said['provider']}/{said['model']}"
        assert row["attempts"] == len(said["attempts"])
        assert row["cost_nano"] / 1e9 == said["cost_usd"]
        assert row["direct_nano"] / 1e9 == said["direct_cost"]
        assert row["saving_nano"] / 1e9 == said["savings"]
        assert row["fee_nano"] / 1e9 == said["platform_fee_usd"]


@pytest.mark.parametrize(
    ("key", "field"), [("mode", "routing_mode"), ("tenant_id", "tenant_id"), ("session_id", "session_id")]
)
def test_p22_sums_by_group_are_the_sums_of_what_the_answers_said(world, key, field):
    answers, rounds, _ = world
    table = savings_by(rounds.filter(status="ok"), key, chance(), replicates=5)
    assert len(table) == len({said[field] for said in answers})
    for row in table.iter_rows(named=True):
        mine = [said for said in answers if said[field] == row[key]]
        assert row["rounds"] == len(mine)
        for column, name in (
            ("cost_usd", "cost_usd"),
            ("direct_usd", "direct_cost"),
            ("savings_usd", "savings"),
        ):
            assert row[column] == pytest.approx(sum(said[name] for said in mine), abs=1e-9)
        assert row["baseline_model"] == ", ".join(sorted({said["baseline_model"] for said in mine}))


def test_groups_add_up_to_the_whole_whatever_they_are_grouped_by(world):
    _, rounds, _ = world
    whole = counted(rounds)["saved_nano"].sum() / 1e9
    for key in ("mode", "tenant_id", "session_id", "hour", "arm"):
        table = savings_by(rounds, key, chance(), replicates=5)
        assert table["savings_usd"].sum() == pytest.approx(whole, abs=1e-9)
        assert table["rounds"].sum() == len(rounds)


def test_an_interval_holds_its_estimate_and_one_session_has_none(world):
    _, rounds, _ = world
    table = savings_by(rounds, "mode", chance())
    assert (table["savings_lower_usd"] < table["savings_usd"]).all()
    assert (table["savings_usd"] < table["savings_upper_usd"]).all()
    assert ((table["share_lower"] < table["share"]) & (table["share"] < table["share_upper"])).all()
    single = savings_by(rounds, "session_id", chance(), replicates=5)
    assert single["savings_lower_usd"].is_null().all()
    assert single["share_upper"].is_null().all()


def frame(*rows: tuple[str, int | None, int | None]) -> pl.DataFrame:
    """Rounds of one mode, each a session of its own: status, cost and direct cost in nano-USD."""
    return pl.DataFrame(
        [
            {
                "session_id": f"s{i}", "mode": "cost", "status": status, "cost_nano": cost,
                "direct_nano": direct, "baseline_model": "big", "quality": None,
            }
            for i, (status, cost, direct) in enumerate(rows)
        ],
        schema_overrides={"cost_nano": pl.Int64, "direct_nano": pl.Int64, "quality": pl.Float64},
    )  # fmt: skip


def test_a_failed_round_costs_and_saves_nothing_and_an_unpriced_one_is_left_out_and_counted():
    rounds = frame(("ok", 10, 50), ("failed", 7, None), ("ok", None, 50), ("ok", 10, None))
    row = savings_by(rounds, "mode", chance()).row(0, named=True)
    assert row["savings_usd"] == pytest.approx((50 - 10 - 7) / 1e9)
    assert row["cost_usd"] == pytest.approx(17 / 1e9)
    assert (row["failed"], row["uncounted"], row["judged"]) == (1, 2, 0)
    assert row["quality"] is None


def test_the_interval_of_the_saving_covers_a_known_truth_about_as_often_as_it_says():
    source = np.random.Generator(np.random.Philox(99))
    hits = 0
    for _ in range(100):
        costs = source.integers(100, 1_000, 60)
        table = savings_by(frame(*(("ok", int(c), 1_000) for c in costs)), "mode", source, replicates=200)
        truth = 60 * (1_000 - 549.5) / 1e9
        hits += table["savings_lower_usd"][0] <= truth <= table["savings_upper_usd"][0]
    assert 86 <= hits <= 100


def test_shares_of_arms_sum_to_one_within_a_mode(world):
    _, rounds, _ = world
    sums = arm_shares(rounds).group_by("mode").agg(pl.col("share").sum())
    assert sums["share"].to_list() == pytest.approx([1.0] * len(sums))


def test_failed_attempts_that_were_billed_are_those_the_answers_list(world):
    answers, _, wasted = world
    listed = [a for said in answers for a in said["attempts"] if a["status"] != "ok" and a["cost_usd"]]
    assert wasted["attempts"].sum() == len(listed) > 0
    assert wasted["cost_nano"].sum() / 1e9 == pytest.approx(sum(a["cost_usd"] for a in listed), abs=1e-9)


def test_p22_what_the_cache_saved_is_what_its_answers_said_and_no_round_holds_it(tmp_path):
    world = a_world()
    texts = ("What is a tide?", "What is a tide?", "What is an ebb?", "What is a tide?")
    said = [
        metadata_fields(world.ask(a_question(text, session_id=session)).metadata)
        for text in texts
        for session in ("s-1", "s-2")
    ]
    said.append(
        metadata_fields(world.ask(a_question("What is a tide?"), a_tenant(baseline_model=None)).metadata)
    )
    with LogWriter(tmp_path, "w", world.clock.now_ms) as log:
        for event in world.log.of(*AnyEvent.__args__):
            log.append(event)
    with connect(tmp_path) as con:
        hits, rounds = load_hits(con), load_rounds(con)
    cached = {one["request_id"]: one for one in said if one["cached"]}
    assert set(hits["request_id"]) == set(cached)
    assert set(rounds["request_id"]) == {one["request_id"] for one in said} - set(cached)
    by_session = hits_by(hits, "session_id")
    for row in by_session.iter_rows(named=True):
        mine = [one for one in cached.values() if one["session_id"] == row["session_id"]]
        assert row["hits"] == row["exact"] == len(mine)
        assert row["alike"] == 0
        assert row["unpriced"] == sum(one["savings"] is None for one in mine)
        assert row["savings_usd"] == pytest.approx(sum(one["savings"] or 0 for one in mine), abs=1e-12)
    assert by_session["hits"].sum() == len(cached) == 7
    assert by_session["unpriced"].sum() == 1
