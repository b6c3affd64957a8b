"""Published weights as a person, the learner and MLflow's artifact take them.

Light on purpose: rolling back must work where nothing but the gateway is installed.
"""

from typing import Any

from rich.table import Table
from rich.text import Text

from p402.assemble import START_WEIGHTS
from p402.learner.weights import ONE, Weights
from p402.registry.published import Published


def weights_of(published: Published | None) -> Weights:
    """Weights in force as the learner takes them; the start's 50/50 if nothing was published."""
    if published is None:
        quality, cost, speed = START_WEIGHTS
        return Weights(cost, quality, speed)
    return Weights(published.cost, published.quality, published.speed)


def document_of(weights: Weights, **more: Any) -> dict[str, Any]:
    """Weights as the JSON artifact that a version of the model is."""
    cost, quality, speed = weights.shares
    parts = {"quality": weights.quality, "cost": weights.cost, "speed": weights.speed}
    return {"v": 1, **parts, "one": ONE, "shares": {"quality": quality, "cost": cost, "speed": speed}, **more}


def name_of(published: Published | None) -> str:
    """A version as a person knows it; forced ones say so."""
    if published is None:
        return "the start (nothing published)"
    forced = ", FORCED by an operator" if published.forced else ""
    back = "" if published.restores is None else f", restores {published.restores or 'the start'}"
    return f"version {published.version}{back}{forced}"


def moved(before: Published | None, after: Published) -> Table:
    """Weights and versions before and after a publication."""
    table = Table("", "version", "quality", "cost", "speed", title="balanced weights")
    for when, published in (("before", before), ("after", after)):
        cost, quality, speed = weights_of(published).shares
        table.add_row(when, name_of(published), *(f"{share:.4f}" for share in (quality, cost, speed)))
    table.caption = Text(f"reason: {after.reason}")  # as it was written: brackets are no markup
    return table
