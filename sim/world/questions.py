"""Common questions: which there are, in which words each is asked, and which others are nearly the same.

A question has a name of its own (`chat.7`, and `chat.7-number` for the near miss of it that has another
number), by which right and wrong answers are told apart. Its texts follow from task, number, near miss and
wording alone, so that they are the same in every world. It knows neither vectors nor callers.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Final

from sim.world.frames import FRAMES, Frame

BASE: Final = 0
"""Which near miss the question itself is."""


@dataclass(frozen=True, slots=True)
class Said:
    """One text of a question.

    Attributes
    ----------
    number
        Of the question among its task's.
    miss
        0 for the question itself, 1 and on for its near misses.
    wording
        0 is the usual one.
    """

    task: str
    number: int
    miss: int = BASE
    wording: int = 0

    @property
    def question(self) -> str:
        """Name of what is asked, in whatever words."""
        stem = f"{self.task}.{self.number}"
        return stem if self.miss == BASE else f"{stem}-{_slots(self)[self.miss - 1]}"


def capacity(task: str) -> int:
    """How many questions a task has; 0 where nobody wrote any."""
    frames = FRAMES.get(task, ())
    return len(frames) * min((prod(map(len, frame.slots.values())) for frame in frames), default=0)


def misses(task: str, number: int) -> int:
    """How many near misses a question has."""
    return len(_frame(task, number).slots)


def wordings(task: str, number: int) -> int:
    """In how many ways a question is asked."""
    return len(_frame(task, number).wordings)


@lru_cache(maxsize=16_384)
def text_of(said: Said) -> str:
    """The words."""
    frame = _frame(said.task, said.number)
    place = said.number // len(FRAMES[said.task])
    filled = {
        slot: pairs[place % len(pairs)][said.miss == number]
        for number, (slot, pairs) in enumerate(frame.slots.items(), start=1)
    }
    return frame.wordings[said.wording].format_map(filled)


def _frame(task: str, number: int) -> Frame:
    frames = FRAMES[task]
    return frames[number % len(frames)]


def _slots(said: Said) -> tuple[str, ...]:
    return tuple(_frame(said.task, said.number).slots)
