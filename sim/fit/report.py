"""How a fit looks: what was fitted, trials' errors beside yesterday's, what to doubt. It computes nothing."""

from collections.abc import Iterator
from math import isfinite

import numpy as np
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from sim.fit.judge import Result, Verdict, mean_day
from sim.fit.metrics import SHARES
from sim.shown import minute_of


def tables(result: Result) -> Iterator[RenderableType]:
    """The fit, its trials, and what speaks against believing them."""
    spec, fitted = result.fitted.spec, result.fitted
    window = f"{minute_of(result.fit_from_ms)} to {minute_of(result.fit_until_ms)} UTC"
    yield (
        f"fitted to {result.rounds:,} rounds, {window}: {len(spec.providers)} providers, {len(spec.models)} "
        f"models, {len(fitted.arms)} arms, {len(spec.tenants)} tenants, {len(spec.tasks)} tasks"
    )
    for change in fitted.changes:
        yield escape(
            f"{change.arm}: judged quality changed by {change.size:+.3f} about {minute_of(change.at_ms)} UTC "
            f"({change.z:.1f} standard errors); the world has it as it was after that"
        )
    for verdict in result.verdicts:
        yield _trial(verdict)
        ours, told = verdict.better
        yield f"nearer than yesterday in {ours} of {told} metrics"
    yield from _doubts(result)


def _trial(verdict: Verdict) -> Table:
    title = f"{verdict.trial}: {verdict.rounds:,} rounds beside {len(verdict.plays)} plays of the world"
    table = Table("metric", title=title, title_justify="left")
    for name in ("log", "world", "sd over plays", "yesterday", "error of world", "of yesterday"):
        table.add_column(name, justify="right", no_wrap=True)
    mean = mean_day(verdict.plays)
    for name, seen in verdict.seen.numbers.items():
        over = float(np.std([play.numbers[name] for play in verdict.plays]))
        table.add_row(
            name,
            _number(seen),
            _number(mean.numbers[name]),
            _number(over),
            _number(verdict.yesterday.numbers[name]),
            *_errors(verdict, name),
        )
    for name in ("arms", "providers"):
        table.add_row(f"share of {name}, moved", "", "", "", "", *_errors(verdict, name))
    table.caption = "errors: of shares as differences, of all else as parts of the log's"
    return table


def _errors(verdict: Verdict, name: str) -> tuple[str, str]:
    ours, theirs = verdict.world_errors[name], verdict.yesterday_errors[name]
    digits = 3 if name in SHARES else 2
    cells = [f"{error:.{digits}f}" if isfinite(error) else "unknown" for error in (ours, theirs)]
    if isfinite(ours) and isfinite(theirs) and ours != theirs:
        nearer = int(theirs < ours)
        cells[nearer] = f"[green]{cells[nearer]}[/]"
    return cells[0], cells[1]


def _doubts(result: Result) -> Iterator[str]:
    fitted = result.fitted
    if fitted.believed:
        yield (
            f"[yellow]believed[/]: of {escape(_some(fitted.believed))} fewer than 20 answers were judged; "
            f"their quality is what routing believes; expected judgements: POST /v1/outcomes"
        )
    if fitted.assumed:
        yield (
            f"[yellow]assumed[/]: {escape(_some(fitted.assumed))} took fewer than 20 calls; they are as fast "
            f"and as reliable as all together"
        )
    if fitted.prices_off:
        yield (
            f"[yellow]prices[/]: input of {escape(_some(fitted.prices_off))} is priced by its model's ratio, "
            f"since a world's provider has one factor for a model"
        )
    if fitted.baselines_off:
        yield (
            f"[yellow]baselines[/]: {escape(_some(fitted.baselines_off))} is no model of the world; direct "
            f"costs of the tenants that are held to it stay unknown there"
        )
    if result.custom:
        yield (
            f"[yellow]custom[/]: {result.custom:,} rounds with weights of their own were left out, as a "
            f"world's callers ask for modes"
        )
    if result.hits:
        yield (
            f"[yellow]cached[/]: {result.hits:,} requests of the log were answered from a cache and left "
            f"out; the world has the traffic that was sent on, and asks nothing twice"
        )
    if result.simulated:
        yield f"[yellow]simulated[/]: {result.simulated:,} rounds of the log had simulated providers"
    if not result.verdicts:
        yield "[yellow]not judged[/]: nothing was held out; pass --holdout-hours, --other-log or --other-mode"


def _some(names: tuple[str, ...], most: int = 6) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _number(number: float) -> str:
    if not isfinite(number):
        return "unknown"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
