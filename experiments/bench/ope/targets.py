"""Strategies on trial, from the behaviour itself to what it hardly ever did.

Beside those that `p402 replay --policy` knows: the best single arm by what was known before, and mixes of
the behaviour with the best arm of each prompt by belief in quality, which are as near as one likes.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402_datasets.paretobandit import VAL
from sim.drawn.truth import policy_probabilities
from sim.drawn.world import DrawnWorld
from sim.replay.target import Logged, parse

Float = NDArray[np.float64]

NAMED: Final = (
    ("quality", False),
    ("quality", True),
    ("balanced", True),
    ("cost", False),
    ("weights:quality=0.55,cost=0.45", False),
    ("weights:quality=0.7,cost=0.3", True),
    ("random", False),
    ("cheapest", False),
)

LOGGED: Final = "logged"
MIXES: Final = (0.1, 0.5)
"""Shares of quality mode, greedy, in a mix with the behaviour."""


def targets_of(world: DrawnWorld, mode: str) -> Mapping[str, Float]:
    """(n_prompts, n_arms) probabilities of every strategy on prompts asked for in a mode; `logged` first."""
    logged = policy_probabilities(world, mode, Logged())
    found = {LOGGED: logged}
    for text, greedy in NAMED:
        name = f"{text}, greedy" if greedy else text
        found[name] = policy_probabilities(world, mode, parse(text, greedy=greedy))
    for share in MIXES:
        found[f"logged + {share:.0%} quality, greedy"] = (1.0 - share) * logged + share * found[
            "quality, greedy"
        ]
    found["best single"] = best_single(world)
    return found


def best_single(world: DrawnWorld) -> Float:
    """The arm of the best mean quality on `val`, at the provider that asks least for it."""
    offered = world.offered
    known = offered.priced.table.split(VAL).quality.mean(axis=0)
    arms = range(offered.snapshot.n_arms)
    arm = max(arms, key=lambda k: (known[offered.column[k]], -offered.factor[k]))
    out = np.zeros_like(world.outcomes.reward)
    out[:, arm] = 1.0
    return out
