"""The first pass of a valuation: how often rounds are judged and what they earn, by task and arm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p402.learner.tally import Tally
from sim.replay.pieces import Partition
from sim.replay.window import Window, rounds_in

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What the first pass says of some pieces.

    Attributes
    ----------
    tally
        Rounds of the window.
    modes
        Rounds that chance took part in, by mode.
    """

    tally: Tally
    modes: Mapping[str, int]

    def plus(self, other: "Told") -> "Told":
        """Of both."""
        names = {**self.modes, **other.modes}
        modes = {name: self.modes.get(name, 0) + other.modes.get(name, 0) for name in names}
        return Told(self.tally.plus(other.tally), modes)


def first(window: Window, piece: Partition) -> Told:
    """Of one piece; raises `StoreError`."""
    rounds = rounds_in(window, piece)
    if not len(rounds):
        return Told(Tally.none(), rounds.modes)
    tally = Tally.of(
        rounds.rewards,
        rounds.failed,
        task=rounds.task,
        tasks=rounds.tasks,
        arm=rounds.arm,
        arms=rounds.arms,
        session=rounds.session,
    )
    return Told(tally, rounds.modes)


class ToldCodec:
    """`Told` as arrays."""

    def arrays(self, result: Told) -> Arrays:
        """Names as text, the rest as whole numbers."""
        tally = result.tally
        return {
            "tasks": np.array(tally.tasks, dtype=str),
            "arms": np.array(tally.arms, dtype=str),
            "counts": np.stack((tally.failed, tally.answered, tally.judged)),
            "worth": tally.worth,
            "modes": np.array(list(result.modes), dtype=str),
            "of_mode": np.array(list(result.modes.values()), dtype=np.int64),
        }

    def result(self, arrays: Arrays) -> Told:
        """Back."""
        tasks, arms = (tuple(arrays[name].tolist()) for name in ("tasks", "arms"))
        failed, answered, judged = arrays["counts"]
        modes = dict(zip(arrays["modes"].tolist(), arrays["of_mode"].tolist(), strict=True))
        return Told(Tally(tasks, arms, failed, answered, judged, arrays["worth"]), modes)
