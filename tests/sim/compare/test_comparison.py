import dataclasses
from math import isnan

import numpy as np
import pytest

from sim.compare.comparison import compare
from sim.compare.curves import BINS, LATENCIES_MS, STEPS, Clock, curve_of, shares_over_time
from sim.compare.doubts import doubts
from sim.compare.measures import COMPARED, QUALITY, REFUSED, REGRET, REGRET_TOTAL, VALUE, measured
from sim.compare.rounds import BadRounds
from tests.sim.compare.made import DAY_MS, START_MS, a_run, a_table

CLOCK = Clock(START_MS, START_MS + DAY_MS)
NAMES = ("static", "epsilon-greedy", "linucb", "p402")


def made(names=NAMES, seeds=tuple(range(6)), reference="p402", load=a_table):
    return compare(load, names, seeds, reference, CLOCK)


@pytest.fixture(scope="module")
def result():
    return made()


def test_strategies_of_declared_skill_come_out_in_its_order(result):
    assert result.ranking.said == "static < epsilon-greedy < linucb < p402"


def test_a_figure_is_the_mean_of_the_seeds_own(result):
    expected = np.mean([measured(QUALITY, a_table("linucb", seed)) for seed in range(6)])
    assert result.figure("linucb", QUALITY).at.value == pytest.approx(expected)
    assert result.figure("linucb", QUALITY).rounds == result.requests == 3_600


def test_differences_are_of_figures(result):
    for measure in COMPARED:
        gap = result.figure("static", measure).at.value - result.figure("p402", measure).at.value
        assert result.difference("static", measure).over_seeds.value == pytest.approx(gap, abs=1e-9)


def test_value_and_regret_tell_the_same_where_refusals_are_the_same(result):
    value, regret = (result.difference("static", m).over_seeds.value for m in (VALUE, REGRET))
    taken = 1.0 - result.figure("static", REFUSED).at.value
    assert value == pytest.approx(-regret / 1_000.0 / taken, rel=0.01)


def test_a_swapped_reference_flips_every_difference(result):
    back = made(reference="static")
    for measure in COMPARED:
        there, here = result.difference("static", measure), back.difference("p402", measure)
        assert there.over_seeds.value == pytest.approx(-here.over_seeds.value)
        assert there.over_seeds.lower == pytest.approx(-here.over_seeds.upper)
        if there.within is not None:
            assert there.within.lower == pytest.approx(-here.within.upper)


def test_the_order_of_seeds_and_strategies_changes_no_figure(result):
    other = made(names=NAMES[::-1], seeds=tuple(range(6))[::-1])

    def figures(r):
        return {(f.strategy, f.kind, f.group, f.measure.name): f.at for f in r.figures}

    assert figures(other) == figures(result)
    assert other.ranking.order == result.ranking.order


def test_groups_are_parts_of_the_whole(result):
    for kind in ("task", "tenant"):
        parts = [f for f in result.figures if (f.kind, f.strategy, f.measure) == (kind, "static", REGRET)]
        assert sum(part.rounds for part in parts) == result.requests
        assert len(parts) == 3
        assert result.groups(kind)[0] == max(parts, key=lambda f: f.rounds).group


def test_differences_shown_together_are_adjusted_together(result):
    whole = result.difference("static", REGRET)
    assert whole.tests == len(COMPARED) * 3
    by_task = [d for d in result.differences if d.kind == "task" and d.measure is REGRET]
    assert {d.tests for d in by_task} == {9}
    assert all(d.p_holm >= d.over_seeds.p for d in result.differences if not isnan(d.over_seeds.p))


def test_a_group_that_some_seeds_lack_is_of_the_others():
    def load(name, seed):
        tenant = ["acme", "acme", "birch", "birch"] if seed else ["acme"] * 4
        return a_run(name, seed, tenant=tenant, regret=[0.1 * (seed + (name == "static"))] * 4)

    result = made(("static", "p402"), (0, 1, 2), load=load)
    birch = [d for d in result.differences if (d.kind, d.group, d.measure) == ("tenant", "birch", REGRET)]
    assert [d.over_seeds.units for d in birch] == [2]


def test_arms_shares_sum_to_one(result):
    for name in NAMES:
        shares = [f.at.value for f in result.figures if (f.kind, f.strategy) == ("arm", name)]
        assert sum(shares) == pytest.approx(1.0)


def test_traffic_that_differs_ends_the_comparison():
    with pytest.raises(BadRounds, match="static, seed 1"):
        made(("static", "p402"), (0, 1), load=lambda n, s: a_table(n, s, 80 + (n == "static" and s == 1)))


def test_a_curve_ends_at_the_whole_regret():
    run = a_table("static", 2)
    curve = curve_of(run, Clock(START_MS, int(run.t_ms[-1])))
    assert curve.regret.shape == (STEPS + 1,)
    assert curve.regret[-1] == pytest.approx(measured(REGRET_TOTAL, run))
    assert (np.diff(curve.regret) >= 0.0).all()
    assert (np.diff(curve.answered_by) >= 0.0).all()
    assert curve.answered_by.shape == LATENCIES_MS.shape
    assert sum(int(c.sum()) for c in curve.chosen.values()) == int(np.count_nonzero(~run.refused))


def test_shares_over_time_are_of_all_seeds_and_unknown_where_nothing_was_chosen():
    shares = shares_over_time([curve_of(a_run(arm=["a", "a", "b", "a"]), CLOCK)])
    assert (shares["a"][0], shares["b"][0]) == (0.75, 0.25)
    assert np.isnan(shares["a"][1:]).all()
    assert shares["a"].shape == (BINS,)


def test_what_is_weak_is_said():
    one = made(("p402", "static"), (0,))
    assert [d.partition(":")[0] for d in doubts(one)] == ["few_seeds", "order_found"]
    few = made(("static", "p402"), (0, 1, 2))
    assert [d.partition(":")[0] for d in doubts(few)] == ["few_seeds"]
    assert doubts(made(("static", "p402"))) == ()


def test_a_strategy_that_is_refused_more_or_fails_more_is_looked_at():
    def load(name, seed):
        status = ["ok", "refused" if name == "p402" else "ok", "failed", "ok"]
        return a_run(name, seed, status=status, regret=[0.1 * seed, 0.0, 0.0, 0.0])

    said = " ".join(doubts(made(("static", "p402"), load=load)))
    assert "refusals_differ: 25.00% of requests were refused under p402" in said
    assert "many_failed: 25.0% of requests failed under static" in said


def test_a_comparison_cannot_be_changed_by_its_readers(result):
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.requests = 1
