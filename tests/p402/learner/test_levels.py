"""A provider's level is one regression with its arms', and a move of it leaves what is known between them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.learner.levels import MOST, Levels
from p402.learner.posterior import Beliefs
from p402.learner.prior import Spread
from tests.p402.learner.test_posterior import ARMS, FEATURES, NOISE, D, K, a_prior, words

PROVIDERS = ("a", "b", "b")


def levelled(seed=0, level=0.1, share=0.6):
    prior = replace(a_prior(seed), models=("x", "x", "y"), shared=share, providers=PROVIDERS, level=level)
    return Beliefs(prior, NOISE, ("code", "math"), FEATURES)


@given(
    seed=st.integers(0, 1000),
    level=st.sampled_from([0.0, 0.03, 0.2]),
    share=st.sampled_from([0.0, 0.6, 0.95]),
    moves=st.lists(st.sampled_from(["a", "b"]), max_size=MOST - 1),
)
@settings(max_examples=40, deadline=None)
def test_levels_are_one_regression_with_the_arms(seed, level, share, moves):
    """Against the regression on common and own coefficients and on every step of every level."""
    made, parts = levelled(seed, level, share), []
    for i in range(len(moves) + 1):
        parts.append(words(12, seed + i, start=1_000 * i))
        made.learn(parts[-1])
        if i < len(moves):
            made.moved(moves[i], 0.15)
    columns = 2 * D + K * D  # common of models x and y, own of each arm, then steps of levels
    steps = [(p, level) for p in ("a", "b")] + [(p, 0.15) for p in moves]
    variance = np.concatenate(
        [
            np.tile(1.0 / made.prior.precision, 2) * share,
            np.tile(1.0 / made.prior.precision, K) * (1 - share),
            np.array([sd**2 for _, sd in steps]),
        ]
    )
    keep = variance > 0

    def row(arm, x, moved):
        out = np.zeros(columns + len(steps))
        out[(0 if arm < 2 else D) + np.arange(D)] = x
        out[2 * D + arm * D + np.arange(D)] = x
        for j, (provider, _) in enumerate(steps):
            if provider == PROVIDERS[arm] and j < 2 + moved:
                out[columns + j] = x[0]
        return out[keep]

    a, b = np.diag(1.0 / variance[keep]), np.zeros(keep.sum())
    for i, part in enumerate(parts):
        for n, arm in enumerate(part.arm):
            k, x = ARMS.index(arm), part.features[n]
            r, w = row(k, x, i), part.weight[n] / NOISE**2
            a += w * np.outer(r, r)
            b += w * r * (part.quality[n] - x @ made.prior.mean[k])
    theta, covariance = np.linalg.solve(a, b), np.linalg.inv(a)
    x = parts[0].features[:4]
    for k in range(K):
        rows = np.array([row(k, one, len(moves)) for one in x])
        assert np.abs(x @ (made.mean[k] - made.prior.mean[k]) - rows @ theta).max() < 1e-8
        sd = np.sqrt(np.einsum("nd,de,ne->n", rows, covariance, rows))
        assert np.abs(made.sd(x)[k] - sd).max() < 1e-8


def test_a_fall_of_one_arm_is_believed_of_its_providers_others_in_part_and_of_no_other_provider():
    made, given_ = levelled(level=0.2, share=0.0), words(60)
    made.learn(replace(given_, arm=["b/x"] * 60, quality=np.zeros(60)))
    x = given_.features[:4]
    fell = (x @ (made.prior.mean - made.mean).T).mean(axis=0)
    assert fell[1] > fell[2] > 0.05
    assert (made.mean[0] == made.prior.mean[0]).all()


def test_a_move_widens_what_is_known_of_the_providers_arms_alike_and_of_nobody_else():
    made, given_ = levelled(), words(200)
    made.learn(given_)
    x, before, mean = given_.features[:4], made.sd(given_.features[:4]), made.mean
    made.moved("b", 0.15)
    after = made.sd(x)
    assert (after[1:] > np.hypot(before[1:], 0.14)).all()
    assert np.allclose(after[0], before[0], atol=1e-12)
    assert np.allclose(made.mean, mean, atol=1e-12)


def test_after_a_move_a_few_words_on_one_arm_tell_of_the_others_and_their_order_stays():
    made, given_ = levelled(level=0.05), words(400)
    made.learn(given_)
    x = given_.features[:20]
    before = (x @ made.mean.T).mean(axis=0)
    made.moved("b", 0.3)
    low = words(30, 5, start=50_000)
    expected = np.einsum("nd,d->n", low.features, made.mean[1])
    made.learn(replace(low, arm=["b/x"] * 30, quality=np.clip(expected - 0.3, 0.0, 1.0)))
    fell = before - (x @ made.mean.T).mean(axis=0)
    assert fell[1] > 0.1
    assert abs(fell[1] - fell[2]) < 0.05
    assert abs(fell[0]) < 0.02


def test_the_two_oldest_levels_are_taken_for_one_and_what_tells_arms_apart_stays():
    made, old = levelled(level=0.05), words(400)
    made.learn(old)
    x = old.features[:20]
    apart = (x @ (made.mean[1] - made.mean[2])).mean()
    for i in range(2 * MOST):
        made.moved("b", 0.15)
        made.learn(words(5, 9 + i, start=10_000 * (i + 1)))
    assert len(made._levels) == 1 + MOST
    assert (x @ (made.mean[1] - made.mean[2])).mean() == pytest.approx(apart, abs=0.1)
    other = levelled(level=0.05)
    other.learn(replace(old, quality=1.0 - old.quality))
    for i in range(2 * MOST):
        other.moved("b", 0.15)
        other.learn(words(5, 9 + i, start=10_000 * (i + 1)))
    made.learn(replace(old, quality=1.0 - old.quality))
    assert np.abs(made.mean - other.mean).max() < 1e-8


def other_quality(said):
    return replace(said, quality=1.0 - said.quality)


def other_arm_of_the_provider(said):
    return replace(said, arm=["b/y" if arm == "b/x" else arm for arm in said.arm])


@pytest.mark.parametrize("corrected", [other_quality, other_arm_of_the_provider])
def test_a_correction_goes_under_the_level_where_its_word_was(corrected):
    one, other, first = levelled(), levelled(), words(20)
    for made, said in ((one, first), (other, corrected(first))):
        made.learn(said)
        made.moved("b", 0.15)
        made.learn(words(20, 3, start=5_000))
    assert np.abs(one.mean - other.mean).max() > 1e-3
    one.learn(corrected(first))
    assert np.abs(one.mean - other.mean).max() < 1e-9


def test_everything_forgotten_is_the_prior_and_so_are_moves():
    made, fresh, x = levelled(), levelled(), words(5).features
    made.learn(words(40))
    for _ in range(MOST + 2):
        made.moved("a", 0.2)
    wide = made.sd(x)
    made.forget(0.5)
    assert (made.sd(x)[0] < wide[0]).all()
    made.forget(0.0)
    assert (made.mean == made.prior.mean).all()
    assert np.abs(made.sd(x) - fresh.sd(x)).max() < 1e-9


def test_levels_stay_with_providers_that_stay():
    made, given_ = levelled(), words(60)
    made.learn(given_)
    made.moved("b", 0.2)
    made.learn(words(20, 4, start=9_000))
    mean = made.mean
    prior = made.prior
    grown = replace(
        prior,
        arms=("a/x", "b/x", "b/y", "c/z"),
        mean=np.vstack([prior.mean, prior.mean[:1]]),
        models=("x", "x", "y", "z"),
        providers=("a", "b", "b", "c"),
    )
    made.rebase(grown)
    assert np.abs(made.mean[:3] - mean).max() < 1e-9
    assert (made.mean[3] == prior.mean[0]).all()
    made.rebase(replace(grown, arms=("c/z",), mean=prior.mean[:1], models=("z",), providers=("c",)))
    assert (made.mean == prior.mean[:1]).all()
    assert len(made._levels) == 1


def test_an_unknown_provider_moves_nothing_and_nonsense_is_refused():
    made = levelled()
    made.moved("nobody", 0.1)
    assert len(made._levels) == 2
    for sd in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="above 0"):
            made.moved("a", sd)
    with pytest.raises(ValueError, match="keep_mean"):
        made.forget(0.5, keep_mean=True)
    with pytest.raises(ValueError, match="level is -1"):
        Spread(level=-1.0)
    with pytest.raises(ValueError, match=r"level of 0\.3: expected 0\.1"):
        made.rebase(replace(made.prior, level=0.3))
    with pytest.raises(ValueError, match="2 providers for 3 arms"):
        replace(made.prior, providers=("a", "b"))
    with pytest.raises(ValueError, match="expected a feature 'bias'"):
        Beliefs(made.prior, NOISE, ("code", "math"), ("one", *FEATURES[1:]))


@pytest.mark.parametrize("moves", [1, MOST - 1, MOST, MOST + 3])
def test_levels_are_a_random_walk_that_remembers_so_many_steps(moves):
    levels = Levels(["a", "b"], 0.1)
    merged = [levels.open("a", 0.2) for _ in range(moves)]
    assert [one is not None for one in merged] == [i + 1 >= MOST for i in range(moves)]
    covariance = np.linalg.inv(levels.precision())
    place = levels.places()
    last = place[levels.current("a")]
    assert covariance[last, last] == pytest.approx(0.1**2 + min(moves, MOST) * 0.2**2)
    assert covariance[place[levels.current("b")]].sum() == pytest.approx(0.1**2)
