"""Which logs are drawn, and which strategies are valued on them. Values only."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

from sim.drawn.feedback import FEEDBACK, Feedback
from sim.drawn.offers import Rules


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Who writes a log: a mode under exploration rules."""

    mode: str
    rules: Rules

    @property
    def name(self) -> str:
        """For tables: mode, breadth of exploration, floor in percent."""
        return f"{self.mode} {'wide' if self.rules.wide else 'shipped'} {self.rules.floor:.0%}"


BEHAVIOURS: Final = (
    Behaviour("balanced", Rules(0.01, wide=False)),
    Behaviour("quality", Rules(0.01, wide=False)),
    Behaviour("balanced", Rules(0.01)),
    Behaviour("balanced", Rules(0.05)),
    Behaviour("balanced", Rules(0.2)),
    Behaviour("quality", Rules(0.05)),
    Behaviour("cost", Rules(0.05)),
)

ROUNDS: Final = (500, 1_000, 2_000, 4_000, 16_000)
LONGEST: Final = (1, 8)
"""Rounds of the longest session."""

LOOKED_AT: Final = (2_000, 8_000)
"""Sizes of the logs that the gate is tried on: a holdout of a day's rounds."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How logs are drawn."""

    table: str
    behaviour: Behaviour
    rounds: int
    feedback: Feedback
    longest: int


def settings_of(tables: tuple[str, ...], rounds: tuple[int, ...] = ROUNDS) -> Iterator[Setting]:
    """Every setting, tables and behaviours outermost, so that a process makes each world once."""
    for table, behaviour, feedback, longest, n in product(tables, BEHAVIOURS, FEEDBACK, LONGEST, rounds):
        yield Setting(table, behaviour, n, feedback, longest)


def looks_of(tables: tuple[str, ...], rounds: tuple[int, ...] = LOOKED_AT) -> Iterator[Setting]:
    """Settings that the gate is tried on: sessions, half of the rounds judged."""
    for table, behaviour, n in product(tables, BEHAVIOURS, rounds):
        yield Setting(table, behaviour, n, "half", 8)
