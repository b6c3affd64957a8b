"""What a strategy is worth, exactly: every arm's outcome is known, so the value is a sum and no estimate.

Two values, since an interval can be held to either: on the very rounds of a log (given the contexts
that came) and over the table they were drawn from. Sums run in C order.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.drawn.contexts import probabilities_of
from sim.drawn.draw import Rounds
from sim.drawn.world import DrawnWorld
from sim.replay.target import Logged, Target, parse

Float = NDArray[np.float64]

POLICIES: Final = (
    ("logged", False),
    ("balanced", False),
    ("balanced", True),
    ("quality", False),
    ("quality", True),
    ("cost", False),
    ("cost", True),
    ("weights:quality=0.7,cost=0.3", False),
    ("weights:quality=0.7,cost=0.3", True),
    ("weights:quality=0.3,cost=0.7", True),
    ("random", False),
    ("cheapest", False),
)
"""Strategies in `truth.json`, and whether each is valued greedily, as `p402 replay --policy` names them."""


@dataclass(frozen=True, slots=True)
class Value:
    """A strategy's exact value.

    Attributes
    ----------
    behaviour
        Mode whose rounds it is valued on.
    policy, greedy
        As for `p402 replay --policy`.
    on_rounds, on_table
        Mean reward of the strategy on those rounds, and over all prompts alike.
    unsupported
        Its mean probability, on those rounds, on arms that the log could not take.
    """

    behaviour: str
    policy: str
    greedy: bool
    rounds: int
    on_rounds: float
    on_table: float
    unsupported: float


def values_of(world: DrawnWorld, rounds: Rounds) -> tuple[Value, ...]:
    """Every strategy of `POLICIES` on the rounds of every mode that was asked for."""
    found = []
    for code, mode in enumerate(world.contexts):
        rows = rounds.prompt[rounds.mode == code]
        logged = policy_probabilities(world, mode, Logged())
        for text, greedy in POLICIES:
            probs = policy_probabilities(world, mode, parse(text, greedy=greedy))
            worth = np.add.reduce(probs * world.outcomes.reward, axis=1)
            outside = np.add.reduce(np.where(logged > 0.0, 0.0, probs), axis=1)
            found.append(
                Value(
                    behaviour=mode,
                    policy=text,
                    greedy=greedy,
                    rounds=len(rows),
                    on_rounds=mean(worth[rows]),
                    on_table=mean(worth),
                    unsupported=mean(outside[rows]),
                )
            )
    return tuple(found)


def policy_probabilities(world: DrawnWorld, mode: str, target: Target) -> Float:
    """(n_prompts, n_arms) of a strategy on prompts that were asked for in a mode."""
    return probabilities_of(world.offered, world.contexts[mode], target)


def mean(values: Float) -> float:
    """Mean in C order; 0 of nothing."""
    return float(np.add.reduce(np.ascontiguousarray(values))) / max(len(values), 1)
