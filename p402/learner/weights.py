"""The weights of balanced mode: what they are, and which of them one hour may reach.

Whole numbers of 2**-20, as the decision's exact arithmetic wants them. It knows nothing of
evidence or of value.
"""

from dataclasses import dataclass
from typing import Final

ONE: Final = 1 << 20
"""The three weights sum to this."""

STEP: Final = ONE // 20
"""The largest whole step that is no more than 0.05."""

LEAST: Final = -(-ONE // 5)
MOST: Final = 4 * ONE // 5
"""Cost and quality stay within [0.2, 0.8], inclusive."""


@dataclass(frozen=True, slots=True, order=True)
class Weights:
    """How much cost, quality and speed count, in units of 2**-20, summing to 2**20.

    Raises
    ------
    ValueError
        A weight below 0, or another sum.
    """

    cost: int
    quality: int
    speed: int

    def __post_init__(self) -> None:
        if min(self.parts) < 0 or sum(self.parts) != ONE:
            raise ValueError(
                f"weights are {self.parts} with sum {sum(self.parts)}: expected 0 or more, summing to "
                f"{ONE}; make them with Weights.of"
            )

    @classmethod
    def of(cls, cost: float, quality: float, speed: float = 0.0) -> "Weights":
        """Nearest weights to three numbers of 0 or more, scaled to sum to 1.

        Raises
        ------
        ValueError
            A negative number, or all of them 0.
        """
        total = cost + quality + speed
        if not (min(cost, quality, speed) >= 0.0 and 0.0 < total < float("inf")):
            raise ValueError(f"weights are {(cost, quality, speed)}: expected finite, 0 or more, not all 0")
        units = round(cost / total * ONE)
        rest = min(round(quality / total * ONE), ONE - units)
        return cls(units, rest, ONE - units - rest)

    @property
    def parts(self) -> tuple[int, int, int]:
        """(cost, quality, speed)."""
        return self.cost, self.quality, self.speed

    @property
    def shares(self) -> tuple[float, float, float]:
        """(cost, quality, speed) as fractions of 1, exact."""
        return self.cost / ONE, self.quality / ONE, self.speed / ONE


START: Final = Weights(ONE // 2, ONE // 2, 0)
"""Where balanced mode begins: half cost, half capability."""


def within_reach(
    current: Weights, step: int = STEP, least: int = LEAST, most: int = MOST
) -> tuple[Weights, ...]:
    """Weights one step away: each moves by -step, 0 or +step, the sum stays, cost and quality within bounds.

    At most six, in ascending order. From weights outside the bounds (an operator's), those that do not
    lie further outside.

    Parameters
    ----------
    current
        Where one is.
    step
        In units of 2**-20, 1 or more.
    least, most
        Bounds of cost and of quality.

    Raises
    ------
    ValueError
        A step below 1.
    """
    if step < 1:
        raise ValueError(f"step is {step}: expected 1 or more, in units of 2**-20; 0.05 is {STEP}")
    moves = (-step, 0, step)
    outside = _outside(current.cost, least, most) + _outside(current.quality, least, most)
    found = []
    for cost in moves:
        for quality in moves:
            speed = -cost - quality
            if abs(speed) > step or cost == quality == 0:
                continue
            parts = current.cost + cost, current.quality + quality, current.speed + speed
            if min(parts) < 0:
                continue
            if _outside(parts[0], least, most) + _outside(parts[1], least, most) > outside:
                continue
            found.append(Weights(*parts))
    return tuple(sorted(found))


def _outside(value: int, least: int, most: int) -> int:
    return max(least - value, value - most, 0)
