"""Clients of P402 as processes: each is asked in JSON lines what to do, and tells what it saw.

A client that is an OpenAI SDK, a framework or a JavaScript package runs in the environment that its users
have, not in the gateway's; it starts once and does many tasks. What it tells is the same for all
(`python/driver.py`).
"""

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PYTHON = Path(sys.prefix) / "clients" / "bin" / "python"
MODULES = HERE / "node" / "node_modules"
TASK_S = 60


@dataclass(frozen=True)
class Kind:
    """One client under test.

    Attributes
    ----------
    command
        Starts its driver; may skip the test where its environment was not made.
    lacks
        What the client does not have, with the reason.
    structured
        Scenario that answers its way of asking for an object: a JSON schema, or a function's arguments.
    """

    command: Callable[[], list[str]]
    lacks: dict[str, str] = field(default_factory=dict)
    structured: str = "json"


def _absent(what: str) -> None:
    """Skip, but fail in CI, where everything that make installs must be there."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def _own(adapter: str) -> Callable[[], list[str]]:
    """A client of the environment that runs the tests."""
    return lambda: [sys.executable, str(HERE / "python" / "driver.py"), adapter]


def _python(adapter: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        if not PYTHON.exists():
            _absent("no .venv/clients: run `make setup`")
        return [str(PYTHON), str(HERE / "python" / "driver.py"), adapter]

    return command


def lab(adapter: str, package: str) -> list[str]:
    """Command of a lab's own client, which asks the providers of the tests and no gateway."""
    command = _python(adapter)()
    if not any(PYTHON.parents[1].glob(f"lib/*/site-packages/{package}")):
        _absent(f"no {package} in .venv/clients, which was made before it was needed: run `make setup`")
    return command


def _node(adapter: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        node = shutil.which("node")
        if node is None:
            _absent("no node on the path: install Node.js 20 or later with npm, and run `make setup`")
        if not MODULES.exists():
            _absent("no tests/clients/node/node_modules: run `make setup`, with npm on the path")
        return [str(node), str(HERE / "node" / "driver.mjs"), adapter]

    return command


class Driver:
    """A client's process."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def begin(self, task: dict[str, Any]) -> None:
        """Begin a task, and wait for nothing."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task).encode() + b"\n")
        self._process.stdin.flush()

    def ask(self, task: dict[str, Any]) -> dict[str, Any]:
        """Do one task; AssertionError where the driver dies or takes longer than `TASK_S`."""
        pipes = self._process
        assert pipes.stdout is not None
        self.begin(task)
        ready, _, _ = select.select([pipes.stdout], [], [], TASK_S)
        if not ready:
            self.close()
            raise AssertionError(f"the client took longer than {TASK_S} s for {task}")
        line = pipes.stdout.readline()
        assert line, f"the client's process ended, with {pipes.wait(10)}, at {task}"
        found = json.loads(line)
        assert "fault" not in found, f"the driver failed at {task}:\n{found['fault']}"
        return found

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it, hard: it has nothing to lose."""
        self._process.kill()
        self._process.communicate()


_LIST = {"models": "has no list of models"}
_ONE = {"n": "asks for one answer"}
_AI = {**_LIST, **_ONE, "request_id": "has no name for it"}
CLIENTS = {
    "openai": Kind(_own("openai_sdk")),
    "openai-async": Kind(_own("openai_async")),
    "openai-2": Kind(_python("openai_sdk")),
    "langchain": Kind(
        _python("langchain_chat"),
        {
            **_LIST,
            "block": "drops fields it does not know; headers are shown",
            "reasoning": "drops it",
            "streamed_n": "adds up the chunks of all answers",
        },
    ),
    "llamaindex": Kind(
        _python("llamaindex_llm"),
        {**_LIST, **_ONE, "reasoning": "drops it", "headers": "shows none"},
        structured="form",
    ),
    "instructor": Kind(
        _python("instructor_client"),
        {
            **_LIST,
            **_ONE,
            "chat": "every answer is an object",
            "reasoning": "drops it",
            "headers": "shows them to a hook only",
            "leave": "reads a stream to its end before it gives a part of it",
        },
    ),
    "openai-node": Kind(_node("openai")),
    "ai-sdk": Kind(_node("ai"), {**_AI, "logprobs": "not in its compatible provider"}),
    "ai-sdk-openai": Kind(_node("ai-openai"), {**_AI, "reasoning": "drops it"}),
}
"""Every client, and what it has not."""
