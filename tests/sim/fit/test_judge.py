import json

import pytest

from p402.cli import main
from sim.fit.history import NoHistory
from sim.fit.judge import Other, fit_and_judge

MONEY = "cost, USD per 1,000 requests"


@pytest.fixture(scope="module")
def result(balanced, cheap):
    return fit_and_judge(*balanced, holdout_h=24.0, other=Other(*cheap, None), seeds=(1, 2))


def test_a_day_that_the_fit_has_not_seen_is_foretold(result):
    held_out, _ = result.verdicts
    assert held_out.trial == "held-out"
    assert held_out.world_errors[MONEY] < 0.25
    assert held_out.world_errors["quality"] < 0.06
    assert held_out.world_errors["latency p50, ms"] < 0.3


def test_under_another_policy_the_world_is_nearer_than_yesterday(result):
    _, other = result.verdicts
    nearer, told = other.better
    assert nearer >= 0.6 * told
    for metric in (MONEY, "quality", "saving", "arms"):
        assert other.world_errors[metric] < other.yesterday_errors[metric]


def test_the_same_question_has_the_same_answer(balanced):
    once, again = (fit_and_judge(*balanced, holdout_h=24.0, seeds=(3,)) for _ in range(2))
    assert once == again


def test_a_log_that_is_too_short_has_no_yesterday(balanced):
    with pytest.raises(NoHistory, match="at least twice"):
        fit_and_judge(*balanced, holdout_h=60.0)


def test_all_of_a_log_can_be_fitted(balanced):
    whole = fit_and_judge(*balanced, holdout_h=0.0)
    assert whole.verdicts == ()
    assert whole.fit_until_ms == whole.until_ms


def test_the_command_writes_a_world_and_tells_its_errors(balanced, tmp_path, capsys):
    log, store = balanced
    out = tmp_path / "mine.toml"
    argv = [
        "sim",
        "fit",
        "--log",
        str(log),
        "--store",
        str(store),
        "--plays",
        "1",
        "--out",
        str(out),
        "--json",
    ]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdicts"][0]["trial"] == "held-out"
    assert MONEY in told["verdicts"][0]["world_errors"]
    assert 'name = "fitted"' in out.read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--mode", "balence"], "did you mean `balanced`"),
        (["--other-mode", "cost"], "give --mode another mode"),
        (["--out", "world.yaml"], "expected .toml or .json"),
        (["--log", "nowhere"], "is no folder"),
    ],
)
def test_a_question_that_is_no_good_says_what_to_do(balanced, capsys, more, said):
    log, store = balanced
    assert main(["sim", "fit", "--log", str(log), "--store", str(store), *more]) != 0
    assert said in capsys.readouterr().err
