"""Baselines and policies of one's own as strategies on trial: what they would do in logged rounds.

A strategy here is frozen: it learned nothing, or only from an earlier part of the log
(`sim.replay.training`). What it knows of a round is what the log kept: row inputs, live state and snapshot,
but no session and no prompt. `prior_quality` is what the round's own snapshot believed, or the snapshot that
training began under. A log has one arm's outcome a round, so a learner cannot be played through it as through
a table. It knows no estimator.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.events import RowInputs
from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.decide import CHUNK_CELLS
from sim.strategies.contract import Learner
from sim.strategies.drawn import Batched
from sim.strategies.named import LEARNERS, named
from sim.strategies.own import UnknownPolicy
from sim.strategies.policy import PolicyStrategy

Float = NDArray[np.float64]

KEPT: Final = 8
"""Snapshots for which what a strategy makes of them is kept."""

_LEARNS: Final = (
    "policy {text!r} learns, and a log has the outcome of one arm a round: a learner cannot be valued "
    "off-policy as it goes; freeze it with --train-until TIME (it learns from earlier rounds and is valued "
    "on later ones), or play it on a table of every arm's outcomes (--table)"
)


@dataclass(frozen=True, slots=True)
class Contextual:
    """A frozen strategy.

    Attributes
    ----------
    name
        As it was asked for.
    strategy
        Every snapshot gets a copy of it, so that the order rounds come in cannot matter.
    trained
        What it learned from, in words that name it; empty for nothing.
    """

    name: str
    strategy: Batched = field(repr=False)
    trained: str = ""
    _begun: dict[str, tuple[Batched, Snapshot]] = field(default_factory=dict, repr=False, compare=False)

    def asked(self, row: RowInputs) -> RowInputs:
        """The row as it was."""
        return row

    def of(self, snapshot: Snapshot, batch: RequestBatch) -> Float:
        """(n, n_arms) probabilities, each row summing to 1.

        Raises
        ------
        sim.strategies.policy.BadPolicy
            The policy gave what is no probability.
        """
        strategy, own = self._at(snapshot)
        step = max(1, CHUNK_CELLS // snapshot.n_arms)
        out = np.empty((len(batch), snapshot.n_arms))
        for start in range(0, len(batch), step):
            rows = slice(start, min(start + step, len(batch)))
            out[rows] = strategy.choose(own, batch.rows(rows)).probabilities
        return out

    def _at(self, snapshot: Snapshot) -> tuple[Batched, Snapshot]:
        found = self._begun.get(snapshot.id)
        if found is None:
            strategy = deepcopy(self.strategy)
            found = self._begun[snapshot.id] = strategy, strategy.begin(snapshot)
            while len(self._begun) > KEPT:
                del self._begun[next(iter(self._begun))]
        return found


def contextual(text: str) -> Contextual:
    """The strategy that `text` names, if it learns nothing.

    Raises
    ------
    UnknownPolicy
        It names none, or one that learns.
    """
    strategy = named(text)()
    if learns(text, strategy):
        raise UnknownPolicy(_LEARNS.format(text=text))
    return Contextual(text, strategy)


def learns(text: str, strategy: Batched) -> bool:
    """Whether a strategy changes with what it is told."""
    return text in LEARNERS or (isinstance(strategy, PolicyStrategy) and isinstance(strategy.policy, Learner))
