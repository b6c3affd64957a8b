"""Strategies by name: what `--policy` and `--strategy` take.

It knows how each is made, and nothing of how it is run.
"""

from collections.abc import Callable
from typing import Final

from p402.errors import nearest
from p402.learner.weights import Weights
from p402.routing.spec import MODES
from sim.strategies.baselines import BestSingle, Cheapest, Random, ZeroRouter
from sim.strategies.contract import Policy
from sim.strategies.drawn import Batched
from sim.strategies.learners import EpsilonGreedy, Knn, LinUcb, Ucb1
from sim.strategies.ours import Fixed, Ours
from sim.strategies.own import UnknownPolicy, load
from sim.strategies.policy import PolicyStrategy

WEIGHTS: Final = "weights"
WEIGHTS_SHAPE: Final = f"{WEIGHTS}:quality=0.6,cost=0.4,speed=0"

POLICIES: Final[dict[str, Callable[[], Policy]]] = {
    "epsilon-greedy": EpsilonGreedy,
    "linucb": LinUcb,
    "ucb1": Ucb1,
    "knn": Knn,
    "random": Random,
    "cheapest": Cheapest,
    "best-single": BestSingle,
    "zero-router": ZeroRouter,
}
"""Baselines that go through the same adapter as a user's own policy."""

LEARNERS: Final = ("p402", "epsilon-greedy", "linucb", "ucb1", "knn")
NAMES: Final = ("p402", "static", *POLICIES, *MODES, WEIGHTS_SHAPE, "module:Class")
"""What `named` takes, for messages."""


def named(text: str, *, prompts: bool = False) -> Callable[[], Batched]:
    """A factory of the strategy that `text` names.

    Parameters
    ----------
    prompts
        Whether a user's own policy may see prompts, where there are any.

    Raises
    ------
    UnknownPolicy
        It names none; the message gives the nearest name.
    """
    if text == "p402":
        return Ours
    if text == "static":
        return lambda: Fixed(text, explore=False, benchmark=True)
    if text in POLICIES:
        return lambda: PolicyStrategy(text, POLICIES[text]())
    if text in MODES:
        return lambda: Fixed(text, text)
    if text.partition(":")[0] == WEIGHTS:
        given = weights_of(text)
        return lambda: Fixed(text, "custom", given)
    if ":" in text:
        load(text)
        return lambda: PolicyStrategy(text, load(text), prompts=prompts)
    words = ("p402", "static", *POLICIES, *MODES, WEIGHTS)
    raise UnknownPolicy(f"unknown policy {text!r}; expected one of {', '.join(NAMES)}{nearest(text, words)}")


def weights_of(text: str) -> Weights:
    """The weights of `weights:quality=0.6,cost=0.4,speed=0`, scaled to sum to 1.

    Raises
    ------
    UnknownPolicy
        They are no weights.
    """
    shape = f"policy {text!r}: expected {WEIGHTS_SHAPE}, numbers of 0 or more"
    given: dict[str, float] = {}
    for part in text.partition(":")[2].split(","):
        name, _, value = part.partition("=")
        name = name.strip()
        if name not in ("quality", "cost", "speed"):
            raise UnknownPolicy(
                f"{shape}; found weight {name!r}{nearest(name, ('quality', 'cost', 'speed'))}"
            )
        if name in given:
            raise UnknownPolicy(f"{shape}; found {name} twice")
        try:
            given[name] = float(value)
        except ValueError as error:
            raise UnknownPolicy(f"{shape}; found {name}={value!r}") from error
    try:
        return Weights.of(given.get("cost", 0.0), given.get("quality", 0.0), given.get("speed", 0.0))
    except ValueError as error:
        raise UnknownPolicy(f"{shape}; {error}") from error
