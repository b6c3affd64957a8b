"""Values of strategies on logs whose truth is known, and how they are told."""

import json
import math
import random
import shutil

import numpy as np
import pytest

from p402.evaluation.estimate import ESTIMAND
from p402.routing.scale import param
from p402.store.reader import connect
from sim.replay.command import main
from sim.replay.target import parse
from sim.replay.value import value
from sim.replay.window import NoRounds, Unfaithful
from tests.sim.replay.whole import read_window

PROMPT, OUTPUT = 100, 50
FAILING = {"birch": 0.1}  # five failures in a row, which would open a breaker, are one in 100,000
ROUNDS = 1_000
JUDGED = 0.6
SESSIONS = 50


def quality_of(arm):
    """Probability that an answer of the arm is good."""
    return {"large": 0.8, "small": 0.45}[arm.partition("/")[2]]


def true_reward(spec, arm):
    """Expected reward of the arm under the fixed objective, from prices and the law above."""
    prices = {
        a: PROMPT * i + OUTPUT * o
        for a, i, o in zip(spec.arms.arm, spec.prices.input, spec.prices.output, strict=True)
    }
    direct = min(price for a, price in prices.items() if a.endswith("/large"))
    saving = min(1.0, max(0.0, (direct - prices[arm]) / direct))
    return (1 - FAILING.get(arm.partition("/")[0], 0)) * (0.5 * quality_of(arm) + 0.5 * saving)


@pytest.fixture(scope="module")
def known(tmp_path_factory, house_of, spec_of, mode_of):
    """A log of balanced rounds that explore every arm, under two snapshots with different arms.

    Gives the house, and the specs with how many rounds were logged under each.
    """
    house = house_of(tmp_path_factory.mktemp("known"), 17)
    house.upstream.failing = FAILING
    wide = {"tolerance": param(1.9), "loss_cap": param(0.5), "floor": param(0.2)}
    specs = (
        spec_of(mode=mode_of(0.5, 0.5, 0, **wide)),
        spec_of(mode=mode_of(0.4, 0.6, 0, **wide), seed=3, providers=("alder", "birch", "fir")),
    )
    flow = house.worker("w", house.stored(specs[0]))
    judge = random.Random(4)
    for i in range(ROUNDS):
        if i == ROUNDS // 2:
            flow.state.swap(house.stored(specs[1]))
        house.clock.ms += 100
        told = house.ask(flow, stream=i % 2 == 0, session_id=f"s{i % SESSIONS}")
        if told is not None and judge.random() < JUDGED:
            good = judge.random() < quality_of(told.attempts[-1].arm)
            house.score(flow, told.request_id, float(good))
    for mode in ("cost", "quality", "speed"):
        house.ask(flow, mode=mode)
    house.close()
    return house, specs


def line(result, name):
    return next(each for each in result.lines if each.name == name)


def run(house, *arguments):
    return main([*arguments, "--log", str(house.log), "--store", str(house.store)])


def test_the_logged_policy_is_worth_the_mean_reward(known):
    house, _ = known
    window = read_window(house.log, house.store, parse("logged"))
    result = value(house.log, house.store, "logged", parse("logged"))
    weight, reward = window.batch.observed, window.batch.reward
    assert line(result, "snips").target.value == pytest.approx(
        (weight * reward).sum() / weight.sum(), abs=1e-12
    )
    assert result.rounds == ROUNDS
    assert 0 < result.matured < ROUNDS
    assert result.snapshots == 2
    for each in result.lines:
        assert each.target == each.behaviour
    assert line(result, "dr").difference.value == 0


def test_where_everything_is_judged_it_is_the_plain_mean(house, spec_of):
    flow = house.worker("w", house.stored(spec_of()))
    house.upstream.failing = {}
    for i in range(40):
        told = house.ask(flow, session_id=f"s{i}")
        house.score(flow, told.request_id, i / 40)
    house.close()
    result = value(house.log, house.store, "logged", parse("logged"))
    rewards = read_window(house.log, house.store, parse("logged")).batch.reward
    assert result.matured == 40
    assert line(result, "snips").target.value == pytest.approx(rewards.mean(), abs=1e-12)


def test_a_random_policy_is_worth_its_known_truth_within_the_interval(known):
    house, specs = known
    means = [np.mean([true_reward(s, arm) for arm in s.arms.arm]) for s in specs]
    truth = float(np.mean(means))  # half of the rounds under each snapshot
    result = value(house.log, house.store, "random", parse("random"))
    for name in ("snips", "dr", "ips"):
        estimate = line(result, name).target
        assert estimate.lower <= truth <= estimate.upper, (name, truth, estimate)
        assert estimate.upper - estimate.lower < 0.3
        assert estimate.support_gap == 0
    assert result.arms == len(set(specs[0].arms.arm) | set(specs[1].arms.arm)) == 10


@pytest.mark.parametrize("policy", ["quality", "balanced", "cheapest", "weights:quality=0.2,cost=0.8"])
def test_a_strategy_is_worth_its_known_truth_and_leads_by_the_true_gap(known, policy):
    house, specs = known
    target = parse(policy)
    window = read_window(house.log, house.store, target)
    rewards = {arm: {true_reward(s, arm) for s in specs if arm in s.arms.arm} for arm in window.arms}
    assert all(len(found) == 1 for arm, found in rewards.items() if arm.startswith(("alder", "birch")))
    worth = np.array([rewards[arm].copy().pop() for arm in window.arms])
    truth, theirs = (float((p @ worth).mean()) for p in (window.target, window.behaviour))
    result = value(house.log, house.store, policy, target, alpha=0.01)
    estimate, gap = line(result, "dr").target, line(result, "dr").difference
    assert estimate.lower <= truth <= estimate.upper
    assert gap.lower <= truth - theirs <= gap.upper
    assert gap.value == pytest.approx(estimate.value - line(result, "dr").behaviour.value, abs=1e-12)


def test_the_logged_propensities_are_those_the_arms_were_drawn_from(known):
    house, _ = known
    result = value(house.log, house.store, "random", parse("random"))
    assert abs(result.calibration.z) < 4
    assert result.ratio.p_value > 0.001


def test_a_failed_first_attempt_is_worth_nothing_whoever_served(known):
    house, _ = known
    window = read_window(house.log, house.store, parse("logged"))
    with connect(house.log) as con:
        failed, saved = con.execute(
            "SELECT count(*), count(*) FILTER (status = 'ok' AND quality = 1) FROM rounds "
            "WHERE first_status = 'failed' AND mode = 'balanced'"
        ).fetchone()
    assert saved > 0
    sure = (window.batch.observed == 1) & ~window.evidence.judged
    assert int(sure.sum()) == failed
    assert (window.batch.reward[sure] == 0).all()


def test_only_rounds_of_the_asked_mode_that_chance_took_part_in_count(busy_once):
    with connect(busy_once.log) as con:
        (n,) = con.execute(
            "SELECT count(*) FROM rounds WHERE mode = 'quality' AND inputs.explore AND NOT observe"
        ).fetchone()
    assert 0 < n == read_window(busy_once.log, busy_once.store, parse("cost"), "quality").batch.n


def test_the_table_names_estimand_interval_and_warnings(known, capsys):
    house, _ = known
    assert run(house, "--policy", "weights:quality=0.6,cost=0.4") == 0
    said = capsys.readouterr().out
    for words in (ESTIMAND, "snips", "dr", "ips", "95 % interval", "ESS", "max weight", "difference"):
        assert words in said
    assert run(house, "--policy", "quality", "--greedy", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["estimand"] == ESTIMAND
    assert document["policy"] == "quality, greedy"
    assert [each["name"] for each in document["lines"]] == ["snips", "dr", "ips"]
    assert all(math.isfinite(each["target"]["value"]) for each in document["lines"])


def test_mass_where_the_log_never_went_is_warned_of(busy_once, capsys):
    assert run(busy_once, "--policy", "random", "--behaviour", "cost") == 0
    assert "support_gap" in capsys.readouterr().out


def test_failures_alone_are_no_evidence_and_a_skewed_log_is_doubted(known, edit, tmp_path):
    house, _ = known
    sound = value(house.log, house.store, "cost", parse("cost"))
    assert sound.warnings == ()
    shutil.copytree(house.log, tmp_path / "log")
    with connect(house.log) as con:
        favourite = con.execute(
            "SELECT arm FROM decisions WHERE inputs.mode = 'balanced' GROUP BY ALL ORDER BY count(*) DESC"
        ).fetchone()[0]

    def change(event):
        lost = event["kind"] == "decision" and event["arm"] == favourite and int(event["id"][-1], 16) % 4
        return None if event["kind"] == "reward" or lost else event

    assert edit(tmp_path / "log", change) > 100
    result = value(tmp_path / "log", house.store, "cost", parse("cost"))
    codes = {warning.partition(":")[0] for warning in result.warnings}
    assert {"no_quality_evidence", "sample_ratio"} <= codes


def test_bad_questions_exit_2_and_say_what_would_do(known, capsys):
    house, _ = known
    for arguments, said in (
        (("--policy", "qualty"), "did you mean `quality`"),
        (("--policy", "cost", "--behaviour", "balance"), "did you mean `balanced`"),
        (("--policy", "cost", "--behaviour", "custom"), "found balanced 1000, cost 1, quality 1, speed 1"),
        (("--policy", "cost", "--behaviour", "speed"), "POST /v1/outcomes"),
        (("--explain", "req_nothing"), "no decision of request 'req_nothing'"),
    ):
        assert run(house, *arguments) == 2
        assert said in capsys.readouterr().err


def test_a_log_that_does_not_replay_is_not_valued(busy, edit, capsys):
    def change(event):
        if event["kind"] == "decision" and event["inputs"]["mode"] == "balanced":
            event["count"] -= 1
        return event

    assert edit(busy.log, change) > 0
    with pytest.raises(Unfaithful, match="another propensity than was logged"):
        value(busy.log, busy.store, "cost", parse("cost"))
    assert run(busy, "--policy", "cost") == 1
    assert "replay --verify" in capsys.readouterr().err


def test_no_round_is_said_with_what_there_is(house, spec_of):
    flow = house.worker("w", house.stored(spec_of()))
    house.ask(flow, mode="cost")
    house.close()
    with pytest.raises(NoRounds, match="found cost 1"):
        value(house.log, house.store, "cost", parse("cost"))
