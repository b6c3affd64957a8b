"""Judgements as a posterior takes them in: columns, checked.

It knows nothing of what is made of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Judgements that arrived, (n,) or as said.

    Attributes
    ----------
    key
        (n, 2) uint64 request ids: the later word on a round replaces the earlier one.
    arm
        Names of the arms that the rounds' rewards belong to; unknown ones are passed over.
    features
        (n, D) in [0, 1].
    task
        Index of the round's task.
    quality
        In [0, 1].
    weight
        0 or more: 1 / P(observed), see `p402.learner.observed`.

    Raises
    ------
    ValueError
        Columns of unequal length, or a value out of range; the message gives its first bad row.
    """

    key: NDArray[np.uint64]
    arm: Sequence[str]
    features: Float
    task: Int
    quality: Float
    weight: Float

    def __post_init__(self) -> None:
        n = len(self.arm)
        for name in ("key", "features", "task", "quality", "weight"):
            if len(getattr(self, name)) != n:
                raise ValueError(
                    f"{name} has {len(getattr(self, name))} rows: expected {n}, one for each arm"
                )
        for name, least, most in (("quality", 0.0, 1.0), ("weight", 0.0, np.inf)):
            column = getattr(self, name)
            off = np.flatnonzero(~((column >= least) & (column <= most) & np.isfinite(column)))
            if len(off):
                raise ValueError(
                    f"{name} of row {off[0]} is {column[off[0]]}: expected {least:g} to {most:g}; "
                    f"leave out rounds that nobody judged"
                )
