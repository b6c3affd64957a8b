"""The `p402` command: a table of names, each imported only when it is called."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Final, NamedTuple, cast

from p402.errors import P402Error, nearest


class Command(NamedTuple):
    """Where a command lives (`module:function`, called with its arguments, answering an exit status)."""

    target: str
    summary: str


COMMANDS: Final[dict[str, Command]] = {
    "serve": Command("serve.command:main", "Run the gateway"),
    "keys": Command("serve.keys_command:main", "Make API keys and their digests"),
    "catalog": Command("p402.commands.catalog:main", "List models, prices and capabilities"),
    "log": Command("p402.commands.log:main", "Compact, count, measure and export the log"),
    "sim": Command("sim.command:main", "Run simulated providers"),
    "replay": Command("sim.replay.command:main", "Verify logged decisions, or value another policy"),
    "learn": Command("experiments.learn:main", "Re-weight balanced mode from the log"),
    "promote": Command("experiments.promote:promote", "Publish a version of the weights"),
    "rollback": Command("experiments.promote:rollback", "Publish the previous weights again"),
    "demo": Command("experiments.demo:main", "Run the whole loop on simulated providers"),
    "bench": Command("experiments.bench:main", "Measure decisions and the gateway"),
}

EXTRAS: Final = {
    "duckdb": "replay",
    "polars": "replay",
    "pyarrow": "replay",
    "matplotlib": "learn",
    "mlflow": "learn",
    "scipy": "learn",
    "sklearn": "learn",
    "ipykernel": "notebooks",
    "nbclient": "notebooks",
    "openai": "demo",
    "genai_prices": "catalog",
}
"""Optional package to the extra that brings it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 is success, 1 a failure the command reports, 2 a wrong call."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        _say(usage())
        return 0
    if arguments[0] in {"-V", "--version"}:
        _say(f"p402 {version('p402')}")
        return 0
    name, *rest = arguments
    command = COMMANDS.get(name)
    if command is None:
        _complain(
            f"unknown command `{name}`{nearest(name, tuple(COMMANDS))} `p402 --help` lists all commands"
        )
        return 2
    try:
        return resolve(command.target)(rest)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _complain(f"`p402 {name}` needs {error.name}; install it with: pip install 'p402[{extra}]'")
        return 1
    except P402Error as error:
        _complain(f"p402 {name}: {error}")
        return 1


def resolve(target: str) -> Callable[[list[str]], int]:
    """Import the function that `module:function` names."""
    module, _, function = target.partition(":")
    return cast("Callable[[list[str]], int]", getattr(import_module(module), function))


def usage() -> str:
    """Every command with its one line."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: p402 COMMAND [ARGS]", "", *lines, "", "`p402 COMMAND --help` says more."])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
