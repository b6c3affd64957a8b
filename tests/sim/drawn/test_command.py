"""`p402 sim draw`: the same bytes again, a log that replays, and outcomes and values that agree with it."""

import json

import polars as pl
import pytest

from p402_datasets import paretobandit
from p402_datasets.errors import MissingData
from sim.drawn.command import main
from sim.replay.target import parse
from sim.replay.value import value
from sim.replay.verify import verify

ROUNDS = 1_500


@pytest.fixture(scope="module", autouse=True)
def _wheel():
    try:
        paretobandit.files()
    except MissingData as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("drawn") / "one"
    options = ["--rounds", str(ROUNDS), "--seed", "11", "--floor", "0.2", "--feedback", "half"]
    assert main(["draw", *options, "--out", str(out)]) == 0
    return out, options


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_same_command_writes_the_same_bytes(drawn, tmp_path):
    out, options = drawn
    assert main(["draw", *options, "--out", str(tmp_path / "two")]) == 0
    assert files(tmp_path / "two") == files(out)


def test_every_round_replays_and_bears_its_outcome_out(drawn):
    out, _ = drawn
    result = verify(out / "log", out / "store", lambda _done, _total: None)
    assert result.ok
    assert (result.decisions, result.outcomes, result.snapshots) == (ROUNDS, ROUNDS, 1)


def test_outcomes_hold_every_arm_of_every_round_and_agree_with_the_log(drawn):
    out, _ = drawn
    rows = pl.read_parquet(out / "outcomes.parquet")
    assert len(rows) == ROUNDS * 9
    assert (rows.group_by("id").agg(pl.col("count").sum())["count"] == 1 << 24).all()
    chosen = rows.filter("chosen").sort("id")
    logged = pl.read_parquet(out / "log/parquet/kind=decision/**/*.parquet").sort("id")
    assert chosen["id"].equals(logged["id"])
    assert chosen["arm"].to_list() == logged["arm"].to_list()
    assert chosen["count"].to_list() == logged["count"].to_list()
    told = pl.read_parquet(out / "log/parquet/kind=reward/**/*.parquet").sort("id")
    judged = chosen.filter("judged")
    assert 0.4 * ROUNDS < len(judged) < 0.6 * ROUNDS
    assert judged["id"].to_list() == told["id"].to_list()
    assert judged["quality"].to_list() == told["quality"].to_list()


def test_the_exact_value_is_what_the_outcomes_add_up_to(drawn):
    out, _ = drawn
    truth = json.loads((out / "truth.json").read_text())
    rows = pl.read_parquet(out / "outcomes.parquet").filter(pl.col("mode") == "balanced")
    by_hand = (rows["count"] * rows["reward"]).sum() / (1 << 24) / rows["id"].n_unique()
    (own,) = [v for v in truth["values"] if (v["behaviour"], v["policy"]) == ("balanced", "logged")]
    assert own["on_rounds"] == pytest.approx(by_hand, abs=1e-12)
    assert own["rounds"] == rows["id"].n_unique()


def test_replay_values_a_strategy_within_four_standard_errors_of_the_truth(drawn):
    out, _ = drawn
    truth = json.loads((out / "truth.json").read_text())["values"]
    for policy, greedy in (("logged", False), ("balanced", True), ("weights:quality=0.7,cost=0.3", False)):
        (true,) = [
            v for v in truth if (v["behaviour"], v["policy"], v["greedy"]) == ("balanced", policy, greedy)
        ]
        found = value(out / "log", out / "store", policy, parse(policy, greedy=greedy), "balanced")
        line = {line.name: line.target for line in found.lines}["dr"]
        assert abs(line.value - true["on_rounds"]) < 4 * line.stderr
        assert found.rounds == true["rounds"]


def test_the_datasheet_names_source_licence_command_and_hashes(drawn):
    out, _ = drawn
    text = (out / "README.md").read_text()
    for said in ("paretobandit 0.1.1", "Apache-2.0", "--seed 11", "--feedback half", "log digest"):
        assert said in text
    assert json.loads((out / "log" / "manifest.json").read_text())["digest"] in text
    columns = pl.read_parquet_schema(out / "outcomes.parquet")
    assert all(f"`{name}`" in text for name in columns), "every column has its unit"
    assert "{" not in text


def test_a_folder_that_is_not_empty_is_left_alone(drawn, capsys):
    out, options = drawn
    before = files(out)
    assert main(["draw", *options, "--out", str(out)]) == 1
    assert "is not an empty folder" in capsys.readouterr().err
    assert files(out) == before


@pytest.mark.parametrize(
    "bad", [["--feedback", "haff"], ["--modes", "balanced,qualty"], ["--rounds", "0"], ["--floor", "2"]]
)
def test_a_bad_question_is_exit_two_and_writes_nothing(tmp_path, bad):
    assert main(["draw", "--out", str(tmp_path / "x"), *bad]) == 2
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("options", "status", "said"), [
    (["--modes", "cost,cost"], 2, "each mode once"),
    (["--modes", "cost", "--rounds", "9"], 1, "a folder that can be made"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_said_and_leaves_nothing(tmp_path, capfd, options, status, said):
    (tmp_path / "file").write_text("")
    out = tmp_path / ("new" if status == 2 else "file/new")
    assert main(["draw", *options, "--out", str(out)]) == status
    assert said in " ".join(capfd.readouterr().err.replace("│", " ").split())
    assert not out.exists()
