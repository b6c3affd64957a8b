"""`p402 replay --table` plays, shows and refuses."""

import json

import polars as pl
import pytest

from sim.replaying import main
from tests.sim.table.conftest import a_frame

FEW = ["--seeds", "2", "--rounds", "60"]


def test_a_table_is_played_and_shown(table_file, capsys):
    policies = ["--policy", "p402", "--policy", "cheapest"]
    assert main(["--table", str(table_file), *policies, *FEW]) == 0
    shown = capsys.readouterr().out
    assert "full information: measured outcomes of every arm" in shown
    assert "best-single-hindsight" in shown
    assert "zero router" in shown
    assert "few_seeds" in shown
    assert "off-policy" not in shown


def test_every_figure_is_in_the_json(table_file, capsys):
    asked = ["--policy", "static", "--weights", "quality=3,cost=1", "--judged", "0.5", "--delay", "60"]
    assert main(["--table", str(table_file), *asked, *FEW, "--json", "--cold"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["weights"] == pytest.approx([0.75, 0.25], abs=1e-5)
    assert found["feedback"] == {"every_ms": 10_000, "delay_ms": 60_000, "judged": 0.5}
    assert found["cold"] is True
    assert [s["name"] for s in found["standings"]] == ["static", "best-single-hindsight"]
    assert len(found["standings"][0]["curve"]["points"]) == 9


def test_a_policy_may_see_prompts_only_when_asked(table_file, tmp_path, monkeypatch, capsys):
    (tmp_path / "nosy_policy_of_402.py").write_text(
        "class Nosy:\n"
        "    def probabilities(self, contexts):\n"
        "        assert contexts.prompts is not None, 'no prompts'\n"
        "        p = contexts.eligible.astype(float)\n"
        "        return p / p.sum(axis=1, keepdims=True)\n"
    )
    monkeypatch.chdir(tmp_path)
    asked = ["--table", str(table_file), "--policy", "nosy_policy_of_402:Nosy", "--no-curve", *FEW]
    assert main([*asked, "--prompts"]) == 0
    with pytest.raises(AssertionError, match="no prompts"):
        main(asked)


def test_a_hole_in_a_table_is_refused_unless_left_out(tmp_path, capsys):
    path = tmp_path / "holes.parquet"
    frame = a_frame(60)
    frame.filter(~((pl.col("prompt_id") == "7") & (pl.col("model") == "lab/dear"))).write_parquet(path)
    asked = ["--table", str(path), "--policy", "cheapest", "--no-curve", *FEW]
    assert main(asked) == 2
    assert "1 of 60 prompts lack an outcome" in capsys.readouterr().err
    assert main([*asked, "--complete"]) == 0
    assert "incomplete: 1 prompts" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--table", "nowhere", "--policy", "cheapest"], "no table 'nowhere'"),
        (["--table", "FILE"], "one --policy or more"),
        (["--table", "FILE", "--policy", "cheapest", "--greedy"], "No such option"),
        (["--table", "FILE", "--policy", "cheapst"], "did you mean `cheapest`"),
        (["--table", "FILE", "--policy", "cheapest", "--weights", "speed=1"], "no latencies"),
        (["--table", "FILE", "--policy", "cheapest", "--weights", "x"], "found weight 'x'"),
        (["--explain", "x", "--policy", "random"], "expected one of --verify"),
    ],
)
def test_a_bad_question_is_refused(options, said, table_file, capsys):
    assert main([str(table_file) if option == "FILE" else option for option in options]) == 2
    assert said in capsys.readouterr().err
