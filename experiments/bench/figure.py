"""One measured figure and the gate it is held to. Values only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured.

    Attributes
    ----------
    name
        What it is of; unique within a run.
    value, unit
        The measurement.
    most, least
        The gate: the largest and the smallest value that pass; None where there is none.
    """

    name: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def ok(self) -> bool:
        """Whether it is within its gate; NaN is not within any."""
        above = self.least is None or self.value >= self.least
        below = self.most is None or self.value <= self.most
        return above and below
