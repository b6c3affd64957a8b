"""What a strategy chose for a batch of requests under one state of its own."""

from dataclasses import dataclass
from typing import Protocol

from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from sim.strategies.contract import Contexts, Float, Int, Strategy


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Choices for n rounds.

    Attributes
    ----------
    arm
        (n,) index of the chosen arm; -1 where none is eligible.
    propensity
        (n,) probability it had; 0 where none is eligible.
    probabilities
        (n, K) of every arm.
    contexts
        What was known, for `Rounds`.
    """

    arm: Int
    propensity: Float
    probabilities: Float
    contexts: Contexts


class Batched(Strategy, Protocol):
    """A strategy that can choose for many rounds at once, as all of this package's own can."""

    def choose(
        self, snapshot: Snapshot, batch: RequestBatch, prompts: tuple[str, ...] | None = None
    ) -> Drawn:
        """What `decide` chooses for each row; the same rows alone give the same choices."""
        ...
