import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.compare.ranking import rank

SPREAD = [0.0, 1.0, -1.0, 0.5, -0.5, 0.2]


def at(mean, wiggle=0.1):
    return [mean + wiggle * x for x in SPREAD]


def test_an_order_that_was_named_and_holds_is_said():
    ranking = rank({"static": at(90.0), "linucb": at(40.0, 0.3), "p402": at(20.0, -0.2)})
    assert ranking.said == "static < linucb < p402"
    assert ranking.all_shown
    assert ranking.named


def test_two_that_are_alike_are_not_put_in_order():
    ranking = rank({"static": at(90.0), "linucb": at(40.0, 3.0), "p402": at(39.9, -3.0)})
    assert ranking.said == "static < linucb, p402"
    assert not ranking.all_shown


def test_an_order_read_off_the_data_must_survive_all_pairs():
    chance = np.random.default_rng(4)
    noise = chance.normal(0.0, 1.0, 10)
    regrets = {f"s{i}": [50.0] * 10 for i in range(8)}  # 28 pairs
    gap = 0.8 * noise.std(ddof=1) - noise.mean()
    named = regrets | {"a": [20.0] * 10, "b": (20.0 - gap - noise).tolist()}
    found = regrets | {"b": named["b"], "a": named["a"]}
    (last_named, last_found) = (rank(named).steps[-1], rank(found).steps[-1])
    assert (last_named.worse, last_named.better) == (last_found.worse, last_found.better) == ("a", "b")
    assert last_named.gap == last_found.gap
    assert last_named.gap.upper < 0.0
    assert last_named.shown
    assert last_found.p_holm > 0.05
    assert not last_found.shown


def test_one_strategy_alone_has_no_order():
    ranking = rank({"p402": at(1.0)})
    assert ranking.said == "p402"
    assert not ranking.all_shown


def test_one_seed_shows_no_order():
    ranking = rank({"static": [9.0], "p402": [1.0]})
    assert ranking.said == "static, p402"


def test_a_step_says_by_what_share_regret_is_less():
    (step,) = rank({"static": [100.0, 200.0], "p402": [25.0, 50.0]}).steps
    assert step.less.value == pytest.approx(0.75)


REGRETS = st.lists(st.integers(0, 100).map(float), min_size=3, max_size=3)


@given(st.dictionaries(st.text("abcdef", min_size=1), REGRETS, min_size=2))
def test_every_step_leads_to_no_more_regret(regrets):
    ranking = rank(regrets)
    assert sorted(ranking.order) == sorted(regrets)
    assert all(step.gap.value <= 1e-9 for step in ranking.steps)
    assert ranking.said.count("<") == sum(step.shown for step in ranking.steps)
