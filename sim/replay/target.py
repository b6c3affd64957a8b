"""Which arms a strategy on trial would take in a logged round, and how probably.

A strategy is a mode, custom weights, one of three yardsticks, or a policy over contexts. Modes and weights
are decided by the very `work` that serves, on the logged row inputs with only mode, weights, exploration and
variant replaced; who may serve stays what it was. It knows nothing of rewards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from p402.events import RowInputs
from p402.learner.weights import Weights
from p402.routing.batch import RequestBatch
from p402.routing.columns import Asked
from p402.routing.compiled import Snapshot
from p402.routing.decide import CHUNK_CELLS, Workings, work
from p402.routing.scale import COUNT_ONE
from p402.routing.spec import MODES
from sim.replay.contextual import Contextual, contextual
from sim.strategies.named import WEIGHTS, weights_of
from sim.strategies.own import UnknownPolicy

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rule:
    """A mode as it was promoted (variant 0), or custom weights; `explore` off is its best arm alone."""

    mode: str
    weights: Weights | None = None
    explore: bool = True

    def asked(self, row: RowInputs) -> RowInputs:
        """The row as if it had been asked for this."""
        weights = None
        if self.weights is not None:
            weights = [self.weights.quality, self.weights.cost, self.weights.speed]
        return msgspec.structs.replace(row, mode=self.mode, weights=weights, explore=self.explore, variant=0)

    def probabilities(self, worked: Workings) -> Float:
        """(n, n_arms) of rows that were asked for this."""
        return np.atleast_2d(worked.counts) / COUNT_ONE


@dataclass(frozen=True, slots=True)
class Logged:
    """The behaviour itself: every row as it was."""

    def asked(self, row: RowInputs) -> RowInputs:
        """The row."""
        return row

    def probabilities(self, worked: Workings) -> Float:
        """(n, n_arms), as logged."""
        return np.atleast_2d(worked.counts) / COUNT_ONE


@dataclass(frozen=True, slots=True)
class Random:
    """Every eligible arm alike, explored by the log or not."""

    def asked(self, row: RowInputs) -> RowInputs:
        """The row: who is eligible hangs on nothing else."""
        return row

    def probabilities(self, worked: Workings) -> Float:
        """(n, n_arms)."""
        mask = np.atleast_2d(worked.eligible)
        spread: Float = mask / np.maximum(np.count_nonzero(mask, axis=1, keepdims=True), 1)
        return spread


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The eligible arm of the least expected cost, ties to the lower id."""

    def asked(self, row: RowInputs) -> RowInputs:
        """The row."""
        return row

    def probabilities(self, worked: Workings) -> Float:
        """(n, n_arms), one 1 a row."""
        mask = np.atleast_2d(worked.eligible)
        cost = np.where(mask, np.atleast_2d(worked.cost_pico), np.inf)
        chosen = np.zeros(mask.shape)
        chosen[np.arange(len(mask)), cost.argmin(axis=1)] = 1.0
        return chosen


Target = Rule | Logged | Random | Cheapest | Contextual


def parse(text: str, *, greedy: bool = False) -> Target:
    """The strategy that `text` names.

    Raises
    ------
    UnknownPolicy
        It names none, its weights are no weights, or it learns; the message gives the nearest name.
    """
    if text in MODES:
        return Rule(text, explore=not greedy)
    if text.partition(":")[0] == WEIGHTS:
        return Rule("custom", weights_of(text), explore=not greedy)
    if greedy:
        raise UnknownPolicy(f"--greedy goes with a mode or weights; found policy {text!r}")
    yardsticks: dict[str, Target] = {"random": Random(), "cheapest": Cheapest(), "logged": Logged()}
    return yardsticks[text] if text in yardsticks else contextual(text)


def asked_of(target: Target) -> Asked | None:
    """What a strategy asks for instead of what was logged; None where it decides on rows as they are."""
    if not isinstance(target, Rule):
        return None
    weights = None
    if target.weights is not None:
        weights = target.weights.quality, target.weights.cost, target.weights.speed
    return Asked(mode=target.mode, weights=weights, explore=target.explore, variant=0)


def asked(target: Target, rows: Sequence[RowInputs]) -> list[RowInputs]:
    """Rows as if they had been asked for a strategy."""
    return [target.asked(row) for row in rows]


def probabilities(target: Target, snapshot: Snapshot, batch: RequestBatch) -> Float:
    """Probabilities of a strategy over a batch made of `asked` rows, (n, n_arms), each row summing to 1."""
    if isinstance(target, Contextual):
        return target.of(snapshot, batch)
    n, step = len(batch), max(1, CHUNK_CELLS // snapshot.n_arms)
    out = np.empty((n, snapshot.n_arms))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        out[rows] = target.probabilities(work(snapshot, batch.rows(rows)))
    return out
