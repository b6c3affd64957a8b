import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import typer
import typer.main
from rich.text import Text

from p402 import cli
from p402.errors import ConfigError

HEAVY = ("mlflow", "duckdb", "polars", "pyarrow", "sklearn", "numpy", "typer", "quart")
FLAT: dict[str, cli.Command] = {}
"""Every command that runs something, by all of its words."""
for _name, _command in cli.COMMANDS.items():
    if isinstance(_command, cli.Group):
        FLAT |= {f"{_name} {part}": command for part, command in _command.commands.items()}
    else:
        FLAT[_name] = _command


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_lists_every_command_with_one_line(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    for name, command in cli.COMMANDS.items():
        assert f"  {name} " in out
        assert command.summary in out


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from p402.cli import main; main(['--help']); known = set(sys.modules);"
        f"print('loaded:', *sorted({{m for m in known if 'commands' in m}} | known & set({HEAVY!r})))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.splitlines()[-1].strip() == "loaded:"


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"p402 {version('p402')}\n"


def test_an_unknown_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["catalgo"]) == 2
    assert capsys.readouterr().err == (
        "unknown command `catalgo`; did you mean `catalog`? `p402 --help` lists all commands\n"
    )


def test_an_unknown_command_that_is_near_none_says_where_all_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["foo"]) == 2
    assert capsys.readouterr().err == "unknown command `foo`; `p402 --help` lists all commands\n"


def test_the_console_script_passes_arguments_and_status_on() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "p402.cli", "catalog", "show", "no-such-model-at-all"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "neither a deployment nor a model" in run.stderr


@pytest.mark.parametrize("name", FLAT)
def test_every_command_whose_module_is_there_resolves_to_a_function(name: str) -> None:
    module, _, function = FLAT[name].target.partition(":")
    assert function.isidentifier()
    package = module.rpartition(".")[0]
    if find_spec(package.partition(".")[0]) is None or not _exists(module):
        pytest.skip(f"{module} is not part of this tree")
    assert callable(cli.resolve(FLAT[name].target))


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is absent
        return False


def use(monkeypatch: pytest.MonkeyPatch, run: object, extra: str | None = None) -> None:
    module = ModuleType("p402_test_command")
    module.main = run
    monkeypatch.setitem(sys.modules, "p402_test_command", module)
    monkeypatch.setitem(cli.COMMANDS, "tried", cli.Command("p402_test_command:main", "a test's own", extra))


@pytest.mark.parametrize("missing", ["duckdb.x", "no_dependency_of_ours"])
def test_a_missing_optional_package_names_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    def run(argv: list[str]) -> int:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    use(monkeypatch, run, "replay")
    assert cli.main(["tried"]) == 1
    said = capsys.readouterr().err
    assert f"needs {missing.partition('.')[0]}" in said
    assert "in a checkout of P402: pip install -e '.[replay]'" in said
    assert "pip install 'p402[replay]'" in said


PLAIN = """
import sys
from importlib.metadata import packages_distributions, requires
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

plain, todo = set(), ["p402"]
while todo:
    name = todo.pop()
    if name not in plain:
        plain.add(name)
        for needed in map(Requirement, requires(name) or ()):
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                todo.append(canonicalize_name(needed.name))
absent = {
    package
    for package, owners in packages_distributions().items()
    if not plain & {canonicalize_name(owner) for owner in owners}
}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from p402.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""The command where only what a plain installation brings can be imported."""


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["log", "stats"], "replay"),
        (["limits", "suggest"], "replay"),
        (["replay", "--verify"], "replay"),
        (["learn", "--once"], "learn"),
        (["promote", "--force", "--weights", "quality=1", "--reason", "r"], "learn"),
        (["demo"], "demo"),
    ],
)
def test_on_a_plain_installation_every_command_says_in_one_line_what_it_needs(
    tmp_path: Path, command: list[str], extra: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PLAIN, *command],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (1, "")
    (line,) = run.stderr.splitlines()
    assert f"pip install -e '.[{extra}]'" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "extra"), [("p402.nope", "replay"), ("serve", "demo"), ("numpy", None), (None, "learn")]
)
def test_a_missing_module_that_no_extra_brings_is_a_fault_and_stays_visible(
    monkeypatch: pytest.MonkeyPatch, missing: str | None, extra: str | None
) -> None:
    def run(argv: list[str]) -> int:
        raise ModuleNotFoundError("No such module", name=missing)

    use(monkeypatch, run, extra)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["tried"])


def test_an_error_of_ours_is_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(argv: list[str]) -> int:
        raise ConfigError("p402.toml: no such file")

    use(monkeypatch, run)
    assert cli.main(["tried"]) == 1
    assert capsys.readouterr().err == "p402 tried: p402.toml: no such file\n"


@pytest.mark.parametrize(
    ("argv", "status"), [(["limits"], 2), (["limits", "--help"], 0), (["limits", "-h"], 0)]
)
def test_the_help_of_a_group_lists_its_parts_from_both_rooms(
    capsys: pytest.CaptureFixture[str], argv: list[str], status: int
) -> None:
    assert cli.main(argv) == status
    out = capsys.readouterr().out
    assert "usage: p402 limits COMMAND" in out
    assert "  explain  " in out
    assert "  suggest  " in out


def test_an_unknown_part_of_a_group_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["limits", "sugest"]) == 2
    assert capsys.readouterr().err == (
        "unknown command `sugest`; did you mean `suggest`? `p402 limits --help` lists all commands\n"
    )


@pytest.mark.parametrize(("group", "part"), [tuple(name.split()) for name in FLAT if " " in name])
def test_a_part_of_a_group_has_its_own_help(
    capsys: pytest.CaptureFixture[str], group: str, part: str
) -> None:
    assert cli.main([group, part, "--help"]) == 0
    assert f"p402 {group} {part}" in capsys.readouterr().out


def test_a_command_gets_its_arguments_and_gives_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def run(argv: list[str]) -> int:
        seen.append(argv)
        return 7

    use(monkeypatch, run)
    assert cli.main(["tried", "--a", "b"]) == 7
    assert seen == [["--a", "b"]]


def helps(command: object, path: str) -> Iterator[tuple[str, str]]:
    """Each help text of a command, its options and its subcommands."""
    yield path, getattr(command, "help", None) or ""
    for parameter in getattr(command, "params", ()):
        yield f"{path} {parameter.name}", getattr(parameter, "help", None) or ""
    for name, one in getattr(command, "commands", {}).items():
        yield from helps(one, f"{path} {name}")


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("serve.keys_command", None),
        ("p402.commands.catalog", None),
        ("p402.commands.log", None),
        ("p402.commands.limits", None),
        ("serve.limits_command", None),
        ("p402.commands.plan", None),
        ("p402_datasets.command", None),
        ("sim.compare.command", None),
        ("sim.drawn.command", None),
        ("sim.fit.command", None),
        ("sim.observe.command", None),
        ("sim.providers.command", None),
        ("sim.replay.command", None),
        ("sim.table.command", None),
        ("sim.world.command", None),
        ("experiments.learn", None),
        ("experiments.promote", "publish_version"),
        ("experiments.promote", "roll_back"),
    ],
)
def test_no_help_text_loses_a_word_as_markup(module: str, function: str | None) -> None:
    found = import_module(module)
    app = typer.Typer() if function else found.app
    if function:
        app.command()(getattr(found, function))
    for where, text in helps(typer.main.get_command(app), module):
        assert Text.from_markup(text).plain == text, where


def test_every_extra_named_exists() -> None:
    from importlib.metadata import metadata

    named = {command.extra for command in FLAT.values() if command.extra is not None}
    assert named <= set(metadata("p402").get_all("Provides-Extra"))
