"""What plots are drawn from: for each run a few numbers at fixed places, so that runs can be put together.

Grids do not depend on the runs' figures, and a run's rounds can be let go once its curve is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.compare.paired import Bounded, over_seeds
from sim.compare.rounds import NOBODY, Float, Int, Run

STEPS: Final = 120
"""Points of a curve over time."""

BINS: Final = 24
"""Bins of shares over time."""

LATENCIES_MS: Final[Float] = np.round(np.logspace(1.0, np.log10(300_000.0), 180), 3)
"""Where the distribution of latencies is read: 10 ms to 5 minutes."""


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """When a comparison's runs begin and end, ms since 1970 UTC."""

    start_ms: int
    end_ms: int

    @property
    def moments_ms(self) -> Float:
        """(STEPS + 1,) moments, first and last included."""
        return np.linspace(self.start_ms, self.end_ms, STEPS + 1)

    @property
    def hours(self) -> Float:
        """(STEPS + 1,) the same in hours since the start."""
        return (self.moments_ms - self.start_ms) / 3_600_000.0


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One run.

    Attributes
    ----------
    regret
        (STEPS + 1,) summed up to each moment.
    answered_by
        (len(LATENCIES_MS),) share of answered requests that took no longer.
    chosen
        First choices of each arm by time, (BINS,).
    """

    regret: Float
    answered_by: Float
    chosen: Mapping[str, Int]


def curve_of(run: Run, clock: Clock) -> Curve:
    """Take a run's curve."""
    summed = np.concatenate([[0.0], np.cumsum(run.regret)])
    latency = np.sort(run.latency_ms[run.ok])
    answered = np.searchsorted(latency, LATENCIES_MS, side="right") / max(1, len(latency))
    width = max(1, clock.end_ms - clock.start_ms)
    bins = np.clip((run.t_ms - clock.start_ms) * BINS // width, 0, BINS - 1)
    chosen = {
        name: np.bincount(bins[run.arm.codes == code], minlength=BINS).astype(np.int64)
        for code, name in enumerate(run.arm.names)
        if name != NOBODY
    }
    return Curve(summed[np.searchsorted(run.t_ms, clock.moments_ms, side="right")], answered, chosen)


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A curve over seeds: mean and pointwise 95 % interval, (points,) each; bounds nan where unknown."""

    mean: Float
    lower: Float
    upper: Float


def band_of(curves: Sequence[Float]) -> Band:
    """Put the same curve of several seeds together."""
    columns = [over_seeds([float(curve[i]) for curve in curves]) for i in range(len(curves[0]))]
    finite = [c if np.isfinite(c.lower) else Bounded(c.value, np.nan, np.nan, c.p, c.units) for c in columns]
    return Band(
        np.array([c.value for c in finite]),
        np.array([c.lower for c in finite]),
        np.array([c.upper for c in finite]),
    )


def shares_over_time(curves: Sequence[Curve]) -> dict[str, Float]:
    """Share of each arm in first choices by time, (BINS,), of all seeds together; nan in an empty bin."""
    summed: dict[str, Int] = {}
    for curve in curves:
        for arm, counts in curve.chosen.items():
            summed[arm] = summed.get(arm, np.zeros(BINS, dtype=np.int64)) + counts
    total = np.add.reduce(list(summed.values())) if summed else np.zeros(BINS, dtype=np.int64)
    whole = np.where(total > 0, total, np.nan)
    return {arm: counts / whole for arm, counts in sorted(summed.items())}
