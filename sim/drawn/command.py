"""`p402 sim draw`: a log that our policy draws from a full-information table, with what is true of it.

What writes logs and Parquet is imported when it is asked for: it needs the extra `replay`.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from rich.table import Table

from p402.commands.run import BadQuestion, run_app
from p402.routing.spec import MODES as ALL_MODES
from sim.asked import one_of
from sim.drawn.datasheet import Written
from sim.drawn.draw import LONGEST, MODES, draw
from sim.drawn.feedback import FEEDBACK
from sim.drawn.offers import Rules
from sim.drawn.tables import BUNDLED, open_table
from sim.drawn.world import world_of
from sim.shown import bar, show

ROUNDS: Final = 10_000
app = typer.Typer(name="sim", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def main(argv: list[str]) -> int:
    """Run `p402 sim draw ARGV`, the word `draw` first: 0 it is drawn, 1 it could not be, 2 bad usage."""
    return run_app(app, "p402 sim", argv)


@app.callback()
def _group() -> None:
    """A part of `p402 sim`, so that its word comes first."""


@app.command("draw")
def draw_log(
    *,
    out: Annotated[
        Path, typer.Option(help="New folder for log/, store/, outcomes.parquet, truth.json, README.md.")
    ],
    table: Annotated[
        str, typer.Option(help="`paretobandit`, or the path of a tidy Parquet file (datasets/README.md).")
    ] = BUNDLED,
    complete: Annotated[
        bool, typer.Option("--complete", help="Leave out prompts of a file that lack a model's outcome.")
    ] = False,
    rounds: Annotated[int, typer.Option(help="Rounds to draw.", min=1)] = ROUNDS,
    seed: Annotated[int, typer.Option(help="Keys all chance.", min=0)] = 7,
    modes: Annotated[
        str, typer.Option(help="Modes that sessions ask for in turn, comma separated.")
    ] = ",".join(MODES),
    floor: Annotated[
        float, typer.Option(help="Exploration floor of every mode.", min=0.0001, max=1.0)
    ] = 0.01,
    as_shipped: Annotated[
        bool,
        typer.Option(
            "--as-shipped", help="Keep the product's tolerance and cost ratio: few arms are explored."
        ),
    ] = False,
    feedback: Annotated[str, typer.Option(help=f"Which rounds are judged: {', '.join(FEEDBACK)}.")] = "all",
    longest: Annotated[int, typer.Option(help="Rounds of the longest session.", min=1)] = LONGEST,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Draw a log with exact propensities, every arm's real outcome and the exact value of strategies."""
    asked = tuple(part.strip() for part in modes.split(","))
    for mode in asked:
        one_of("--modes", mode, ALL_MODES)
    if len(set(asked)) < len(asked):
        raise BadQuestion(f"--modes: found {modes!r}; expected each mode once: sessions take turns")
    chosen = one_of("--feedback", feedback, FEEDBACK)
    from sim.drawn.written import write  # noqa: PLC0415

    priced = open_table(table, complete=complete)
    world = world_of(priced, Rules(floor, wide=not as_shipped), asked)
    drawn = draw(world.traffic.prompts, rounds, seed, len(asked), longest)
    command = (
        f"p402 sim draw --table {priced.name}{' --complete' if complete else ''} --rounds {rounds} "
        f"--seed {seed} --modes {','.join(asked)} --floor {floor:g}{' --as-shipped' if as_shipped else ''} "
        f"--feedback {feedback} --longest {longest}"
    )
    with bar("drawing") as progress:
        found = write(world, drawn, out, seed=seed, feedback=chosen, command=command, progress=progress)
    show(
        [_shown(found)], orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2).decode() if as_json else None
    )


def _shown(found: Written) -> Table:
    title = (
        f"{found.rounds:,} rounds of {found.table}, {found.arms} arms, {found.judged:,} judged: {found.out}"
    )
    table = Table("behaviour", "policy", title=title)
    for column in ("value on the rounds", "value on the table", "unsupported"):
        table.add_column(column, justify="right")
    for value in found.values:
        table.add_row(
            value.behaviour,
            f"{value.policy}{', greedy' if value.greedy else ''}",
            f"{value.on_rounds:.6f}",
            f"{value.on_table:.6f}",
            f"{value.unsupported:.3f}",
        )
    return table
