import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from experiments import learn
from experiments.learning import ticks
from experiments.learning.evidence import NoRounds, read_window
from experiments.learning.hourly import Hands, run_hourly
from experiments.learning.places import Places
from experiments.learning.publication import weights_of
from experiments.learning.step import Busy, Looks, Plan, take_step
from experiments.learning.ticks import MAX_TRIES, STALE_MS, LeaseLost, Ticks, hour_of
from p402.errors import DiskFull, MissingSnapshot, StaleWeights, StoreError
from p402.learner.weights import START, STEP, Weights
from p402.registry.tracking import CHALLENGER, CHAMPION, Tracking
from p402.registry.weights import Candidate, WeightsRegistry
from p402.store.components import ComponentStore

NOON = 1_795_348_800_000
HOUR = 3_600_000
PLAN = Plan(seal_wait_s=0.0)


def later():
    return NOON + HOUR


def step_in(world, plan=PLAN, **more):
    return take_step(world.places, plan, later, **more)


def registry_of(world):
    return WeightsRegistry(world.places.registry, later)


def window_of(world, **more):
    given = {"since_ms": NOON, "until_ms": NOON + HOUR} | more
    take_step_compaction(world)
    return read_window(world.places.log, world.places.store, **given)


def take_step_compaction(world):
    from p402.store.compactor import compact

    compact(world.places.log)


# --- the step ---


def test_a_step_without_a_log_leaves_no_folders_behind(tmp_path):
    new = tmp_path / "new"
    places = Places(new / "log", new / "store", new / "registry", new / "mlflow")
    with pytest.raises(StoreError, match="log is no folder"):
        take_step(places, PLAN, later)
    assert list(tmp_path.iterdir()) == []


def test_p21_a_strong_signal_is_promoted_published_and_champion(world):
    here = world("strong")
    done = step_in(here)
    assert done.proposal.verdict.action == "promote"
    assert done.published
    now = registry_of(here).current()
    assert now == done.after
    assert (now.version, now.previous, now.forced) == (1, None, False)
    assert (now.cost - START.cost, now.quality - START.quality) == (STEP, -STEP)  # towards what is better
    record = Tracking(here.places.tracking)
    assert record.alias(CHAMPION) == record.alias(CHALLENGER) == now.model_version == 1
    run = record._client.get_run(now.run_id)
    assert run.data.tags["verdict"] == "promote"
    assert run.data.tags["published_version"] == "1"
    assert run.data.tags["evidence"] == "simulated"
    assert run.data.params["dataset_digest"] == done.window.digest
    assert run.data.metrics["difference_pessimistic"] > 0.0
    assert run.inputs.dataset_inputs[0].dataset.digest == done.window.digest[:36]
    kept = {found.path for found in record._client.list_artifacts(now.run_id)}
    assert kept >= {"weights.json", "verdict.json", "estimates.json", "candidates.json", "candidates.png",
                    "weights.png"}  # fmt: skip
    assert record.version(1).weights["cost"] == now.cost


def test_p21_a_null_log_is_held_with_reasons_and_nothing_is_published(world):
    here = world("null")
    done = step_in(here)
    assert done.proposal.verdict.action == "hold"
    assert "not_better" in done.proposal.verdict.reasons
    assert not done.published
    assert registry_of(here).current() is None
    record = Tracking(here.places.tracking)
    assert record.alias(CHAMPION) is None
    challenger = record.version(record.alias(CHALLENGER))
    assert challenger.tags["verdict"] == "hold"
    assert "not_better" in challenger.tags["reasons"]


def test_p7_with_no_rounds_it_stays_and_the_hour_is_recorded_all_the_same(world):
    here = world()
    done = step_in(here)
    assert done.window is None
    assert done.proposal.weights == START
    assert done.proposal.verdict.reasons == ("too_few_matured", "no_quality_evidence")
    assert registry_of(here).current() is None
    record = Tracking(here.places.tracking)
    run = record._client.get_run(done.recorded.run_id)
    assert (run.data.tags["verdict"], run.data.tags["evidence"]) == ("hold", "none")
    assert record.alias(CHALLENGER) is None
    assert Looks(here.places.registry).taken == 0


def test_p7_with_no_outcomes_it_stays(world, serve_more):
    here = world()
    serve_more(here.places, 1_200, lead=0.8, judged=0.0)
    done = step_in(here)
    assert done.window.evidence.batch.n == 1_200
    assert done.proposal.verdict.action == "hold"
    assert "no_quality_evidence" in done.proposal.verdict.reasons
    assert registry_of(here).current() is None


def test_p7_traffic_outside_the_window_is_no_evidence(world):
    here = world("strong")
    done = take_step(here.places, PLAN, lambda: NOON + 26 * HOUR)
    assert done.window is None


def test_p21_rounds_served_under_new_weights_are_learned_from_with_the_old_ones(world, serve_more):
    here = world("strong")
    first = step_in(here)
    serve_more(here.places, 1_500, lead=0.8, seed=7, begin=NOON + HOUR // 2, published=first.after)
    done = step_in(here)
    assert len(done.window.snapshots) == 2
    assert done.window.evidence.batch.n == 4_500
    assert done.proposal.current == weights_of(first.after)
    assert done.after.version == 2


def test_a_dry_run_records_and_spends_its_look_but_publishes_nothing(world):
    here = world("strong")
    done = step_in(here, replace(PLAN, dry_run=True))
    assert done.proposal.verdict.action == "promote"
    assert not done.published
    assert registry_of(here).current() is None
    record = Tracking(here.places.tracking)
    assert record.version(1).tags["dry_run"] == "true"
    assert record.alias(CHAMPION) is None
    assert Looks(here.places.registry).taken == 1


def test_every_look_that_compares_is_counted_and_gets_less_to_spend(world):
    here = world("null")
    first, second = step_in(here).proposal, step_in(here).proposal
    assert (first.look, second.look) == (1, 2)
    assert first.alpha > second.alpha > 0.0


def test_a_count_of_looks_that_cannot_be_read_stops_the_step(world):
    here = world("null")
    here.places.registry.mkdir()
    (here.places.registry / "looks.json").write_text("seven")
    with pytest.raises(StoreError, match="number of looks"):
        step_in(here)


class Killed(Exception):
    pass


@pytest.mark.parametrize("beats", [1, 5, 8, 9])
def test_p21_a_step_killed_anywhere_publishes_nothing_and_the_next_one_does(world, beats):
    here = world("strong")
    left = beats

    def beat():
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    try:
        step_in(here, beat=beat)
    except Killed:
        assert registry_of(here).current() is None
    else:
        pytest.fail(f"a step takes fewer than {beats} beats")
    assert step_in(here).after.version == 1


def test_p21_a_step_killed_between_publishing_and_its_record_is_put_right_by_the_next(world):
    here = world("null")
    made = step_in(here).recorded
    registry_of(here).publish(
        Candidate(
            quality=START.quality, cost=START.cost, speed=0, reason="then it died", run_id=made.run_id,
            model_version=made.model_version,
        ),
        0,
    )  # fmt: skip
    record = Tracking(here.places.tracking)
    assert record.alias(CHAMPION) is None
    step_in(here)
    assert record.alias(CHAMPION) == made.model_version


def test_p21_a_lost_record_does_not_stop_learning(world):
    here = world("strong")
    step_in(here)
    elsewhere = replace(here.places, tracking=world(name="other").places.tracking)
    done = take_step(elsewhere, PLAN, later)
    assert done.after.version == 2
    assert Tracking(elsewhere.tracking).alias(CHAMPION) == done.recorded.model_version == 1


def test_p21_of_two_steps_one_waits_its_turn(world):
    here = world("null")
    seen = []

    def beat():
        if not seen:
            seen.append(True)
            with pytest.raises(Busy):
                step_in(here)

    step_in(here, beat=beat)
    assert seen


def test_p21_weights_published_meanwhile_are_not_replaced(world):
    here = world("strong")
    beats = 0

    def beat():
        nonlocal beats
        beats += 1
        if beats == 2:
            registry_of(here).publish(
                Candidate(quality=1 << 20, cost=0, speed=0, reason="operator", forced=True), 0
            )

    with pytest.raises(StaleWeights):
        step_in(here, beat=beat)
    assert registry_of(here).current().reason == "operator"


# --- evidence ---


def test_p21_evidence_replays_to_the_logged_propensities_and_other_weights_move_them(world):
    here = world("strong")
    window = window_of(here)
    batch = window.evidence.batch
    same = window.probabilities_of(START)
    assert same.shape == (batch.n, 4)
    np.testing.assert_array_equal(same[np.arange(batch.n), batch.action] * 2**24, batch.count)
    np.testing.assert_array_equal(same.sum(axis=1), 1.0)
    cheaper = window.probabilities_of(Weights(START.cost + STEP, START.quality - STEP, 0))
    assert cheaper[:, 0].mean() > same[:, 0].mean() + 0.1  # the cheapest arm is the first
    failed = batch.observed[batch.reward == 0.0]
    assert (failed >= 1.0).any()


def test_a_long_window_is_drawn_by_whole_sessions(world):
    here = world("strong")
    whole, part = window_of(here), window_of(here, max_rounds=1_000)
    assert part.found == whole.evidence.batch.n == 3_000
    n = part.evidence.batch.n
    assert 700 < n < 1_300
    _, sizes = np.unique(part.evidence.batch.session, return_counts=True)
    assert set(sizes.tolist()) == {2}


def test_a_log_without_the_rounds_in_question_says_so(world):
    with pytest.raises(NoRounds, match="no balanced round"):
        window_of(world())


def test_rounds_whose_snapshot_is_gone_are_an_error_and_not_left_out(world):
    here = world("strong")
    (snapshot,) = ComponentStore(here.places.store).snapshots()
    (here.places.store / "snapshot" / snapshot[:2] / f"{snapshot}.json").unlink()
    with pytest.raises(MissingSnapshot):
        step_in(here)
    assert registry_of(here).current() is None


def test_a_log_whose_propensities_do_not_replay_teaches_nothing(world):
    here = world()
    write = json.loads
    source = world("null", name="source")
    sealed = next((source.places.log / "sealed").iterdir())
    lines = sealed.read_bytes().splitlines()
    at = next(i for i, line in enumerate(lines) if b'"kind":"decision"' in line)
    row = write(lines[at])
    row["count"] -= 1
    lines[at] = json.dumps(row, separators=(",", ":")).encode()
    (here.places.log / "sealed").mkdir(parents=True)
    (here.places.log / "sealed" / sealed.name).write_bytes(b"\n".join(lines) + b"\n")
    for path in (source.places.store).rglob("*.json"):
        target = here.places.store / path.relative_to(source.places.store)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    with pytest.raises(StoreError, match="another propensity than was logged"):
        step_in(here)


# --- hours ---


def test_p21_an_hour_is_taken_by_one_learner_of_two(tmp_path):
    ticks = [Ticks(tmp_path, lambda: NOON) for _ in range(2)]
    lease = ticks[0].take(NOON)
    assert ticks[1].take(NOON) is None
    lease.finish("hold: not_better")
    assert ticks[1].take(NOON) is None
    assert ticks[1].take(NOON + HOUR) is not None
    assert ticks[0].read(NOON).note == "hold: not_better"
    assert (tmp_path / "2026-11-22T12").exists()


def test_p21_of_many_that_race_for_an_hour_exactly_one_takes_it(tmp_path):
    ready, taken = threading.Barrier(8), []

    def race():
        ticks = Ticks(tmp_path, lambda: NOON)
        ready.wait()
        if ticks.take(NOON) is not None:
            taken.append(True)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(taken) == 1


def test_p21_the_hour_of_a_dead_learner_is_taken_over_and_the_dead_publish_nothing(tmp_path):
    now = NOON
    ticks = Ticks(tmp_path, lambda: now)
    dead = ticks.take(NOON)
    now += STALE_MS - 1
    assert ticks.take(NOON) is None
    dead.beat()
    now += STALE_MS - 1
    assert ticks.take(NOON) is None
    now += 1
    heir = ticks.take(NOON)
    assert heir is not None
    for word in (dead.beat, lambda: dead.finish("late"), lambda: dead.fail("late")):
        with pytest.raises(LeaseLost):
            word()
    heir.finish("done")
    assert ticks.read(NOON).note == "done"


def test_an_hour_that_failed_is_tried_a_few_times_and_one_that_was_released_as_if_new(tmp_path):
    ticks = Ticks(tmp_path, lambda: NOON)
    ticks.take(NOON).release()
    for _ in range(MAX_TRIES):
        ticks.take(NOON).fail("no room")
    assert ticks.take(NOON) is None
    assert ticks.read(NOON).tries == MAX_TRIES


def test_a_torn_tick_is_no_tick(tmp_path):
    ticks = Ticks(tmp_path, lambda: NOON)
    ticks.take(NOON)
    ticks.path_of(NOON).write_bytes(b'{"holder":"a')
    assert ticks.take(NOON) is not None


class Learner:
    """An hourly learner on virtual time: sleeping is what moves the clock."""

    def __init__(self, root, begin, end, step=None):
        self.now, self.end = begin, end
        self.stepped, self.failed = [], []
        self.step = step or (lambda beat: beat())
        self.ticks = Ticks(root, lambda: self.now)

    def run(self):
        def one(beat):
            self.stepped.append(self.now)
            return self.step(beat)

        def sleep(seconds):
            assert seconds > 0.0
            self.now += int(seconds * 1000)

        hands = Hands(
            step=one, note=lambda _result: "held", done=lambda _result: None, failed=self.failed.append,
            now_ms=lambda: self.now, sleep=sleep, stopping=lambda: self.now >= self.end,
        )  # fmt: skip
        return run_hourly(self.ticks, hands)


def test_p21_a_step_is_taken_at_start_and_at_every_full_hour(tmp_path):
    learner = Learner(tmp_path, NOON + 17 * 60_000, NOON + 3 * HOUR + 1)
    assert learner.run() == 4
    assert learner.stepped == [NOON + 17 * 60_000, NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]


def test_p21_a_missed_hour_is_caught_up_by_one_step_at_start_and_no_hour_is_taken_twice(tmp_path):
    Learner(tmp_path, NOON, NOON + 1).run()
    back = Learner(tmp_path, NOON + 5 * HOUR + 1, NOON + 5 * HOUR + 2)
    assert back.run() == 1  # away for four hours: one step, windows overlap
    again = Learner(tmp_path, NOON + 5 * HOUR + 60_000, NOON + 6 * HOUR)
    assert again.run() == 0


def test_p21_a_second_learner_only_takes_the_hours_that_the_first_leaves(tmp_path):
    first = Learner(tmp_path, NOON, NOON + HOUR)
    first.run()
    second = Learner(tmp_path, NOON + 1_000, NOON + 2 * HOUR)
    second.run()
    assert (len(first.stepped), second.stepped) == (1, [NOON + HOUR])


def test_p21_a_step_that_fails_is_tried_again_and_the_next_hour_is_another(tmp_path):
    def broken(_beat):
        raise StoreError("the disk is full")

    learner = Learner(tmp_path, NOON, NOON + HOUR + 1, broken)
    assert learner.run() == 0
    assert len(learner.failed) == MAX_TRIES + 1
    assert learner.ticks.read(NOON).note == "the disk is full"


def test_p21_a_learner_that_is_asked_to_stop_ends_its_step_and_leaves_the_hour(tmp_path):
    def asked(beat):
        learner.now = NOON + 60_000
        learner.end = NOON
        beat()
        raise AssertionError

    learner = Learner(tmp_path, NOON, NOON + HOUR, asked)
    assert learner.run() == 0
    assert not learner.failed
    assert learner.ticks.take(NOON) is not None


def test_p21_a_lease_lost_after_the_last_beat_ends_its_hour_and_not_the_learner(tmp_path):
    def robbed(beat):
        beat()
        learner.now += STALE_MS
        assert Ticks(tmp_path, lambda: learner.now).take(hour_of(learner.now)) is not None

    learner = Learner(tmp_path, NOON, NOON + HOUR + 1, robbed)
    assert learner.run() == 2
    assert [type(error) for error in learner.failed] == [LeaseLost, LeaseLost]
    assert learner.stepped == [NOON, NOON + HOUR]  # the hour is its new holder's


def no_room(_path, _data):
    raise DiskFull("ticks: No space left on device; expected room to write; free space")


def test_p21_a_disk_that_is_full_when_an_hour_begins_is_told_and_the_hour_taken_once_there_is_room(
    tmp_path, monkeypatch
):
    learner = Learner(tmp_path, NOON, NOON + HOUR + 1)
    written = ticks.write_atomic

    def full_for_a_while(path, data):
        (no_room if learner.now < NOON + 150_000 else written)(path, data)

    monkeypatch.setattr(ticks, "write_atomic", full_for_a_while)
    assert learner.run() == 2
    assert [type(error) for error in learner.failed] == [DiskFull] * 3
    assert learner.stepped == [NOON + 180_000, NOON + HOUR]


def test_p21_a_disk_that_fills_up_during_a_step_is_told_and_the_next_hour_is_another(tmp_path, monkeypatch):
    def filling(_beat):
        monkeypatch.setattr(ticks, "write_atomic", no_room)
        raise DiskFull("log: No space left on device; expected room to write; free space")

    learner = Learner(tmp_path, NOON, NOON + HOUR + 1, filling)
    assert learner.run() == 0
    assert {type(error) for error in learner.failed} == {DiskFull}
    assert str(learner.failed[0]).startswith("log: ")
    assert str(learner.failed[1]).startswith("ticks: ")
    assert learner.ticks.read(NOON).state == "running"  # as last written: taken over once it is stale


def test_p21_a_step_whose_hour_could_not_be_closed_is_not_taken_again(tmp_path, monkeypatch):
    def filling(_beat):
        monkeypatch.setattr(ticks, "write_atomic", no_room)

    learner = Learner(tmp_path, NOON, NOON + HOUR - 1, filling)
    assert learner.run() == 1
    assert learner.stepped == [NOON]
    assert [type(error) for error in learner.failed] == [DiskFull]


def test_p21_a_learner_that_is_asked_to_stop_stops_though_the_disk_is_full(tmp_path, monkeypatch):
    def asked(beat):
        monkeypatch.setattr(ticks, "write_atomic", no_room)
        learner.end = NOON
        beat()

    learner = Learner(tmp_path, NOON, NOON + HOUR, asked)
    assert learner.run() == 0
    assert [type(error) for error in learner.failed] == [DiskFull]


def test_an_hour_begins_where_utc_says():
    assert hour_of(NOON + HOUR - 1) == NOON
    assert hour_of(NOON) == NOON


# --- the command ---


def test_p21_the_command_prints_its_verdict_and_a_hold_is_no_failure(world, capsys):
    here = world("null")
    assert learn.main(["--once", "--window-hours", "744", *here.options()]) == 0
    said = capsys.readouterr().out
    assert "verdict: hold" in said
    assert "MLflow run" in said


def test_the_command_reports_a_log_that_is_not_there(world, capsys):
    here = world()
    options = here.options()
    options[1] += "-elsewhere"
    assert learn.main(["--once", *options]) == 1
    assert "expected the log" in capsys.readouterr().err


def test_the_command_names_a_truncated_parquet_file_in_one_line(world, capsys):
    here = world("null")
    take_step_compaction(here)
    (path,) = here.places.log.rglob("kind=decision/*/*/*.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    assert learn.main(["--once", *here.options()]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"p402 learn: {path}: found ")
    assert line.endswith("; restore it from a copy")


def test_p21_the_hourly_learner_outlives_a_truncated_parquet_file(world, tmp_path):
    here = world("null")
    take_step_compaction(here)
    (path,) = here.places.log.rglob("kind=decision/*/*/*.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    learner = Learner(tmp_path / "ticks", NOON, NOON + 1, lambda beat: step_in(here, beat=beat))
    assert learner.run() == 0
    (error,) = learner.failed
    assert str(path) in str(error)
    assert learner.ticks.read(NOON).state == "failed"


def test_the_command_says_in_one_line_that_the_disk_is_full(world, monkeypatch, capsys):
    def full(*_given, **_named):
        raise DiskFull("log: No space left on device; expected room to write; free space")

    monkeypatch.setattr("experiments.learning.step.compact", full)
    assert learn.main(["--once", *world("null").options()]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "p402 learn: log: No space left on device; expected room to write; free space"


def test_the_command_reads_its_places_from_the_configuration(world, tmp_path, capsys):
    here = world()
    config = tmp_path / "p402.toml"
    lines = [f'{name} = "{getattr(here.places, name)}"' for name in ("log", "store", "registry")]
    config.write_text("\n".join(["[server]", *lines]))
    assert learn.main(["--once", "--config", str(config)]) == 0
    assert "too_few_matured" in capsys.readouterr().out
    assert (here.places.registry.parent / "mlflow" / "mlflow.db").exists()


def test_p21_the_hourly_command_takes_its_hour_and_stops_when_asked(world):
    here = world("null")
    command = [sys.executable, "-m", "p402.cli", "learn", *here.options()]
    quiet = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=quiet) as process:
        try:
            ticks = here.places.registry / "ticks"
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and process.poll() is None:
                files = list(ticks.glob("2*")) if ticks.exists() else []
                if files and b'"done"' in files[0].read_bytes():
                    break
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert b"stopped after 1 steps" in said
