"""The list of presets: as a command prints it, and as the README does."""

import json
from pathlib import Path

import pytest

from p402.commands.catalog import main
from p402.commands.presets_text import presets_table
from p402.settings.presets import PRESETS
from p402.store.catalog import load_catalog

README = Path(__file__).parents[3] / "serve" / "README.md"


def test_the_readme_prints_the_presets_that_there_are() -> None:
    printed = README.read_text().partition("<!-- presets -->\n")[2].partition("<!-- end of presets -->")[0]
    assert printed.strip() == presets_table(load_catalog()).strip()


def test_the_command_lists_every_preset_with_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows.keys() == PRESETS.keys()
    groq = rows["groq"]
    assert (groq["base_url"], groq["api_key_env"]) == ("https://api.groq.com/openai/v1", "GROQ_API_KEY")
    assert groq["priced_models"] > 5
    assert rows["ollama"]["priced_models"] is None
    assert main(["providers"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in PRESETS)


def test_the_counts_are_those_of_the_listing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers", "--json"]) == 0
    told = {row["catalog"]: row["priced_models"] for row in json.loads(capsys.readouterr().out)}
    assert main(["--provider", "mistral", "--status", "active", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert told["mistral"] == sum(row["price_usd_per_mtok"] is not None for row in listed)
