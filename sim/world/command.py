"""`p402 sim run` and `p402 sim world`: play a world to a table and a log, or print its spec.

Exit status: 0 all is well, 1 something failed, 2 the question is no good.
"""

from pathlib import Path
from typing import Annotated

import typer

from p402.commands.run import run_app
from p402.errors import ConfigError
from sim.strategies.own import UnknownPolicy
from sim.world import told

app = typer.Typer(name="sim", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def main(argv: list[str]) -> int:
    """Run `p402 sim run ARGV` or `p402 sim world ARGV`, the word first; see the module for the status."""
    return run_app(
        app, "p402 sim", argv, status=lambda error: 2 if isinstance(error, ConfigError | UnknownPolicy) else 1
    )


@app.command("run")
def run_world(
    *,
    preset: Annotated[str | None, typer.Option(help="A world: day, calm, storm, repeats or table.")] = None,
    spec: Annotated[Path | None, typer.Option(help="A world of your own, TOML or JSON.")] = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="gateway (as configured, learns nothing), p402, static, epsilon-greedy, linucb, ucb1, knn, "
            "random, cheapest, best-single, zero-router, a mode, weights:..., module:Class."
        ),
    ] = "gateway",
    seed: Annotated[int, typer.Option(help="Keys all chance.", min=0)] = 1,
    rounds: Annotated[
        int | None, typer.Option(help="Requests in all, however long it takes the world.", min=1)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the table of rounds here, Parquet.")] = None,
    log: Annotated[
        Path | None,
        typer.Option(help="Write the traffic log here, a fresh folder; of gateway and p402 only."),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the snapshots that the log cites.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Play a world with the real flow on virtual time, under one strategy."""
    world, chosen = told.world_of(preset, spec), told.strategy_of(strategy)
    told.run_world(world, chosen, seed, rounds=rounds, out=out, log=log, store=store, as_json=as_json)


@app.command()
def world(
    *,
    preset: Annotated[str | None, typer.Option(help="A world: day, calm, storm, repeats or table.")] = None,
    spec: Annotated[Path | None, typer.Option(help="A world of your own, to be checked.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of TOML.")] = False,
) -> None:
    """Print a world's spec: change it, and give it to `p402 sim run --spec`."""
    told.print_world(told.world_of(preset, spec), as_json=as_json)
