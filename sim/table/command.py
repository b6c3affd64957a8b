"""The part of `p402 replay` that plays a table: its options to a comparison, shown.

It knows nothing of logs.
"""

from typing import TYPE_CHECKING

from p402.errors import P402Error
from sim.drawn.tables import open_table
from sim.shown import bar, show
from sim.strategies.named import named, weights_of
from sim.table import report
from sim.table.compare import BadTableQuestion, compare
from sim.table.courses import Feedback, field_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.strategies.drawn import Batched


def replay_table(
    table: str,
    policies: list[str],
    *,
    seeds: int,
    weights: str | None,
    every_s: float,
    delay_s: float,
    judged: float,
    rounds: int | None,
    sweep: bool,
    cold: bool,
    prompts: bool,
    complete: bool,
    as_json: bool,
) -> None:
    """Play policies on a table and show what came of it.

    Raises
    ------
    BadTableQuestion
        The options do not make a comparison.
    P402Error
        The table or a policy is no good; the message says why.
    """
    factories: dict[str, Callable[[], Batched]] = {p: named(p, prompts=prompts) for p in policies}
    asked = _weights(weights)
    try:
        feedback = Feedback(round(every_s * 1000), round(delay_s * 1000), judged)
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


def _weights(text: str | None) -> tuple[float, float]:
    """Quality and cost weight, summing to 1; half each where nothing is said."""
    if text is None:
        return 0.5, 0.5
    given = weights_of(f"weights:{text}")
    if given.speed:
        raise P402Error("a table has no latencies: expected --weights of quality and cost alone")
    whole = given.quality + given.cost
    return given.quality / whole, given.cost / whole
