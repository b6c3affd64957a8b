"""Baselines and policies of one's own on a log: frozen, or frozen after training on an earlier part."""

import json
import pickle
import random
from datetime import UTC, datetime

import numpy as np
import pytest

from p402.routing.scale import param
from sim.replay.command import main
from sim.replay.contextual import contextual
from sim.replay.snapshots import Snapshots
from sim.replay.source import lives_of, read
from sim.replay.target import parse, probabilities
from sim.replay.training import trained
from sim.replay.value import value
from sim.replay.window import NoRounds, window_of
from sim.strategies.named import LEARNERS, named
from sim.strategies.own import UnknownPolicy

ROUNDS = 240


def quality_of(arm):
    return {"large": 0.8, "small": 0.35}[arm.partition("/")[2]]


@pytest.fixture(scope="module")
def known(tmp_path_factory, house_of, spec_of, mode_of):
    """A log that explores every arm under two snapshots with different arms; large models are better."""
    house = house_of(tmp_path_factory.mktemp("contextual"), 17)
    wide = {"tolerance": param(1.9), "loss_cap": param(0.5), "floor": param(0.5)}
    specs = (
        spec_of(mode=mode_of(0.9, 0.1, 0, **wide)),
        spec_of(mode=mode_of(0.9, 0.1, 0, **wide), seed=3, providers=("alder", "birch", "fir")),
    )
    flow, judge = house.worker("w", house.stored(specs[0])), random.Random(4)
    for i in range(ROUNDS):
        if i == ROUNDS // 2:
            flow.state.swap(house.stored(specs[1]))
        house.clock.ms += 30_000
        told = house.ask(flow, session_id=f"s{i % 40}")
        if told is not None and judge.random() < 0.8:
            house.score(flow, told.request_id, float(judge.random() < quality_of(told.attempts[-1].arm)))
    house.close()
    return house


@pytest.fixture(scope="module")
def middle_ms(known):
    """An instant with two thirds of the rounds before it."""
    return known.clock.now_ms() - ROUNDS // 3 * 30_000


def run(house, *arguments):
    return main([*arguments, "--log", str(house.log), "--store", str(house.store)])


@pytest.mark.parametrize("text", ["static", "best-single"])
def test_a_baseline_that_learns_nothing_is_valued_as_it_is(known, text):
    result = value(known.log, known.store, text, parse(text))
    assert result.rounds == ROUNDS
    dr = next(line for line in result.lines if line.name == "dr")
    assert 0.0 < dr.target.value < 1.0


def test_a_strategy_can_go_to_another_process(known):
    there = pickle.loads(pickle.dumps(parse("zero-router")))
    ours = value(known.log, known.store, "zero-router", parse("zero-router"))
    assert value(known.log, known.store, "zero-router", there).lines == ours.lines


def test_probabilities_are_the_policys_own_under_each_rounds_snapshot(known):
    store, lives = Snapshots(known.store), lives_of(known.log)
    target = parse("zero-router")
    seen = set()
    for piece in window_of(known.log, known.store).decisions:
        for group in read(piece, lives=lives):
            snapshot = store.get(group.snapshot)
            batch = group.batch(snapshot)
            found = probabilities(target, snapshot, batch)
            strategy = named("zero-router")()
            assert (found == strategy.choose(strategy.begin(snapshot), batch).probabilities).all()
            assert np.abs(found.sum(axis=1) - 1).max() < 1e-12
            seen.add(snapshot.id)
    assert len(seen) == 2


@pytest.mark.parametrize("text", LEARNERS)
def test_a_learner_is_not_valued_unless_it_is_frozen(text):
    with pytest.raises(UnknownPolicy, match="freeze it with --train-until"):
        parse(text)


@pytest.mark.parametrize("text", ["p402", "knn"])
def test_a_frozen_learner_is_valued_on_the_rounds_after_its_training(known, middle_ms, text):
    target = trained(text, window_of(known.log, known.store), middle_ms)
    result = value(known.log, known.store, text, target, since_ms=middle_ms)
    assert 0 < result.rounds < ROUNDS // 2
    assert f"on {ROUNDS - result.rounds} balanced rounds before" in target.trained


def test_what_was_learned_shows_in_what_is_taken(known, middle_ms):
    """The benchmark of this log ranks arms at will; after training the large models are preferred."""
    before = contextual("static")
    after = trained("linucb", window_of(known.log, known.store), middle_ms)
    store, lives = Snapshots(known.store), lives_of(known.log)
    group = next(
        group for piece in window_of(known.log, known.store).decisions for group in read(piece, lives=lives)
    )
    snapshot = store.get(group.snapshot)
    large = np.array([arm.endswith("/large") for arm in snapshot.spec.arms.arm])
    batch = group.batch(snapshot)
    eligible = np.array(snapshot.allowed[0])
    assert (large & eligible).any()
    share = [target.of(snapshot, batch)[:, large].sum(axis=1).mean() for target in (before, after)]
    assert share[1] > 0.9
    assert share[1] >= share[0]


def test_training_does_not_hang_on_how_the_log_lies(known, middle_ms):
    one = trained("linucb", window_of(known.log, known.store), middle_ms)
    other = trained("linucb", window_of(known.log, known.store), middle_ms)
    ours, theirs = one.strategy.policy, other.strategy.policy
    assert ours._b.keys() == theirs._b.keys()
    assert all((ours._b[arm] == theirs._b[arm]).all() for arm in ours._b)


def test_one_that_learns_nothing_has_nothing_to_train(known, middle_ms):
    with pytest.raises(UnknownPolicy, match="learns nothing"):
        trained("cheapest", window_of(known.log, known.store), middle_ms)


def test_training_needs_rounds(known):
    with pytest.raises(NoRounds, match="later --train-until"):
        trained("linucb", window_of(known.log, known.store), 1_000)


def test_the_command_trains_and_values(known, middle_ms, capsys):
    when = datetime.fromtimestamp(middle_ms / 1000, UTC).isoformat()
    assert run(known, "--policy", "linucb", "--train-until", when, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["policy"].startswith("linucb, trained on ")
    assert run(known, "--policy", "linucb") == 2
    assert "--table" in capsys.readouterr().err
    assert run(known, "--policy", "linucb", "--train-until", "yesterday") == 2
    assert "expected a day or a time" in capsys.readouterr().err


def test_a_policy_of_ones_own_is_valued(known, tmp_path, monkeypatch, capsys):
    (tmp_path / "own_policy_of_402.py").write_text(
        "import numpy as np\n"
        "class Dear:\n"
        "    def probabilities(self, contexts):\n"
        "        worth = np.where(contexts.eligible, contexts.cost_usd, -np.inf)\n"
        "        return np.eye(worth.shape[1])[worth.argmax(axis=1)]\n"
        "class Learns(Dear):\n"
        "    def learn(self, rounds):\n"
        "        pass\n"
    )
    monkeypatch.chdir(tmp_path)
    assert run(known, "--policy", "own_policy_of_402:Dear", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rounds"] == ROUNDS
    assert run(known, "--policy", "own_policy_of_402:Learns") == 2
    assert "freeze it" in capsys.readouterr().err
