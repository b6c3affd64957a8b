"""Sums of real numbers that do not hang on the order they are added in.

Floating-point addition is not associative, so two machines that add the same rows in another grouping
give other bits. Here each number is first rounded to a multiple of 2**-60 and then added as whole
numbers, which is exact: any order, grouping, chunk or process gives the same sum, to the bit. A sum is
three int64 limbs of 40 bits; in normal form (`settled`) equal sums have equal limbs. It knows nothing of
what is summed.

What it costs: three additions for one, and an absolute error of at most 2**-61 a number, which is less
than float64 itself would lose in a sum of 256 numbers near 1. Sums of which every term is below 1e-6 lose
relative accuracy: of weights that small nothing can be estimated anyway.

Source: fixed-point accumulation as in Kulisch, "Very fast and exact accumulation of products",
Computing 91, 2011, cut to the range that importance weights and their squares need.
"""

from typing import Final

import numpy as np

from p402.evaluation.logged import FloatArray, IntArray

BITS: Final = 40
LIMBS: Final = 3
MOST: Final = 2.0**60
"""Absolute value below which a number fits; a squared weight is below 2**55."""

MAX_ROWS: Final = 1 << 22
"""Most numbers that may be added between two calls of `settled`: 2**22 limbs of 2**40 stay below 2**63."""

_FULL: Final = 1 << 62
"""Of the highest limb: two below it can be added without leaving int64."""

_MASK: Final = (1 << BITS) - 1
_UNIT: Final = 2.0**20  # of the highest limb; the next are 2**-20 and 2**-60


def limbs_of(values: FloatArray) -> IntArray:
    """Each number as limbs, highest first, `(3, *values.shape)`: not in normal form, but ready to be added.

    Raises
    ------
    ValueError
        A value is not finite, or 2**60 or more.
    """
    size = np.abs(values)
    if not bool((size < MOST).all()):
        seen = float(size[~(size < MOST)].ravel()[0])
        raise ValueError(
            f"a value of size {seen} cannot be added exactly: expected finite and below 2**60; "
            f"weights are at most 2**24 times 1 / P(observed)"
        )
    limbs = np.empty((LIMBS, *values.shape), dtype=np.int64)
    high = np.floor(size * (1.0 / _UNIT))
    rest = (size - high * _UNIT) * _UNIT
    middle = np.floor(rest)
    low = np.rint((rest - middle) * 2.0**BITS)
    sign = np.where(values < 0.0, -1.0, 1.0)
    for limb, part in zip(limbs, (high, middle, low), strict=True):
        np.multiply(part, sign, out=limb, casting="unsafe")
    return limbs


def settled(limbs: IntArray) -> IntArray:
    """The same sums in normal form: the two lower limbs in `[0, 2**40)`, the highest with the sign.

    Raises
    ------
    ValueError
        A sum is 2**82 or more in size: added to another, its highest limb might wrap round unseen.
    """
    out = limbs.copy()
    for lower, upper in ((2, 1), (1, 0)):
        carry = out[lower] >> BITS
        out[lower] &= _MASK
        out[upper] += carry
    if bool(((out[0] >= _FULL) | (out[0] < -_FULL)).any()):
        raise ValueError(
            "a sum of 2**82 or more cannot be kept exactly: expected less, as even 100 million rounds of the "
            "largest weight there is come to; look for a propensity or 1 / P(observed) that cannot be"
        )
    return out


def total(values: FloatArray) -> IntArray:
    """Sums over the first axis of `(n, ...)` numbers, in normal form, `(3, ...)`.

    Raises
    ------
    ValueError
        As `limbs_of`, or more than `MAX_ROWS` rows.
    """
    if values.shape[0] > MAX_ROWS:
        raise ValueError(f"{values.shape[0]} rows at once: expected at most {MAX_ROWS}; add them in chunks")
    return settled(np.add.reduce(limbs_of(values), axis=1))


def value_of(limbs: IntArray) -> FloatArray:
    """Sums as float64, of settled limbs; within two units in the last place."""
    high, middle, low = limbs.astype(np.float64)
    return np.asarray(high * _UNIT + middle * (1.0 / _UNIT) + low * 2.0**-60, dtype=np.float64)
