"""What a mode would have saved on some rounds, and within which bounds, at 95 %.

Two things are unknown. Which requests came: the sum is taken as one of many that such sessions could
have made, its error clustered by session (`p402.evaluation.intervals`). How long other models' answers
are: `sim.observe.lengths` draws it. Both are drawn together, and the bounds are quantiles. It knows
nothing of the log.
"""

from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.evaluation.intervals import student_quantile
from sim.observe.chance import Chance
from sim.observe.lengths import Lengths
from sim.observe.reprice import Cell
from sim.observe.sums import Paid, Would

Float = NDArray[np.float64]

ALPHA: Final = 0.05
_NORMAL: Final = 1.959963984540054
"""The normal quantile at 1 - ALPHA / 2."""


@dataclass(frozen=True, slots=True)
class Saving:
    """Pico-USD and shares; bounds are infinite where one session is all there is.

    Attributes
    ----------
    paid, cost, saving
        What was billed, what the mode would have cost, and the difference.
    lower, upper
        Bounds of the saving.
    share, share_lower, share_upper
        The saving over what was paid.
    by_requests, by_lengths
        Standard errors of the saving from each of the two unknowns.
    assumed
        Share of the re-priced output at other models whose length rests on the prior.
    elsewhere
        What output at other models makes of the cost.
    """

    paid: float
    cost: float
    saving: float
    lower: float
    upper: float
    share: float
    share_lower: float
    share_upper: float
    by_requests: float
    by_lengths: float
    assumed: float
    elsewhere: float


def saving(paid: Paid, would: Would, cells: dict[Cell, float], lengths: Lengths, chance: Chance) -> Saving:
    """Value a mode; `cells` is what its output at other models costs."""
    units = paid.rounds > 0
    n, was, now = paid.rounds[units], paid.pico[units], would.pico[units]
    spent, cost, rounds = float(was.sum()), float(now.sum()), float(n.sum())
    saved, ratio = spent - cost, cost / spent if spent else 0.0
    longer, assumed, elsewhere = _longer(cells, lengths, chance)
    came = chance.column("which requests came")
    reach = student_quantile(1.0 - ALPHA / 2.0, len(n) - 1) / _NORMAL
    error = _clustered((was - now) - saved / rounds * n)
    of_share = _clustered(now - ratio * was) / spent if spent else inf
    low, high = _bounds(saved - longer, error * reach, came)
    shares = (saved - longer) / spent if spent else np.zeros(chance.replicates)
    share_low, share_high = _bounds(shares, of_share * reach, came)
    return Saving(
        paid=spent,
        cost=cost,
        saving=saved,
        lower=low,
        upper=high,
        share=1.0 - ratio,
        share_lower=share_low,
        share_upper=share_high,
        by_requests=error,
        by_lengths=float(longer.std()),
        assumed=assumed / elsewhere if elsewhere else 0.0,
        elsewhere=elsewhere,
    )


def _longer(cells: dict[Cell, float], lengths: Lengths, chance: Chance) -> tuple[Float, float, float]:
    """Draws of what other lengths would add to the cost; what rests on the prior, of how much."""
    extra, assumed, elsewhere = np.zeros(chance.replicates), 0.0, 0.0
    for cell in sorted(cells):
        extra += cells[cell] * np.expm1(lengths.off(*cell, chance))
        assumed += cells[cell] * (1.0 - lengths.ratio(*cell).learned)
        elsewhere += cells[cell]
    return extra, assumed, elsewhere


def _clustered(off: Float) -> float:
    """Standard error of a sum over independent units, given how far each moves it from its mean."""
    units = len(off)
    if units < 2:
        return inf
    return sqrt(float((off * off).sum()) * units / (units - 1))


def _bounds(drawn: Float, error: float, came: Float) -> tuple[float, float]:
    if not isfinite(error):
        return -inf, inf
    low, high = np.quantile(drawn + error * came, [ALPHA / 2.0, 1.0 - ALPHA / 2.0])
    return float(low), float(high)
