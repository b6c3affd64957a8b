"""`p402 observe`: what each mode would have cost on calls that named their model, before anything is routed.

Exit status: 0 there is an answer, 1 the log does not replay, 2 the question or its data is no good.
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from p402.commands.run import BadQuestion, run_app
from p402.routing.spec import MODES
from p402.store.config import server_of
from sim.asked import instant_ms
from sim.observe import imported as others
from sim.observe import report
from sim.observe.offered import offered
from sim.observe.rounds import Window
from sim.observe.value import observe as value
from sim.replay.window import Unfaithful
from sim.shown import bar, show

app = typer.Typer(name="observe", add_completion=False, pretty_exceptions_enable=False)


class Mode(StrEnum):
    """The modes of `p402.routing.spec.MODES`; a test compares."""

    cost = "cost"
    quality = "quality"
    speed = "speed"
    balanced = "balanced"


class By(StrEnum):
    """What figures can be broken down by."""

    task = "task"


def main(argv: list[str]) -> int:
    """Run `p402 observe ARGV`; see the module for its exit status."""
    return run_app(app, "p402 observe", argv, status=lambda error: 1 if isinstance(error, Unfaithful) else 2)


@app.command()
def observe(
    *,
    mode: Annotated[Mode | None, typer.Option(help="Only this mode (default: all four).")] = None,
    since: Annotated[
        str | None, typer.Option(help="From this day or time on, UTC: 2026-11-25 or 2026-11-25T18:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this day or time, UTC.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant (default: all in the log).")] = None,
    by: Annotated[By | None, typer.Option(help="Break the figures down.")] = None,
    log: Annotated[Path | None, typer.Option(help="The log (default: the configured one).")] = None,
    store: Annotated[
        Path | None, typer.Option(help="Snapshots it was decided under (default: the configured ones).")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration (default: $P402_CONFIG or p402.toml).")
    ] = None,
    imported: Annotated[
        bool,
        typer.Option(
            "--imported", help="Calls of `p402 log import` instead, at the providers of the configuration."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Show what routing would have saved on calls that name a model, and how sure that is.

    The rounds are those that `route_named_models = "observe"`, the default, has called as they were named.
    """
    window = Window(tenant, instant_ms("--since", since), instant_ms("--until", until))
    if window.since_ms is not None and window.until_ms is not None and window.since_ms >= window.until_ms:
        raise BadQuestion(f"--since {since} --until {until}: found no time between them; expected some")
    if imported and store is not None:
        raise BadQuestion("--store: found it with --imported, whose calls have no snapshot; leave it out")
    server = server_of(config, os.environ) if log is None or (store is None and not imported) else None
    folders = [Path(server.log), Path(server.store)] if server is not None else []
    modes = MODES if mode is None else (mode.value,)
    with bar("deciding") as progress:
        if imported:
            options = offered(config, os.environ)
            result = others.observe(
                log or folders[0], options, window, modes, by_task=by is By.task, progress=progress
            )
        else:
            result = value(
                log or folders[0],
                store or folders[1],
                window,
                modes,
                by_task=by is By.task,
                progress=progress,
            )
    show(report.tables(result), report.as_json(result) if as_json else None)
