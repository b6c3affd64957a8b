"""`p402 sim run` and `p402 sim world`: what they write, show and refuse."""

import json

import pyarrow.parquet as pq
import pytest

from sim.replay.command import main as replay
from sim.world.command import main
from sim.world.files import read_spec, write_spec
from sim.world.table import SCHEMA
from tests.sim.world.small import a_world


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "small.toml"
    write_spec(path, a_world())
    return path


def test_p20_a_simulated_run_writes_a_table_and_a_log_that_replays_without_a_mismatch(spec, tmp_path, capfd):
    log, store, out = tmp_path / "log", tmp_path / "store", tmp_path / "out" / "rounds.parquet"
    asked = ["run", "--spec", str(spec), "--seed", "3", "--out", str(out), "--json", "--rounds", "50"]
    assert main([*asked, "--log", str(log), "--store", str(store)]) == 0
    told = json.loads(capfd.readouterr().out)
    table = pq.read_table(out)
    assert table.schema == SCHEMA
    assert table.num_rows == told["rounds"] == sum(told["by_status"].values()) == 50
    assert told["cost_nano"] == sum(table.column("cost_nano").to_pylist())
    assert told["regret"] == pytest.approx(sum(table.column("regret").to_pylist()))
    assert told["log_bytes"] > 0
    assert replay(["--verify", "--log", str(log), "--store", str(store), "--json"]) == 0
    again = json.loads(capfd.readouterr().out)
    chose = told["rounds"] - told["by_status"].get("refused", 0)
    assert (again["mismatched"], again["unverified"], again["decisions"]) == (0, 0, chose)
    assert main([*asked, "--log", str(log), "--store", str(store)]) == 2
    assert "not empty" in capfd.readouterr().err


def test_a_run_shows_its_figures(spec, capfd):
    assert main(["run", "--spec", str(spec), "--strategy", "cheapest"]) == 0
    assert "mean regret" in capfd.readouterr().out


def test_p11_a_run_tells_hits_wrong_hits_and_what_they_would_have_cost(tmp_path, capfd):
    out = tmp_path / "rounds.parquet"
    asked = ["run", "--preset", "repeats", "--rounds", "400", "--out", str(out)]
    assert main([*asked, "--json"]) == 0
    told, rows = json.loads(capfd.readouterr().out), pq.read_table(out).to_pylist()
    hits = [row for row in rows if row["cached"]]
    assert told["hits"] == len(hits) > 0
    assert told["wrong_hits"] == sum(row["wrong"] for row in hits)
    assert told["hits_direct_nano"] == sum(row["direct_nano"] for row in hits) > 0
    assert told["hit_share"] == len(hits) / 400
    chose = sum(row["arm"] is not None for row in rows)
    assert told["mean_regret"] == pytest.approx(told["regret"] / chose)
    assert main(asked) == 0
    shown = capfd.readouterr().out
    assert "answered from the cache" in shown
    assert "of those, an answer to another question" in shown


def test_a_run_without_hits_tells_of_none(spec, capfd):
    assert main(["run", "--spec", str(spec), "--rounds", "30"]) == 0
    assert "from the cache" not in capfd.readouterr().out


def test_a_preset_prints_as_a_world_that_reads_back(tmp_path, capfd):
    for ending, options in ((".toml", []), (".json", ["--json"])):
        assert main(["world", "--preset", "storm", *options]) == 0
        path = tmp_path / f"storm{ending}"
        path.write_text(capfd.readouterr().out)
        assert read_spec(path).name == "storm"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["run"], "give one world"),
        (["run", "--preset", "dya"], "did you mean `day`"),
        (["run", "--preset", "day", "--strategy", "linucbb"], "did you mean `linucb`"),
        (["run", "--preset", "day", "--strategy", "random", "--log", "x", "--store", "y"], "decide_one"),
        (["run", "--preset", "day", "--log", "x"], "both folders or neither"),
        (["world", "--spec", "absent.toml"], "cannot be read"),
    ],
)
def test_a_bad_question_is_status_2_with_what_to_do(argv, said, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert said in capfd.readouterr().err


def test_a_table_that_cannot_be_written_is_one_line(spec, capfd):
    assert main(["run", "--spec", str(spec), "--out", "/dev/full"]) == 1
    said = capfd.readouterr().err
    assert "--out /dev/full: cannot be written" in said
    assert "Traceback" not in said
