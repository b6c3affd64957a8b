"""What the yardsticks that learn nothing take."""

import numpy as np
import pytest

from p402.routing.compiled import compile_snapshot
from p402.routing.features import FEATURES
from p402.routing.scale import param
from p402.routing.spec import TASKS
from sim.strategies.baselines import BestSingle, Cheapest, OneArm, Random, ZeroRouter, upper_edge
from tests.p402.routing.worlds import alike
from tests.sim.strategies.conftest import some_contexts


def spec(prices, qualities):
    """Arms p0/m0, ... with these input prices (output alike) in pico-USD and qualities."""
    n = len(prices)
    width = len(FEATURES)
    return alike(
        n,
        prices={"input": tuple(prices), "output": tuple(prices)},
        posterior={
            "features": FEATURES,
            "tasks": TASKS,
            "theta": tuple((param(q), *(0,) * (width - 1)) for q in qualities),
            "sd": ((0,) * len(TASKS),) * n,
        },
    )


def contexts(n, k, **changes):
    return some_contexts(n, k, arms=tuple(f"p{i}/m{i}" for i in range(k)), **changes)


def weights(n, quality, cost):
    return np.tile([quality, cost, 0.0], (n, 1))


def test_random_is_even_over_who_may_serve():
    eligible = np.array([[True, True, False, True], [False] * 4])
    made = Random().probabilities(some_contexts(2, 4, eligible=eligible))
    assert made[0].tolist() == [1 / 3, 1 / 3, 0.0, 1 / 3]
    assert not made[1].any()


def test_the_cheapest_is_the_cheapest_that_may_serve():
    cost = np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [2.0, 2.0, 5.0]])
    eligible = np.array([[True] * 3, [True, False, True], [True] * 3])
    made = Cheapest().probabilities(some_contexts(3, 3, cost_usd=cost, eligible=eligible))
    assert made.argmax(axis=1).tolist() == [1, 2, 0]
    assert (made.sum(axis=1) == 1).all()


@pytest.mark.parametrize(("quality", "cost", "arm"), [(1.0, 0.0, 2), (0.0, 1.0, 0), (0.6, 0.4, 1)])
def test_the_best_single_arm_goes_by_prior_price_and_weights(quality, cost, arm):
    policy = BestSingle()
    policy.begin(compile_snapshot(spec([100_000, 500_000, 20_000_000], [0.3, 0.8, 0.9])))
    made = policy.probabilities(contexts(5, 3, weights=weights(5, quality, cost)))
    assert (made.argmax(axis=1) == arm).all()
    assert (made.max(axis=1) == 1).all()


def test_the_best_single_arm_has_a_deputy_where_it_may_not_serve():
    policy = BestSingle()
    policy.begin(compile_snapshot(spec([100_000, 500_000, 20_000_000], [0.3, 0.8, 0.9])))
    made = policy.probabilities(
        contexts(1, 3, weights=weights(1, 1.0, 0.0), eligible=np.array([[True, True, False]]))
    )
    assert made.argmax() == 1


def test_one_arm_is_one_arm():
    made = OneArm("p1/m1").probabilities(contexts(4, 3))
    assert (made[:, 1] == 1).all()
    out = OneArm("p1/m1").probabilities(contexts(4, 3, eligible=np.tile([True, False, True], (4, 1))))
    assert (out[:, 1] == 0).all()
    assert (out.sum(axis=1) == 1).all()


def test_the_zero_router_walks_the_hull_from_best_to_cheapest():
    policy = ZeroRouter()
    policy.begin(compile_snapshot(spec([100_000, 500_000, 20_000_000, 21_000_000], [0.3, 0.8, 0.9, 0.5])))
    shares = np.linspace(0.0, 1.0, 11)
    asked = np.stack([1 - shares, shares, np.zeros(11)], axis=1)
    made = policy.probabilities(contexts(11, 4, weights=asked))
    assert np.abs(made.sum(axis=1) - 1).max() < 1e-12
    assert made[0, 2] == 1.0
    assert made[-1, 0] == 1.0
    assert (made[:, 3] == 0).all()
    assert (np.count_nonzero(made, axis=1) <= 2).all()
    cost = np.array(list(policy._cost.values()))
    gone = (made @ cost - cost[2]) / (cost[0] - cost[2])
    assert np.abs(gone - shares).max() < 1e-9


def test_the_zero_routers_mix_does_not_look_at_the_request():
    policy = ZeroRouter()
    policy.begin(compile_snapshot(spec([100_000, 500_000, 20_000_000], [0.3, 0.8, 0.9])))
    made = policy.probabilities(contexts(20, 3, seed=4))
    assert (made == made[0]).all()


def test_a_lone_arm_is_its_own_mix():
    policy = ZeroRouter()
    policy.begin(compile_snapshot(spec([100_000], [0.3])))
    assert (policy.probabilities(contexts(3, 1)) == 1).all()


def test_the_upper_edge_starts_at_the_top_and_leaves_out_what_is_below():
    x = np.array([0.0, 0.2, 0.5, 0.8, 1.0, 0.5])
    y = np.array([0.5, 0.9, 0.85, 0.4, 0.2, 0.1])
    assert upper_edge(x, y).tolist() == [1, 2, 4]


def test_no_point_lies_above_the_edge():
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = rng.random(12), rng.random(12)
        edge = upper_edge(x, y)
        right = x >= x[edge[0]]
        assert (y[right] <= np.interp(x[right], x[edge], y[edge]) + 1e-12).all()
        assert (np.diff(x[edge]) > 0).all()
        assert (np.diff(y[edge]) < 0).all()
