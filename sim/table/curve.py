"""Quality against cost: the curve that a policy makes as the cost weight goes from 0 to 1.

Of points (mean cost, mean quality) the curve is the upper edge of the hull: between two points lies
their mix. Below its cheapest point a policy is joined with the cheapest single model, which anyone can
have; beyond its dearest it stays as it is. The area is taken over the range from the cheapest single model
to the dearest, by the logarithm of cost, since costs differ by hundreds, and linearly as well; divided by the
range, so that it is a mean quality. The zero router's curve is that of the single models themselves: a
policy whose area is not above it is worth nothing as a router.

Source: Hu et al., "RouterBench", 2024 (arXiv 2403.12031), for hull and area (AIQ, there linear in cost).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.strategies.baselines import upper_edge
from sim.strategies.contract import Float

GRID: Final = (0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0)
"""Cost weights of a sweep; the quality weight is the rest."""

_STEPS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Point:
    """Mean cost in USD and mean quality of one policy at one cost weight, or of a single model."""

    label: str
    cost_usd: float
    quality: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A policy's points and what lies below them.

    Attributes
    ----------
    points
        By ascending cost weight, or by model.
    edge
        Cost and quality of the curve's corners, by ascending cost.
    area, area_linear
        Mean quality under the curve over the logarithm of cost, and over cost; in [0, 1].
    """

    points: tuple[Point, ...]
    edge: tuple[tuple[float, float], ...]
    area: float
    area_linear: float


def singles_of(models: Sequence[str], quality: Float, cost_usd: Float) -> tuple[Point, ...]:
    """Each model's own point: means of its (n, K) columns."""
    n = len(quality)
    q, c = np.add.reduce(quality, axis=0) / n, np.add.reduce(cost_usd, axis=0) / n
    return tuple(Point(m, float(c[k]), float(q[k])) for k, m in enumerate(models))


def curve_of(points: Sequence[Point], singles: Sequence[Point]) -> Curve:
    """The curve of a policy's points over the range of the single models."""
    cheapest = min(singles, key=lambda p: (p.cost_usd, -p.quality))
    dearest = max(p.cost_usd for p in singles)
    corners = corners_of([*points, cheapest])
    log_grid = np.exp(np.linspace(np.log(cheapest.cost_usd), np.log(dearest), _STEPS + 1))
    line_grid = np.linspace(cheapest.cost_usd, dearest, _STEPS + 1)
    return Curve(
        points=tuple(points),
        edge=tuple(corners),
        area=_mean_height(log_grid, corners),
        area_linear=_mean_height(line_grid, corners),
    )


def corners_of(points: Sequence[Point]) -> list[tuple[float, float]]:
    """Corners of the non-decreasing upper edge of the points' hull, by ascending cost."""
    cost = np.array([p.cost_usd for p in points])
    quality = np.array([p.quality for p in points])
    # the edge from the best on falls with x, so cost is turned about to have quality rise with it
    edge = upper_edge(-cost, quality)[::-1]
    return [(float(cost[i]), float(quality[i])) for i in edge.tolist()]


def _mean_height(grid: Float, corners: Sequence[tuple[float, float]]) -> float:
    """Mean of the curve over evenly weighted grid points, by the trapezoid rule."""
    x, y = np.array(corners).T
    heights = np.interp(grid, x, y)
    return float((np.add.reduce(heights) - (heights[0] + heights[-1]) / 2.0) / (len(grid) - 1))
