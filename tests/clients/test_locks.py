"""What is tested is what is shown, and locks leave it to the machine where packages come from."""

import json
import re
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PYTHON = (HERE / "python" / "requirements.lock").read_text()
NODE = json.loads((HERE / "node" / "package-lock.json").read_text())


def shown() -> dict[str, list[str]]:
    """Versions of the README's table by client."""
    text = (ROOT / "serve" / "README.md").read_text()
    table = text.partition("### What works with it")[2].partition("Plain and streamed")[0]
    rows = re.findall(r"^\| (`[^|]+) \| ([0-9., ]+) \|", table, re.MULTILINE)
    return {client: versions.split(", ") for client, versions in rows}


def node(package: str) -> str:
    return NODE["packages"][f"node_modules/{package}"]["version"]


def python(package: str) -> str:
    (found,) = re.findall(rf"^{package}==(\S+)", PYTHON, re.MULTILINE)
    return found


def test_p1_the_clients_shown_are_the_ones_tested() -> None:
    assert shown() == {
        "`openai` (Python), also asynchronous": [version("openai"), python("openai")],
        "`openai` (JavaScript)": [node("openai")],
        "`langchain-openai`": [python("langchain-openai")],
        "`llama-index-llms-openai-like`": [python("llama-index-llms-openai-like")],
        "`instructor`": [python("instructor")],
        "`ai` with `@ai-sdk/openai-compatible`": [node("ai"), node("@ai-sdk/openai-compatible")],
        "`ai` with `@ai-sdk/openai`": [node("ai"), node("@ai-sdk/openai")],
    }


def test_a_lock_names_no_host_and_pins_bytes() -> None:
    assert "//" not in PYTHON
    pins = re.findall(r"^\S+==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", PYTHON, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^\S+==", PYTHON, re.MULTILINE))
    packages = [entry for name, entry in NODE["packages"].items() if name]
    assert packages
    for entry in packages:
        assert "resolved" not in entry
        assert entry["integrity"].startswith("sha512-")


def test_what_npm_installs_is_pinned_to_a_version() -> None:
    asked = json.loads((HERE / "node" / "package.json").read_text())["dependencies"]
    assert asked == {name: node(name) for name in asked}
