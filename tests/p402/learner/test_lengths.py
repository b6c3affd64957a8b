"""Lengths are learned by model and arm, told in steps, and are what a snapshot's expected cost is made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from p402.learner.lengths import Lengths
from p402.routing.compiled import compile_snapshot
from p402.routing.scale import FEATURE_ONE
from tests.p402.routing.worlds import a_spec

MODEL = {"a/x": "x", "b/x": "x", "c/y": "y"}


def heard(*answers, into=None):
    """Lengths of (arm, tokens, expected) answers."""
    made = Lengths() if into is None else into
    arm, tokens, expected = zip(*answers, strict=True)
    made.learn(arm, MODEL, np.array(tokens, float), np.array(expected, float))
    return made


def ratios(made):
    return {arm: made.ratio(arm, model) for arm, model in MODEL.items()}


def test_before_anybody_answered_all_is_as_expected():
    assert set(ratios(Lengths()).values()) == {1.0}


def test_what_an_arm_is_like_is_expected_of_its_model_and_less_of_others():
    found = ratios(heard(*[("a/x", 600, 200)] * 30))
    assert 2.8 < found["a/x"] < 3.0
    assert 2.6 < found["b/x"] <= found["a/x"]
    assert found["c/y"] <= found["b/x"]


def test_a_deployment_that_differs_from_its_model_is_found_out():
    made = heard(*[("a/x", 600, 200)] * 50, *[("b/x", 200, 200)] * 500)
    found = ratios(made)
    assert found["b/x"] < 1.15
    assert found["a/x"] > 1.7


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(MODEL)), st.integers(0, 100_000), st.integers(1, 4_000)), min_size=1
    )
)
def test_ratios_lie_between_what_was_seen_and_what_was_expected_in_any_order(answers):
    found, turned = ratios(heard(*answers)), ratios(heard(*answers[::-1]))
    seen = [tokens / expected for _, tokens, expected in answers]
    for arm in MODEL:
        assert min([1.0, *seen]) - 1e-9 <= found[arm] <= max([1.0, *seen]) + 1e-9
        assert found[arm] == pytest.approx(turned[arm])


def test_answers_of_unknown_length_are_passed_over():
    made = Lengths()
    taken = made.learn(
        ["a/x", "a/x", "b/x"], MODEL, np.array([np.nan, 300.0, 10.0]), np.array([200.0, 200.0, 0.0])
    )
    assert taken == made.n_answers == 1


def test_what_is_forgotten_is_as_if_it_had_not_been():
    made = heard(*[("a/x", 900, 200)] * 50)
    made.forget(0.0)
    assert set(ratios(made).values()) == {1.0}
    with pytest.raises(ValueError, match="share of evidence"):
        made.forget(1.5)


def a_posterior(n):
    spec = a_spec(n)
    return spec, structs.replace(spec.posterior, output_ratio=(FEATURE_ONE,) * n)


def test_a_snapshot_is_told_within_a_step_and_noise_moves_nothing():
    spec, base = a_posterior(4)
    arms, made, told = spec.arms, Lengths(), set()
    model = dict(zip(arms.arm, arms.model, strict=True))
    for i in range(400):
        made.learn([arms.arm[1]], model, np.array([380.0 if i % 2 else 420.0]), np.array([200.0]))
        if i > 300:
            told.add(made.compile(base, arms, spec.prices).output_ratio)
    assert len(told) == 1
    (ratio,) = told
    assert ratio[1] / FEATURE_ONE == pytest.approx(2.0, rel=0.04)
    compile_snapshot(structs.replace(spec, posterior=made.compile(base, arms, spec.prices)))


def test_what_is_told_is_over_what_the_base_believed():
    spec, base = a_posterior(2)
    arms, made = spec.arms, Lengths()
    model = dict(zip(arms.arm, arms.model, strict=True))
    made.learn([arms.arm[0]] * 200, model, np.full(200, 400.0), np.full(200, 200.0))
    tripled = structs.replace(base, output_ratio=(3 * FEATURE_ONE,) * 2)
    assert made.compile(tripled, arms, spec.prices).output_ratio[0] == pytest.approx(
        6 * FEATURE_ONE, rel=0.04
    )


def test_no_length_is_told_beyond_sixteen_times():
    spec, base = a_posterior(1)
    model = dict(zip(spec.arms.arm, spec.arms.model, strict=True))
    for tokens, told in ((1e7, 16.0), (0.0, 1 / 8)):
        made = Lengths()
        made.learn(list(spec.arms.arm) * 500, model, np.full(500, tokens), np.full(500, 100.0))
        assert made.compile(base, spec.arms, spec.prices).output_ratio[0] / FEATURE_ONE == pytest.approx(
            told, rel=0.001
        )


def test_no_length_makes_a_token_dearer_than_a_price_may_be():
    spec, base = a_posterior(2)
    dear = structs.replace(spec.prices, output=(1 << 29, 1 << 20))
    model, made = dict(zip(spec.arms.arm, spec.arms.model, strict=True)), Lengths()
    for arm in spec.arms.arm:
        made.learn([arm] * 500, model, np.full(500, 900.0), np.full(500, 100.0))
    told = made.compile(base, spec.arms, dear).output_ratio
    assert told[0] == 2 * FEATURE_ONE
    assert told[1] == pytest.approx(9 * FEATURE_ONE, rel=0.04)
    compile_snapshot(structs.replace(spec, prices=dear, posterior=structs.replace(base, output_ratio=told)))
