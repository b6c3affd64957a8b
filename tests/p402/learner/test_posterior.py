"""The posterior is the regression it says it is, whatever the order, and forgets to where it began."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from p402.ids import key_of, request_id
from p402.learner.posterior import Beliefs
from p402.learner.prior import Prior, Spread, prior_of
from p402.learner.words import Words
from p402.routing.compiled import MAX_THETA, compile_snapshot
from p402.routing.features import FEATURES as NAMES
from p402.routing.scale import PARAM_ONE, param
from p402.routing.spec import TASKS
from tests.p402.routing.worlds import a_spec

K, D, NOISE = 3, 4, 0.3
FEATURES = ("bias", "task_code", "task_math", "length")
ARMS = ("a/x", "b/x", "b/y")
LATER_MS = 1_000_000


def a_prior(seed=0):
    rng = np.random.default_rng(seed)
    return Prior(ARMS, rng.normal(0.5, 0.2, (K, D)), 1.0 / np.array([0.2, 0.2, 0.2, 0.1]) ** 2)


def beliefs(seed=0):
    return Beliefs(a_prior(seed), NOISE, ("code", "math"), FEATURES)


def featured(n_arms):
    """A snapshot whose features have the names that requests' have."""
    spec = a_spec(n_arms)
    return structs.replace(spec, posterior=structs.replace(spec.posterior, features=NAMES))


def words(n, seed=0, start=0):
    rng = np.random.default_rng(seed)
    task = rng.integers(0, 2, n)
    features = np.zeros((n, D))
    features[:, 0] = 1.0
    features[np.arange(n), 1 + task] = 1.0
    features[:, 3] = rng.random(n)
    return Words(
        key=np.array([key_of(request_id(LATER_MS + start + i, i)) for i in range(n)], np.uint64).reshape(
            n, 2
        ),
        arm=[ARMS[k] for k in rng.integers(0, K, n)],
        features=features,
        task=task,
        quality=rng.random(n),
        weight=rng.uniform(0.5, 2.0, n),
    )


def some(given, index):
    index = np.asarray(index)
    return Words(
        given.key[index],
        [given.arm[i] for i in index],
        given.features[index],
        given.task[index],
        given.quality[index],
        given.weight[index],
    )


def plain(prior, given, scale=None):
    """A and b, row after row, as the formula has them."""
    a = np.repeat(np.diag(prior.precision)[None], K, axis=0)
    b = prior.precision * prior.mean
    for i, arm in enumerate(given.arm):
        k, x = ARMS.index(arm), given.features[i]
        w = given.weight[i] / NOISE**2 * (1.0 if scale is None else scale[i])
        a[k] += w * np.outer(x, x)
        b[k] += w * x * given.quality[i]
    return a, b


@given(n=st.integers(0, 60), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_theta_and_sd_are_those_of_the_formula(n, seed):
    made, given = beliefs(seed), words(n, seed)
    assert made.learn(given) == n
    a, b = plain(made.prior, given)
    theta = np.array([np.linalg.solve(a[k], b[k]) for k in range(K)])
    assert np.abs(made.precision - a).max() < 1e-9 * (1 + np.abs(a).max())
    assert np.abs(made.mean - theta).max() < 1e-10
    x = given.features[:5]
    sd = np.array([[np.sqrt(row @ np.linalg.inv(a[k]) @ row) for row in x] for k in range(K)])
    assert np.abs(made.sd(x) - sd.reshape(K, len(x))).max(initial=0.0) < 1e-10
    mean, own = made.expected(given.arm, given.features)
    places = [ARMS.index(arm) for arm in given.arm]
    assert np.abs(mean - (given.features * theta[places]).sum(axis=1)).max(initial=0.0) < 1e-10
    assert np.abs(own[:5] - sd.reshape(K, -1)[places[:5], np.arange(len(x))]).max(initial=0.0) < 1e-10


@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 40), max_size=4))
@settings(max_examples=25, deadline=None)
def test_neither_order_nor_batches_matter_beyond_rounding(seed, cuts):
    given, rng = words(40, seed), np.random.default_rng(seed + 1)
    whole, pieces = beliefs(), beliefs()
    whole.learn(given)
    order = rng.permutation(40)
    bounds = [0, *sorted(cuts), 40]
    for low, high in pairwise(bounds):
        pieces.learn(some(given, order[low:high].astype(int)))
    assert np.abs(whole.mean - pieces.mean).max() < 1e-11
    assert np.abs(whole.sd(given.features) - pieces.sd(given.features)).max() < 1e-11


@given(seed=st.integers(0, 1000), rhos=st.lists(st.floats(0.0, 1.0), max_size=4))
@settings(max_examples=25, deadline=None)
def test_taking_the_same_in_again_changes_nothing(seed, rhos):
    made, given = beliefs(), words(30, seed)
    made.learn(given)
    for rho in rhos:
        made.forget(rho)
    before = made.evidence.copy(), made.vector.copy(), made.contexts.copy()
    assert made.learn(given) == 0
    for was, now in zip(before, (made.evidence, made.vector, made.contexts), strict=True):
        assert (was == now).all()


@given(seed=st.integers(0, 1000), rho=st.floats(0.05, 1.0))
@settings(max_examples=25, deadline=None)
def test_a_later_word_stands_in_the_earlier_ones_place(seed, rho):
    given = words(30, seed)
    revised = replace(some(given, range(10)), quality=np.linspace(0, 1, 10), weight=np.full(10, 1.5))
    made = beliefs()
    made.learn(given)
    made.forget(rho)
    assert made.learn(revised) == 0
    told = Words(
        given.key,
        given.arm,
        given.features,
        given.task,
        np.concatenate([revised.quality, given.quality[10:]]),
        np.concatenate([revised.weight, given.weight[10:]]),
    )
    at_once = beliefs()
    at_once.learn(told)
    at_once.forget(rho)
    assert np.abs(made.mean - at_once.mean).max() < 1e-10
    assert np.abs(made.precision - at_once.precision).max() < 1e-8


def test_of_two_words_in_one_batch_the_later_counts():
    given = words(2)
    twice = Words(
        given.key[[0, 0]],
        [given.arm[0]] * 2,
        given.features[[0, 0]],
        given.task[[0, 0]],
        np.array([0.1, 0.9]),
        np.ones(2),
    )
    made, once = beliefs(), beliefs()
    assert made.learn(twice) == 1
    once.learn(some(twice, [1]))
    assert (made.vector == once.vector).all()


def test_a_later_word_may_name_another_arm():
    given = words(1)
    moved = Words(given.key, ["b/y"], given.features, given.task, given.quality, given.weight)
    made, there = beliefs(), beliefs()
    made.learn(Words(given.key, ["a/x"], given.features, given.task, given.quality, given.weight))
    made.learn(moved)
    there.learn(moved)
    assert np.abs(made.mean - there.mean).max() < 1e-12


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_forgetting_everything_is_the_prior_to_the_bit(seed):
    made = beliefs(seed)
    x = words(5).features
    prior_sd = made.sd(x)
    made.learn(words(50, seed))
    made.forget(0.0)
    assert (made.mean == made.prior.mean).all()
    assert (made.sd(x) == prior_sd).all()


@given(seed=st.integers(0, 1000), rho=st.floats(0.0, 1.0))
@settings(max_examples=25, deadline=None)
def test_forgetting_is_a_share_of_what_the_formula_adds(seed, rho):
    made, given = beliefs(seed), words(30, seed)
    made.learn(given)
    made.forget(rho)
    a, b = plain(made.prior, given, np.full(30, rho))
    assert np.abs(made.mean - np.linalg.solve(a, b[:, :, None])[:, :, 0]).max() < 1e-9
    assert np.abs(made.precision - a).max() < 1e-8


@given(seed=st.integers(0, 1000), rho=st.floats(0.0, 1.0))
@settings(max_examples=25, deadline=None)
def test_forgetting_that_keeps_the_mean_widens_and_moves_nothing(seed, rho):
    made, given = beliefs(seed), words(30, seed)
    made.learn(given)
    theta, sd = made.mean, made.sd(given.features)
    both = beliefs(seed)
    both.learn(given)
    both.forget(rho)
    made.forget(rho, keep_mean=True)
    assert np.abs(made.mean - theta).max() < 1e-9
    assert (made.sd(given.features) >= sd - 1e-12).all()
    assert np.abs(made.precision - both.precision).max() == 0.0


@given(
    seed=st.integers(0, 1000),
    steps=st.lists(st.tuples(st.booleans(), st.floats(0.0, 1.0), st.booleans()), max_size=6),
)
@settings(max_examples=25, deadline=None)
def test_uncertainty_is_never_above_the_priors(seed, steps):
    made, x = beliefs(seed), words(20, seed + 7).features
    prior_sd = made.sd(x)
    for i, (learns, rho, keep) in enumerate(steps):
        if learns:
            made.learn(words(15, seed + i, start=1_000 * i))
        else:
            made.forget(rho, keep_mean=keep)
        assert (made.sd(x) <= prior_sd + 1e-12).all()
        assert np.isfinite(made.mean).all()


def test_one_providers_arms_may_forget_alone():
    made = beliefs()
    made.learn(words(60))
    before = made.mean
    made.forget(0.0, ["b/x", "b/y", "nobody/z"])
    assert (made.mean[0] == before[0]).all()
    assert (made.mean[1:] == made.prior.mean[1:]).all()


def test_what_is_wholly_forgotten_takes_no_correction():
    made, given = beliefs(), words(20)
    made.learn(given)
    made.forget(0.0)
    made.learn(Words(given.key, given.arm, given.features, given.task, 1 - given.quality, given.weight))
    assert (made.mean == made.prior.mean).all()


def test_a_closed_round_takes_no_further_word():
    made, given = beliefs(), words(20)
    made.learn(some(given, range(10)))
    before = made.vector.copy()
    made.expire(LATER_MS + 15)
    assert (
        made.learn(Words(given.key, given.arm, given.features, given.task, 1 - given.quality, given.weight))
        == 5
    )
    made.learn(some(given, range(10)))
    fresh = beliefs()
    fresh.learn(some(given, range(10)))
    late = Words(given.key, given.arm, given.features, given.task, 1 - given.quality, given.weight)
    fresh.learn(some(late, range(15, 20)))
    assert (made.vector == fresh.vector).all()
    assert (made.vector != before).any()


def test_words_of_unknown_arms_are_passed_over():
    made, given = beliefs(), words(5)
    assert (
        made.learn(Words(given.key, ["no/arm"] * 5, given.features, given.task, given.quality, given.weight))
        == 0
    )
    assert not made.evidence.any()
    assert np.isnan(made.expected(["no/arm"], given.features[:1])[0]).all()


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_another_prior_keeps_what_was_observed(seed):
    other = a_prior(seed + 1)
    made, given = beliefs(seed), words(40, seed)
    made.learn(given)
    made.rebase(other)
    at_once = Beliefs(other, NOISE, ("code", "math"), FEATURES)
    at_once.learn(given)
    assert np.abs(made.mean - at_once.mean).max() < 1e-9


def test_arms_come_and_go_with_their_names():
    made, given = beliefs(), words(60)
    made.learn(given)
    before = made.mean
    prior = a_prior()
    made.rebase(Prior(("a/x", "b/y", "c/new"), prior.mean[[0, 2, 1]], prior.precision))
    assert np.abs(made.mean[:2] - before[[0, 2]]).max() < 1e-12
    assert (made.mean[2] == prior.mean[1]).all()
    made.rebase(prior)
    assert (made.mean[1] == prior.mean[1]).all()
    made.learn(Words(given.key, given.arm, given.features, given.task, 1 - given.quality, given.weight))
    assert (made.mean[1] == prior.mean[1]).all()
    with pytest.raises(ValueError, match="start anew"):
        made.rebase(Prior(ARMS, prior.mean[:, :2], prior.precision[:2]))


def test_the_component_compiles_and_says_what_is_believed():
    spec = featured(12)
    prior = prior_of(spec.arms, spec.posterior, Spread())
    made = Beliefs(prior, 0.25, TASKS, spec.posterior.features)
    untouched = made.compile(spec.posterior)
    assert untouched.theta == spec.posterior.theta
    rng = np.random.default_rng(3)
    n = 400
    task = rng.integers(0, len(TASKS), n)
    x = np.zeros((n, len(spec.posterior.features)))
    x[:, 0] = 1.0
    x[np.arange(n), 1 + task] = 1.0
    x[:, 11] = 0.4
    made.learn(
        Words(
            key=np.array([key_of(request_id(i, i)) for i in range(n)], np.uint64),
            arm=[spec.arms.arm[k] for k in rng.integers(0, 12, n)],
            features=x,
            task=task,
            quality=rng.random(n),
            weight=np.ones(n),
        )
    )
    component = made.compile(spec.posterior)
    compile_snapshot(structs.replace(spec, posterior=component))
    assert np.abs(np.array(component.theta) / PARAM_ONE - made.mean).max() <= 0.5 / PARAM_ONE
    assert (np.array(component.sd) < np.array(untouched.sd)).all()
    assert (made.contexts[:, 11] < 0.5).all()
    assert made.compile(spec.posterior) == component


def test_coefficients_stay_within_what_exact_sums_allow():
    spec = featured(2)
    prior = prior_of(spec.arms, spec.posterior, Spread(bias=3.0, task=3.0, length=3.0, other=3.0))
    made = Beliefs(prior, 0.25, TASKS, spec.posterior.features)
    made.vector[0] = 1e3
    made.vector[1] = -1e3
    component = made.compile(spec.posterior)
    size = np.abs(np.array(component.theta)).sum(axis=1)
    assert (size <= MAX_THETA).all()
    assert (size > 0.99 * MAX_THETA).all()
    compile_snapshot(structs.replace(spec, posterior=component))


def test_prior_variances_go_by_blocks():
    spec = featured(2)
    prior = prior_of(spec.arms, spec.posterior, Spread(bias=0.5, task=0.25, length=0.3, other=0.1))
    sd = 1 / np.sqrt(prior.precision)
    assert np.allclose(sd[0], 0.5)
    assert np.allclose(sd[1 : 1 + len(TASKS)], 0.25)
    assert np.allclose(sd[1 + len(TASKS)], 0.3)
    assert np.allclose(sd[2 + len(TASKS) :], 0.1)
    assert (prior.mean * PARAM_ONE == np.array(spec.posterior.theta)).all()
    assert param(prior.mean[0, 0]) == spec.posterior.theta[0][0]


def shared(seed=0, share=0.6):
    prior = replace(a_prior(seed), models=("x", "x", "y"), shared=share)
    return Beliefs(prior, NOISE, ("code", "math"), FEATURES)


@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.95))
@settings(max_examples=25, deadline=None)
def test_deployments_of_one_model_learn_as_one_regression_with_a_common_part(seed, share):
    """Against the regression on (common, own of a/x, own of b/x), each with its part of the variance."""
    made, given = shared(seed, share), words(40, seed)
    made.learn(given)
    prior = made.prior
    a = np.diag(np.tile(prior.precision, 3) / np.repeat([share, 1 - share, 1 - share], D))
    b = np.zeros(3 * D)
    for i, arm in enumerate(given.arm):
        if arm == "b/y":
            continue
        k, x = ARMS.index(arm), given.features[i]
        row = np.concatenate([x, x if k == 0 else 0 * x, x if k == 1 else 0 * x])
        w = given.weight[i] / NOISE**2
        a += w * np.outer(row, row)
        b += w * row * (given.quality[i] - x @ prior.mean[k])
    moved, cov = np.linalg.solve(a, b), np.linalg.inv(a)
    for k in range(2):
        pick = np.zeros((D, 3 * D))
        pick[:, :D] = np.eye(D)
        pick[:, (k + 1) * D : (k + 2) * D] = np.eye(D)
        assert np.abs(made.mean[k] - prior.mean[k] - pick @ moved).max() < 1e-9
        x = given.features[:3]
        sd = np.sqrt(np.einsum("nd,de,ne->n", x @ pick, cov, x @ pick))
        assert np.abs(made.sd(x)[k] - sd).max() < 1e-9
    alone = beliefs(seed)
    alone.learn(given)
    assert np.abs(made.mean[2] - alone.mean[2]).max() < 1e-10


def test_what_one_deployment_shows_is_believed_in_part_of_its_sibling_and_of_no_other_model():
    made, given = shared(), words(60)
    made.learn(replace(given, arm=["a/x"] * 60, quality=np.zeros(60)))
    x = given.features[:4]
    fell = (x @ (made.prior.mean - made.mean).T).mean(axis=0)
    assert fell[0] > fell[1] > 0.1
    assert (made.mean[2] == made.prior.mean[2]).all()


@given(
    seed=st.integers(0, 1000),
    steps=st.lists(st.tuples(st.booleans(), st.floats(0.0, 1.0), st.booleans()), max_size=5),
)
@settings(max_examples=25, deadline=None)
def test_shared_uncertainty_is_never_above_the_priors_and_all_forgotten_is_the_prior(seed, steps):
    made, x = shared(seed), words(20, seed + 7).features
    prior_sd = made.sd(x)
    for i, (learns, rho, keep) in enumerate(steps):
        if learns:
            made.learn(words(15, seed + i, start=1_000 * i))
        else:
            before = made.mean
            made.forget(rho, ["b/x"] if i % 2 else None, keep_mean=keep)
            assert not keep or np.abs(made.mean - before).max() < 1e-8
        assert (made.sd(x) <= prior_sd + 1e-9).all()
    made.forget(0.0)
    assert np.abs(made.mean - made.prior.mean).max() == 0.0


def test_what_is_kept_in_place_stays_after_arms_came_and_changed_places():
    made = beliefs()
    made.learn(words(40))
    prior = made.prior
    turned = Prior(("b/y", "c/new", "a/x", "b/x"), prior.mean[[2, 0, 0, 1]], prior.precision)
    made.rebase(turned)
    before = made.mean
    assert np.abs(before[2] - before[3]).max() > 0.01
    made.forget(0.5, keep_mean=True)
    assert np.abs(made.mean - before).max() < 1e-9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quality": np.array([0.5, np.nan])}, "quality of row 1 is nan"),
        ({"quality": np.array([-0.1, 0.5])}, "quality of row 0"),
        ({"weight": np.array([1.0, -1.0])}, "weight of row 1"),
        ({"weight": np.array([np.inf, 1.0])}, "weight of row 0"),
        ({"task": np.array([0])}, "task has 1 rows"),
    ],
)
def test_a_word_that_is_no_word_is_refused(change, said):
    given = words(2)
    columns = {name: getattr(given, name) for name in Words.__slots__} | change
    with pytest.raises(ValueError, match=said):
        Words(**columns)


def test_nonsense_is_refused():
    made = beliefs()
    for rho in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="share of evidence"):
            made.forget(rho)
    with pytest.raises(ValueError, match="noise"):
        Beliefs(a_prior(), 0.0, ("code",), FEATURES)
    with pytest.raises(ValueError, match="3 arms"):
        Beliefs(a_prior(), 0.1, ("code",), FEATURES[:2])
    with pytest.raises(ValueError, match="bias is 0"):
        Spread(bias=0.0)
    with pytest.raises(ValueError, match="shared is 1"):
        Spread(shared=1.0)
