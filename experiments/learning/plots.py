"""The two pictures of a step: how candidates compared, and how weights moved over time.

Drawn on Agg figures of their own: no window, no global state.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from p402.assemble import START_WEIGHTS
from p402.learner.reweight import Candidate
from p402.learner.weights import ONE
from p402.registry.published import Published


def by_candidate(candidates: Sequence[Candidate]) -> Any:
    """Each candidate's paired difference to the current weights on training sessions, with its interval."""
    figure = Figure(figsize=(7.0, 0.6 * len(candidates) + 1.6), layout="constrained")
    axes = figure.subplots()
    for row, candidate in enumerate(candidates):
        found = candidate.difference
        if not isfinite(found.value):
            continue
        bounds = [bound for bound in (found.lower, found.upper) if isfinite(bound)]
        if len(bounds) == 2:
            axes.plot(bounds, [row, row], color="#4c78a8", linewidth=2.0)
        axes.plot([found.value], [row], marker="o", color="#4c78a8")
    axes.axvline(0.0, color="black", linewidth=0.8)
    labels = [
        f"q {quality:.2f}  c {cost:.2f}  s {speed:.2f}"
        for cost, quality, speed in (c.weights.shares for c in candidates)
    ]
    axes.set_yticks(range(len(candidates)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("value less the current weights', per round (training sessions)")
    return figure


def over_time(history: Sequence[Published], now_ms: int) -> Any:
    """Quality, cost and speed weight from the start to now; rings mark versions an operator forced."""
    figure = Figure(figsize=(7.0, 3.0), layout="constrained")
    axes = figure.subplots()
    begun = history[0].published_ms if history else now_ms - 3_600_000
    instants = [begun - 1, *(version.published_ms for version in history), now_ms]
    when = np.array(instants, dtype="datetime64[ms]")
    start = tuple(value / ONE for value in START_WEIGHTS)
    for k, (name, colour) in enumerate((("quality", "#4c78a8"), ("cost", "#f58518"), ("speed", "#54a24b"))):
        values = [start[k], *(version.shares[k] for version in history)]
        axes.step(when, [*values, values[-1]], where="post", label=name, color=colour)
        forced = np.array([version.forced for version in history], dtype=np.bool_)
        axes.plot(when[1:-1][forced], np.array(values[1:])[forced], "o", color=colour, fillstyle="none")
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("weight")
    axes.legend(loc="upper left", ncols=3)
    axes.tick_params(axis="x", labelrotation=20)
    return figure
