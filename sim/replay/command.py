"""`p402 replay`: decide logged rounds again, value another strategy on them, explain one, or play a table.

Exit status: 0 all is well, 1 a logged choice does not replay or an outcome is not borne out by one, 2 the
question or its data is no good.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
import typer.main

from p402.errors import P402Error, nearest
from sim.replay import report
from sim.replay.explain import explain
from sim.replay.target import Target, parse
from sim.replay.training import trained
from sim.replay.value import BEHAVIOURS, value
from sim.replay.verify import verify
from sim.replay.window import Unfaithful, window_of
from sim.shown import bar, show
from sim.table.command import replay_table

app = typer.Typer(name="replay", add_completion=False, pretty_exceptions_enable=False)

DEFAULT_LOG: Final = Path("var/p402/log")
DEFAULT_STORE: Final = Path("var/p402/store")


class BadQuestion(P402Error):
    """The options do not say one thing to do."""


def main(argv: list[str]) -> int:
    """Run `p402 replay ARGV`; see the module for its exit status."""
    try:
        status = typer.main.get_command(app)(args=argv, prog_name="p402 replay", standalone_mode=True)
    except P402Error as error:
        print(f"p402 replay: {error}", file=sys.stderr)
        return 1 if isinstance(error, Unfaithful) else 2
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0
    return status if isinstance(status, int) else 0


@app.command()
def replay(
    *,
    verify_all: Annotated[
        bool, typer.Option("--verify", help="Decide every logged choice again; 1 on any fault.")
    ] = False,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            help="Value a strategy: cost, quality, speed, balanced, weights:quality=0.6,cost=0.4,speed=0, "
            "random, cheapest, logged, static, best-single, zero-router, module:Class; several with --table; "
            "with it or --train-until, the learners p402, epsilon-greedy, linucb, ucb1, knn.",
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
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="NAME|FILE",
            help="Play the policies on a table with every arm's measured outcome: paretobandit, or a Parquet "
            "file with columns prompt, task, model, quality, cost_usd.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="With --table: orders of its prompts.", min=2)] = 10,
    weights: Annotated[
        str | None, typer.Option(help="With --table: what every request asks for, quality=0.5,cost=0.5.")
    ] = None,
    every: Annotated[float, typer.Option(help="With --table: seconds between requests.", min=0.001)] = 10.0,
    delay: Annotated[
        float, typer.Option(help="With --table: seconds until a judgement arrives.", min=0)
    ] = 0.0,
    judged: Annotated[
        float, typer.Option(help="With --table: share of the answers that are judged.", min=0, max=1)
    ] = 1.0,
    rounds: Annotated[int | None, typer.Option(help="With --table: play so many prompts.", min=1)] = None,
    sweep: Annotated[
        bool, typer.Option("--curve/--no-curve", help="With --table: draw quality-cost curves.")
    ] = True,
    cold: Annotated[
        bool, typer.Option("--cold", help="With --table: know nothing of the models beforehand.")
    ] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="With --table: leave out prompts that lack an outcome.")
    ] = False,
    prompts: Annotated[
        bool, typer.Option("--prompts", help="With --table: let a policy of yours see the prompts.")
    ] = False,
    explain_id: Annotated[
        str | None, typer.Option("--explain", metavar="REQUEST_ID", help="Show every arm of one round.")
    ] = None,
    behaviour: Annotated[
        str, typer.Option(help="Value on the rounds logged in this mode, exploration on.")
    ] = "balanced",
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Value the policy without its exploration.")
    ] = False,
    log: Annotated[Path, typer.Option(help="Folder of the log that the gateway writes.")] = DEFAULT_LOG,
    store: Annotated[Path, typer.Option(help="Folder of the snapshots it decided under.")] = DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Replay the log with the very code that decided it, or policies on a table of measured outcomes."""
    if table is not None:
        if verify_all or explain_id is not None or not policy or greedy or train_until:
            raise BadQuestion(
                "expected --table with one --policy or more, "
                "and no --verify, --explain, --greedy or --train-until"
            )
        replay_table(
            table,
            policy,
            seeds=seeds,
            weights=weights,
            every_s=every,
            delay_s=delay,
            judged=judged,
            rounds=rounds,
            sweep=sweep,
            cold=cold,
            prompts=prompts,
            complete=complete,
            as_json=as_json,
        )
        return
    if sum((verify_all, bool(policy), explain_id is not None)) != 1 or len(policy or ()) > 1:
        raise BadQuestion("expected one of --verify, --policy NAME and --explain REQUEST_ID; see --help")
    if policy:
        train = None if train_until is None else _instant(train_until)
        _value(policy[0], behaviour, log, store, train, greedy=greedy, as_json=as_json)
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


def _instant(text: str) -> int:
    """Milliseconds since 1970 of a day or time; one without a zone is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadQuestion(
            f"--train-until: found {text!r}, expected a day or a time such as 2026-11-25T18:00"
        ) from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000)


def _value(
    policy: str,
    behaviour: str,
    log: Path,
    store: Path,
    train_until_ms: int | None,
    *,
    greedy: bool,
    as_json: bool,
) -> None:
    if behaviour not in BEHAVIOURS:
        raise BadQuestion(
            f"unknown --behaviour {behaviour!r}; expected one of {', '.join(BEHAVIOURS)}"
            f"{nearest(behaviour, BEHAVIOURS)}"
        )
    named = f"{policy}, greedy" if greedy else policy
    if train_until_ms is None:
        target: Target = parse(policy, greedy=greedy)
    else:
        with bar("training") as progress:
            target = trained(policy, window_of(log, store, behaviour), train_until_ms, progress)
        named = f"{policy}, trained {target.trained} and frozen"
    with bar("replaying") as progress:
        result = value(log, store, named, target, behaviour, since_ms=train_until_ms, progress=progress)
    show(report.valuation(result), report.as_json(result) if as_json else None)
