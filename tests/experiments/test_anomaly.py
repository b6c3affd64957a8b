import math

import numpy as np
import polars as pl
import pytest

from experiments.anomaly import advise, alarms, alarms_after, jump, moments, score, wilson_upper
from p402.guard.anomaly import CostHistory, observe, z_score


def calls(costs: dict[str, list[int]]) -> pl.DataFrame:
    rows = [(f"{i:06d}{name}", name, cost) for name, values in costs.items() for i, cost in enumerate(values)]
    return pl.DataFrame(rows, schema=["request_id", "tenant_id", "cost_nano"], orient="row")


def drawn(sd: float, n: int, seed: int = 1) -> list[int]:
    chance = np.random.Generator(np.random.Philox(seed))
    return [int(c) for c in np.exp(chance.normal(15.0, sd, n))]


def test_each_call_is_judged_by_its_own_tenants_calls_before_it():
    rounds = calls({"a": drawn(0.5, 50), "b": drawn(2.0, 50, seed=2)}).sample(
        fraction=1.0, shuffle=True, seed=3
    )
    past: dict[str, CostHistory] = {}
    for row in score(rounds, ["tenant_id"]).iter_rows(named=True):
        history = past.get(row["tenant_id"], CostHistory())
        assert (row["z"], row["history"]) == (z_score(history, row["cost_nano"], 2), history.count)
        past[row["tenant_id"]] = observe(history, row["cost_nano"])


def test_free_calls_are_neither_judged_nor_counted():
    assert score(calls({"a": [0, 5, 0, 9, 7]}), ["tenant_id"])["history"].to_list() == [0, 1, 2]


def test_a_planted_jump_is_an_alarm_and_is_counted_once():
    costs = drawn(0.5, 200)
    usual = alarms(score(calls({"a": costs}), ["tenant_id"]), (4.0,), (30,))
    planted = alarms(
        score(calls({"a": [*costs, int(np.exp(15.0 + 10 * 0.5))]}), ["tenant_id"]), (4.0,), (30,)
    )
    assert planted["alarms"][0] == usual["alarms"][0] + 1
    assert planted["judged"][0] == 171
    assert planted["per_1000"][0] == pytest.approx(1000 * planted["alarms"][0] / 171)


def test_lognormal_costs_raise_as_many_alarms_as_the_normal_law_says_after_a_long_past():
    found = alarms_after(
        calls({"a": drawn(1.0, 20_000)}), ["tenant_id"], np.random.Generator(np.random.Philox(5)),
        (2.0,), (200,), draws=20_000,
    )  # fmt: skip
    expected = 1000 * 0.5 * math.erfc(2.0 / math.sqrt(2))
    assert found["per_1000"][0] == pytest.approx(expected, rel=0.12)


def test_a_shorter_past_raises_more_false_alarms():
    found = alarms_after(
        calls({"a": drawn(1.0, 5_000)}), ["tenant_id"], np.random.Generator(np.random.Philox(5)),
        (3.0,), (5, 20, 100), draws=20_000,
    )  # fmt: skip
    assert found["per_1000"].is_sorted(descending=True)
    assert found["per_1000"][0] > 5 * found["per_1000"][2]


def pairs(rates: dict[tuple[float, int], tuple[float, float]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Upper bound on the log and rate after a past of that length, by (threshold, shortest)."""
    key = {"threshold": pl.Float64, "shortest": pl.Int64}
    of_past = {**key, "per_1000": pl.Float64}
    of_log = {**of_past, "upper_per_1000": pl.Float64}
    replayed = [(t, s, 0.0, upper) for (t, s), (upper, _) in rates.items()]
    after = [(t, s, rate) for (t, s), (_, rate) in rates.items()]
    return (
        pl.DataFrame(replayed, schema=of_log, orient="row"),
        pl.DataFrame(after, schema=of_past, orient="row"),
    )


def test_advice_is_the_smallest_threshold_then_the_shortest_past_within_the_budget():
    tables = pairs(
        {(2.0, 10): (30, 30), (2.5, 10): (9, 12), (2.5, 30): (9, 8), (2.5, 50): (9, 5), (3.0, 10): (3, 4)}
    )
    found = advise(*tables, 10.0)
    assert (found.threshold, found.shortest, found.proven) == (2.5, 30, True)


def test_without_proof_the_defaults_stay():
    found = advise(*pairs({(2.0, 10): (30, 1), (4.0, 100): (11, 0)}), 10.0)
    assert (found.threshold, found.shortest, found.proven) == (3.0, 30, False)


def test_moments_are_those_of_the_logarithm():
    row = moments(calls({"a": [100, 10_000]}), ["tenant_id"]).row(0, named=True)
    assert row["typical_usd"] == pytest.approx(1_000 / 1e9)
    assert row["sd_ln"] == pytest.approx(math.log(100) / math.sqrt(2))
    assert jump(row["sd_ln"], 0.0) == 1.0


@pytest.mark.parametrize(("hits", "n", "upper"), [(0, 100, 0.0370), (5, 100, 0.1118), (0, 0, 1.0)])
def test_the_upper_bound_is_wilsons(hits, n, upper):
    assert wilson_upper(hits, n) == pytest.approx(upper, abs=1e-4)
