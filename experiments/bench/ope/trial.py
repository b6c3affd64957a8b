"""One drawn log, every strategy valued on it, and whether each interval holds the truth.

Arms are drawn by the same law as `decide`, of the counts that `decide` works with, which a test holds to
it; only the chance comes from the trial's generator instead of a request's id. All else is the product's:
the objective, 1 / P(observed), the reward model, `evaluate` and `compare`.

The truth is exact, twice: on the very rounds of the log, and over the table they were drawn from. An
interval for the second is the harder to get right, as it must cover the chance of the prompts too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.bench.ope.grid import Setting
from experiments.bench.ope.targets import LOGGED, targets_of
from p402.evaluation.estimate import Estimate
from p402.evaluation.estimators import compare, evaluate
from p402.evaluation.logged import SCALE, LoggedBatch
from p402.evaluation.reward_model import cross_fitted
from p402.learner.reward import Rewards, observed_weight
from sim.drawn.draw import groups_of, traffic
from sim.drawn.feedback import chance_of
from sim.drawn.world import DrawnWorld

Float = NDArray[np.float64]
Int = NDArray[np.int64]

ALPHA: Final = 0.05


class Found(NamedTuple):
    """One interval of one strategy on one log.

    Attributes
    ----------
    warned
        Codes of its warnings, joined by `+`; empty where it was printed without any.
    error
        Estimate less the truth over the table.
    on_rounds, on_table
        Whether it holds the value on the rounds, and over the table.
    below
        Whether it lies below the truth over the table, where it misses it.
    """

    target: str
    estimator: str
    warned: str
    error: float
    stderr: float
    on_rounds: bool
    on_table: bool
    below: bool


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A world, and a mode's targets on it: what trials of one behaviour share."""

    world: DrawnWorld
    mode: str
    groups: tuple[Int, ...]
    targets: Mapping[str, Float]
    task: Int

    @classmethod
    def of(cls, world: DrawnWorld, mode: str) -> "Stage":
        """Of a behaviour's mode."""
        return cls(
            world, mode, groups_of(world.traffic.prompts), targets_of(world, mode), world.contexts[mode].task
        )


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """A drawn log as estimators get it; `prompt` says of what each row is."""

    batch: LoggedBatch
    prompt: Int


def log_of(stage: Stage, setting: Setting, chance: np.random.Generator) -> Log:
    """Draw a log."""
    n = setting.rounds
    prompt, session = traffic(stage.groups, n, setting.longest, chance)
    counts = np.rint(stage.targets[LOGGED] * SCALE)
    action = picked(counts[prompt], chance.integers(0, SCALE, n))
    known = stage.world.outcomes
    judging = chance_of(setting.feedback, known.quality, stage.task)
    judged = chance.random(n) < judging[prompt, action]
    reward = np.where(judged, known.reward[prompt, action], 0.0)
    task = stage.task[prompt]
    observed = observed_weight(Rewards(reward, judged, judged), np.zeros(n, np.bool_), task, action)
    batch = LoggedBatch(
        action=action,
        reward=reward,
        count=counts[prompt, action].astype(np.int64),
        eligible=counts[prompt] > 0.0,
        session=session,
        observed=observed,
        task=task,
    )
    return Log(batch, prompt)


def picked(counts: Float, draw: Int) -> Int:
    """The arm whose stretch of its row's counts holds the row's draw, `(n,)`."""
    reach = np.add.accumulate(counts, axis=1)
    return np.asarray(np.count_nonzero(reach <= draw[:, None], axis=1), np.int64)


def trial(stage: Stage, setting: Setting, chance: np.random.Generator) -> list[Found]:
    """Value every target on one log, and compare it with the behaviour."""
    log = log_of(stage, setting, chance)
    batch, reward = log.batch, stage.world.outcomes.reward
    model = cross_fitted(batch)
    logged = np.ascontiguousarray(stage.targets[LOGGED][log.prompt])
    mine = np.add.reduce(stage.targets[LOGGED] * reward, axis=1)
    found = []
    for name, probs in stage.targets.items():
        worth = np.add.reduce(probs * reward, axis=1)
        rows = np.ascontiguousarray(probs[log.prompt])
        value = mean(worth[log.prompt]), mean(worth)
        found += [_held(name, estimate, *value) for estimate in evaluate(batch, rows, model, alpha=ALPHA)]
        if name == LOGGED:
            continue
        gain = mean((worth - mine)[log.prompt]), mean(worth - mine)
        paired = (
            compare(batch, rows, logged, alpha=ALPHA),
            compare(batch, rows, logged, model, alpha=ALPHA),
        )
        found += [_held(name, estimate, *gain) for estimate in paired]
    return found


def _held(target: str, estimate: Estimate, on_rounds: float, on_table: float) -> Found:
    codes = [warning.partition(":")[0] for warning in estimate.warnings]
    if not np.isfinite(estimate.upper - estimate.lower):
        codes.append("refused")
    slack = 1e-12
    low, high = estimate.lower - slack, estimate.upper + slack
    return Found(
        target=target,
        estimator=estimate.name,
        warned="+".join(codes),
        error=estimate.value - on_table,
        stderr=estimate.stderr,
        on_rounds=low <= on_rounds <= high,
        on_table=low <= on_table <= high,
        below=high < on_table,
    )


def mean(values: Float) -> float:
    """Mean in C order."""
    return float(np.add.reduce(np.ascontiguousarray(values))) / len(values)
