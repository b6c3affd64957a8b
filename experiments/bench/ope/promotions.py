"""How often the gate promotes what is no better: candidates whose true gain is known, on drawn logs.

A null candidate is no copy: it mixes a better strategy with a worse one until its value over the table is
exactly the behaviour's, so that everything differs but the worth. Worse and better ones are mixed to a
declared gain. The rates are of one look at a nominal one-sided 5 %, and at what the product's first look may
spend.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.bench.ope.grid import Setting
from experiments.bench.ope.targets import LOGGED
from experiments.bench.ope.trial import Stage, log_of, mean
from p402.evaluation.estimators import compare
from p402.evaluation.gate import Gate, judge, spent
from p402.evaluation.reward_model import cross_fitted

Float = NDArray[np.float64]

GAINS: Final = (0.0, -0.005, -0.02, 0.02)
"""True gains of the candidates in reward units; the first is the null."""

DISTANCES: Final = (0.3, 1.0)
"""Shares of a candidate that are not the behaviour."""

NOMINAL: Final = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A strategy and what it is truly worth more than the behaviour, over the table."""

    name: str
    gain: float
    probs: Float


class Judged(NamedTuple):
    """What one look at one candidate made of it.

    Attributes
    ----------
    bound
        Whether the pessimistic bound alone passes.
    promoted, promoted_first
        Whether the whole gate does, at the nominal rate, and at the first look's.
    believed, held
        Whether the difference's 95 % interval was printed without a warning, and whether it holds the gain.
    """

    candidate: str
    gain: float
    bound: bool
    promoted: bool
    promoted_first: bool
    believed: bool
    held: bool


def candidates_of(stage: Stage) -> Iterator[Candidate]:
    """Every reachable candidate of a behaviour."""
    reward = stage.world.outcomes.reward
    logged = stage.targets[LOGGED]
    worth = {name: mean(np.add.reduce(probs * reward, axis=1)) for name, probs in stage.targets.items()}
    now = worth[LOGGED]
    best, worst = max(worth, key=lambda name: worth[name]), min(worth, key=lambda name: worth[name])
    for distance in DISTANCES:
        for gain in GAINS:
            aim = now + gain / distance
            if not worth[worst] < aim < worth[best]:
                continue
            share = (aim - worth[worst]) / (worth[best] - worth[worst])
            mixed = share * stage.targets[best] + (1.0 - share) * stage.targets[worst]
            probs = (1.0 - distance) * logged + distance * mixed
            kind = "null" if gain == 0.0 else f"{gain:+.3f}"
            yield Candidate(f"{kind}, {distance:.0%} changed", gain, probs)


def look(stage: Stage, setting: Setting, chance: np.random.Generator) -> list[Judged]:
    """Judge every candidate on one log, as the learner's holdout does."""
    log = log_of(stage, setting, chance)
    batch, gate = log.batch, Gate()
    model = cross_fitted(batch)
    logged = np.ascontiguousarray(stage.targets[LOGGED][log.prompt])
    matured = int(np.count_nonzero(batch.observed > 0.0))
    found = []
    for candidate in candidates_of(stage):
        probs = np.ascontiguousarray(candidate.probs[log.prompt])
        nominal, first, usual = (
            compare(batch, probs, logged, model, alpha=alpha)
            for alpha in (2.0 * NOMINAL, 2.0 * spent(gate.alpha, 1), NOMINAL)
        )
        verdicts = [
            judge(gate, difference, matured=matured, quality_outcomes=matured, tenants=2, sources=2)
            for difference in (nominal, first)
        ]
        found.append(
            Judged(
                candidate=candidate.name,
                gain=candidate.gain,
                bound=nominal.pessimistic > gate.margin,
                promoted=verdicts[0].action == "promote",
                promoted_first=verdicts[1].action == "promote",
                believed=not usual.warnings,
                held=usual.lower <= candidate.gain <= usual.upper,
            )
        )
    return found
