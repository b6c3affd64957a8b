"""On the toy world regret falls from no learning to epsilon-greedy, to LinUCB, to ours.

Nothing was tuned on these seeds: tuning was on others (`sim/strategies/README.md`).
"""

import numpy as np
import pytest

from sim.strategies.named import named
from sim.table.play import play
from tests.sim.strategies.toy import a_toy, regret

SEEDS = (11, 12, 13)
ORDER = ("static", "epsilon-greedy", "linucb", "p402")


@pytest.fixture(scope="module")
def regrets():
    """(seeds, strategies) sums over 8,000 rounds."""
    found = []
    for seed in SEEDS:
        toy = a_toy(seed)
        found.append([regret(toy, play(named(name)(), toy.course, tick_ms=600_000)).sum() for name in ORDER])
    return np.array(found)


@pytest.mark.slow
def test_regret_falls_from_static_to_epsilon_greedy_to_linucb_to_ours(regrets):
    static, epsilon, linucb, ours = regrets.mean(axis=0)
    assert static > epsilon > linucb > ours


@pytest.mark.slow
def test_ours_has_less_than_half_the_regret_of_who_learns_nothing_on_every_seed(regrets):
    assert (regrets[:, 3] < 0.5 * regrets[:, 0]).all()
