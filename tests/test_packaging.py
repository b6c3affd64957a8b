"""What is installed is what is imported: the gateway runs on the base dependencies alone."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"p402", "sim", "serve", "experiments", "p402_datasets"}
ROOMS = {
    "botocore": "serve/upstream/aws/",
    "google": "serve/upstream/google.py",
    "hiredis": "serve/redis/",
    "onnxruntime": "serve/embedding/model.py",
    "tokenizers": "serve/embedding/words.py",
}
"""What the extras `bedrock`, `vertex`, `redis` and `embed` bring, and the only room that names each: inside a
call, where it is configured."""


def spelled(name: str) -> str:
    """Name of a distribution as its module is spelled; of the base dependencies, each has one."""
    return re.split(r"[^\w.-]", name, maxsplit=1)[0].lower().replace("-", "_")


BASE = {
    spelled(line) for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
}


def file_of(module: str) -> Path | None:
    """File of a module of ours; None where the name is of something inside a module."""
    path = ROOT.joinpath(*module.split("."))
    found = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in found if file.is_file()), None)


def imported(file: Path) -> Iterator[str]:
    """Every name that a file imports, wherever in it; `from a import b` may name the module a.b."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{file}: a relative import; expected an absolute one"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reached(*packages: str) -> tuple[set[Path], dict[str, set[str]]]:
    """Files reachable from all modules of packages, and by whom each third party is imported."""
    todo = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    seen: set[Path] = set()
    strangers: dict[str, set[str]] = {}
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in imported(file):
            top = name.partition(".")[0]
            if top in OURS:
                parts = name.split(".")
                parents = (file_of(".".join(parts[:n])) for n in range(1, len(parts) + 1))
                todo += [parent for parent in parents if parent is not None]
            elif top not in sys.stdlib_module_names:
                strangers.setdefault(top, set()).add(str(file.relative_to(ROOT)))
    return seen, strangers


def test_the_gateway_imports_nothing_beyond_the_base_dependencies():
    files, strangers = reached("serve")
    assert {ROOT / "p402" / "routing" / "decide.py", ROOT / "p402" / "store" / "components.py"} <= files
    assert {"numpy", "quart", "httpx", "orjson"} <= strangers.keys()
    missing = {
        name: sorted(where)
        for name, where in strangers.items()
        if name not in BASE and not (name in ROOMS and all(file.startswith(ROOMS[name]) for file in where))
    }
    assert not missing, f"imported on the live path, yet not in [project] dependencies: {missing}"


def test_every_module_of_the_gateway_loads_without_what_its_extras_bring():
    modules = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in (ROOT / "serve").rglob("[!_]*.py")
    ]
    assert "serve.redis.link" in modules
    script = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(ROOMS)}))\n"  # None there: not to be found
        f"for name in {sorted(modules)}: importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)


@pytest.mark.parametrize("extra", ["duckdb", "mlflow"])
def test_what_an_extra_brings_is_found_where_it_is_imported(extra):
    _, strangers = reached("p402", "sim", "experiments")
    assert extra in strangers
    assert extra not in BASE
