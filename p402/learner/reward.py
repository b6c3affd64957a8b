"""What a round was worth, under an objective that is fixed and never learned.

If the weights that are learned also defined what is good, learning would be circular; so value is
half realised quality and half normalised saving, nothing for a failure, less a penalty for being
late. A round's reward is its first arm's: after failover, what the client scores belongs to the arm
that served, not to the choice on trial. It knows nothing of arms' scores or of estimators.

The result is clipped to [0, 1]; the clipped value is the definition, so a world that declares a
truth must declare that of the clipped reward.

Source: Horvitz and Thompson, JASA 47, 1952, for weighting by 1 / P(observed).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Final

import numpy as np

from p402.evaluation.logged import BoolArray, FloatArray, IntArray, claims, real, refuse
from p402.events import Reward

OBSERVED_FLOOR: Final = 0.1
"""Feedback is taken to be at least this likely, so that no row stands for more than ten."""

QUALITY_OF_STATUS: Final = MappingProxyType(
    {"accepted": 1.0, "revised": 0.5, "escalated": 0.25, "rejected": 0.0, "failed": 0.0}
)
"""Quality of an outcome that came without a score; `pending_review` and `unknown` say nothing."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The fixed outer objective.

    Attributes
    ----------
    quality_share, saving_share
        Of realised quality and of normalised saving; 0 or more, together 1.
    slo_ms
        Latency up to which nothing is subtracted.
    penalty_per_second
        Subtracted for each second beyond it.
    """

    quality_share: float = 0.5
    saving_share: float = 0.5
    slo_ms: float = 10_000.0
    penalty_per_second: float = 0.02

    def __post_init__(self) -> None:
        shares = self.quality_share, self.saving_share
        if not (min(shares) >= 0.0 and abs(sum(shares) - 1.0) <= 1e-12):
            raise ValueError(f"shares are {shares}: expected two of 0 or more that sum to 1")
        for name in ("slo_ms", "penalty_per_second"):
            value = getattr(self, name)
            if not (value >= 0.0 and isfinite(value)):
                raise ValueError(f"{name} is {value}: expected a finite number of 0 or more")


@dataclass(frozen=True, slots=True)
class Parts:
    """What is known of each round's first attempt, `(n,)` each; nan where it is not known.

    Attributes
    ----------
    failed
        The first arm's attempt failed: an error, a time-out, an empty answer.
    quality
        Realised quality in `[0, 1]`, from a client, validator or judge.
    cost_nano, direct_nano
        What the attempt cost, and what the same exchange would have at the baseline, in nano-USD.
    latency_ms
        From dispatch to the last byte.

    Raises
    ------
    ValueError
        Columns of unequal length, or a known value out of range.
    """

    failed: BoolArray
    quality: FloatArray
    cost_nano: FloatArray
    direct_nano: FloatArray
    latency_ms: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "failed", claims("failed", self.failed))
        for name in ("quality", "cost_nano", "direct_nano", "latency_ms"):
            array = real(name, getattr(self, name))
            if array.shape != self.failed.shape or array.ndim != 1:
                raise ValueError(
                    f"{name} has shape {array.shape}: expected {self.failed.shape}, one value a round"
                )
            most = 1.0 if name == "quality" else np.inf
            off = ~((array >= 0.0) & (array <= most)) & ~np.isnan(array)
            refuse(
                name, array, off | np.isinf(array), f"in [0, {most}], or nan if unknown", "mend the reader"
            )
            object.__setattr__(self, name, array)


@dataclass(frozen=True, slots=True)
class Rewards:
    """Scalar rewards and which of them are known.

    Attributes
    ----------
    value
        `(n,)` in `[0, 1]`; 0 where not matured.
    matured
        `(n,)`: the attempt failed, or its quality is known.
    judged
        `(n,)`: it did not fail and its quality is known: a quality outcome.
    """

    value: FloatArray
    matured: BoolArray
    judged: BoolArray


@dataclass(frozen=True, slots=True)
class Judgement:
    """What outcomes say about a round's quality.

    Attributes
    ----------
    quality
        Mean over sources, in `[0, 1]`; None if none of them says.
    source
        The sources that said so, sorted and joined by `+`; None likewise.
    """

    quality: float | None
    source: str | None


def saving_of(cost_nano: FloatArray, direct_nano: FloatArray) -> FloatArray:
    """(direct - cost) / direct in `[0, 1]`; 0 where either is unknown or direct is 0: no credit unproven."""
    known = (direct_nano > 0.0) & ~np.isnan(cost_nano)
    cost, direct = np.where(known, cost_nano, 0.0), np.where(known, direct_nano, 1.0)
    return np.where(known, np.maximum(direct - cost, 0.0) / direct, 0.0)


def reward_of(parts: Parts, objective: Objective | None = None) -> Rewards:
    """Scalar reward of every round's first arm.

    `clip(quality_share * quality + saving_share * saving - penalty_per_second * seconds beyond the SLO,
    0, 1)`; 0 for a failed attempt, whatever it cost or whoever answered afterwards. A success whose quality
    is unknown has not matured: its cheapness alone would reward cheap and bad answers.
    """
    objective = objective or Objective()
    known = ~np.isnan(parts.quality)
    judged = known & ~parts.failed
    late_s = (
        np.maximum(np.where(np.isnan(parts.latency_ms), 0.0, parts.latency_ms) - objective.slo_ms, 0.0) / 1e3
    )
    worth = (
        objective.quality_share * np.where(known, parts.quality, 0.0)
        + objective.saving_share * saving_of(parts.cost_nano, parts.direct_nano)
        - objective.penalty_per_second * late_s
    )
    return Rewards(np.where(judged, np.clip(worth, 0.0, 1.0), 0.0), judged | parts.failed, judged)


def observed_weight(
    rewards: Rewards, failed: BoolArray, task: IntArray, action: IntArray, *, floor: float = OBSERVED_FLOOR
) -> FloatArray:
    """1 / P(the reward is observed) of each matured round, 0 of the others.

    Failures are always observed. Of the successes of one (task, arm), P is the share with a quality
    outcome: people score the tasks and the arms they mind about, so a common rate would mislead.
    It assumes that within a task and arm silence says nothing of quality, and the floor trades
    a little bias for bounded weights. Where a task and arm has no judgement at all, the arm's other tasks
    speak for it: see `observed_share`.

    Parameters
    ----------
    rewards
        From `reward_of`.
    failed, task, action
        `(n,)`: of the same rounds.
    floor
        Least P, in (0, 1].

    Raises
    ------
    ValueError
        The floor is out of range.
    """
    if not 0.0 < floor <= 1.0:
        raise ValueError(f"floor is {floor}: expected a probability in (0, 1], such as 0.1")
    arms = int(action.max(initial=0)) + 1
    code, cell = np.unique(task * arms + action, return_inverse=True)
    successes = np.bincount(cell, weights=(~failed).astype(np.float64))
    judged = np.bincount(cell, weights=rewards.judged.astype(np.float64))
    probability = np.maximum(
        observed_share(successes.astype(np.float64), judged.astype(np.float64), code % arms), floor
    )
    weight = np.where(rewards.judged, 1.0 / probability[cell], 0.0)
    return np.where(failed, 1.0, weight)


def observed_share(successes: FloatArray, judged: FloatArray, arm: IntArray) -> FloatArray:
    """P(a success is judged) of each cell of task and arm, before any floor.

    `judged / successes`, divided by the arm's lift: all its successes over those in cells where anyone
    spoke. So the weights of an arm's judged rounds sum to its successes. Without the lift, rounds of silent
    cells would count as worth nothing: measured on logs of 500 to 2,000 rounds drawn from a real table, half
    of them judged, IPS of the behaviour itself was low by 0.005 to 0.015. An arm that nobody judged at all
    stays lost, as nothing speaks of it.

    Parameters
    ----------
    successes, judged
        `(cells,)`: rounds that did not fail, and those of them with a quality outcome.
    arm
        `(cells,)`: the arm of each.
    """
    spoke = np.where(judged > 0.0, successes, 0.0)
    whole, heard = np.bincount(arm, weights=successes), np.bincount(arm, weights=spoke)
    lift = np.where(heard > 0.0, whole / np.where(heard > 0.0, heard, 1.0), 1.0)
    return np.asarray(judged / np.maximum(successes, 1.0) / lift[arm], np.float64)


def quality_of(status: str, quality: float | None) -> float | None:
    """Quality that one outcome reports: its score, else what its status implies, else None."""
    return QUALITY_OF_STATUS.get(status) if quality is None else quality


def judgement_of(rewards: Iterable[Reward]) -> Judgement:
    """Quality of one round from its reward events; the last word of each source counts.

    Among events of equal time the later in the iteration wins, as the log's order is the truth.
    """
    last: dict[str, Reward] = {}
    for reward in sorted(rewards, key=lambda event: event.ts_ms):
        last[reward.source] = reward
    said = {
        source: quality
        for source, reward in sorted(last.items())
        if (quality := quality_of(reward.status, reward.quality)) is not None
    }
    if not said:
        return Judgement(None, None)
    return Judgement(sum(said.values()) / len(said), "+".join(said))
