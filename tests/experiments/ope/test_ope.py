"""The coverage bench draws what `decide` draws, knows the exact truth, and counts rightly."""

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from experiments.bench.ope import run
from experiments.bench.ope.coverage import interval, share, wilson
from experiments.bench.ope.grid import BEHAVIOURS, Behaviour, Setting
from experiments.bench.ope.promotions import candidates_of, look
from experiments.bench.ope.spread import Task, stage_of
from experiments.bench.ope.spread import run as run_task
from experiments.bench.ope.targets import LOGGED
from experiments.bench.ope.trial import log_of, mean, picked, trial
from p402.ids import key_of
from p402.routing.chance import draw24
from p402.routing.decide import decide
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from sim.drawn.draw import draw
from sim.drawn.offers import Rules

BEHAVIOUR = Behaviour("balanced", Rules(0.2))


@pytest.fixture(scope="module")
def stage():
    return stage_of("paretobandit", BEHAVIOUR)


def setting(rounds=2_000, feedback="all", longest=1):
    return Setting("paretobandit", BEHAVIOUR, rounds, feedback, longest)


def test_arms_are_picked_as_decide_picks_them(stage):
    offered, context = stage.world.offered, stage.world.contexts["balanced"]
    rounds = draw(stage.world.traffic.prompts, 3_000, 4, 1)
    inputs = [context.inputs[row] for row in rounds.prompt.tolist()]
    batch = to_batch(offered.snapshot, rounds.id, inputs, (LiveState.at_start(9),), [0] * 3_000)
    made = decide(offered.snapshot, batch)
    draws = draw24(np.array([key_of(i) for i in rounds.id], np.uint64), offered.snapshot.spec.policy.salt)
    counts = np.rint(stage.targets[LOGGED] * (1 << 24))[rounds.prompt]
    arm = picked(counts, draws)
    assert (arm == made.arm).all()
    assert (counts[np.arange(3_000), arm] == made.count).all()


def test_a_trial_is_the_same_for_the_same_key_and_another_for_another():
    task = Task(setting(500), 1, 2)
    assert run_task(task) == run_task(task)
    assert run_task(task).found[0] != run_task(task).found[1]
    assert run_task(task).found != run_task(Task(setting(500), 2, 2)).found


def test_silent_rounds_stay_with_weight_zero_and_the_judged_stand_for_them(stage):
    log = log_of(stage, setting(2_000, "half", 8), np.random.Generator(np.random.Philox(1)))
    silent = log.batch.observed == 0.0
    assert 0.4 < silent.mean() < 0.6
    assert (log.batch.reward[silent] == 0.0).all()
    assert log.batch.observed.sum() == pytest.approx(2_000)


def test_the_bench_sees_an_interval_that_is_wrong(stage):
    """An estimate that is off by much is counted as a miss, beside ones that are not."""
    found = trial(stage, setting(), np.random.Generator(np.random.Philox(2)))
    by = {(one.target, one.estimator): one for one in found}
    wrong = [one for one in found if abs(one.error) > 6 * one.stderr > 0]
    assert not any(one.on_table for one in wrong)
    own = by["logged", "ips"]
    assert own.on_table == (abs(own.error) < 1.9615 * own.stderr)


def test_candidates_of_the_gate_have_the_gain_they_declare(stage):
    reward, now = stage.world.outcomes.reward, stage.targets[LOGGED]
    found = list(candidates_of(stage))
    assert {c.gain for c in found} >= {0.0, -0.005, -0.02}
    for candidate in found:
        assert np.abs(candidate.probs.sum(axis=1) - 1.0).max() < 1e-12
        assert mean(np.add.reduce((candidate.probs - now) * reward, axis=1)) == pytest.approx(candidate.gain)
        assert np.abs(candidate.probs - now).max() > 0.05, "a null candidate is no copy"


def test_a_look_says_the_same_of_each_candidate_as_its_interval(stage):
    for one in look(stage, setting(4_000, "half", 8), np.random.Generator(np.random.Philox(3))):
        assert one.bound or not one.promoted
        assert one.promoted or not one.promoted_first


def frame(logs):
    rows = [
        (log, held, "" if believed else "low_ess")
        for log, pairs in enumerate(logs)
        for held, believed in pairs
    ]
    return pl.DataFrame(
        {
            "log": [r[0] for r in rows],
            "on_rounds": [True] * len(rows),
            "on_table": [r[1] for r in rows],
            "warned": [r[2] for r in rows],
            "believed": [r[2] == "" for r in rows],
        }
    )


def test_shares_count_what_was_believed_and_what_was_warned_apart():
    found = share(
        frame([[(True, True), (False, True), (True, False)], [(True, True), (False, False)]]), "all", "all"
    )
    assert (found.logs, found.intervals, found.believed) == (2, 5, 3)
    assert (found.warned, found.on_table, found.warned_on_table) == pytest.approx((0.4, 2 / 3, 0.5))


def test_intervals_of_one_log_count_as_one_where_they_go_together():
    apart = interval(frame([[(i % 10 > 0, True)] for i in range(400)]))
    together = interval(frame([[(i % 10 > 0, True)] * 8 for i in range(400)]))
    assert apart == pytest.approx(together, abs=2e-3)
    assert apart == pytest.approx(wilson(0.9, 400), abs=2e-3)


def test_wilsons_interval_is_his():
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(1.0, 20) == pytest.approx((0.8389, 1.0), abs=1e-4)


def test_the_bench_prints_one_document_with_every_figure(stage, capsys, monkeypatch):
    monkeypatch.setattr("experiments.bench.ope.grid.BEHAVIOURS", BEHAVIOURS[3:4])
    monkeypatch.setattr("experiments.bench.ope.run.LOOKED_AT", (2_000,))
    options = ["--trials", "4", "--looks", "2", "--rounds", "1000", "--processes", "1", "--json"]
    status = run.main(options, {})
    document = json.loads(capsys.readouterr().out)
    whole = document["coverage"][0]
    assert whole["intervals"] == 4 * 5 * 82
    assert 0.8 < whole["on_table"] <= 1.0
    assert status == (0 if document["ok"] else 1)
    assert {row["candidate"] for row in document["promotions"]} >= {"null, 30% changed"}
    assert all(math.isfinite(row["z"]) for row in document["on_policy"])


def test_a_folder_of_tables_is_read_and_others_are_passed_over(tmp_path):
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "pairs.parquet")
    rows = {"prompt": ["x"], "task": ["t"], "model": ["m"], "quality": [1.0], "cost_usd": [1.0]}
    pl.DataFrame(rows).write_parquet(tmp_path / "whole.parquet")
    pl.DataFrame(rows | {"cost_usd": [None]}).write_parquet(tmp_path / "holes.parquet")
    assert [Path(path).name for path in run.tables_in(tmp_path)] == ["whole.parquet"]


def test_bad_usage_is_exit_two(tmp_path, capsys):
    assert run.main(["--trials", "0"], {}) == 2
    assert run.main([], {"P402_TABLES": str(tmp_path / "none")}) == 2
    assert "is no folder" in capsys.readouterr().err
