import json
from pathlib import Path

import pytest

from p402.commands.catalog import main

AT = ["--at", "2026-11-22"]


def run_json(capsys: pytest.CaptureFixture[str], *argv: str) -> object:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_p2_counts_tell_models_providers_and_deployments_apart(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, "--counts")
    assert found["priced_models"] >= 300
    assert found["providers"] < found["models"] < found["deployments"]
    assert main(["--counts"]) == 0
    assert "priced models" in capsys.readouterr().out


def test_the_list_is_filtered_and_sorted_by_output_price(capsys: pytest.CaptureFixture[str]) -> None:
    rows = run_json(
        capsys, *AT, "--provider", "groq", "--capability", "function_calling", "--max-input-price", "0.2",
        "--status", "active",
    )  # fmt: skip
    assert rows
    prices = [row["price_usd_per_mtok"]["output"] for row in rows]
    assert prices == sorted(prices)
    for row in rows:
        assert row["id"].startswith("groq/")
        assert row["capabilities"]["function_calling"] is True
        assert row["price_usd_per_mtok"]["input"] <= 0.2
        assert row["status"] == "active"


def test_limit_cuts_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(run_json(capsys, "--limit", "3", "--model", "llama")) == 3


def test_the_table_shows_ids_and_what_is_unknown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main([*AT, "--provider", "deepseek"]) == 0
    out = capsys.readouterr().out
    assert "deepseek/deepseek-flash" in out
    assert "?" in out


def columns(table: str) -> list[list[str]]:
    """Each column's words below the headings, folded cells joined again where they were cut."""
    rows = [line.strip("│").split("│") for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in column] for column in zip(*rows, strict=True)]


@pytest.mark.parametrize(("width", "n_columns"), [(80, 6), (100, 7), (160, 7)])
def test_every_column_is_whole_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, n_columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    wanted = run_json(capsys, *AT)
    assert main(AT) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= width
    shown = columns(out)
    assert len(shown) == n_columns
    assert "".join(shown[0]) == "".join(row["id"] for row in wanted)
    assert [status for status in shown[-1] if status] == [row["status"] for row in wanted]
    known = {"function", "vision", "json", "reasoning", "-", "?"}
    assert {word for cell in shown[-2] for word in cell.split()} <= known


@pytest.mark.parametrize(("at", "price"), [("2026-11-22T02:00:00", 0.3), ("2026-11-22T12:00:00", 0.15)])
def test_prices_follow_the_hour(capsys: pytest.CaptureFixture[str], at: str, price: float) -> None:
    (row,) = run_json(capsys, "show", "deepseek/deepseek-flash", "--at", at)
    assert row["price_usd_per_mtok"]["input"] == price


def test_show_gives_dated_periods_tiers_and_sources(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["show", "google/gemini-4-argon", *AT]) == 0
    out = capsys.readouterr().out
    assert "from 2026-12-01: input 4" in out
    assert "genai-prices 0.2.3 (2026-11-22)" in out
    assert main(["show", "openai/gpt-5.4", *AT]) == 0
    assert "above 272,000 prompt tokens input 5" in capsys.readouterr().out


def test_show_of_a_model_shows_all_its_deployments_and_of_an_alias_its_target(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = run_json(capsys, "show", "gpt-5.4")
    assert {"openai/gpt-5.4", "github-copilot/gpt-5.4"} <= {row["id"] for row in rows}
    (row,) = run_json(capsys, "show", "deepseek/deepseek-v4.1-flash")
    assert row["id"] == "deepseek/deepseek-flash"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("openai/gpt-5.44", "; did you mean `openai/gpt-5.4`"),
        ("claude-haiku-4-6", "never existed; the current Haiku: `anthropic/claude-haiku-5-5`"),
    ],
)
def test_an_unknown_id_names_its_nearest(capsys: pytest.CaptureFixture[str], name: str, hint: str) -> None:
    assert main(["show", name]) == 1
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [["--capability", "telepathy"], ["--status", "asleep"], ["--limit", "0"], ["--nonsense"]]
)
def test_a_wrong_option_is_a_wrong_call(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert main(argv) == 2
    assert capsys.readouterr().err


def test_another_catalogue_that_is_broken_is_a_clear_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from p402.cli import main as p402

    path = tmp_path / "broken.json"
    path.write_bytes(b"[]")
    assert p402(["catalog", "--catalog", str(path)]) == 1
    assert "broken.json: not a catalogue" in capsys.readouterr().err
