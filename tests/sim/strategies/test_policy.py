"""A policy's answer is checked, made exact, and drawn from by request id."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.routing.chance import draw_one
from p402.routing.scale import COUNT_ONE
from sim.strategies.baselines import Random
from sim.strategies.policy import BadPolicy, PolicyStrategy, checked, counts_of
from sim.table.play import play
from tests.p402.routing.worlds import alike, compile_snapshot, rows_of
from tests.sim.strategies.conftest import some_contexts


def even(n=6, k=4):
    return np.full((n, k), 1 / k)


def spoilt(row, column, value):
    given = even()
    given[row, column] = value
    return given


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (even(5), r"shape \(5, 4\); expected \(6, 4\)"),
        (np.full(6, 0.25), r"shape \(6,\)"),
        (None, r"shape \(\); expected|NoneType"),
        ("no", "gave str"),
        (spoilt(2, 1, np.nan), "row 2 of 6 has nan for p1/m1; expected numbers"),
        (spoilt(3, 0, -0.25), "row 3 of 6 has -0.25"),
        (spoilt(3, 0, 1.5), "row 3 of 6 has 1.5"),
        (spoilt(4, 2, np.inf), "row 4 of 6 has inf"),
        (spoilt(5, 3, 0.26), "row 5 of 6 sums to 1.01; expected 1"),
        (np.zeros((6, 4)), "row 0 of 6 sums to 0"),
    ],
)
def test_what_is_no_probability_is_refused_with_its_row(answer, said):
    with pytest.raises(BadPolicy, match=said):
        checked("mine", some_contexts(), answer)


def test_mass_on_an_arm_that_is_not_eligible_is_refused_with_its_row():
    eligible = np.ones((6, 4), bool)
    eligible[1, 2] = False
    with pytest.raises(BadPolicy, match=r"row 1 of 6 has 0\.25 for p0/m2; expected 0 for an arm"):
        checked("mine", some_contexts(eligible=eligible), even())


def test_a_row_that_nobody_can_serve_has_no_probability():
    eligible = np.ones((6, 4), bool)
    eligible[1] = False
    given = even()
    given[1] = 0.0
    assert (checked("mine", some_contexts(eligible=eligible), given) == given).all()
    with pytest.raises(BadPolicy, match="row 1"):
        checked("mine", some_contexts(eligible=eligible), even())


def test_lists_and_whole_numbers_will_do():
    assert checked("mine", some_contexts(2, 2), [[1, 0], [0, 1]]).dtype == np.float64


@given(weights=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40).filter(lambda w: sum(w) > 1e-3))
@settings(max_examples=200, deadline=None)
def test_counts_are_whole_and_sum_to_one_and_keep_zeros(weights):
    p = np.array([weights]) / sum(weights)
    counts = counts_of(p)
    assert counts.sum() == COUNT_ONE
    assert (counts == np.floor(counts)).all()
    assert (counts[p == 0.0] == 0).all()
    assert np.abs(counts / COUNT_ONE - p).max() <= (len(weights) + 1) / COUNT_ONE


class Fixed:
    """The same probabilities for every round."""

    def __init__(self, *p):
        self.p = np.array(p)

    def probabilities(self, contexts):
        return np.tile(self.p, (len(contexts), 1))


def test_the_draw_is_routings_own_keyed_by_request_id():
    snapshot = compile_snapshot(alike(3))
    batch = rows_of(snapshot, 2_000)
    made = PolicyStrategy("fixed", Fixed(0.2, 0.5, 0.3)).choose(snapshot, batch)
    bounds = np.cumsum(counts_of(np.array([[0.2, 0.5, 0.3]]))[0])
    draws = [draw_one(high, low, snapshot.spec.policy.salt) for high, low in batch.key.tolist()]
    assert made.arm.tolist() == np.searchsorted(bounds, draws, "right").tolist()
    share = np.bincount(made.arm, minlength=3) / 2_000
    assert np.abs(share - [0.2, 0.5, 0.3]).max() < 0.04
    assert (made.propensity == made.probabilities[np.arange(2_000), made.arm]).all()


def test_two_policies_of_the_same_probabilities_take_the_same_arms():
    snapshot = compile_snapshot(alike(4))
    batch = rows_of(snapshot, 300)
    one = PolicyStrategy("a", Random()).choose(snapshot, batch)
    other = PolicyStrategy("b", Fixed(0.25, 0.25, 0.25, 0.25)).choose(snapshot, batch)
    assert (one.arm == other.arm).all()


def test_an_arm_of_probability_one_is_taken_whatever_the_draw():
    snapshot = compile_snapshot(alike(3))
    made = PolicyStrategy("fixed", Fixed(0.0, 0.0, 1.0)).choose(snapshot, rows_of(snapshot, 500))
    assert (made.arm == 2).all()
    assert (made.propensity == 1.0).all()


def test_where_chance_may_not_choose_the_likeliest_arm_is_taken():
    snapshot = compile_snapshot(alike(3))
    batch = rows_of(snapshot, 200, explore=False)
    made = PolicyStrategy("fixed", Fixed(0.4, 0.5, 0.1)).choose(snapshot, batch)
    assert (made.arm == 1).all()
    assert (made.propensity == 1.0).all()


def test_a_policy_without_learn_is_run_as_it_is(toys):
    strategy = PolicyStrategy("random", Random())
    played = play(strategy, toys(0, n=200).course, tick_ms=3_600_000)
    assert (played.arm >= 0).all()


def test_prompts_are_seen_only_by_who_opted_in():
    snapshot = compile_snapshot(alike(2))
    batch, seen = rows_of(snapshot, 2), []

    class Nosy(Fixed):
        def probabilities(self, contexts):
            seen.append(contexts.prompts)
            return super().probabilities(contexts)

    for prompts in (False, True):
        strategy = PolicyStrategy("nosy", Nosy(0.5, 0.5), lambda _: (7, "hello"), prompts=prompts)
        strategy.choose(snapshot, batch, ("a", "b"))
    assert seen == [None, ("a", "b")]
