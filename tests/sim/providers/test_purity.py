"""The law of the simulated world and its wire have no clock, chance, socket or disk of their own."""

import ast
from pathlib import Path

import pytest

import sim.providers

PURE = ("spec", "laws", "world", "wire", "config", "memory")
IMPURE = {"asyncio", "time", "datetime", "random", "secrets", "os", "pathlib", "socket", "threading", "uuid"}


@pytest.mark.parametrize("name", PURE)
def test_what_decides_an_answer_takes_time_and_chance_as_arguments(name: str) -> None:
    source = Path(next(iter(sim.providers.__path__)), f"{name}.py").read_text()
    imported = {
        module.split(".")[0]
        for node in ast.walk(ast.parse(source))
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported
    assert not imported & IMPURE
