"""What answers are worth: judged quality by model and task, arms that differ from theirs, changes of level.

A cell's mean is shrunk to what routing believed of it, as few rounds say little. An arm whose judgements
change level within the window counts from the change on, and the change is told. It knows nothing of
providers' times or of prices.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.fit.history import Bool, Float, History, Int
from sim.fit.laws import jump_of, solve, spread_of
from sim.world.rewards import expected
from sim.world.spec import Bernoulli, Gaussian, Graded, Judge, Reward, Spread

BELIEF: Final = 10.0
"""Judged rounds that a belief of routing is worth."""

OF_ITS_MODEL: Final = 25.0
"""Judged rounds that an arm's being like its model is worth."""

MOST_LEVELS: Final = 11
"""More distinct qualities than these are no grades."""

FAR: Final = 1.5
"""How far outside [0, 1] a mean before clipping is looked for."""


@dataclass(frozen=True, slots=True)
class Change:
    """A silent change of quality: of which arm, when (ms since 1970 UTC), by how much, how sure."""

    arm: str
    at_ms: int
    size: float
    z: float


@dataclass(frozen=True, slots=True)
class Worths:
    """Quality of a log.

    Attributes
    ----------
    mean
        (models, tasks) expected quality.
    offset
        (arms,) what an arm adds to its model's.
    laws
        (models,) each model's reward law.
    judged
        (models, tasks) rounds behind each mean.
    changes
        By time.
    """

    mean: Float
    offset: Float
    laws: tuple[Reward, ...]
    judged: Int
    changes: tuple[Change, ...]


def worths_of(history: History, model_of_arm: Int, belief: Float) -> Worths:
    """Fit quality.

    Parameters
    ----------
    model_of_arm
        Index of each arm's model.
    belief
        (models, tasks) what routing believed, in [0, 1].
    """
    rows = np.flatnonzero(np.isfinite(history.quality) & (history.served >= 0))
    arm, task, quality = history.served[rows], history.task[rows], history.quality[rows]
    model = model_of_arm[arm]
    kept = np.ones(len(rows), np.bool_)
    mean, _ = _cells(quality, model, task, belief, kept)
    changes = []
    for code in np.unique(arm).tolist():
        own = np.flatnonzero(arm == code)
        jump = jump_of(quality[own] - mean[model[own], task[own]])
        if jump is not None:
            kept[own[: jump.at]] = False
            changes.append(
                Change(history.arms[code], int(history.t_ms[rows[own[jump.at]]]), jump.size, jump.z)
            )
    mean, judged = _cells(quality, model, task, belief, kept)
    offset = _offsets(quality - mean[model, task], arm, model_of_arm, kept)
    laws = tuple(
        _law(quality[model == code], _residual(quality, mean, model, task, code))
        for code in range(len(belief))
    )
    return Worths(mean, offset, laws, judged, tuple(sorted(changes, key=lambda change: change.at_ms)))


def _cells(quality: Float, model: Int, task: Int, belief: Float, kept: Bool) -> tuple[Float, Int]:
    cell = model * belief.shape[1] + task
    n = np.bincount(cell[kept], minlength=belief.size).reshape(belief.shape)
    total = np.bincount(cell[kept], weights=quality[kept], minlength=belief.size).reshape(belief.shape)
    return (total + BELIEF * belief) / (n + BELIEF), n


def _offsets(residual: Float, arm: Int, model_of_arm: Int, kept: Bool) -> Float:
    """How arms differ from their model; an arm that is its model's only one does not."""
    size = len(model_of_arm)
    n = np.bincount(arm[kept], minlength=size)
    total = np.bincount(arm[kept], weights=residual[kept], minlength=size)
    alone = np.bincount(model_of_arm)[model_of_arm] == 1
    apart: Float = np.where(alone, 0.0, total / (n + OF_ITS_MODEL))
    return apart


def _residual(quality: Float, mean: Float, model: Int, task: Int, code: int) -> Float:
    rows = model == code
    left: Float = quality[rows] - mean[code, task[rows]]
    return left


def _law(quality: Float, residual: Float) -> Reward:
    """Right or wrong, grades or a number, by the values that were given."""
    levels = np.unique(quality)
    if levels.size == 0:
        return Gaussian()
    if set(levels.tolist()) <= {0.0, 1.0}:
        return Bernoulli()
    sd = float(np.std(residual))
    if levels.size <= min(MOST_LEVELS, len(quality) // 5):
        return Graded(levels=tuple(levels.tolist()), sd=sd)
    return Gaussian(sd=sd)


def before_clipping(law: Reward, mean: float) -> float:
    """The mean before noise and clipping whose expected reward is `mean`."""
    return solve(mean, lambda x: expected(law, x, 0.0), -FAR, 1.0 + FAR)


def judges_of(history: History) -> tuple[Judge, ...]:
    """Each source with its share of answers and its delay; how its share hangs on quality cannot be known."""
    answers = int(np.count_nonzero(~history.failed))
    sources = np.array(history.words.source)
    made = []
    for name in sorted(set(history.words.source)):
        rows = sources == name
        delay = spread_of(np.maximum(history.words.delay_ms[rows], 1.0) / 1000.0) or Spread(median=60.0)
        made.append(
            Judge(name=name, share=min(1.0, int(np.count_nonzero(rows)) / max(answers, 1)), delay_s=delay)
        )
    return tuple(made)
