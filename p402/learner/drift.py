"""Whether a provider's answers have changed, so that what was learned of its arms should go faster.

Two-sided CUSUM, one for each provider, on judged quality (failures count as 0) against what was
believed: z = (r - expected) / sd, up and down apart, each g <- max(0, g + z - slack), an alarm where g
exceeds `alarm`, after which both start anew. The scale is the provider's own: judgements that are 0
or 1 are further from any expectation than scores are. It knows no clock and forgets nothing itself.

Source: Page, "Continuous inspection schemes", Biometrika 41, 1954.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

_MEMORY: Final = 0.02
"""Share of a new residual in the running scale."""

_FAR: Final = 4.0
"""Residuals count at most so many sd: one wild judgement is no change."""


@dataclass(slots=True)
class _Sums:
    up: float = 0.0
    down: float = 0.0
    variance: float = 1.0


@dataclass(slots=True)
class Drift:
    """The running sums.

    Attributes
    ----------
    slack
        Standard deviations that a change must exceed half of to be noticed; above 0.
    alarm
        Sum at which a change is believed. With residuals of unit variance, slack 0.5 and alarm 8 raise a
        false alarm about once in 9,500 judgements (Siegmund's approximation, both sides).
    """

    slack: float = 0.5
    alarm: float = 8.0
    _sums: dict[str, _Sums] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.slack > 0.0 and self.alarm > 0.0):
            raise ValueError(f"slack {self.slack}, alarm {self.alarm}: expected both above 0")

    def hear(self, provider: Sequence[str], z: Float) -> list[str]:
        """Providers that an alarm was raised for, in the order of their alarms, each once.

        Parameters
        ----------
        provider
            (n,) whose judgement it was, oldest first.
        z
            (n,) residual in units of its expected sd; nan is passed over.
        """
        raised: list[str] = []
        for name, value in zip(provider, z.tolist(), strict=True):
            if value != value:  # noqa: PLR0124 - nan
                continue
            sums = self._sums.setdefault(name, _Sums())
            step = min(max(value / sqrt(max(sums.variance, 0.25)), -_FAR), _FAR)
            sums.variance += _MEMORY * (min(value * value, _FAR**2) - sums.variance)
            sums.up = max(0.0, sums.up + step - self.slack)
            sums.down = max(0.0, sums.down - step - self.slack)
            if max(sums.up, sums.down) > self.alarm:
                sums.up = sums.down = 0.0
                if name not in raised:
                    raised.append(name)
        return raised
