"""A valuation in two passes over pieces says what one over everything does, the same bits on any workers."""

import json
import os
import random
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

from p402.evaluation.diagnostics import propensity_calibration, sample_ratio
from p402.evaluation.estimators import compare, evaluate
from p402.evaluation.reward_model import cross_fitted
from p402.learner.tally import Tally
from p402.routing.scale import param
from p402.store.catalog import load_catalog
from p402.store.compactor import compact
from p402.store.imported.write import import_files
from p402.store.task_head import load_head
from sim.replay import facts as facts_module
from sim.replay import window as window_module
from sim.replay.command import main
from sim.replay.pass_one import Told, ToldCodec, first
from sim.replay.pass_two import Valued, ValuedCodec, second
from sim.replay.target import parse
from sim.replay.training import trained
from sim.replay.value import ESTIMATORS, value
from sim.replay.window import NoRounds, Unfaithful, chunks, rounds_in, window_of
from sim.spread.contract import InProcess, Processes, Ray
from tests.sim.replay.whole import read_window

POLICIES = ("quality", "cheapest", "random", "logged", "weights:quality=0.2,cost=0.8,speed=0")


@pytest.fixture(scope="module")
def judged(tmp_path_factory, house_of, spec_of, mode_of):
    """A log in many pieces: six workers, three snapshots, a judge that changes its mind, partly compacted."""
    house = house_of(tmp_path_factory.mktemp("judged"), 5)
    house.upstream.failing = {"birch": 0.15}
    wide = {"tolerance": param(1.9), "loss_cap": param(0.5), "floor": param(0.2)}
    specs = [
        spec_of(mode=mode_of(0.5, 0.5, 0, **wide)),
        spec_of(mode=mode_of(0.4, 0.6, 0, **wide), seed=3, providers=("alder", "birch", "fir")),
        spec_of(mode=mode_of(0.4, 0.6, 0, **wide), seed=4, providers=("alder", "elm", "fir", "cedar")),
    ]
    judge = random.Random(9)
    asked = []
    for part, spec in enumerate(specs):
        flows = [house.worker(f"w{part}-{k}", house.stored(spec)) for k in range(2)]
        for i in range(160):
            house.clock.ms += 100
            options = {} if i % 9 else {"mode": "cost"}
            told = house.ask(flows[i % 2], stream=i % 2 == 0, session_id=f"s{i % 40}", **options)
            if told is not None:
                asked.append(told.request_id)
            if judge.random() < 0.5:  # someone judged long ago is judged again
                house.score(flows[i % 2], judge.choice(asked), round(judge.random(), 3))
        house.close()
        house.writers.clear()
        if part < 2:
            compact(house.log)
    return house


def numbers(estimate):
    return [estimate.value, estimate.stderr, estimate.ess, estimate.max_weight, estimate.max_share]


@pytest.mark.parametrize("policy", POLICIES)
def test_two_passes_say_what_one_over_everything_says(judged, policy):
    target = parse(policy)
    whole = read_window(judged.log, judged.store, target)
    result = value(judged.log, judged.store, policy, target)
    assert len(window_of(judged.log, judged.store).decisions) >= 3
    batch, model = whole.batch, cross_fitted(whole.batch)
    assert (result.rounds, result.matured) == (batch.n, whole.evidence.matured)
    assert (result.judged, result.arms) == (whole.evidence.quality_outcomes, len(whole.arms))
    assert result.snapshots == whole.snapshots == 3
    for probs, seen in (
        (whole.target, [line.target for line in result.lines]),
        (whole.behaviour, [line.behaviour for line in result.lines]),
    ):
        for one, other in zip(evaluate(batch, probs, model, names=ESTIMATORS), seen, strict=True):
            assert numbers(other) == pytest.approx(numbers(one), rel=1e-10)
            assert other.n_sessions == one.n_sessions
            assert other.n_changed == one.n_changed
            assert other.support_gap == pytest.approx(one.support_gap, abs=1e-12)
            assert other.warnings == one.warnings
    paired = {line.name: line.difference for line in result.lines}
    for name, given in (("snips", ()), ("dr", (model,))):
        one = compare(batch, whole.target, whole.behaviour, *given)
        assert numbers(paired[name]) == pytest.approx(numbers(one), rel=1e-9, abs=1e-12)
    assert result.calibration.z == pytest.approx(propensity_calibration(batch).z, rel=1e-9)
    ratio = sample_ratio(batch, whole.behaviour)
    assert result.ratio.statistic == pytest.approx(ratio.statistic, rel=1e-6)
    assert result.ratio.freedom == ratio.freedom


def other_workers():
    yield pytest.param(Processes(2), id="processes")
    missing = pytest.mark.skipif(
        find_spec("ray") is None, reason="Ray is not installed: pip install 'p402[ray]'"
    )
    yield pytest.param(Ray(count=2), id="ray", marks=[missing, pytest.mark.filterwarnings("ignore")])


@pytest.mark.parametrize("workers", list(other_workers()))
def test_other_workers_give_the_same_bits(judged, workers):
    target = parse("quality")
    ours = value(judged.log, judged.store, "quality", target, by="task")
    theirs = value(judged.log, judged.store, "quality", target, by="task", workers=workers)
    assert theirs == ours


def test_the_size_of_chunks_and_what_is_remembered_change_no_bit(judged, monkeypatch):
    target = parse("cheapest")
    ours = value(judged.log, judged.store, "cheapest", target, by="tenant")
    monkeypatch.setattr(window_module, "CELLS", 50)  # a few rounds at once
    monkeypatch.setattr(window_module, "CHUNK_ROWS", 7)
    monkeypatch.setattr(facts_module, "MOST_ROWS", 1)  # nothing stays
    assert value(judged.log, judged.store, "cheapest", target, by="tenant") == ours


def test_what_is_compacted_later_changes_no_bit(judged, tmp_path):
    import shutil

    shutil.copytree(judged.root, tmp_path / "house")
    log, store = tmp_path / "house/log", tmp_path / "house/store"
    before = value(log, store, "quality", parse("quality"))
    assert any(piece.segments for piece in window_of(log, store).decisions)
    compact(log)
    assert not any(piece.segments for piece in window_of(log, store).decisions)
    assert value(log, store, "quality", parse("quality")) == before


def test_an_interrupted_valuation_goes_on_where_it_was(judged, tmp_path, monkeypatch):
    target, folder = parse("quality"), tmp_path / "kept"

    def run(policy="quality", **given):
        return value(judged.log, judged.store, policy, parse(policy), resume=folder, **given)

    class Interrupted(BaseException):
        pass

    def stop(done, total):
        if 0.4 < done / total < 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(progress=stop)
    parts = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert parts
    expected = value(judged.log, judged.store, "quality", target)
    assert run() == expected
    assert all((folder / name).stat().st_mtime_ns == at for name, at in parts.items())
    n = len(list(folder.iterdir()))
    monkeypatch.setattr("sim.replay.window.work", None)  # nothing is decided again
    assert run() == expected
    assert len(list(folder.iterdir())) == n
    monkeypatch.undo()
    assert run("cheapest") == value(judged.log, judged.store, "cheapest", parse("cheapest"))
    assert n < len(list(folder.iterdir())) < 2 * n  # the first pass is the same for every policy
    monkeypatch.setattr("sim.spread.kept.code_version", lambda: "other code")
    before = len(list(folder.iterdir()))
    assert run() == expected
    assert len(list(folder.iterdir())) == before + n


def test_results_of_pieces_can_be_written_and_read(judged):
    window = window_of(judged.log, judged.store)
    told, found = Told(Tally.none(), {}), Valued()
    for piece in window.decisions:
        told = told.plus(ToldCodec().result(ToldCodec().arrays(first(window, piece))))
    model = told.tally.model()
    for piece in window.decisions:
        part = second(window, parse("quality"), model, "task", piece)
        found = found.plus(ValuedCodec().result(ValuedCodec().arrays(part)))
    assert set(told.modes) == {"balanced", "cost"}
    assert found.sums.n == told.tally.rounds == told.modes["balanced"]
    empty = ValuedCodec().result(ValuedCodec().arrays(Valued()))
    assert empty.sums.n == 0
    again = empty.plus(found)
    assert again.sums.units.limbs.tobytes() == found.sums.units.limbs.tobytes()
    assert again.parts.keys() == found.parts.keys()


@pytest.mark.parametrize("by", ["task", "tenant"])
def test_parts_are_valued_as_if_they_were_alone_and_together_are_all(judged, by):
    result = value(judged.log, judged.store, "quality", parse("quality"), by=by)
    whole = read_window(judged.log, judged.store, parse("quality"))
    model = cross_fitted(whole.batch)
    names = {part.name: part for part in result.parts}
    assert sum(part.rounds for part in result.parts) == result.rounds
    assert all(a.rounds >= b.rounds for a, b in pairwise(result.parts))
    if by == "tenant":
        assert set(names) == {"acme"}
        (part,) = result.parts
        dr = next(line for line in result.lines if line.name == "dr")
        assert part.difference.value == dr.difference.value
        return
    from p402.routing.spec import TASKS

    assert len(names) > 1
    for code in np.unique(whole.batch.task).tolist():
        rows = np.flatnonzero(whole.batch.task == code)
        part = names[TASKS[code]]
        batch = whole.batch.take(rows)
        one = compare(batch, whole.target[rows], whole.behaviour[rows], model[rows])
        assert numbers(part.difference) == pytest.approx(numbers(one), rel=1e-9, abs=1e-12)
        (alone,) = evaluate(batch, whole.target[rows], model[rows], names=("dr",))
        assert numbers(part.target) == pytest.approx(numbers(alone), rel=1e-9, abs=1e-12)


def test_chunks_hold_no_more_than_they_may(judged, monkeypatch):
    monkeypatch.setattr(window_module, "CELLS", 160)
    window = window_of(judged.log, judged.store)
    told = Told(Tally.none(), {})
    for piece in window.decisions:
        told = told.plus(first(window, piece))
    model, n = told.tally.model(), 0
    for piece in window.decisions:
        rounds = rounds_in(window, piece)
        for chunk in chunks(window, piece, rounds, parse("random"), model):
            assert chunk.batch.n <= 160 // 6
            n += chunk.batch.n
    assert n == told.tally.rounds


def test_a_round_that_cannot_be_decided_ends_it_on_any_worker(busy, edit):
    def change(event):
        return None if event["kind"] == "live" and event["seq"] == 1 else event

    assert edit(busy.log, change) > 0
    for workers in (InProcess(), Processes(2)):
        with pytest.raises(Unfaithful, match="cannot be replayed: live state"):
            value(busy.log, busy.store, "cost", parse("cost"), workers=workers)


def test_a_learner_is_taught_by_compacted_rounds_that_all_explored(judged):
    window = window_of(judged.log, judged.store)
    assert any(piece.path for piece in window.decisions)
    told = Told(Tally.none(), {})
    for piece in window.decisions:
        told = told.plus(first(window, piece))
    target = trained("linucb", window, 1 << 45)
    assert target.trained.startswith(f"on {told.tally.rounds} balanced rounds")


def test_imported_calls_that_are_not_compacted_yet_are_said_to_have_no_propensity(tmp_path):
    log, store = tmp_path / "log", tmp_path / "store"
    store.mkdir()
    export = tmp_path / "calls.jsonl"
    export.write_text(
        "".join(
            json.dumps({"request_id": f"r{i}", "model": "m", "startTime": "2026-11-26T10:00:00Z"}) + "\n"
            for i in range(7)
        )
    )
    import_files([export], "litellm", log, "acme", load_catalog(), load_head(), lambda: 0)
    with pytest.raises(NoRounds, match="found none, and 7 imported calls, whose propensity is null"):
        value(log, store, "cost", parse("cost"))


def test_the_command_takes_workers_parts_and_a_folder(judged, tmp_path, capsys):
    def run(*more):
        places = ("--log", str(judged.log), "--store", str(judged.store))
        return main(["--policy", "quality", "--behaviour", "balanced", *places, *more])

    assert run("--json") == 0
    plain = json.loads(capsys.readouterr().out)
    assert run("--json", "--processes", "2", "--resume", str(tmp_path / "kept")) == 0
    assert json.loads(capsys.readouterr().out) == plain
    assert list((tmp_path / "kept").glob("*.part"))
    assert run("--by", "task") == 0
    said = capsys.readouterr().out
    assert "by task, dr" in said
    assert "code" in said
    assert run("--by", "hour") == 2
    assert run("--processes", "2", "--ray", "local") == 2
    assert "found both" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_ray_that_is_not_there_exits_2_and_says_what_to_install(judged, capsys):
    places = ("--log", str(judged.log), "--store", str(judged.store))
    assert main(["--policy", "quality", "--ray", "local", *places]) == 2
    assert "pip install 'p402[ray]'" in capsys.readouterr().err
    assert "ray" not in os.sys.modules
