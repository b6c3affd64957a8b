"""What a comparison on a table found, for people and as JSON."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table

from sim.table.compare import Compared, Mean


def shown(result: Compared) -> Iterator[RenderableType]:
    """Tables and lines."""
    yield f"[bold]{result.mode}[/bold]"
    known = "nothing known of the models beforehand" if result.cold else "prior: means on the val split"
    told = result.feedback
    yield (
        f"{result.table} ({result.source}, {result.licence}): {result.prompts} prompts x "
        f"{len(result.arms)} arms, {result.seeds} orders"
    )
    yield (
        f"utility {result.weights[0]:g} quality + {result.weights[1]:g} cost score; {known}; "
        f"{told.judged:.0%} of answers judged, {told.delay_ms / 1000:g} s late"
    )
    table = Table(title="Means a round, ± 95 % over orders; regret is to each prompt's best arm")
    table.add_column("policy", no_wrap=True)
    for name in ("utility", "quality", "USD/1k", "regret", "over single", "behind first"):
        table.add_column(name, justify="right", no_wrap=True)
    for standing in result.standings:
        worth = standing.worth
        table.add_row(
            standing.name,
            _said(worth["utility"]),
            f"{worth['quality'].value:.4f}",
            f"{worth['cost_usd'].value * 1000:.4g}",
            _said(worth["regret"]),
            f"{-worth['regret_single'].value:+.4f}",
            "" if standing.behind is None else _said(standing.behind, sign=True),
        )
    yield table
    if any(standing.curve for standing in result.standings):
        yield _areas(result)
    yield from (f"warning: {text}" for text in result.warnings)


def _areas(result: Compared) -> Table:
    table = Table(title="Mean quality under the curve")
    table.add_column("policy", no_wrap=True)
    table.add_column("by log cost", justify="right")
    table.add_column("by cost", justify="right")
    for name, curve in (
        *((s.name, s.curve) for s in result.standings if s.curve is not None),
        ("mix of single models (zero router)", result.zero_router),
    ):
        table.add_row(name, f"{curve.area:.4f}", f"{curve.area_linear:.4f}")
    return table


def _said(mean: Mean, *, sign: bool = False) -> str:
    reach = mean.upper - mean.value
    return f"{mean.value:+.4f} ±{reach:.4f}" if sign else f"{mean.value:.4f} ±{reach:.4f}"
