"""`p402 replay`: decide logged rounds again, value another strategy on them, or explain one.

Exit status: 0 all is well, 1 a logged choice does not replay or an outcome is not borne out by one, 2 the
question or its data is no good.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from p402.commands.run import BadQuestion, run_app
from sim.asked import LOG, STORE, instant_ms, one_of
from sim.replay import report
from sim.replay.explain import explain
from sim.replay.pass_two import By
from sim.replay.target import Target, parse
from sim.replay.training import trained
from sim.replay.value import BEHAVIOURS, value
from sim.replay.verify import verify
from sim.replay.window import Unfaithful, window_of
from sim.shown import bar, show
from sim.spread.contract import InProcess, Processes, Ray, Workers

app = typer.Typer(name="replay", add_completion=False, pretty_exceptions_enable=False)


def main(argv: list[str]) -> int:
    """Run `p402 replay ARGV`; see the module for its exit status."""
    return run_app(app, "p402 replay", argv, status=lambda error: 1 if isinstance(error, Unfaithful) else 2)


@app.command()
def replay(
    *,
    verify_all: Annotated[
        bool, typer.Option("--verify", help="Decide every logged choice again; 1 on any fault.")
    ] = False,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            help="Value a strategy: cost, quality, speed, balanced, weights:quality=0.6,cost=0.4,speed=0, "
            "random, cheapest, logged, static, best-single, zero-router, module:Class; with --train-until "
            "the learners p402, epsilon-greedy, linucb, ucb1, knn.",
        ),
    ] = None,
    train_until: Annotated[
        str | None,
        typer.Option(
            "--train-until",
            metavar="TIME",
            help="With a learner: let it learn from the log's rounds before this time, UTC, and value it, "
            "frozen, on those after.",
        ),
    ] = None,
    explain_id: Annotated[
        str | None, typer.Option("--explain", metavar="REQUEST_ID", help="Show every arm of one round.")
    ] = None,
    behaviour: Annotated[
        str, typer.Option(help="Value on the rounds logged in this mode, exploration on.")
    ] = "balanced",
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Value the policy without its exploration.")
    ] = False,
    by: Annotated[
        By | None, typer.Option(help="With --policy: value each task, or each tenant, by itself as well.")
    ] = None,
    processes: Annotated[
        int,
        typer.Option(help="With --policy: work on so many processes; the same figures to the bit.", min=1),
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="local|ADDRESS",
            help="With --policy: work on a Ray cluster, or on one that is started here (local).",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="With --policy: keep finished parts in this folder, and go on from those in it."),
    ] = None,
    log: Annotated[Path, typer.Option(help="Folder of the log that the gateway writes.")] = LOG,
    store: Annotated[Path, typer.Option(help="Folder of the snapshots it decided under.")] = STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Replay the log with the very code that decided it.

    Policies on a table of every arm's measured outcomes: p402 replay --table NAME|FILE, see its --help.
    """
    if sum((verify_all, policy is not None, explain_id is not None)) != 1:
        raise BadQuestion("expected one of --verify, --policy NAME and --explain REQUEST_ID; see --help")
    if policy is not None:
        how = How(by, workers_of(processes, ray), resume, instant_ms("--train-until", train_until))
        _value(policy, behaviour, log, store, how, greedy=greedy, as_json=as_json)
    elif explain_id is not None:
        found = explain(log, store, explain_id)
        show(report.explained(found), report.as_json(found) if as_json else None)
    else:
        _verify(log, store, as_json=as_json)


def _verify(log: Path, store: Path, *, as_json: bool) -> None:
    with bar("verifying") as progress:
        result = verify(log, store, progress)
    if result.rows == result.outcomes == 0:
        raise BadQuestion(f"the log {log} holds no decision; expected traffic: serve some, or pass --log")
    show(report.verification(result), report.as_json(result) if as_json else None)
    if not result.ok:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class How:
    """How a strategy is valued: by what, on which workers, where parts are kept, on what it was trained."""

    by: By | None
    workers: Workers
    resume: Path | None
    train_until_ms: int | None


def workers_of(processes: int, ray: str | None) -> Workers:
    """Workers that the options name.

    Raises
    ------
    BadQuestion
        They name two kinds.
    """
    if ray is not None and processes > 1:
        raise BadQuestion("expected --processes or --ray; found both")
    if ray is not None:
        return Ray(None if ray == "local" else ray)
    return Processes(processes) if processes > 1 else InProcess()


def _value(
    policy: str, behaviour: str, log: Path, store: Path, how: How, *, greedy: bool, as_json: bool
) -> None:
    one_of("--behaviour", behaviour, BEHAVIOURS)
    named = f"{policy}, greedy" if greedy else policy
    if how.train_until_ms is None:
        target: Target = parse(policy, greedy=greedy)
    else:
        with bar("training") as progress:
            target = trained(policy, window_of(log, store, behaviour), how.train_until_ms, progress)
        named = f"{policy}, trained {target.trained} and frozen"
    with bar("replaying") as progress:
        result = value(
            log,
            store,
            named,
            target,
            behaviour,
            since_ms=how.train_until_ms,
            by=how.by,
            workers=how.workers,
            resume=how.resume,
            progress=progress,
        )
    show(report.valuation(result), report.as_json(result) if as_json else None)
