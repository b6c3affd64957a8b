"""`p402 observe` as people call it."""

import json
import os
import subprocess
import sys

import pytest

from p402.routing.spec import MODES
from sim.observe.command import Mode, main


def observe(*arguments, cwd=None, **env):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("P402_")}
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from p402.cli import main; sys.exit(main())",
            "observe",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env=kept | env,
        cwd=cwd,
        check=False,
    )


@pytest.fixture
def folders(seen_once):
    return "--log", str(seen_once.house.log), "--store", str(seen_once.house.store)


def test_the_table_has_every_mode_beside_what_was_paid(folders):
    shown = observe(*folders)
    assert (shown.returncode, shown.stderr) == (0, "")
    for mode in MODES:
        assert f"│ {mode} " in shown.stdout
    for word in ("paid $", "saving $ (95 %)", "model-based", "quality_source: prior", "excluded: none"):
        assert word in shown.stdout


def test_the_document_is_the_same_bytes_each_time_and_in_each_process(folders):
    first, second = observe(*folders, "--json", "--by", "task"), observe(*folders, "--json", "--by", "task")
    assert first.stdout == second.stdout
    document = json.loads(first.stdout)
    assert [line["mode"] for line in document["lines"]] == list(MODES)
    assert {line["task"] for line in document["by_task"]} == {"chat", "code", "math", "summary"}


def test_by_task_and_one_mode_are_what_is_shown_then(folders):
    shown = observe(*folders, "--mode", "cost", "--by", "task")
    assert "│ cost │ math " in shown.stdout
    assert "│ quality" not in shown.stdout


def test_the_configured_log_is_the_default(seen_once, tmp_path):
    root = seen_once.house.root
    (tmp_path / "p402.toml").write_text(f'[server]\nlog = "{root}/log"\nstore = "{root}/store"\n')
    assert observe("--json", cwd=tmp_path).returncode == 0
    elsewhere = observe("--json", P402_CONFIG=str(tmp_path / "p402.toml"))
    assert json.loads(elsewhere.stdout)["valued"] > 0


def test_without_a_log_it_says_where_it_looked(tmp_path):
    found = observe(cwd=tmp_path)
    assert found.returncode == 2
    assert "var/p402/log is no folder" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--since", "yesterday"), "--since: found 'yesterday', expected a day or a time such as"),
        (("--since", "2026-11-26", "--until", "2026-11-25"), "no time between them"),
        (("--tenant", "acne"), "no tenant 'acne'"),
        (("--until", "2026-01-01"), "widen --since and --until"),
    ],
)
def test_a_question_that_is_no_good_says_why_and_exits_2(folders, capsys, arguments, expected):
    assert main([*folders, *arguments]) == 2
    assert expected in capsys.readouterr().err


def test_times_are_utc_and_the_end_is_not_in_it(folders, capsys):
    assert main([*folders, "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert main([*folders, "--json", "--since", "2026-11-18", "--until", "2026-11-19"]) == 0
    day = json.loads(capsys.readouterr().out)
    assert day["first_ms"] >= 1_794_960_000_000
    assert day["last_ms"] < 1_795_046_400_000
    assert day["valued"] <= whole["valued"]


def test_help_names_every_option(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for option in (
        "--mode",
        "--since",
        "--until",
        "--tenant",
        "--by",
        "--log",
        "--store",
        "--config",
        "--json",
    ):
        assert option in shown


def test_the_modes_offered_are_those_there_are():
    assert tuple(Mode) == MODES
