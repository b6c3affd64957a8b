"""`p402 sim providers` and `p402 sim config`: simulated providers, and the configuration that offers them.

Exit status: 0 all is well, 1 something failed, 2 the options are no good.
"""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from p402.commands.run import run_app
from p402_datasets import paretobandit
from sim.providers.app import SimApp
from sim.providers.config import benchmarks_toml, providers_toml
from sim.providers.server import HOST, bind, run, url_of
from sim.providers.world import World
from sim.written import refuse_anothers, write_ours, write_whole

app = typer.Typer(
    name="sim",
    help="Simulated providers with real outcomes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Seed = Annotated[int, typer.Option(help="Keys all chance.", min=0)]
DEFAULT_PORT = 8499


def main(argv: list[str]) -> int:
    """Run `p402 sim ARGV`; see the module for its exit status, errors are said on stderr."""
    return run_app(app, "p402 sim", argv)


@app.command()
def providers(
    *,
    port: Annotated[int, typer.Option(help="Loopback port, 0 for a free one.", min=0, max=65535)] = 0,
    seed: Seed = 7,
    latency_scale: Annotated[
        float, typer.Option(help="Real seconds per simulated second; 0 answers at once.", min=0)
    ] = 1.0,
    config_out: Annotated[
        Path | None, typer.Option(help="Write a configuration for `p402 serve --config` here.")
    ] = None,
    benchmarks_out: Annotated[Path | None, typer.Option(help="Write benchmarks.toml here.")] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write the root URL here once requests are taken.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Stop by itself after so many seconds.", min=0)
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that this command did not write.")
    ] = False,
) -> None:
    """Serve the simulated providers on a loopback port until SIGTERM, SIGINT or --max-seconds."""
    if not force:
        for option, path in (("--config-out", config_out), ("--benchmarks-out", benchmarks_out)):
            if path is not None:
                refuse_anothers(path, option)
    world = World(seed, paretobandit.load())
    started_s = time.monotonic()
    with bind(port) as listener:
        url = url_of(listener)
        if config_out is not None:
            write_ours(config_out, providers_toml(world, url))
        if benchmarks_out is not None:
            write_ours(benchmarks_out, benchmarks_toml(world.table))

        def ready() -> None:
            _announce(world, url, seed, latency_scale)
            if ready_file is not None:
                write_whole(ready_file, url + "\n")

        run(SimApp(world, latency_scale=latency_scale), listener, ready, max_seconds)
    print(f"simulated providers stopped after {time.monotonic() - started_s:.1f} s")


@app.command()
def config(
    *,
    port: Annotated[
        int, typer.Option(help="Port the providers will be served at.", min=1, max=65535)
    ] = DEFAULT_PORT,
    benchmarks: Annotated[bool, typer.Option(help="Print benchmarks.toml instead.")] = False,
) -> None:
    """Print the provider tables of p402.toml, and serve nothing."""
    world = World(0, paretobandit.load())
    text = benchmarks_toml(world.table) if benchmarks else providers_toml(world, f"http://{HOST}:{port}")
    sys.stdout.write(text)


def _announce(world: World, url: str, seed: int, latency_scale: float) -> None:
    arms = len(world.providers) * len(world.models)
    table = Table(title=f"Simulated providers: {arms} arms")
    for column in ("provider", "price x", "ttft ms", "tokens/s"):
        table.add_column(column, justify="left" if column == "provider" else "right", no_wrap=True)
    table.add_column("character")
    for p in world.providers.values():
        law = p.latency
        table.add_row(p.name, f"{p.price_factor}", f"{law.ttft_ms:g}", f"{law.tokens_per_s:g}", p.character)
    console = Console()
    console.print(table)
    for model in world.models.values():
        paid, made = model.input_usd_per_mtok, model.output_usd_per_mtok
        print(f"{model.id}: {paid}/{made} USD per million tokens in/out")
    print(
        f"outcomes: {world.table.source} ({world.table.licence}); seed {seed}; "
        f"latency scale {latency_scale:g}\n"
        f"serving at {url}; a provider's base URL is {url}/sim-alder/v1, any key that begins with sim-",
        flush=True,
    )
