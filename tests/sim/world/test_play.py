"""A world, played: the same to the bit, the same requests for all, books that balance, a log that replays."""

from itertools import pairwise

import numpy as np
import pytest

from p402.errors import ConfigError
from p402.guard.daily import State
from sim.replay.verify import verify
from sim.strategies.named import named
from sim.world import presets, run
from sim.world.gateway import Gateway
from sim.world.play import play
from sim.world.spec import Drift, Outage, PriceChange, Sessions, Worth
from sim.world.table import SCHEMA
from sim.world.truth import Truth
from tests.sim.world.small import ALDER, BIRCH, CHEAP, DEAR, a_world, changed

ASKED = ("t_ms", "id", "tenant", "session", "task", "mode")


def columns(table, *names):
    return [table.column(name).to_pylist() for name in names]


def a_storm(per_hour=120.0, **changes):
    """The first 100 minutes of the storm with thinner traffic: burst, outage, limits and swaps of prices."""
    spec = presets["storm"]
    arrivals = changed(spec.arrivals, per_hour=per_hour)
    lab = changed(spec.tenants[1], daily_cap_usd=0.05)
    providers = tuple(changed(p, prices=(PriceChange(at_h=0.5, factor=1.3),)) for p in spec.providers)
    tenants = spec.tenants[0], lab, spec.tenants[2]
    made = changed(spec, hours=1.7, arrivals=arrivals, providers=providers, tenants=tenants)
    return changed(made, **changes)


@pytest.mark.parametrize("name", ["p402", "linucb", "gateway"])
def test_the_same_world_strategy_and_seed_give_the_same_bytes(name):
    made = [run(a_world(), Gateway() if name == "gateway" else named(name)(), 5) for _ in range(2)]
    assert made[0].schema == SCHEMA
    assert made[0].equals(made[1])
    assert not made[0].equals(run(a_world(), Gateway() if name == "gateway" else named(name)(), 6))


def test_every_strategy_sees_the_same_requests():
    tables = [run(a_storm(), named(name)(), 2) for name in ("cheapest", "random", "p402")]
    asked = [columns(table, *ASKED) for table in tables]
    assert asked[0] == asked[1] == asked[2]
    assert len({tuple(arms) for (arms,) in (columns(t, "arm") for t in tables)}) == 3


def test_an_arm_answers_a_request_alike_whoever_chose_it():
    spec = a_world(sessions=Sessions())
    by = [run(spec, named(name)(), 3).to_pylist() for name in ("random", "quality")]
    alike = [
        (a, b)
        for a, b in zip(*by, strict=True)
        if a["arm"] == b["arm"] and a["attempts"] == b["attempts"] == 1
    ]
    assert len(alike) > 10
    for one, other in alike:
        for name in ("quality", "cost_nano", "latency_ms", "value"):
            assert one[name] == other[name]


def test_rows_are_in_the_order_of_arrival_and_ids_are_unique():
    table = run(a_storm(), Gateway(), 4)
    times, ids = columns(table, "t_ms", "id")
    assert times == sorted(times)
    assert len(set(ids)) == len(ids)


def test_the_books_balance_and_no_hold_stays():
    batches, spec = [], a_storm()
    played = play(spec, named("p402")(), 1, batches.append)
    rows = [row for batch in batches for row in batch.to_pylist()]
    for tenant in spec.tenants:
        mine = [row for row in rows if row["tenant"] == tenant.name]
        fees = sum(-(-row["cost_nano"] * tenant.fee_bps // 10_000) for row in mine)
        spent = sum(day.spent_nano for (name, _), day in played.guard._days.items() if name == tenant.name)
        cost = sum(row["cost_nano"] for row in mine)
        assert abs(spent - cost - fees) <= len(mine) * (tenant.fee_bps > 0)
        assert spent <= tenant.daily_cap_usd * 1e9
    assert all(day.held_nano == 0 for day in played.guard._days.values())
    assert all(entry.state is not State.HELD for entry in played.guard._entries.values())
    assert not any(played.guard._slots.values())
    assert not played.under_way


def test_a_cap_that_is_reached_refuses_and_is_never_passed():
    tenant = changed(a_world().tenants[0], daily_cap_usd=0.01, session_cap_usd=0.004)
    batches, spec = [], a_world(tenants=(tenant,))
    played = play(spec, Gateway(), 1, batches.append)
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert sum(row["cost_nano"] for row in rows) <= 10_000_000
    by_session = {}
    for row in rows:
        by_session[row["session"]] = by_session.get(row["session"], 0) + row["cost_nano"]
    assert max(by_session.values()) <= 4_000_000
    assert all(day.spent_nano <= 10_000_000 for day in played.guard._days.values())


def test_a_refused_request_has_no_arm_no_worth_and_no_regret():
    table = run(a_storm(), Gateway(), 1)
    refused = [row for row in table.to_pylist() if row["status"] == "refused"]
    assert refused
    for row in refused:
        assert row["code"] is not None
        nothing = ("arm", "served", "propensity", "quality", "value", "best", "latency_ms", "ttfb_ms")
        assert all(row[name] is None for name in nothing)
        assert (row["regret"], row["cost_nano"], row["attempts"]) == (0.0, 0, 0)


def test_no_choice_is_worth_more_than_the_best():
    for name in ("random", "p402"):
        rows = [r for r in run(a_storm(), named(name)(), 3).to_pylist() if r["status"] != "refused"]
        assert min(row["regret"] for row in rows) >= -1e-12
        assert all(0 <= row["value"] <= row["best"] + 1e-12 <= 1 + 1e-9 for row in rows)
        assert all(0 < row["propensity"] <= 1 for row in rows)


def test_failures_are_of_quality_zero_and_failover_serves_another():
    spec = a_world(providers=(changed(ALDER, failures={"error": 0.5}), BIRCH), hours=4)
    rows = run(spec, named("random")(), 1).to_pylist()
    moved = [r for r in rows if r["attempts"] > 1 and r["status"] == "ok"]
    assert moved
    assert all(r["served"] != r["arm"] and r["arm"].startswith("alder/") for r in moved)
    assert all(r["quality"] == 0.0 and r["served"] is None for r in rows if r["status"] == "failed")


def test_an_outage_is_failed_over_and_then_avoided():
    spec = a_world(hours=3, providers=(changed(ALDER, outages=(Outage(at_h=1, hours=1),)), BIRCH))
    rows = run(spec, Gateway(), 1).to_pylist()
    away = [r for r in rows if 3_600_000 <= r["t_ms"] - spec.start_ms < 7_200_000]
    assert all(r["served"].startswith("birch/") for r in away if r["status"] == "ok")
    first = [r["arm"].startswith("alder/") for r in away]
    assert sum(first[len(first) // 2 :]) < sum(first[: len(first) // 2]) + 3
    assert all(r["value"] == 0.0 for r in away if r["arm"].startswith("alder/"))


def test_a_silent_drift_changes_the_truth_and_not_what_is_published():
    spec = a_world(providers=(changed(ALDER, drifts=(Drift(at_h=1, quality=-0.5),)), BIRCH))
    rows = run(spec, named("best-single")(), 1).to_pylist()
    arms = {r["arm"] for r in rows}
    assert len(arms) == 1
    truth = Truth(spec)
    assert truth.at(spec.start_ms).shift.tolist() == [0.0] * 4
    assert truth.at(spec.start_ms + 3_600_000).shift.tolist() == [-0.5, -0.5, 0.0, 0.0]


def test_an_announced_price_moves_choices_in_that_second():
    cut = changed(BIRCH, price_factor=5.0, prices=(PriceChange(at_h=1, factor=0.01),))
    spec = a_world(providers=(ALDER, cut), hours=2, worth=Worth(quality=0.0, cost=1.0))
    rows = run(spec, named("cheapest")(), 1).to_pylist()
    before = {r["arm"] for r in rows if r["t_ms"] < spec.start_ms + 3_600_000}
    after = {r["arm"] for r in rows if r["t_ms"] >= spec.start_ms + 3_600_000}
    assert before == {"alder/cheap"}
    assert after == {"birch/cheap"}
    assert max(r["regret"] for r in rows) < 1e-9


def test_a_retired_model_is_not_called_and_a_new_one_only_from_its_hour():
    spec = a_world(models=(changed(CHEAP, retires_h=1.0), changed(DEAR, appears_h=0.5)), hours=2)
    rows = run(spec, named("random")(), 1).to_pylist()
    for row in rows:
        at_h = (row["t_ms"] - spec.start_ms) / 3_600_000
        if row["arm"] is not None:
            assert row["arm"].endswith("cheap") if at_h < 0.5 else True
            assert row["arm"].endswith("dear") if at_h > 1 else True


def test_turns_that_wait_for_answers_come_after_them():
    spec = a_world(sessions=Sessions(mean_turns=4, waits=True), providers=(changed(ALDER, tokens_per_s=2.0),))
    rows = run(spec, Gateway(), 2).to_pylist()
    by_session = {}
    for row in rows:
        by_session.setdefault(row["session"], []).append(row)
    assert max(len(turns) for turns in by_session.values()) > 2
    for turns in by_session.values():
        for before, after in pairwise(turns):
            assert after["t_ms"] >= before["t_ms"] + before["latency_ms"] + 1_999


def test_a_learner_is_handed_each_round_with_what_is_known_of_it():
    heard, spec = [], a_world(hours=4, matures_s=600)

    class Listens:
        name = "listens"
        decide = staticmethod(named("random")().decide)

        def begin(self, snapshot):
            return snapshot

        def learn(self, rounds, now_ms):
            heard.append((rounds, now_ms))

    rows = {r["id"]: r for r in run(spec, Listens(), 1).to_pylist()}
    keys = [tuple(k) for rounds, _ in heard for k in rounds.contexts.key.tolist()]
    assert len(keys) == len(set(keys))
    assert len(keys) > 0.8 * len(rows)
    quality = np.concatenate([rounds.quality for rounds, _ in heard])
    assert 0.2 < np.mean(np.isnan(quality)) < 0.6
    for rounds, now_ms in heard:
        assert (rounds.contexts.ts_ms <= now_ms).all()
        assert rounds.contexts.eligible[np.arange(len(rounds)), rounds.action].all()
        for i, (high, low) in enumerate(rounds.contexts.key.tolist()):
            row = rows[f"req_{high:016x}{low:016x}"]
            assert rounds.contexts.arms[rounds.action[i]] == row["arm"]
            assert rounds.propensity[i] == row["propensity"]
            assert bool(rounds.failed[i]) == (row["attempts"] > 1 or row["status"] == "failed")
            if not np.isnan(rounds.quality[i]):
                assert rounds.quality[i] == pytest.approx(row["quality"], abs=1e-12)
            assert np.isnan(rounds.output_tokens[i]) == bool(rounds.failed[i])
    tokens = np.concatenate([rounds.output_tokens for rounds, _ in heard])
    expected = np.concatenate([rounds.contexts.expected_output for rounds, _ in heard])
    assert 0.5 < np.nanmean(tokens / expected) < 2.0


@pytest.mark.slow
def test_p20_a_simulated_storm_of_two_workers_replays_bit_for_bit(tmp_path):
    log, store = tmp_path / "log", tmp_path / "store"
    table = run(a_storm(400.0, tick_s=600.0), named("p402")(), 7, log, store)
    found = verify(log, store, lambda _done, _all: None)
    rows = table.to_pylist()
    assert found.ok
    assert found.mismatched == 0
    assert found.unended == 0
    assert found.decisions == sum(row["status"] != "refused" for row in rows)
    assert found.attempts > 10
    assert found.snapshots > 5
    assert run(a_storm(400.0, tick_s=600.0), named("p402")(), 7).equals(table)


def test_a_log_of_choices_that_no_replay_could_verify_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not choose by `decide_one`"):
        run(a_world(), named("random")(), 1, tmp_path / "log", tmp_path / "store")
    with pytest.raises(ConfigError, match="both folders or neither"):
        run(a_world(), Gateway(), 1, tmp_path / "log")
    with pytest.raises(ConfigError, match="seed is -1"):
        run(a_world(), Gateway(), -1)


def test_progress_goes_up_to_the_number_of_rounds():
    told = []
    run(a_world(), Gateway(), 1, progress=lambda done, total: told.append((done, total)), rounds=40)
    assert told == [(n, 40) for n in range(1, 41)]
