"""`p402 sim fit`: a world that is like a log, and how like it is.

Exit status: 0 there is a world, 1 the log or the store is no good, 2 the question is no good.
"""

from pathlib import Path
from typing import Annotated

import typer

from p402.commands.run import BadQuestion, run_app
from p402.errors import ConfigError
from p402.routing.spec import MODES
from sim.asked import LOG, STORE, one_of
from sim.fit import report
from sim.fit.judge import Other, fit_and_judge
from sim.shown import bar, show
from sim.world.files import require_ending, write_spec

app = typer.Typer(name="sim", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def main(argv: list[str]) -> int:
    """Run `p402 sim fit ARGV`, the word `fit` first; see the module for its exit status."""
    return run_app(app, "p402 sim", argv)


@app.callback()
def _group() -> None:
    """A part of `p402 sim`, so that its word comes first."""


@app.command()
def fit(
    *,
    log: Annotated[Path, typer.Option(help="Folder of the log that the gateway writes.")] = LOG,
    store: Annotated[Path, typer.Option(help="Folder of the snapshots it decided under.")] = STORE,
    out: Annotated[Path | None, typer.Option(help="Write the world here: .toml or .json.")] = None,
    holdout_hours: Annotated[
        float,
        typer.Option(help="Hours at the log's end that are not fitted but judged on; 0 for none.", min=0),
    ] = 24.0,
    mode: Annotated[str | None, typer.Option(help="Fit to the rounds of this mode alone.")] = None,
    other_mode: Annotated[
        str | None, typer.Option(help="Judge under this mode of the log besides; give --mode with it.")
    ] = None,
    other_log: Annotated[Path | None, typer.Option(help="Judge under another log's policy besides.")] = None,
    other_store: Annotated[
        Path | None, typer.Option(help="Snapshots of that log (default: --store).")
    ] = None,
    plays: Annotated[int, typer.Option(help="Plays of the world for each trial.", min=1, max=100)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Fit a world to a log, and judge it on days and a policy it has not seen, beside "same as yesterday"."""
    for option, name in (("--mode", mode), ("--other-mode", other_mode)):
        if name is not None:
            one_of(option, name, MODES)
    if other_mode is not None and other_log is None and mode in (None, other_mode):
        raise BadQuestion(
            f"--other-mode {other_mode}: the fit would have seen its rounds; give --mode another mode, "
            f"or --other-log"
        )
    if out is not None:
        _check_ending(out)
    other = None
    if other_log is not None or other_mode is not None:
        other = Other(other_log or log, other_store or store, other_mode)
    with bar("playing") as progress:
        result = fit_and_judge(
            log,
            store,
            holdout_h=holdout_hours,
            mode=mode,
            other=other,
            seeds=range(1, plays + 1),
            progress=progress,
        )
    if out is not None:
        write_spec(out, result.fitted.spec)
    show(report.tables(result), report.as_json(result) if as_json else None)


def _check_ending(out: Path) -> None:
    try:
        require_ending(out)
    except ConfigError as error:
        raise BadQuestion(f"--out: {error}") from error
