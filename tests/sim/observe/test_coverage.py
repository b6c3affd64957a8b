"""The bounds cover what routing then saves, as often as they say, where every arm's true cost is known."""

import pytest

from sim.observe.value import observe

REPEATS = 40
SESSIONS = 120
HALF = 0.5
"""Of sessions, those that name the large model: of both models enough is seen to measure lengths by."""


@pytest.mark.slow
@pytest.mark.parametrize("small", [0.5, 1.7])
def test_bounds_cover_the_true_saving_of_routing_on(tmp_path, traffic_of, truth, small):
    """The truth is the flow's own, with `route_named_models = "on"` and answers of mean length."""
    verbosity, modes = {"large": 1.0, "small": small}, ("cost", "quality", "balanced")
    covered = dict.fromkeys(modes, 0)
    shares = dict.fromkeys(modes, 0)
    known = {mode: truth(verbosity, mode, HALF) for mode in modes}
    for seed in range(REPEATS):
        traffic = traffic_of(tmp_path / str(seed), verbosity, seed=seed, large_share=HALF)
        house = traffic.sessions_of(SESSIONS).house
        for line in observe(house.log, house.store, modes=modes).lines:
            paid, routed = known[line.mode]
            saved = (paid - routed) * line.rounds
            covered[line.mode] += line.saving_lower_usd <= saved <= line.saving_upper_usd
            shares[line.mode] += line.saving_lower <= 1 - routed / paid <= line.saving_upper
    assert min(covered.values()) >= 0.9 * REPEATS, covered
    assert min(shares.values()) >= 0.9 * REPEATS, shares


@pytest.mark.slow
@pytest.mark.parametrize("small", [0.3, 1.0, 3.0])
def test_bounds_cover_it_where_nobody_has_measured_lengths(tmp_path, traffic_of, truth, small):
    verbosity = {"large": 1.0, "small": small}
    paid, routed = truth(verbosity, "cost", 1.0)
    house = traffic_of(tmp_path, verbosity, large_share=1.0).sessions_of(200).house
    (line,) = observe(house.log, house.store, modes=("cost",)).lines
    assert line.assumed_lengths == 1.0
    assert line.saving_lower <= 1 - routed / paid <= line.saving_upper
