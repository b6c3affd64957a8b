"""Regret is exact: none for the oracle, none to the single best for the single best."""

import itertools

import numpy as np
import pytest

from sim.table.regret import Yardsticks, cumulative, worth_of

RNG = np.random.default_rng(0)
U, Q, C = RNG.random((3, 60, 4))


def one_hot(arm):
    out = np.zeros((60, 4))
    out[np.arange(60), arm] = 1.0
    return out


def test_the_oracle_has_no_regret_and_gains_on_the_single_best():
    worth = worth_of(one_hot(U.argmax(axis=1)), Q, C, Yardsticks.of(U))
    assert worth.regret == 0.0
    assert worth.regret_single < 0.0
    assert abs(worth.utility - U.max(axis=1).mean()) < 1e-12


def test_the_single_best_has_none_to_itself_and_no_arm_has_less():
    yardsticks = Yardsticks.of(U)
    for arm in range(4):
        worth = worth_of(one_hot(arm), Q, C, yardsticks)
        assert worth.regret_single >= 0.0
        assert (worth.regret_single == 0.0) == (arm == yardsticks.single)
        assert abs(worth.quality - Q[:, arm].mean()) < 1e-12
        assert abs(worth.cost_usd - C[:, arm].mean()) < 1e-12
        assert abs(worth.utility + worth.regret - U.max(axis=1).mean()) < 1e-12


def test_a_mix_is_worth_what_its_parts_are_worth():
    parts = [worth_of(one_hot(arm), Q, C, Yardsticks.of(U)) for arm in range(4)]
    mix = worth_of(np.full((60, 4), 0.25), Q, C, Yardsticks.of(U))
    for name in ("quality", "cost_usd", "utility", "regret", "regret_single"):
        assert abs(getattr(mix, name) - np.mean([getattr(p, name) for p in parts])) < 1e-12


def test_regret_adds_up():
    p = np.full((60, 4), 0.25)
    told = cumulative(p, Yardsticks.of(U))
    assert told[-1][0] == 60
    assert abs(told[-1][1] - 60 * worth_of(p, Q, C, Yardsticks.of(U)).regret) < 1e-9
    assert all(b[1] >= a[1] and b[0] > a[0] for a, b in itertools.pairwise(told))


def test_a_round_that_nobody_served_cannot_be_valued():
    p = np.full((60, 4), 0.25)
    p[7] = 0.0
    with pytest.raises(ValueError, match="round 7"):
        worth_of(p, Q, C, Yardsticks.of(U))
