"""Requests that a cache answered: no round for regret and value, an answer for quality, cost and latency."""

import json
from math import isnan

import pytest
from rich.console import Console

from sim.compare.comparison import compare
from sim.compare.curves import Clock
from sim.compare.doubts import doubts
from sim.compare.measures import (
    COMPARED,
    COST,
    FAILED,
    HITS,
    HITS_SAVING,
    OF_CACHE,
    QUALITY,
    REGRET,
    SAVING,
    VALUE,
    WRONG_HITS,
    measured,
)
from sim.compare.page import page
from sim.compare.plots import plots
from sim.compare.report import document, tables
from sim.compare.rounds import NOBODY, BadRounds
from tests.sim.compare.made import DAY_MS, START_MS, a_run, setting

HIT = {
    "arm": ["a/m", None, None, None, "b/m"],
    "status": ["ok", "ok", "ok", "refused", "ok"],
    "cached": [False, True, True, False, False],
    "wrong": [False, False, True, False, False],
    "cost_nano": [1_000_000_000, 0, 0, 0, 1_000_000_000],
    "direct_nano": [4_000_000_000, 2_000_000_000, 1_000_000_000, None, 3_000_000_000],
    "quality": [0.8, 0.6, 0.0, None, 1.0],
    "value": [0.5, None, None, None, 0.7],
    "best": [0.6, None, None, None, 0.7],
    "regret": [0.1, 0.0, 0.0, 0.0, 0.0],
}


def five(name="mine", seed=3, **more):
    return a_run(name, seed, **{**HIT, **more})


@pytest.fixture(scope="module")
def result():
    """Two strategies, of which one is given a kept answer less."""

    def load(name, seed):
        return (
            five(name, seed) if name == "p402" else five(name, seed, cached=[False, True, True, False, False])
        )

    return compare(load, ("static", "p402"), (1, 2, 3, 4, 5), "p402", Clock(START_MS, START_MS + DAY_MS))


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (HITS, 2 / 4),
        (WRONG_HITS, 1 / 4),
        (HITS_SAVING, 3 / 10),
        (SAVING, 8 / 10),
        (REGRET, 1_000 * 0.1 / 5),
        (VALUE, 0.6),
        (QUALITY, 2.4 / 4),
        (COST, 1_000 * 2 / 4),
        (FAILED, 0.0),
    ],
)
def test_p11_a_hit_is_in_what_was_answered_and_not_in_what_was_chosen(measure, expected):
    assert measured(measure, five()) == pytest.approx(expected)


def test_a_hit_has_no_arm_and_is_in_no_share_of_arms(result):
    assert five().arm.names == (NOBODY, "a/m", "b/m")
    shares = [f.at.value for f in result.figures if f.kind == "arm" and f.strategy == "p402"]
    assert shares == [0.5, 0.5]


def test_a_table_of_a_world_without_a_cache_has_no_hit():
    assert not a_run().cached.any()
    assert measured(HITS, a_run()) == 0.0
    assert isnan(measured(HITS, a_run(status=["refused"] * 4)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cached": [False, True, True, True, False]}, "from the cache that is not ok"),
        ({"wrong": [True, False, False, False, False]}, "a wrong one that is not cached"),
        (
            {"value": [None, None, None, None, 0.7]},
            "`value` is nan in row 0; expected a number where something",
        ),
        ({"cached": ["yes"] * 5}, "expected"),
    ],
)
def test_rows_of_a_cache_that_cannot_be_are_refused(changed, said):
    with pytest.raises(BadRounds, match=said):
        five(**changed)


def test_measures_of_a_cache_are_shown_where_it_answered_anything(result):
    assert result.compared == (*COMPARED, *OF_CACHE)
    assert result.figure("p402", WRONG_HITS).at.value == 0.25
    assert result.difference("static", HITS).over_seeds.value == 0.0
    assert any(said.startswith("cached: up to 50.0% of requests") for said in doubts(result))
    told = json.loads(document(result, setting(), doubts(result), "p402 sim compare"))
    assert {"hits", "wrong_hits", "hits_saving"} <= told["measures"].keys()
    console = Console(width=200, record=True)
    for table in tables(result, setting(), ()):
        console.print(table)
    assert "Wrong hit" in console.export_text()
    html = page(result, setting(), tuple(plots(result, setting())), (), "p402 sim compare")
    for measure in OF_CACHE:
        assert measure.label in html


def test_measures_of_a_cache_are_nowhere_where_it_answered_nothing():
    without = compare(a_run, ("static", "p402"), (1, 2), "p402", Clock(START_MS, START_MS + DAY_MS))
    assert without.compared == COMPARED
    assert not {f.measure for f in without.figures} & set(OF_CACHE)
    assert "cached" not in " ".join(doubts(without))
