"""What rounds say of each task and arm, in any pieces: how often they are judged, and what they earn.

The first of two passes over rounds that nobody can hold at once. It gives `evidence`'s weight of each
round, 1 / P(observed), and `reward_model`'s cross-fitted tables, as they would be had all rounds been at
hand. Sums are exact, so pieces may be added in any order and grouping, to the same bits. Tasks and arms go
by name, so pieces may know other ones. It knows nothing of policies or files.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from p402.evaluation.exact import LIMBS, limbs_of, settled, value_of
from p402.evaluation.logged import BoolArray, FloatArray, IntArray
from p402.evaluation.reward_model import folds_of, shrunk
from p402.learner.reward import OBSERVED_FLOOR, Rewards, observed_share

FOLDS: Final = 5
SHRINKAGE: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Rounds by fold, task and arm.

    Attributes
    ----------
    tasks, arms
        Names, ascending; T and K of them.
    failed, answered, judged
        `(folds, T, K)`: rounds whose attempt failed, that did not, and of those the ones that were judged.
    worth
        `(3, folds, T, K)`: settled sums of the judged rounds' rewards.
    """

    tasks: tuple[str, ...]
    arms: tuple[str, ...]
    failed: IntArray
    answered: IntArray
    judged: IntArray
    worth: IntArray

    @classmethod
    def none(cls, folds: int = FOLDS) -> "Tally":
        """Of no rounds: neutral in `plus`."""
        empty = np.zeros((folds, 0, 0), np.int64)
        return cls((), (), empty, empty, empty, np.zeros((LIMBS, *empty.shape), np.int64))

    @classmethod
    def of(
        cls,
        rewards: Rewards,
        failed: BoolArray,
        *,
        task: IntArray,
        tasks: tuple[str, ...],
        arm: IntArray,
        arms: tuple[str, ...],
        session: IntArray,
        folds: int = FOLDS,
    ) -> "Tally":
        """Of n rounds.

        Parameters
        ----------
        rewards, failed
            What they earned, and whose first attempt failed.
        task, arm
            `(n,)` indices into the names, which may come in any order.
        session
            `(n,)` hashes, by which rounds fall into folds.
        """
        known_tasks, known_arms = tuple(sorted(tasks)), tuple(sorted(arms))
        row, column = _places(tasks, known_tasks)[task], _places(arms, known_arms)[arm]
        shape = folds, len(tasks), len(arms)
        cell = np.ravel_multi_index((folds_of(session, folds), row, column), shape)
        length = int(np.prod(shape))
        lost, answered, judged = (
            np.bincount(cell[rows], minlength=length).reshape(shape)
            for rows in (failed, ~failed, rewards.judged)
        )
        worth = np.zeros((LIMBS, length), np.int64)
        for limb, part in zip(worth, limbs_of(rewards.value[rewards.judged]), strict=True):
            np.add.at(limb, cell[rewards.judged], part)
        sums = settled(worth).reshape(LIMBS, *shape)
        return cls(known_tasks, known_arms, lost, answered, judged, sums)

    def plus(self, other: "Tally") -> "Tally":
        """Of both: associative and commutative to the bit."""
        tasks = tuple(sorted({*self.tasks, *other.tasks}))
        arms = tuple(sorted({*self.arms, *other.arms}))
        ours, theirs = _over(self, tasks, arms), _over(other, tasks, arms)
        return Tally(
            tasks,
            arms,
            ours.failed + theirs.failed,
            ours.answered + theirs.answered,
            ours.judged + theirs.judged,
            settled(ours.worth + theirs.worth),
        )

    @property
    def rounds(self) -> int:
        """Rounds."""
        return int(self.failed.sum() + self.answered.sum())

    @property
    def matured(self) -> int:
        """Rounds whose reward is known."""
        return int(self.failed.sum() + self.judged.sum())

    @property
    def quality_outcomes(self) -> int:
        """Rounds with a quality outcome."""
        return int(self.judged.sum())

    def model(self, *, floor: float = OBSERVED_FLOOR, shrinkage: float = SHRINKAGE) -> "Model":
        """What the second pass needs.

        Parameters
        ----------
        floor
            As `learner.reward.observed_weight`.
        shrinkage
            As `evaluation.reward_model.cross_fitted`.
        """
        judged = np.add.reduce(self.judged, axis=0).astype(np.float64)
        answered = np.add.reduce(self.answered, axis=0).astype(np.float64)
        arm = np.tile(np.arange(len(self.arms)), len(self.tasks))
        share = observed_share(answered.ravel(), judged.ravel(), arm).reshape(judged.shape)
        weight = 1.0 / np.maximum(share, floor)
        folds, pad = self.failed.shape[0], ((0, 0), (0, 1))
        tables = np.empty((folds, len(self.tasks), len(self.arms) + 1))
        for fold in range(folds):
            rest = np.arange(folds) != fold
            mass = np.add.reduce(self.judged[rest], axis=0) * weight + np.add.reduce(
                self.failed[rest], axis=0
            )
            total = value_of(settled(np.add.reduce(self.worth[:, rest], axis=1))) * weight
            tables[fold] = shrunk(np.pad(mass, pad), np.pad(total, pad), shrinkage)
        return Model(self.tasks, self.arms, weight, tables)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What is known of a round from its task, arm and fold.

    Attributes
    ----------
    tasks, arms
        Names, ascending; T and K of them.
    weight
        `(T, K)`: 1 / P(observed) of a round that was answered.
    tables
        `(folds, T, K + 1)`: modelled reward from the other folds' rounds; the last column is that of any arm
        that no round took.
    """

    tasks: tuple[str, ...]
    arms: tuple[str, ...]
    weight: FloatArray
    tables: FloatArray

    def observed(self, rewards: Rewards, failed: BoolArray, task: IntArray, arm: IntArray) -> FloatArray:
        """1 / P(the reward is observed) of each round, `(n,)`, 0 where it has not matured.

        Parameters
        ----------
        task, arm
            `(n,)` indices into `tasks` and `arms`.
        """
        return np.where(failed, 1.0, np.where(rewards.judged, self.weight[task, arm], 0.0))

    def expected(self, session: IntArray, task: IntArray, arms: tuple[str, ...]) -> FloatArray:
        """Modelled reward of every arm in every round, `(n, len(arms))` in `[0, 1]`.

        It was fitted without the round's session.

        Parameters
        ----------
        session, task
            `(n,)` hashes, and indices into `tasks`.
        arms
            Any names.
        """
        fold = folds_of(session, self.tables.shape[0])
        return np.ascontiguousarray(self.tables[:, :, _places(arms, self.arms)][fold, task])


def _places(names: tuple[str, ...], known: tuple[str, ...]) -> IntArray:
    """Index of each name among the known ones, their number for one that is not."""
    at = {name: place for place, name in enumerate(known)}
    return np.array([at.get(name, len(known)) for name in names], np.int64)


def _over(tally: Tally, tasks: tuple[str, ...], arms: tuple[str, ...]) -> Tally:
    """The same tally over more names."""
    if (tasks, arms) == (tally.tasks, tally.arms):
        return tally
    rows, columns = _places(tally.tasks, tasks), _places(tally.arms, arms)
    whole = np.stack((tally.failed, tally.answered, tally.judged, *tally.worth))
    out = np.zeros((*whole.shape[:2], len(tasks), len(arms)), np.int64)
    out[:, :, rows[:, None], columns] = whole
    return Tally(tasks, arms, out[0], out[1], out[2], out[3:])
