"""`p402 replay --table`: play policies on a table of every arm's measured outcomes.

Exit status: 0 it was played, 2 the question, the table or a policy is no good. It knows nothing of logs.
"""

from typing import Annotated

import typer

from p402.commands.run import run_app
from p402.errors import P402Error
from sim.drawn.tables import open_table
from sim.shown import bar, show
from sim.strategies.named import named, weights_of
from sim.table import report
from sim.table.compare import BadTableQuestion, compare
from sim.table.courses import Feedback, field_of

app = typer.Typer(name="replay", add_completion=False, pretty_exceptions_enable=False)


def main(argv: list[str]) -> int:
    """Run `p402 replay ARGV` where ARGV has `--table`; see the module for its exit status."""
    return run_app(app, "p402 replay", argv, status=lambda _error: 2)


@app.command()
def replay(
    *,
    table: Annotated[
        str,
        typer.Option(
            "--table",
            metavar="NAME|FILE",
            help="paretobandit, or a Parquet file with columns prompt, task, model, quality, cost_usd.",
        ),
    ],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            help="One or more of p402, static, epsilon-greedy, linucb, ucb1, knn, random, cheapest, "
            "best-single, zero-router, a mode, weights:quality=0.6,cost=0.4, module:Class; the first is what "
            "others are compared with.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Orders of its prompts.", min=2)] = 10,
    weights: Annotated[str, typer.Option(help="What every request asks for.")] = "quality=0.5,cost=0.5",
    every: Annotated[float, typer.Option(help="Seconds between requests.", min=0.001)] = 10.0,
    delay: Annotated[float, typer.Option(help="Seconds until a judgement arrives.", min=0)] = 0.0,
    judged: Annotated[float, typer.Option(help="Share of the answers that are judged.", min=0, max=1)] = 1.0,
    rounds: Annotated[int | None, typer.Option(help="Play so many prompts.", min=1)] = None,
    sweep: Annotated[bool, typer.Option("--curve/--no-curve", help="Draw quality-cost curves.")] = True,
    cold: Annotated[bool, typer.Option("--cold", help="Know nothing of the models beforehand.")] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="Leave out prompts that lack an outcome.")
    ] = False,
    prompts: Annotated[
        bool, typer.Option("--prompts", help="Let a policy of yours see the prompts.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Play policies on a table with every arm's measured outcome: exact regret, quality-cost curves."""
    if not policy:
        raise BadTableQuestion("expected --table with one --policy or more; see --help")
    factories = {text: named(text, prompts=prompts) for text in policy}
    asked = _weights(weights)
    try:
        feedback = Feedback(round(every * 1000), round(delay * 1000), judged)
    except ValueError as error:
        raise BadTableQuestion(str(error)) from error
    field = field_of(open_table(table, complete=complete), cold=cold)
    with bar("playing") as progress:
        result = compare(
            field,
            factories,
            seeds=seeds,
            weights=asked,
            feedback=feedback,
            rounds=rounds,
            sweep=sweep,
            cold=cold,
            prompts=prompts,
            progress=progress,
        )
    show(report.shown(result), report.as_json(result) if as_json else None)


def _weights(text: str) -> tuple[float, float]:
    """Quality and cost weight, summing to 1."""
    given = weights_of(f"weights:{text}")
    if given.speed:
        raise P402Error("a table has no latencies: expected --weights of quality and cost alone")
    whole = given.quality + given.cost
    return given.quality / whole, given.cost / whole
