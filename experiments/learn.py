"""Re-weight balanced mode from the log: `p402 learn`, hourly, or `p402 learn --once`.

A thin driver: what is done is in `experiments.learning`, what decides is in `p402.learner`.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from experiments.learning.hourly import Hands, run_hourly
from experiments.learning.places import Places, places_of
from experiments.learning.report import report
from experiments.learning.step import Plan, Step, take_step
from experiments.learning.ticks import Ticks
from p402.errors import P402Error
from p402.learner.reweight import Settings
from p402.registry.tracking import DATABASE

app = typer.Typer(add_completion=False, help="Re-weight balanced mode from the traffic log.")


@app.command()
def learn(
    config: Annotated[Path | None, typer.Option(help="The gateway's p402.toml.")] = None,
    log: Annotated[Path | None, typer.Option(help="Folder of the log.")] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the snapshots.")] = None,
    registry: Annotated[Path | None, typer.Option(help="Folder of the published weights.")] = None,
    tracking: Annotated[Path | None, typer.Option(help="Folder of MLflow's record.")] = None,
    window_hours: Annotated[int, typer.Option(min=1, max=24 * 31, help="How far back to learn from.")] = 24,
    max_rounds: Annotated[
        int, typer.Option(min=1_000, help="Learn from about so many rounds at most.")
    ] = 100_000,
    *,
    once: Annotated[bool, typer.Option("--once", help="Take one step now, and end.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Record, but publish nothing.")] = False,
) -> None:
    """Take one step now (--once), or one every hour until stopped."""
    places = places_of(config, os.environ, log=log, store=store, registry=registry, tracking=tracking)
    plan = Plan(window_hours=window_hours, settings=Settings(), max_rounds=max_rounds, dry_run=dry_run)
    console = Console()
    uri = f"sqlite:///{places.tracking / DATABASE}"

    def show(step: Step) -> None:
        console.print(report(step, uri), soft_wrap=True)

    def one(beat: Callable[[], None]) -> Step:
        with _progress(console) as bar:
            reading = bar.add_task("reading rounds", total=None)

            def told(done: int, total: int) -> None:
                bar.update(reading, completed=done, total=max(done, total))

            return take_step(places, plan, now_ms, beat=beat, progress=told)

    if once:
        show(one(lambda: None))
        return
    _hourly(places, console, one, show)


def main(argv: list[str]) -> int:
    """Run `p402 learn ARGV`; 0 for any verdict or a stop on request, 1 for a failure, 2 for a bad call."""
    try:
        app(args=argv, prog_name="p402 learn")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except P402Error as error:
        print(f"p402 learn: {error}", file=sys.stderr)
        return 1
    return 0


def now_ms() -> int:
    """Wall time, ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


def _hourly(
    places: Places,
    console: Console,
    one: Callable[[Callable[[], None]], Step],
    show: Callable[[Step], None],
) -> None:
    stop = threading.Event()

    def asked(_signal: int, _frame: object) -> None:
        stop.set()

    def failed(error: P402Error) -> None:
        console.print(f"p402 learn: {error}", style="red", soft_wrap=True, markup=False)

    def sleep(seconds: float) -> None:
        stop.wait(seconds)

    former = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        told = f"p402 learn: one step every UTC hour; weights in {places.registry}"
        console.print(told, soft_wrap=True, markup=False)
        hands = Hands(
            step=one,
            note=lambda step: f"{step.proposal.verdict.action}: {', '.join(step.proposal.verdict.reasons)}",
            done=show,
            failed=failed,
            now_ms=now_ms,
            sleep=sleep,
            stopping=stop.is_set,
        )
        taken = run_hourly(Ticks(places.registry / "ticks", now_ms), hands)
        console.print(f"p402 learn: stopped after {taken} steps")
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
    )
