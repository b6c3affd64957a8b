"""Sums over rounds that intervals need, however many rounds there are.

Sessions are what is independent. Each falls by its hash into one of `BUCKETS`, and a bucket is the unit
of the error: two sessions in one bucket are one larger unit, which costs precision and no validity.
So memory hangs on neither rounds nor sessions. It knows nothing of prices or lengths.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.observe.reprice import Cell, Repriced

Float = NDArray[np.float64]
Int = NDArray[np.int64]

BUCKETS: Final = 1 << 14


def _nothing() -> Float:
    return np.zeros(BUCKETS)


@dataclass(slots=True)
class Paid:
    """Rounds and what they were billed, pico-USD, by bucket."""

    rounds: Float = field(default_factory=_nothing)
    pico: Float = field(default_factory=_nothing)

    def add(self, bucket: Int, pico: Float) -> None:
        """Take some rounds."""
        self.rounds += np.bincount(bucket, minlength=BUCKETS)
        self.pico += np.bincount(bucket, pico, BUCKETS)


@dataclass(slots=True)
class Would:
    """What a mode would have made of them.

    Attributes
    ----------
    pico
        Pico-USD by bucket.
    uncached, changed, quality, scored
        Totals of what `Repriced` has by row.
    """

    pico: Float = field(default_factory=_nothing)
    uncached: float = 0.0
    changed: float = 0.0
    quality: float = 0.0
    scored: float = 0.0

    def add(self, bucket: Int, found: Repriced, rows: NDArray[np.bool_]) -> None:
        """Take some of the rounds that were re-priced."""
        self.pico += np.bincount(bucket[rows], found.cost_pico[rows], BUCKETS)
        self.uncached += float(found.uncached_pico[rows].sum())
        self.changed += float(found.changed[rows].sum())
        self.quality += float(found.quality[rows].sum())
        self.scored += float(found.scored[rows].sum())


@dataclass(slots=True)
class Sums:
    """Everything, by task and by mode and task."""

    paid: dict[str, Paid] = field(default_factory=dict)
    would: dict[tuple[str, str], Would] = field(default_factory=dict)
    cells: dict[str, dict[Cell, float]] = field(default_factory=dict)
    models: dict[str, dict[str, float]] = field(default_factory=dict)

    def pay(self, tasks: Mapping[str, NDArray[np.bool_]], bucket: Int, pico: Float) -> None:
        """Take rounds of several tasks, each named with its rows."""
        for task, rows in tasks.items():
            self.paid.setdefault(task, Paid()).add(bucket[rows], pico[rows])

    def value(self, mode: str, tasks: Mapping[str, NDArray[np.bool_]], bucket: Int, found: Repriced) -> None:
        """Take what a mode would have made of them."""
        for task, rows in tasks.items():
            self.would.setdefault((mode, task), Would()).add(bucket, found, rows)
        cells = self.cells.setdefault(mode, {})
        for cell, pico in found.cells.items():
            cells[cell] = cells.get(cell, 0.0) + pico
        models = self.models.setdefault(mode, {})
        for model, share in found.models.items():
            models[model] = models.get(model, 0.0) + share

    def all_paid(self, tasks: Iterable[str]) -> Paid:
        """Rounds of some tasks together."""
        total = Paid()
        for task in tasks:
            total.rounds += self.paid[task].rounds
            total.pico += self.paid[task].pico
        return total

    def all_would(self, mode: str, tasks: Iterable[str]) -> Would:
        """A mode over some tasks together."""
        total = Would()
        for task in tasks:
            part = self.would[mode, task]
            total.pico += part.pico
            total.uncached += part.uncached
            total.changed += part.changed
            total.quality += part.quality
            total.scored += part.scored
        return total
