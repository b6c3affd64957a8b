"""`p402 sim compare` from its arguments to its files and exit status."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from p402.cli import main as p402
from sim.compare.command import main

TINY = Path(__file__).with_name("tiny.json")
RUN = "import sys; from p402.cli import main; sys.exit(main())"


def arguments(out, *more, strategies="static,p402", seeds="2"):
    return [
        "compare",
        "--spec",
        str(TINY),
        "--strategies",
        strategies,
        "--seeds",
        seeds,
        "--out",
        str(out),
        *more,
    ]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "compared"
    assert main(arguments(out, "--rounds", "120", "--processes", "2")) == 0
    return out


def test_it_leaves_rounds_tables_plots_and_a_page(out):
    names = {path.name for path in out.iterdir()}
    assert {"report.html", "summary.json", "summary.parquet", "paired.parquet", "rounds"} <= names
    assert {path.name for path in out.glob("*.svg")} == {
        "regret.svg", "frontier.svg", "regret-difference.svg", "cost.svg", "latency.svg", "arms.svg",
    }  # fmt: skip
    assert len(list((out / "rounds").iterdir())) == 4


def test_the_same_question_is_answered_from_what_is_finished(out, capsys):
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert main(arguments(out, "--rounds", "120")) == 0
    shown = capsys.readouterr().out
    assert "4 runs, 4 of them reused" in shown
    assert "less p402, paired over 2 seeds" in shown
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_json_is_the_document_on_disk(out, capsys):
    assert p402(["sim", *arguments(out, "--rounds", "120", "--json")]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown) == json.loads((out / "summary.json").read_text())
    document = json.loads(shown)
    assert document["simulated"] is True
    assert document["seeds"] == [0, 1]
    assert document["command"].startswith("p402 sim compare --spec tiny.json --strategies static,p402")
    assert "--rounds 120 --out compared" in document["command"]


def test_the_page_stands_alone(out):
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "http" not in text
    assert "sim-one/small silently loses 0.2 of quality" in text


def test_seeds_may_be_named_and_a_policy_of_ones_own_compared(out, tmp_path, monkeypatch, capsys):
    (tmp_path / "of_mine.py").write_text(
        "class First:\n"
        "    def probabilities(self, contexts):\n"
        "        import numpy as np\n"
        "        first = np.argmax(contexts.eligible, axis=1)\n"
        "        made = np.zeros(contexts.eligible.shape)\n"
        "        made[np.arange(len(made)), first] = contexts.eligible.any(axis=1)\n"
        "        return made\n"
    )
    monkeypatch.chdir(tmp_path)
    more = ("--strategy", "of_mine:First", "--rounds", "120", "--reference", "static")
    mine = shutil.copytree(out, tmp_path / "mine")
    assert main(arguments(mine, *more, strategies="static", seeds="0,1")) == 0
    shown = capsys.readouterr().out
    assert "4 runs, 2 of them reused" in shown
    assert "of_mine:First" in shown


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--preset", "day"), "found --preset and --spec"),
        (("--strategies", "statik"), "did you mean `static`"),
        (("--strategies", " , "), "--strategies: found none"),
        (("--reference", "p403"), "did you mean `p402`"),
        (("--seeds", "many"), "--seeds: found 'many'"),
        (("--seeds", "0"), "--seeds: found '0'"),
        (("--seeds", "3,3"), "each once"),
        (("--seeds", "-1,2"), "of 0 or more"),
        (("--spec", "nowhere.toml"), "nowhere.toml"),
        (("--strategy", "no_such_module:Mine"), "cannot import 'no_such_module'"),
    ],
)
def test_a_question_that_is_no_good_exits_2_and_plays_nothing(tmp_path, capsys, more, said):
    assert main(arguments(tmp_path / "out", *more)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_exits_2(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(arguments(tmp_path / "file")) == 2
    assert "expected a folder that can be written to" in capsys.readouterr().err


def test_wrong_usage_exits_2_and_help_0(capsys):
    assert main(["compare"]) == 2
    assert main(["compare", "--help"]) == 0
    assert "--strategies" in capsys.readouterr().out


def test_an_interruption_leaves_finished_runs_and_says_so(tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "sim", *arguments(out, "--processes", "1", seeds="500")],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    try:
        deadline = time.monotonic() + 60.0
        while not list(out.glob("rounds/*.parquet")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "no run finished within a minute"
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted; finished runs are kept" in said
    assert list(out.glob("rounds/*.parquet"))
    assert "Traceback" not in said
