"""The sizes that `p402 plan` gives are those that simulation and the study of canaries found."""

from dataclasses import replace
from math import inf, log, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.evaluation import rehearsal
from p402.evaluation.crossing import log_money
from p402.evaluation.power import (
    MIN_ROWS,
    Question,
    Traffic,
    bet_bound,
    canary,
    canary_variance,
    compare,
    crossing_power,
)

PLAIN = Traffic(per_day=1_000.0, session_rounds=1.0, icc=0.0, mean=0.7, variance=0.21, judged=1.0)
CLUSTERED = Traffic(per_day=1_000.0, session_rounds=3.0, icc=0.2, mean=0.7, variance=0.21, judged=0.4)

traffics = st.builds(
    Traffic,
    per_day=st.floats(1.0, 1e6),
    session_rounds=st.floats(1.0, 30.0),
    icc=st.floats(0.0, 0.9),
    mean=st.floats(0.1, 0.9),
    variance=st.floats(0.01, 0.25),
    judged=st.floats(0.02, 1.0),
)
shares = st.floats(0.005, 0.5)


@pytest.mark.parametrize(("detect", "share", "median", "power_by_40k"), [
    (0.02, 0.1, None, 0.38), (0.03, 0.1, 19_500, 0.79), (0.05, 0.1, 8_000, 1.0), (0.03, 0.3, 9_500, 0.995),
])  # fmt: skip
def test_a_canary_takes_as_long_as_the_study_measured(detect, share, median, power_by_40k):
    """Bernoulli .7, up to 40k requests, alpha .05; its medians are of the runs that ended: a little short."""
    question = Question(detect)
    sized = canary(PLAIN, question, share)
    found = crossing_power(40_000, sized.variance, bet_bound(PLAIN, share), question)
    assert found == pytest.approx(power_by_40k, abs=0.07)
    if median is not None:
        assert 0.9 * median < sized.median_rounds < 1.25 * median


@pytest.mark.parametrize("traffic", [PLAIN, CLUSTERED], ids=["plain", "clustered"])
@pytest.mark.parametrize(("detect", "moved"), [(0.06, 1.0), (0.03, 0.3)])
def test_a_comparison_of_the_size_has_the_power_and_the_alarms_that_were_asked_for(traffic, detect, moved):
    question = Question(detect, moved=moved)
    sized = compare(traffic, question, 0.1, 2.0)
    assert not sized.held_by_support
    played = rehearsal.comparison(traffic, question, sized, np.random.default_rng(7), 200)
    assert played.power == pytest.approx(0.8, abs=4 * 0.0283)  # four standard errors of a share of 200
    assert played.alarms <= 0.05 + 4 * 0.0154


@pytest.mark.parametrize("traffic", [PLAIN, CLUSTERED], ids=["plain", "clustered"])
def test_a_canary_of_the_size_has_at_least_the_power_and_hardly_an_alarm(traffic):
    question = Question(0.08)
    sized = canary(traffic, question, 0.2)
    played = rehearsal.canary(traffic, question, sized, np.random.default_rng(7), 200)
    assert 0.8 - 4 * 0.0283 < played.power < 0.95
    assert played.alarms <= 0.05
    half = replace(sized, rounds=sized.median_rounds)
    assert rehearsal.canary(traffic, question, half, np.random.default_rng(8), 200).power == pytest.approx(
        0.5, abs=4 * 0.0354
    )


@pytest.mark.parametrize(("variance", "judged"), [(0.001, 1.0), (0.01, 0.25)])
def test_where_sums_are_skewed_a_canary_of_the_size_still_has_most_of_its_power(variance, judged):
    traffic = replace(PLAIN, variance=variance, judged=judged)
    sized = canary(traffic, Question(0.1), 0.1)
    played = rehearsal.canary(traffic, Question(0.1), sized, np.random.default_rng(7), 100)
    assert played.power > 0.6
    assert played.alarms <= 0.05


def test_half_of_the_rounds_find_much_less_than_was_asked_for():
    question = Question(0.06)
    sized = compare(PLAIN, question, 0.1, 1.0)
    half = replace(sized, rounds=sized.rounds // 2)
    assert rehearsal.comparison(PLAIN, question, half, np.random.default_rng(7), 200).power < 0.65


def test_the_plain_formula_is_that_of_the_textbook():
    """Two arms at even odds and nothing else: n = (z + z)**2 * 4 * s2 / d**2, Fleiss' two-sample size."""
    sized = compare(PLAIN, Question(0.1), 0.5, 1.0)
    assert sized.rounds == pytest.approx((1.959964 + 0.841621) ** 2 * 4 * 0.21 / 0.01, abs=1.0)
    assert (sized.trial, sized.incumbent, sized.held_by_support) == (0.5, 0.5, False)
    assert sized.days == sized.rounds / 1_000


@settings(max_examples=60, deadline=None)
@given(traffics, st.floats(0.02, 0.2), shares, st.floats(1.0, 8.0))
def test_what_makes_it_harder_never_takes_fewer_rounds(traffic, detect, share, arms):
    question = Question(detect)
    base = compare(traffic, question, share, arms)
    for harder in (
        compare(traffic, Question(detect / 2), share, arms),
        compare(traffic, Question(detect, alpha=0.01), share, arms),
        compare(traffic, Question(detect, power=0.9), share, arms),
        compare(traffic, question, share / 2, arms),
        compare(traffic, question, share, arms * 2),
        compare(replace(traffic, judged=traffic.judged / 2), question, share, arms),
        compare(replace(traffic, session_rounds=traffic.session_rounds + 5), question, share, arms),
        compare(traffic, question, share, arms, "ips"),
    ):
        assert harder.rounds >= base.rounds
    assert compare(traffic, Question(detect, explained=0.5), share, arms).rounds <= base.rounds
    assert base.rows >= MIN_ROWS * (1 - 1e-9)


@settings(max_examples=15, deadline=None)
@given(traffics, st.floats(0.05, 0.2), st.floats(0.05, 0.45))
def test_a_canary_is_harder_where_less_is_known_and_its_median_comes_first(traffic, detect, share):
    question = Question(detect)
    base = canary(traffic, question, share)
    assert base.median_rounds <= base.rounds
    assert canary(traffic, Question(detect / 2), share).rounds >= base.rounds
    assert canary(replace(traffic, judged=traffic.judged / 2), question, share).rounds >= base.rounds
    power = crossing_power(base.rounds, base.variance, bet_bound(traffic, share), question)
    assert power >= question.power - 1e-6
    assert base.variance == canary_variance(traffic, question, share)


@given(st.floats(-50, 50), st.floats(0.1, 1e4), st.floats(0.5, 100))
def test_money_grows_with_the_sum_and_bets_on_nothing_lose(total, variance, bound):
    assert log_money(total + 1.0, variance, bound) > log_money(total, variance, bound)
    assert log_money(0.0, variance, bound) < 0.0


def test_the_money_of_one_bet_is_its_exponential():
    assert log_money(10.0, 4.0, 1.0, bets=(0.5,)) == pytest.approx(0.5 * 10 - 0.25 * 4 / 2)
    assert log_money(0.0, 1e-12, 1.0) == pytest.approx(log(1.0), abs=1e-9)


def test_few_rows_on_the_arm_hold_back_an_answer_that_power_would_give():
    sized = compare(replace(PLAIN, variance=0.001), Question(0.2), 0.01, 1.0)
    assert sized.held_by_support
    assert sized.rounds == 10_000
    assert sized.rows == pytest.approx(MIN_ROWS)


@pytest.mark.parametrize(("name", "value"), [
    ("per_day", 0.0), ("session_rounds", 0.5), ("icc", 1.5), ("mean", -0.1), ("variance", 0.3),
    ("variance", 0.0), ("judged", 0.0), ("judged", nan), ("per_day", nan),
])  # fmt: skip
def test_traffic_that_cannot_be_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"^{name} is {value}: expected"):
        replace(PLAIN, **{name: value})


@pytest.mark.parametrize(("name", "value"), [
    ("detect", 0.0), ("detect", 1.0), ("alpha", 0.0), ("power", 0.4), ("power", 1.0), ("explained", 1.0),
    ("moved", 0.0), ("detect", inf),
])  # fmt: skip
def test_a_question_that_cannot_be_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"^{name} is {value}: expected"):
        Question(**{"detect": 0.05, name: value})


def test_what_can_never_be_found_is_no_plan():
    with pytest.raises(ValueError, match="expected at most"):
        compare(PLAIN, Question(1e-7), 0.001, 1.0)
    with pytest.raises(ValueError, match="larger difference"):
        canary(PLAIN, Question(1e-7), 0.1)
    with pytest.raises(ValueError, match="exploration"):
        compare(PLAIN, Question(0.1), 1.0, 1.0)


def test_a_rehearsal_of_one_seed_is_the_same_every_time():
    question = Question(0.2)
    sized = canary(CLUSTERED, question, 0.2)
    first, second = (
        rehearsal.canary(CLUSTERED, question, sized, np.random.default_rng(3), 20) for _ in range(2)
    )
    assert first == second
