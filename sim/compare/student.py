"""How improbable a t statistic is, and what is left of that where many are looked at. Pure.

Sources: Abramowitz and Stegun, 26.7.3 and 26.7.4 (Student's t of whole degrees of freedom, exact finite
sums); Holm, Scandinavian Journal of Statistics 6(2), 1979.
"""

from collections.abc import Sequence
from math import atan, cos, inf, isnan, nan, pi, sin, sqrt


def two_sided(statistic: float, freedom: int) -> float:
    """P(|T| > |statistic|) for Student's T; absolute error about 1e-15, nan for nan or without freedom."""
    if isnan(statistic) or freedom < 1:
        return nan
    if abs(statistic) == inf:
        return 0.0
    angle = atan(abs(statistic) / sqrt(freedom))
    square = cos(angle) ** 2
    if freedom % 2:
        term, total = cos(angle), 0.0
        for k in range(1, freedom - 1, 2):
            total += term
            term *= square * (k + 1) / (k + 2)
        inside = 2.0 / pi * (angle + sin(angle) * total)
    else:
        term, total = 1.0, 0.0
        for k in range(0, freedom - 1, 2):
            total += term
            term *= square * (k + 1) / (k + 2)
        inside = sin(angle) * total
    return min(1.0, max(0.0, 1.0 - inside))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: below alpha only where Holm's procedure rejects, whatever depends on what.

    The k-th smallest of m is multiplied by m - k + 1 and is never less than those before it. A nan is no
    test: it stays nan and is not counted.
    """
    adjusted = [nan] * len(p_values)
    order = sorted((i for i, p in enumerate(p_values) if not isnan(p)), key=lambda i: p_values[i])
    floor = 0.0
    for rank, i in enumerate(order):
        floor = max(floor, min(1.0, p_values[i] * (len(order) - rank)))
        adjusted[i] = floor
    return adjusted
