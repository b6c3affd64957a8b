"""What the README tells people to write and run exists and works."""

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from textwrap import dedent

from p402.assemble import START_WEIGHTS, assemble
from p402.cli import COMMANDS
from p402.ids import request_id
from p402.store.catalog import load_catalog
from p402.store.config import configure
from serve.wire.outcome import parse_outcome

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
NOON_MS = 1_795_348_800_000  # 2026-11-22 12:00 UTC


def test_the_configuration_shown_is_one_that_serves() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    document = tomllib.loads(block, parse_float=Decimal)
    found = configure(document, {"GROQ_API_KEY": "k", "DEEPSEEK_API_KEY": "k"})
    assert found.notices == ()
    assembly = assemble(load_catalog(), found.settings, (), START_WEIGHTS, NOON_MS)
    providers = {arm.partition("/")[0] for arm in assembly.upstream_model}
    assert providers == {"groq", "deepseek"}
    assert assembly.tenants["default"].baseline_model is not None


def test_the_clouds_shown_are_ones_that_serve() -> None:
    page = (ROOT / "serve" / "README.md").read_text()
    (block,) = [
        part for part in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[providers.bedrock]" in part
    ]
    found = configure(
        tomllib.loads(block, parse_float=Decimal), {"AZURE_OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k"}
    )
    assert found.notices == ()
    assembly = assemble(load_catalog(), found.settings, (), START_WEIGHTS, NOON_MS)
    providers = {arm.partition("/")[0] for arm in assembly.upstream_model}
    assert providers == {"bedrock", "azure", "gemini", "vertex", "ollama"}
    assert (
        found.settings.providers["bedrock"].base_url == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    )


def test_the_budgets_shown_are_ones_that_are_read() -> None:
    (block,) = [
        part for part in re.findall(r"(?:^(?:    .*)?\n)+", README, re.MULTILINE) if "[policies." in part
    ]
    provider = '[providers.acme]\nbase_url = "http://127.0.0.1:1/v1"\n'
    document = tomllib.loads(dedent(block) + provider, parse_float=Decimal)
    settings = configure(document, {"CI_KEY": "k"}).settings
    assert settings.tenants["default"].session_cap_usd == 2
    assert [(s.kind.value, s.name, s.period.name) for s in settings.scopes(settings.keys[0])] == [
        ("key", "ci", "MONTH"),
        ("policy", "team", "DAY"),
    ]


def test_the_word_on_an_answer_that_is_shown_is_one_that_is_taken() -> None:
    (body,) = re.findall(r"/outcomes .*-d '(\{.*?\})'", README)
    made = request_id(NOON_MS, 1)
    reward = parse_outcome(body.replace("req_...", made).encode(), tenant="default", now_ms=NOON_MS)
    assert (reward.id, reward.status, reward.quality) == (made, "accepted", 0.9)


def test_every_command_shown_exists() -> None:
    shown = set(re.findall(r"`?p402 ([a-z]+)", README)) - {"admin"}
    assert shown <= COMMANDS.keys()
    assert {"serve", "demo", "replay", "learn", "promote", "rollback", "log", "catalog", "observe"} <= shown


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []


def test_every_folder_of_the_map_exists() -> None:
    named = [name for name in re.findall(r"`([a-z0-9_./]+/)`", README) if name != "var/"]
    assert named
    assert [name for name in named if not (ROOT / name).is_dir()] == []
