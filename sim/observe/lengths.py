"""How long another model's answer would have been, beside the one that was given, and how sure that is.

The law: a model's verbosity at a task is its output tokens over what routing had expected of the same
requests. Another model's answer is taken to be longer by the ratio of the two verbosities. Where the
log has answers of both, their ratio is a measurement with an error; where it has not, all there is
is a prior: as long, give or take `PRIOR_SD`. The two are weighed by their precision, on the logarithm.
It knows nothing of prices or of the log.

Source of the weighing: the normal mean with a normal prior, in any textbook; of the error of a ratio of
sums over sessions: Cochran, Sampling Techniques, 3rd edition 1977, chapter 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log, sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.observe.chance import Chance

Float = NDArray[np.float64]

PRIOR_SD: Final = 1.0
"""Of ln(length of another model's answer / of this one's) where nothing was measured. Between the three
models of `paretobandit` 0.1.1 on the same 3,609 prompts the mean lengths differ by ln 0.38, 1.55 and 1.93:
by 0.38 where neither reasons before it answers, and by 1.4 on the square average."""

TRANSFER_SD: Final = 0.2
"""Of what a measured ratio may be off by, since it was measured on other requests of the task than it is
applied to. Between benchmarks of one task the ratio of two of those models moves by 0.4 to 0.8; a
tenant's requests of a task are taken to be more alike than two benchmarks are."""

MIN_ROUNDS: Final = 20
MIN_SESSIONS: Final = 10
"""Fewer say nothing of a model's verbosity: their spread is not known either."""


class Seen(NamedTuple):
    """Answers of one model to a task: sums over sessions of output and expected tokens, and of products."""

    rounds: int
    sessions: int
    output: int
    expected: int
    output_squared: int
    cross: int
    expected_squared: int


class Verbosity(NamedTuple):
    """Logarithm of output over expected tokens, and its standard error."""

    log: float
    sd: float


def verbosity(seen: Seen) -> Verbosity | None:
    """A model's verbosity at a task, its error clustered by session; None where too little was seen."""
    if seen.rounds < MIN_ROUNDS or seen.sessions < MIN_SESSIONS or not (seen.output and seen.expected):
        return None
    ratio = seen.output / seen.expected
    square = seen.output_squared - 2.0 * ratio * seen.cross + ratio * ratio * seen.expected_squared
    spread = sqrt(max(square, 0.0) * seen.sessions / (seen.sessions - 1)) / seen.expected
    return Verbosity(log(ratio), spread / ratio)


class Ratio(NamedTuple):
    """What is believed of ln(length of another model's answer / length of the called one's).

    Attributes
    ----------
    center
        The middle of it.
    learned
        Weight of what was measured, in [0, 1]; the rest is the prior's.
    called_sd, other_sd
        Standard errors of the two verbosities.
    sd
        How far off it may be, all unknowns together.
    """

    center: float
    learned: float
    called_sd: float
    other_sd: float
    sd: float


_UNKNOWN: Final = Ratio(0.0, 0.0, 0.0, 0.0, PRIOR_SD)
_SAME: Final = Ratio(0.0, 1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Lengths:
    """What a log says of answers' lengths, by model and task."""

    seen: Mapping[tuple[str, str], Seen]
    _ratios: dict[tuple[str, str, str], Ratio] = field(default_factory=dict)

    def ratio(self, called: str, other: str, task: str) -> Ratio:
        """What is believed of another model's length beside the called one's."""
        cell = (called, other, task)
        found = self._ratios.get(cell)
        if found is None:
            found = self._ratios[cell] = self._weighed(*cell)
        return found

    def off(self, called: str, other: str, task: str, chance: Chance) -> Float:
        """Draws of how far ln(ratio) lies from its center.

        A model's own unknowns are the same wherever it stands: its measured error at a task, what does not
        transfer, and, by the prior, half of the variance for each of the two models.
        """
        ratio, off = self.ratio(called, other, task), np.zeros(chance.replicates)
        if called == other:
            return off
        if ratio.learned > 0.0:
            measured = ratio.other_sd * chance.column("verbosity", other, task)
            measured = measured - ratio.called_sd * chance.column("verbosity", called, task)
            measured += TRANSFER_SD * chance.column("transfer", called, other)
            off += ratio.learned * measured
        if ratio.learned < 1.0:
            apart = chance.column("prior", other) - chance.column("prior", called)
            off += (1.0 - ratio.learned) * PRIOR_SD * sqrt(0.5) * apart
        return off

    def _weighed(self, called: str, other: str, task: str) -> Ratio:
        if called == other:
            return _SAME
        ours, theirs = (self._verbosity(model, task) for model in (called, other))
        if ours is None or theirs is None:
            return _UNKNOWN
        variance = ours.sd**2 + theirs.sd**2 + TRANSFER_SD**2
        learned = PRIOR_SD**2 / (PRIOR_SD**2 + variance)
        off = sqrt(learned * variance)  # the precisions of both add up
        return Ratio(learned * (theirs.log - ours.log), learned, ours.sd, theirs.sd, off)

    def _verbosity(self, model: str, task: str) -> Verbosity | None:
        seen = self.seen.get((model, task))
        return None if seen is None else verbosity(seen)
