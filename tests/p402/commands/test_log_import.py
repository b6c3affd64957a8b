"""`p402 log import` says what became of every line, and its exit status whether all could be read."""

import json

import pytest

from p402.commands.log import main
from p402.store.reader import connect

ROW = {
    "request_id": "c-1", "call_type": "acompletion", "spend": 0.0001, "prompt_tokens": 10,
    "completion_tokens": 20, "startTime": "2025-11-20T10:00:00Z", "model": "gpt-4o",
}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "spend.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, "request_id": "c-2", "spend": 0.1}) + "\n")
    return path


def test_a_sound_file_is_imported_and_counted(file, tmp_path, capsys):
    log = tmp_path / "log"
    assert main(["import", str(file), "--format", "litellm", "--log", str(log), "--tenant", "acme"]) == 0
    said = capsys.readouterr().out
    assert "new calls" in said
    assert "$0.1001" in said
    assert "Propensity is null" in said
    assert main(["stats", "--log", str(log)]) == 0
    assert "imported calls" in capsys.readouterr().out
    with connect(log) as con:
        assert con.execute("SELECT tenant, count(*) FROM imported GROUP BY ALL").fetchall() == [("acme", 2)]


def test_a_damaged_line_is_shown_with_its_number_and_fails_the_command(file, tmp_path, capsys):
    file.write_text(file.read_text() + "{half\n")
    assert main(["import", str(file), "--format", "litellm", "--log", str(tmp_path / "log")]) == 1
    said = capsys.readouterr()
    assert f"{file}:3: no JSON" in said.err
    assert "damaged" in said.out


def test_the_json_has_whole_nano_usd(file, tmp_path, capsys):
    log = tmp_path / "log"
    assert main(["import", str(file), "--format", "litellm", "--log", str(log), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["imported"], found["cost_nano"], found["dry_run"]) == (2, 100_100_000, True)
    assert not log.exists()


@pytest.mark.parametrize("arguments", [["--format", "csv"], ["--format", "litellm", "nowhere.jsonl"]])
def test_what_cannot_be_done_is_one_line(file, tmp_path, capsys, arguments):
    assert main(["import", str(file), "--log", str(tmp_path / "log"), *arguments]) == 1
    assert capsys.readouterr().err.startswith("p402 log: ")


def test_the_format_must_be_named(file):
    assert main(["import", str(file)]) == 2


def test_a_name_in_a_file_is_nothing_that_a_terminal_obeys(file, tmp_path, capsys):
    file.write_text(json.dumps({**ROW, "model": "\x1b]0;owned\x07\u202e" + "m" * 500}) + "\n")
    assert main(["import", str(file), "--format", "litellm", "--log", str(tmp_path / "log")]) == 0
    said = capsys.readouterr().out
    assert "owned" in said
    assert not {"\x1b", "\x07", "\u202e"} & set(said)
    assert said.count("m" * 30) < 5
