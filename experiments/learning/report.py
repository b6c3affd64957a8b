"""An hour's step as a person reads it in a terminal."""

from collections.abc import Iterator
from math import isfinite

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from experiments.learning.publication import moved, name_of
from experiments.learning.step import Step
from p402.learner.weights import Weights


def shown(weights: Weights) -> str:
    """Weights with four digits."""
    cost, quality, speed = weights.shares
    return f"quality {quality:.4f}  cost {cost:.4f}  speed {speed:.4f}"


def report(step: Step, tracking_uri: str) -> RenderableType:
    """Evidence, candidates, checks and verdict of a step."""
    return Group(*_parts(step, tracking_uri))


def _parts(step: Step, tracking_uri: str) -> Iterator[RenderableType]:
    proposal, window = step.proposal, step.window
    table = Table(show_header=False, title="evidence")
    rounds = 0 if window is None else window.evidence.batch.n
    drawn = "" if window is None or window.found == rounds else f" (whole sessions of {window.found:,})"
    table.add_row("rounds", f"{rounds:,}{drawn}")
    table.add_row("with a known reward", f"{proposal.matured:,}")
    table.add_row("with a quality outcome", f"{proposal.quality_outcomes:,}")
    if window is not None:
        table.add_row("simulated", f"{window.simulated:,}")
        table.add_row("snapshots, arms", f"{len(window.snapshots)}, {len(window.arms)}")
        table.add_row("dataset", window.digest[:16])
    table.add_row("in force", f"{name_of(step.before)}: {shown(proposal.current)}")
    yield table
    if proposal.candidates:
        yield _candidates(step)
    yield _checks(step)
    yield _verdict(step)
    registered = step.recorded.model_version
    version = "" if registered is None else f", model version {registered} is challenger"
    yield Text(f"MLflow run {step.recorded.run_id}{version}; mlflow ui --backend-store-uri {tracking_uri}")


def _candidates(step: Step) -> Table:
    table = Table(
        "quality", "cost", "speed", title="candidates less the current weights, on training sessions"
    )
    for name in ("value", "lower", "upper", "effective rows", "changed rows"):
        table.add_column(name, justify="right")
    for candidate in step.proposal.candidates:
        cost, quality, speed = candidate.weights.shares
        found = candidate.difference
        table.add_row(
            *(f"{share:.2f}" for share in (quality, cost, speed)),
            *(_signed(value) for value in (found.value, found.lower, found.upper)),
            f"{found.ess:,.0f}",
            f"{found.n_changed:,}",
        )
    return table


def _checks(step: Step) -> Table:
    table = Table("check", "seen", "expected", "", title="gate, on holdout sessions")
    for check in step.proposal.verdict.checks:
        passed = "passed" if check.passed else check.reason
        table.add_row(check.name, f"{check.seen:.4g}", check.expected, passed)
    return table


def _verdict(step: Step) -> RenderableType:
    verdict = step.proposal.verdict
    said = f"verdict: {verdict.action} ({', '.join(verdict.reasons)})"
    if step.published and step.after is not None:
        return Group(Text(said, style="bold"), moved(step.before, step.after))
    kept = "a dry run publishes nothing" if verdict.action == "promote" else "the weights stay"
    return Text(f"{said}; {kept}", style="bold")


def _signed(value: float) -> str:
    return f"{value:+.4f}" if isfinite(value) else "-"
