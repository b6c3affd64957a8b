"""Bounds of a saving where the truth is known without a log."""

from math import inf

import numpy as np
import pytest

from sim.observe.chance import Chance
from sim.observe.lengths import Lengths
from sim.observe.saving import saving
from sim.observe.sums import BUCKETS, Paid, Would


def sums(was, now):
    """One round a bucket."""
    paid, would = Paid(), Would()
    buckets = np.arange(len(was))
    paid.add(buckets, np.array(was, float))
    would.pico += np.bincount(buckets, np.array(now, float), BUCKETS)
    return paid, would


def test_bounds_of_what_came_cover_the_truth_as_often_as_they_say():
    rng, covered = np.random.default_rng(3), 0
    for _ in range(400):
        was = rng.lognormal(3, 1, 200)
        found = saving(*sums(was, was * rng.uniform(0.1, 0.5, 200)), {}, Lengths({}), Chance(1_000))
        covered += found.share_lower <= 0.7 <= found.share_upper
    assert covered / 400 > 0.92


def test_saving_cost_and_share_are_of_one_piece():
    found = saving(*sums([10.0, 30.0, 20.0], [5.0, 5.0, 5.0]), {}, Lengths({}), Chance())
    assert (found.paid, found.cost, found.saving, found.share) == (60.0, 15.0, 45.0, 0.75)
    assert found.lower < 45.0 < found.upper
    assert found.by_lengths == 0.0


def test_one_session_bounds_nothing():
    found = saving(*sums([10.0], [5.0]), {}, Lengths({}), Chance())
    assert (found.lower, found.upper, found.share_lower, found.share_upper) == (-inf, inf, -inf, inf)


def test_unknown_lengths_bound_the_saving_from_below_more_than_from_above():
    paid, would = sums([100.0] * 50, [10.0] * 50)
    found = saving(paid, would, {("large", "small", "chat"): 400.0}, Lengths({}), Chance())
    assert found.by_requests == pytest.approx(0.0)
    assert found.saving - found.lower > 2 * (found.upper - found.saving) > 0
    assert found.upper <= 5_000 - 100
    assert (found.assumed, found.elsewhere) == (1.0, 400.0)


def test_rounds_that_cost_nothing_have_no_share():
    found = saving(*sums([0.0] * 5, [1.0] * 5), {}, Lengths({}), Chance())
    assert found.saving == -5.0
    assert found.share_lower == -inf
