"""The seeded draws that intervals are made of: one column of standard normals for every unknown.

A column follows from its name alone, so that two modes which rest on one unknown move together, and a
figure does not change with what else was asked for.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.evaluation.logged import hash_of

Float = NDArray[np.float64]

REPLICATES: Final = 4_000
SEED: Final = 402

_WORD: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Chance:
    """Columns of `replicates` standard normals, by name."""

    replicates: int = REPLICATES
    seed: int = SEED
    _drawn: dict[tuple[str, ...], Float] = field(default_factory=dict)

    def column(self, *name: str) -> Float:
        """The column of an unknown, `(replicates,)`."""
        found = self._drawn.get(name)
        if found is None:
            key = hash_of("\x1f".join(name)) & _WORD
            found = np.random.default_rng([self.seed, key]).standard_normal(self.replicates)
            self._drawn[name] = found
        return found
