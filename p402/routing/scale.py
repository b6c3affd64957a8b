"""The whole-number scales of the decision path.

Every quantity that `decide` adds or multiplies is a whole number held in float64, and
every partial sum stays below 2**53, so sums are exact in any order: BLAS, loops, any
chunking and any CPU give the same bits. `p402.routing.compiled` asserts the bounds.
"""

from typing import Final

FEATURE_ONE: Final = 1 << 12
"""A feature of 1.0: features are multiples of 2**-12."""

PARAM_ONE: Final = 1 << 20
"""A parameter, score part, weight or price-of-budget of 1.0: multiples of 2**-20."""

SCORE_ONE: Final = PARAM_ONE * PARAM_ONE
"""A score of 1.0: weight times part, multiples of 2**-40."""

COUNT_ONE: Final = 1 << 24
"""A propensity of 1: propensities are whole counts out of 2**24."""

EXACT: Final = 1 << 53
"""Whole numbers below this are exact in float64."""


def param(value: float) -> int:
    """Nearest multiple of 2**-20, as a whole number."""
    return round(value * PARAM_ONE)


def feature(value: float) -> int:
    """Nearest multiple of 2**-12, as a whole number."""
    return round(value * FEATURE_ONE)
