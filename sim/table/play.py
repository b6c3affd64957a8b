"""A strategy played through a course of requests whose every arm's outcome is known.

Requests come in order and are decided in blocks, one for each tick of the clock that has any; before
a block, the strategy learns what has arrived by then: only of the arms it took, late, and in part. What
its choices were worth is for `sim.table.regret` to say. It knows no file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.decide import NO_ARM
from sim.strategies.contract import Bool, Float, Int, Rounds
from sim.strategies.drawn import Batched, Drawn

TICK_MS: Final = 60_000
_TIME_BITS: Final = np.uint64(16)


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """n requests in order of time, and what each of K arms would make of them.

    Attributes
    ----------
    snapshots
        From which row on which snapshot of the operator's is in force, the first from 0; all have the
        same arms.
    batch
        Row inputs; the time of a request is that of its id.
    quality
        (n, K) in [0, 1]: what a judge would say.
    cost_usd
        (n, K): what would be billed.
    judged
        (n,): whether anyone will say so, whichever arm is taken.
    due_ms
        (n,) wall time at which the word arrives, or it is clear that none will.
    prompts
        (n,) texts, for policies that may see them.
    """

    snapshots: tuple[tuple[int, Snapshot], ...]
    batch: RequestBatch
    quality: Float
    cost_usd: Float
    judged: Bool
    due_ms: Int
    prompts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        arms = self.snapshots[0][1].spec.arms.arm
        if self.snapshots[0][0] != 0 or any(s.spec.arms.arm != arms for _, s in self.snapshots):
            raise ValueError("a course starts under its first snapshot, and all have the same arms")
        shape = (len(self.batch), len(arms))
        for name in ("quality", "cost_usd"):
            column = getattr(self, name)
            if column.shape != shape or not np.isfinite(column).all():
                raise ValueError(
                    f"{name} has shape {column.shape}, {np.count_nonzero(~np.isfinite(column))} not finite: "
                    f"expected {shape} outcomes without a hole"
                )
        if np.any(np.diff(self.ts_ms) < 0):
            raise ValueError("requests are not in order of time: sort them by id")

    def __len__(self) -> int:
        """Requests."""
        return len(self.batch)

    @property
    def ts_ms(self) -> Int:
        """(n,) wall time of each request."""
        return (self.batch.key[:, 0] >> _TIME_BITS).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What a strategy chose: (n,) arm and its propensity, and (n, K) the probability of every arm."""

    arm: Int
    propensity: Float
    probabilities: Float


def play(
    strategy: Batched,
    course: Course,
    tick_ms: int = TICK_MS,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Played:
    """Run a strategy that has learned nothing yet through a course.

    Raises
    ------
    sim.strategies.policy.BadPolicy
        A policy gave what is no probability.
    """
    n, k = course.quality.shape
    arm, propensity, probabilities = np.full(n, NO_ARM), np.zeros(n), np.zeros((n, k))
    mail = _Mail(course)
    snapshot = course.snapshots[0][1]
    tick = course.ts_ms // tick_ms
    for start, stop in _blocks(tick, [row for row, _ in course.snapshots]):
        for row, given in course.snapshots:
            if row == start:
                snapshot = strategy.begin(given)
        now_ms = int(tick[start]) * tick_ms
        if start and tick[start] != tick[start - 1]:
            rounds = mail.arrived(now_ms)
            if rounds is not None:
                snapshot = strategy.learn(rounds, now_ms) or snapshot
        rows = slice(start, stop)
        prompts = None if course.prompts is None else course.prompts[rows]
        made = strategy.choose(snapshot, course.batch.rows(rows), prompts)
        arm[rows], propensity[rows], probabilities[rows] = made.arm, made.propensity, made.probabilities
        mail.send(start, made)
        progress(stop, n)
    return Played(arm, propensity, probabilities)


def _blocks(tick: Int, cuts: list[int]) -> list[tuple[int, int]]:
    """Stretches of rows within one tick and under one snapshot."""
    edges = np.flatnonzero(np.diff(tick)) + 1
    bounds = sorted({0, len(tick), *edges.tolist(), *(c for c in cuts if c < len(tick))})
    return list(pairwise(bounds))


class _Mail:
    """Feedback on its way: rounds that were played, until they are due."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._waiting: list[Rounds] = []
        self._due: list[Int] = []

    def send(self, start: int, made: Drawn) -> None:
        """Send off what will be said of a block, of the arms that were taken and no others."""
        rows = np.flatnonzero(made.arm >= 0)
        if not len(rows):
            return
        course, there, arm = self._course, start + rows, made.arm[rows]
        self._waiting.append(
            Rounds(
                contexts=made.contexts.rows(rows),
                action=arm,
                propensity=made.propensity[rows],
                quality=np.where(course.judged[there], course.quality[there, arm], np.nan),
                cost_usd=course.cost_usd[there, arm],
                latency_ms=made.contexts.ttft_ms[rows, arm],
                failed=np.zeros(len(rows), np.bool_),
                output_tokens=np.full(len(rows), np.nan),
            )
        )
        self._due.append(course.due_ms[there])

    def arrived(self, now_ms: int) -> Rounds | None:
        """What is due by now, oldest request first; None where no round is under way at all."""
        if not self._waiting:
            return None
        parts, waiting, due = [], [], []
        for rounds, when in zip(self._waiting, self._due, strict=True):
            here = np.flatnonzero(when <= now_ms)
            if len(here) == len(when):
                parts.append(rounds)
                continue
            if len(here):
                parts.append(rounds.rows(here))
                rest = np.flatnonzero(when > now_ms)
                rounds, when = rounds.rows(rest), when[rest]  # noqa: PLW2901 - what is left of them
            waiting.append(rounds)
            due.append(when)
        nothing = [] if parts else [waiting[0].rows(slice(0))]
        self._waiting, self._due = waiting, due
        return Rounds.joined(parts or nothing)
