"""Strategies on one table are compared in pairs, on the same prompts in the same order."""

import numpy as np
import pytest

from sim.strategies.named import named
from sim.strategies.policy import BadPolicy, PolicyStrategy
from sim.table.compare import HINDSIGHT, MODE, BadTableQuestion, compare, mean_of
from sim.table.courses import Feedback


def run(field, *names, **kw):
    return compare(field, {name: named(name) for name in names}, **{"seeds": 3, "sweep": False} | kw)


def by_name(result):
    return {standing.name: standing for standing in result.standings}


def test_a_report_says_that_it_is_of_full_information(field):
    result = run(field, "static")
    assert result.mode == MODE == "full information: measured outcomes of every arm"
    assert result.prompts == len(field.batch)


def test_a_strategy_is_no_better_than_itself(field):
    result = run(field, "static", "best-single")
    again = compare(field, {"a": named("linucb"), "b": named("linucb")}, seeds=3, sweep=False)
    behind = by_name(again)["b"].behind
    assert (behind.value, behind.lower, behind.upper) == (0.0, 0.0, 0.0)
    assert by_name(result)["static"].behind is None


def test_the_single_best_in_hindsight_is_shown_beside_and_apart(field):
    found = by_name(run(field, "best-single"))
    assert found[HINDSIGHT].worth["regret_single"].value == 0.0
    assert found["best-single"].worth["regret_single"].value >= 0.0


def test_regret_and_utility_make_the_oracle_for_all(field):
    result = run(field, "random", "cheapest", "p402")
    sums = [s.worth["utility"].value + s.worth["regret"].value for s in result.standings]
    assert np.ptp(sums) < 1e-12
    for standing in result.standings:
        rounds, total = standing.regret_over_time[-1]
        assert abs(total / rounds - standing.worth["regret"].value) < 1e-9


def test_who_learns_beats_who_does_not_from_a_cold_start(cold_field):
    result = run(cold_field, "random", "p402", "linucb", "epsilon-greedy", weights=(1.0, 0.0))
    found = by_name(result)
    for name in ("p402", "linucb", "epsilon-greedy"):
        assert found[name].behind.upper < 0.0


def test_nothing_is_learned_where_nobody_judges(cold_field):
    silent = run(cold_field, "linucb", feedback=Feedback(judged=0.0))
    late = run(cold_field, "linucb", feedback=Feedback(delay_ms=10**9))
    told = run(cold_field, "linucb", weights=(1.0, 0.0))
    assert silent.standings[0].worth == late.standings[0].worth
    deaf = run(cold_field, "linucb", weights=(1.0, 0.0), feedback=Feedback(judged=0.0))
    assert told.standings[0].worth["utility"].value > deaf.standings[0].worth["utility"].value


def test_curves_come_with_the_zero_routers_beside(field):
    result = run(field, "static", "cheapest", sweep=True, rounds=60)
    found = by_name(result)
    assert len(found["static"].curve.points) == 9
    assert found[HINDSIGHT].curve is None
    assert found["static"].curve.area >= found["cheapest"].curve.area
    assert result.zero_router.area > found["cheapest"].curve.area
    costs = [point.cost_usd for point in found["static"].curve.points]
    assert costs[0] > costs[-1]


def test_a_policy_that_gives_no_probabilities_ends_the_run(field):
    class Wrong:
        def probabilities(self, contexts):
            return np.ones(contexts.eligible.shape)

    with pytest.raises(BadPolicy, match="row 0"):
        compare(field, {"wrong": lambda: PolicyStrategy("wrong", Wrong())}, seeds=2, sweep=False)


def test_few_seeds_are_warned_of(field):
    assert any("few_seeds" in text for text in run(field, "cheapest").warnings)
    assert not run(field, "cheapest", seeds=6, rounds=20).warnings


def test_progress_ends_where_it_should(field):
    told = []
    run(field, "cheapest", "random", sweep=True, rounds=20, progress=lambda d, t: told.append((d, t)))
    assert told[-1] == (2 * (3 + 9), 2 * (3 + 9))
    assert [d for d, _ in told] == sorted(d for d, _ in told)


def test_a_comparison_needs_a_policy_and_two_seeds(field):
    with pytest.raises(BadTableQuestion, match="0 policies"):
        compare(field, {}, seeds=3)
    with pytest.raises(BadTableQuestion, match="1 seeds"):
        run(field, "cheapest", seeds=1)


def test_a_mean_has_students_interval():
    from scipy import stats

    values = np.random.default_rng(1).normal(size=10)
    found = mean_of(values.tolist())
    want = stats.t.interval(0.95, 9, values.mean(), stats.sem(values))
    assert abs(found.lower - want[0]) < 1e-3
    assert abs(found.upper - want[1]) < 1e-3
