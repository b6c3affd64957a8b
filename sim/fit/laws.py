"""Numbers to laws: log-normal spreads, two-way means, changes of level. Pure numpy.

All are made to be read, not to be optimal: quantiles rather than moments where a few calls may hang, means
that are shrunk where few rows speak. They know nothing of requests.

Sources: Brown and Forsythe for why medians, JASA 69, 1974; Page, "Continuous inspection schemes",
Biometrika 41, 1954 (cumulative sums).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, sqrt
from typing import Final

import numpy as np

from sim.fit.history import Float, Int
from sim.world.spec import Spread

MOST_SIGMA: Final = 4.0
"""What a `Spread` may have."""

QUARTILE: Final = 0.6744897501960817
"""Of the standard normal law."""

TAIL_SIGMAS: Final = 3.5
"""Beyond so many standard deviations of the logarithm a time is of the tail: 1 in 4,000 by the law itself."""


def spread_of(values: Float, least: float = 1e-3) -> Spread | None:
    """A log-normal law with the values' mean and the spread of their logarithms, within their bounds.

    The mean is kept, not the median, since money follows it. None for no values.

    Parameters
    ----------
    values
        Any shape, above 0 but for what is moved to `least`; nan is left out.
    """
    kept = np.maximum(values[np.isfinite(values)], least)
    if kept.size == 0:
        return None
    low, high = float(kept.min()), float(kept.max())
    sigma = min(float(np.std(np.log(kept))), MOST_SIGMA)
    median = float(np.mean(kept)) / exp(sigma * sigma / 2)
    return Spread(median=min(max(median, low), high), sigma=sigma, least=low, most=high)


def middle_of(values: Float) -> Spread | None:
    """A log-normal law with the values' quartiles, within their bounds: what waits are like but for a few.

    None for no values. Parameters are as for `spread_of`.
    """
    kept = np.maximum(values[np.isfinite(values)], 1e-3)
    if kept.size == 0:
        return None
    low, middle, high = np.quantile(np.log(kept), (0.25, 0.5, 0.75))
    sigma = min(float(high - low) / (2 * QUARTILE), MOST_SIGMA)
    least, most = float(kept.min()), float(kept.max())
    return Spread(median=min(max(float(np.exp(middle)), least), most), sigma=sigma, least=least, most=most)


@dataclass(frozen=True, slots=True)
class Tail:
    """A law without its tail, the tail's share in [0, 1], and how many times longer it is."""

    body: Spread
    share: float
    factor: float


def tailed(values: Float) -> Tail | None:
    """A log-normal body and a tail of the same form, `factor` times as long; None for no values."""
    whole = middle_of(values)
    if whole is None:
        return None
    kept = np.maximum(values[np.isfinite(values)], 1e-3)
    edge = whole.median * float(np.exp(TAIL_SIGMAS * max(whole.sigma, 0.05)))
    beyond = kept[kept > edge]
    body = middle_of(kept[kept <= edge])
    if body is None or beyond.size == 0:
        return Tail(whole, 0.0, 1.0)
    factor = float(np.median(beyond)) / body.median
    return Tail(body, beyond.size / kept.size, max(1.0, factor))


def slope_of(x: Float, y: Float) -> float:
    """Median slope of y over x, over pairs of points half the sample apart in x; 0 where x does not vary.

    Source: Theil, 1950, in the pairing of Adichie, Annals of Mathematical Statistics 38, 1967.
    """
    order = np.argsort(x, kind="stable")
    half = len(order) // 2
    low, high = order[:half], order[len(order) - half :]
    run = x[high] - x[low]
    steep = (y[high] - y[low])[run > 0] / run[run > 0]
    return float(np.median(steep)) if steep.size else 0.0


def two_way(
    values: Float, row: Int, column: Int, shape: tuple[int, int], prior: float = 5.0
) -> tuple[Float, Float]:
    """Effects of rows and columns on values: `values ~ rows[row] + columns[column]`, columns shrunk to 0.

    Parameters
    ----------
    shape
        How many rows and columns there are.
    prior
        How many values a column's effect of 0 is worth.

    Returns
    -------
    tuple
        `(rows,)`, the overall mean where a row has no value, and `(columns,)`.
    """
    rows = np.full(shape[0], float(np.mean(values)) if values.size else 0.0)
    columns = np.zeros(shape[1])
    in_row = np.bincount(row, minlength=shape[0])
    in_column = np.bincount(column, minlength=shape[1])
    for _ in range(50):
        of_row = np.bincount(row, weights=values - columns[column], minlength=shape[0])
        rows = np.where(in_row > 0, of_row / np.maximum(in_row, 1), rows)
        of_column = np.bincount(column, weights=values - rows[row], minlength=shape[1])
        columns = of_column / (in_column + prior)
    return rows, columns


@dataclass(frozen=True, slots=True)
class Jump:
    """A change of level: the first place of the new one, its size, and how many standard errors that is."""

    at: int
    size: float
    z: float


def jump_of(values: Float, least: int = 40, bar: float = 4.5) -> Jump | None:
    """The one place where a sequence's mean changes most, if it is beyond doubt.

    Parameters
    ----------
    values
        `(n,)` in order of time, of about one variance.
    least
        Values that must lie on either side.
    bar
        Standard errors that it must exceed. The largest of n places is looked for: with 4.5, a sequence
        of 1,000 independent values without a change passes about once in 500.
    """
    n = len(values)
    if n < 2 * least:
        return None
    total = np.cumsum(values)
    before = np.arange(least, n - least + 1)
    left = total[before - 1] / before
    right = (total[-1] - total[before - 1]) / (n - before)
    size = right - left
    sd = float(np.std(values - np.mean(values)))
    if sd == 0.0:
        return None
    z = np.abs(size) / (sd * np.sqrt(1.0 / before + 1.0 / (n - before)))
    k = int(np.argmax(z))
    at = int(before[k])
    inside = np.concatenate([values[:at] - left[k], values[at:] - right[k]])
    spread = float(np.std(inside))
    sure = float(z[k]) if spread == 0.0 else abs(float(size[k])) / (spread * sqrt(1.0 / at + 1.0 / (n - at)))
    return Jump(at, float(size[k]), sure) if sure > bar else None


def solve(target: float, of: Callable[[float], float], low: float, high: float) -> float:
    """Where an increasing function takes a value, by halving; the nearer bound where it never does."""
    if of(low) >= target:
        return low
    if of(high) <= target:
        return high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if of(middle) < target else (low, middle)
    return (low + high) / 2
