"""What is believed of each arm before anything was learned, and which arms share what they learn.

The prior mean is the snapshot's starting posterior (`p402.assemble`); its variances are in blocks: the bias,
the tasks, the transcript's length, everything else. It knows nothing of evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.routing.scale import PARAM_ONE
from p402.routing.spec import Arms, Posterior

Float = NDArray[np.float64]
Int = NDArray[np.int64]

BIAS: Final = "bias"
TASK: Final = "task_"
LENGTH: Final = "length"
_USUAL: Final = 0.5
"""A feature that is neither bias nor task, before any request was seen."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Prior standard deviations, each above 0, and the noise of one judgement.

    Attributes
    ----------
    bias, task, length, other
        Of the coefficients of the bias, of the tasks, of the transcript's length, and of the rest.
    noise
        How far one judgement lies from the expected quality.
    shared
        Share of the prior variance that deployments of one model have in common, in [0, 1).
    level
        Of what a provider's arms have in common, 0 or more; 0 is none.
    """

    bias: float = 0.2
    task: float = 0.2
    length: float = 0.1
    other: float = 0.1
    noise: float = 0.25
    shared: float = 0.0
    level: float = 0.0

    def __post_init__(self) -> None:
        for name in ("bias", "task", "length", "other", "noise"):
            value = getattr(self, name)
            if not 0.0 < value < np.inf:
                raise ValueError(f"{name} is {value}: expected a standard deviation above 0, such as 0.2")
        if not 0.0 <= self.shared < 1.0:
            raise ValueError(f"shared is {self.shared}: expected a share of variance in [0, 1), such as 0.5")
        if not 0.0 <= self.level < np.inf:
            raise ValueError(f"level is {self.level}: expected a standard deviation, 0 or more, such as 0.05")


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """What is believed before anything was learned.

    Attributes
    ----------
    arms
        (K,) names, unique.
    mean
        (K, D) coefficients for features in [0, 1].
    precision
        (D,) diagonal of A0, the same for every arm.
    models
        (K,) names: arms of one model are other deployments of the same weights. Empty where each is its own.
    shared
        Share of the prior variance that arms of one model have in common, in [0, 1).
    providers
        (K,) names: what serves each arm. Empty where they have no level.
    level
        Standard deviation of what arms of one provider have in common, 0 or more.
    """

    arms: tuple[str, ...]
    mean: Float
    precision: Float
    models: tuple[str, ...] = ()
    shared: float = 0.0
    providers: tuple[str, ...] = ()
    level: float = 0.0

    def __post_init__(self) -> None:
        for name in ("models", "providers"):
            given = getattr(self, name)
            if given and len(given) != len(self.arms):
                raise ValueError(
                    f"{len(given)} {name} for {len(self.arms)} arms: expected one of each, or none"
                )


def prior_of(arms: Arms, posterior: Posterior, spread: Spread) -> Prior:
    """The prior that a snapshot's starting posterior is, with block variances of its own."""
    own = {BIAS: spread.bias, LENGTH: spread.length}
    sd = [
        spread.task if name.startswith(TASK) else own.get(name, spread.other) for name in posterior.features
    ]
    mean = np.array(posterior.theta, np.float64) / PARAM_ONE
    precision = 1.0 / np.square(np.array(sd))
    return Prior(arms.arm, mean, precision, arms.model, spread.shared, arms.provider, spread.level)


def groups_of(prior: Prior) -> list[Int]:
    """Indices of arms that share, (G, n) for each size n of a group; all alone where nothing is shared."""
    if prior.shared == 0.0 or not prior.models:
        return [np.arange(len(prior.arms))[:, None]]
    members: dict[str, list[int]] = {}
    for k, model in enumerate(prior.models):
        members.setdefault(model, []).append(k)
    sizes = sorted({len(group) for group in members.values()})
    return [np.array([group for group in members.values() if len(group) == n]) for n in sizes]


def usual_contexts(tasks: Sequence[str], features: Sequence[str]) -> Float:
    """(T, D) a request of each task, before any was seen."""
    return np.array(
        [
            [
                1.0
                if name in (BIAS, TASK + task)
                else 0.0
                if name.startswith(TASK) or name in ("code", "math")
                else _USUAL
                for name in features
            ]
            for task in tasks
        ]
    )
