"""The `p402` command: a table of names, each imported only when it is called."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Final, NamedTuple, cast

from p402.errors import P402Error, nearest


class Command(NamedTuple):
    """Where a command lives (`module:function`, called with its arguments, answering an exit status)."""

    target: str
    summary: str
    extra: str | None = None
    """Brings every package that the command needs beyond those of a plain installation."""


class Group(NamedTuple):
    """A command whose parts live in different rooms; each part's target is called with its own name first."""

    summary: str
    commands: Mapping[str, Command]


COMMANDS: Final[dict[str, Command | Group]] = {
    "serve": Command("serve.command:main", "Run the gateway"),
    "keys": Command("serve.keys_command:main", "Make API keys and their digests"),
    "limits": Group(
        "Show what a tenant has left, and size its limits",
        {
            "explain": Command(
                "serve.limits_command:main", "Show what a tenant has left, and why its next call is refused"
            ),
            "suggest": Command(
                "p402.commands.limits:main", "Size a tenant's limits by its log, or by a sum", "replay"
            ),
        },
    ),
    "catalog": Command("p402.commands.catalog:main", "List models, prices and capabilities"),
    "log": Command("p402.commands.log:main", "Compact, count, measure and export the log", "replay"),
    "sim": Group(
        "Run simulated providers, and compare strategies in simulated worlds",
        {
            "providers": Command("sim.command:main", "Serve the simulated providers", "replay"),
            "config": Command("sim.command:main", "Print their configuration", "replay"),
            "world": Command("sim.command:main", "Print the spec of a world", "replay"),
            "run": Command("sim.command:main", "Play a world under one strategy", "replay"),
            "draw": Command("sim.command:main", "Draw a log from a table of real outcomes", "replay"),
            "compare": Command(
                "sim.compare.command:main", "Compare strategies on the same simulated traffic", "learn"
            ),
        },
    ),
    "replay": Command("sim.replaying:main", "Verify logged decisions, or value another policy", "replay"),
    "observe": Command(
        "sim.observe.command:main", "Show what routing would save on calls that name a model", "replay"
    ),
    "learn": Command("experiments.learn:main", "Re-weight balanced mode from the log", "learn"),
    "promote": Command("experiments.promote:promote", "Publish a version of the weights", "learn"),
    "rollback": Command("experiments.promote:rollback", "Publish the previous weights again", "learn"),
    "demo": Command("experiments.demo:main", "Run the whole loop on simulated providers", "demo"),
    "bench": Command("experiments.bench:main", "Measure decisions, the gateway and holds", "replay"),
}

HELP: Final = frozenset({"-h", "--help", "help"})

OURS: Final = frozenset({"p402", "serve", "sim", "experiments", "p402_datasets"})
"""Packages that no installation lacks: a module missing of these is a fault of the code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 is success, 1 a failure the command reports, 2 a wrong call."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in HELP:
        _say(usage())
        return 0
    if arguments[0] in {"-V", "--version"}:
        _say(f"p402 {version('p402')}")
        return 0
    name, *rest = arguments
    command = COMMANDS.get(name)
    if command is None:
        return _unknown(name, COMMANDS, "p402")
    if isinstance(command, Command):
        return _run(name, command, rest)
    if not rest or rest[0] in HELP:
        _say(usage(f"p402 {name}", command.commands))
        return 0 if rest else 2
    part = command.commands.get(rest[0])
    if part is None:
        return _unknown(rest[0], command.commands, f"p402 {name}")
    return _run(f"{name} {rest[0]}", part, rest)


def _run(name: str, command: Command, arguments: list[str]) -> int:
    try:
        return resolve(command.target)(arguments)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if command.extra is None or not package or package in OURS:
            raise
        _complain(
            f"`p402 {name}` needs {package}, which is not installed; in a checkout of P402: "
            f"pip install -e '.[{command.extra}]'; elsewhere: pip install 'p402[{command.extra}]'"
        )
        return 1
    except P402Error as error:
        _complain(f"p402 {name}: {error}")
        return 1


def _unknown(name: str, known: Mapping[str, Command | Group], path: str) -> int:
    hint = nearest(name, tuple(known))
    _complain(f"unknown command `{name}`{f'{hint} ' if hint else '; '}`{path} --help` lists all commands")
    return 2


def resolve(target: str) -> Callable[[list[str]], int]:
    """Import the function that `module:function` names."""
    module, _, function = target.partition(":")
    return cast("Callable[[list[str]], int]", getattr(import_module(module), function))


def usage(path: str = "p402", commands: Mapping[str, Command | Group] = COMMANDS) -> str:
    """Every command of a table with its one line."""
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in commands.items()]
    return "\n".join([f"usage: {path} COMMAND [ARGS]", "", *lines, "", f"`{path} COMMAND --help` says more."])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
