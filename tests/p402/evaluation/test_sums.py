"""Sums that can be merged say what the one-pass estimators say, and the same bits however they are cut."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.evaluation.diagnostics import propensity_calibration, sample_ratio
from p402.evaluation.draws import Draws
from p402.evaluation.estimate import Limits
from p402.evaluation.estimators import compare, evaluate
from p402.evaluation.exact import limbs_of, settled, total, value_of
from p402.evaluation.fits import NAMES
from p402.evaluation.logged import SCALE, LoggedBatch
from p402.evaluation.reward_model import cross_fitted
from p402.evaluation.summed import calibration, difference, estimates
from p402.evaluation.sums import Sums
from p402.evaluation.units import Units

NUMBERS = (
    *("value", "stderr", "lower", "upper", "ess", "max_weight", "max_share", "support_gap", "disagreement"),
    *("ess_changed", "imbalance"),
)
ALIKE = ("estimand", "n", "n_sessions", "n_changed")


def a_log(rng, n, arms=5, sessions=40, steep=2.0):
    """A log with propensities down to a floor, delayed and failed rounds, and an arm never offered."""
    raw = rng.random((n, arms)) ** steep + 0.01
    raw[:, -1] = np.where(rng.random(n) < 0.5, 0.0, raw[:, -1])
    counts = np.floor(raw / raw.sum(axis=1, keepdims=True) * SCALE).astype(np.int64)
    counts[:, 0] += SCALE - counts.sum(axis=1)
    draw = rng.integers(0, SCALE, n)
    action = (draw[:, None] >= np.cumsum(counts, axis=1)).sum(axis=1)
    observed = np.where(rng.random(n) < 0.4, 0.0, 1.0 / rng.choice([0.1, 0.6, 1.0], n))
    batch = LoggedBatch(
        action=action,
        reward=np.where(observed > 0, rng.random(n), 0.0),
        count=counts[np.arange(n), action],
        eligible=counts > 0,
        session=rng.integers(-(2**62), 2**62, sessions)[rng.integers(0, sessions, n)],
        observed=observed,
        task=rng.integers(0, 3, n),
    )
    return batch, counts / SCALE


def a_policy(rng, n, arms):
    mixed = 0.9 * rng.dirichlet(np.full(arms, 0.5), n) + 0.1 / arms
    counts = np.floor(mixed * SCALE).astype(np.int64)
    counts[:, 0] += SCALE - counts.sum(axis=1)
    return counts / SCALE


def pieces_of(batch, new, current, q, cuts, **given):
    edges = [0, *sorted(cuts), batch.n]
    out = []
    for start, stop in pairwise(edges):
        rows = np.arange(start, stop)
        out.append(
            Sums.of(batch.take(rows), new[rows], current[rows], None if q is None else q[rows], **given)
            if stop > start
            else Sums.none(**given)
        )
    return out


def merged(pieces, rng):
    """All pieces, joined two by two in any grouping and order."""
    pieces = list(pieces)
    while len(pieces) > 1:
        a = pieces.pop(int(rng.integers(len(pieces))))
        b = pieces.pop(int(rng.integers(len(pieces))))
        pieces.append(a.plus(b))
    return pieces[0]


def bits(sums):
    u = sums.units
    return (
        *(x.tobytes() for x in (u.key, u.limbs, sums.totals, sums.most, sums.counts > 0)),
        *(u.bucketed, sums.modelled, sums.counts[:3].tolist()),
    )


def same(seen, expected):
    """Alike but for the last digits: a bound is a difference of two sums, each added up in another order."""
    for name in NUMBERS:
        near = {"rel": 1e-6, "abs": 1e-3} if name == "disagreement" else {"rel": 1e-11, "abs": 2e-12}
        found = getattr(seen, name)
        assert found == pytest.approx(getattr(expected, name), nan_ok=True, **near), name
    for name in ALIKE:
        assert getattr(seen, name) == getattr(expected, name)
    assert seen.method == expected.method
    assert [w.partition(":")[0] for w in seen.warnings] == [w.partition(":")[0] for w in expected.warnings]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_merged_sums_say_what_one_pass_over_all_rounds_says(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n = data.draw(st.integers(3, 400))
    batch, behaviour = a_log(rng, n, sessions=data.draw(st.integers(2, 60)))
    new, q = a_policy(rng, n, batch.n_arms), cross_fitted(batch)
    cuts = data.draw(st.lists(st.integers(0, n), max_size=5))
    sums = merged(pieces_of(batch, new, behaviour, q, cuts), rng)
    assert sums.n == n
    for side, probs in (("new", new), ("current", behaviour)):
        found = estimates(sums, side)
        assert [e.name for e in found] == list(NAMES)
        for seen, expected in zip(found, evaluate(batch, probs, q), strict=True):
            same(seen, expected)
    same(difference(sums), compare(batch, new, behaviour, q))
    same(difference(sums, name="snips", alpha=0.01), compare(batch, new, behaviour, alpha=0.01))
    seen, expected = calibration(sums), propensity_calibration(batch)
    for name in ("seen", "expected", "stderr", "z"):
        assert getattr(seen, name) == pytest.approx(getattr(expected, name), rel=1e-9, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_same_rounds_give_the_same_bits_however_they_are_cut_grouped_and_ordered(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n = data.draw(st.integers(1, 200))
    batch, behaviour = a_log(rng, n, sessions=data.draw(st.integers(1, 50)))
    new, q = a_policy(rng, n, batch.n_arms), cross_fitted(batch)
    given_ = {"most_units": data.draw(st.sampled_from([2, 16, 1 << 14]))}
    whole = Sums.of(batch, new, behaviour, q, **given_)
    for _ in range(2):
        cuts = data.draw(st.lists(st.integers(0, n), max_size=6))
        order = rng.permutation(n)
        shuffled = pieces_of(batch.take(order), new[order], behaviour[order], q[order], cuts, **given_)
        assert bits(merged(shuffled, rng)) == bits(whole)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_arms_that_neither_policy_takes_may_be_left_out_to_the_bit(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n = data.draw(st.integers(1, 100))
    batch, behaviour = a_log(rng, n, arms=14)
    new, q = a_policy(rng, n, 14), rng.random((n, 14))
    wide = np.sort(rng.choice(40, 14, replace=False))

    def spread(cells, empty):
        out = np.full((n, 40), empty, cells.dtype)
        out[:, wide] = cells
        return np.where(np.isin(np.arange(40), wide), out, empty)

    more = LoggedBatch(
        *(wide[batch.action], batch.reward, batch.count, spread(batch.eligible, False)),
        *(batch.session, batch.observed, batch.task),
    )
    few = Sums.of(batch, new, behaviour, q)
    assert bits(few) == bits(Sums.of(more, spread(new, 0.0), spread(behaviour, 0.0), spread(q, 0.7)))


def test_pieces_without_rounds_are_neutral():
    rng = np.random.default_rng(1)
    batch, behaviour = a_log(rng, 50)
    sums = Sums.of(batch, behaviour, behaviour, cross_fitted(batch))
    none = Sums.none()
    assert bits(none.plus(sums)) == bits(sums.plus(none)) == bits(sums)
    assert none.plus(none).n == 0
    draws = Draws.of(batch, behaviour, tuple("abcde"))
    for each in (Draws.none().plus(draws), draws.plus(Draws.none())):
        assert each.arms == draws.arms
        assert (each.pairs == draws.pairs).all()
    with pytest.raises(ValueError, match="no rounds"):
        estimates(none)
    with pytest.raises(ValueError, match="no rounds"):
        calibration(none)
    with pytest.raises(ValueError, match="no rounds"):
        Draws.none().test()


def test_a_policy_against_itself_differs_by_exactly_nothing():
    rng = np.random.default_rng(2)
    batch, behaviour = a_log(rng, 300)
    sums = Sums.of(batch, behaviour, behaviour, cross_fitted(batch))
    assert estimates(sums, "new") == estimates(sums, "current")
    for name in ("snips", "dr", "ips", "sndr", "dm"):
        gap = difference(sums, name=name)
        assert gap.value == gap.stderr == gap.support_gap == gap.max_weight == 0.0


def test_without_a_model_only_weights_speak_and_sides_must_agree_on_it():
    rng = np.random.default_rng(3)
    batch, behaviour = a_log(rng, 300)
    new, q = a_policy(rng, 300, 5), cross_fitted(batch)
    plain, modelled = Sums.of(batch, new, behaviour), Sums.of(batch, new, behaviour, q)
    assert [e.name for e in estimates(plain)] == ["ips", "snips"]
    for seen, expected in zip(estimates(plain), evaluate(batch, new), strict=True):
        same(seen, expected)
    same(difference(plain), compare(batch, new, behaviour))
    with pytest.raises(ValueError, match="with and without a reward model"):
        plain.plus(modelled)
    with pytest.raises(ValueError, match="dr needs q_hat"):
        difference(plain, name="dr")
    with pytest.raises(ValueError, match=r"change is 0.5: expected 0.01"):
        estimates(plain, limits=Limits(change=0.5))
    with pytest.raises(ValueError, match="change"):
        plain.plus(Sums.of(batch, new, behaviour, change=0.5))


def test_where_nothing_matured_weights_say_that_they_know_nothing():
    rng = np.random.default_rng(4)
    batch, behaviour = a_log(rng, 60)
    silent = LoggedBatch(
        *(batch.action, batch.reward, batch.count, batch.eligible, batch.session),
        *(np.zeros(60), batch.task),
    )
    q = np.full(behaviour.shape, 0.5)
    sums = Sums.of(silent, behaviour, behaviour, q)
    for seen, expected in zip(estimates(sums), evaluate(silent, behaviour, q), strict=True):
        assert (seen.lower, seen.upper) == pytest.approx((expected.lower, expected.upper))
        assert np.isnan(seen.value) == np.isnan(expected.value)
        assert seen.disagreement == expected.disagreement


def test_with_many_sessions_buckets_keep_the_error_and_bound_the_memory():
    rng = np.random.default_rng(5)
    n, most = 20_000, 256
    batch, behaviour = a_log(rng, n, sessions=8_000, steep=1.0)
    new, q = a_policy(rng, n, 5), cross_fitted(batch)
    exact = Sums.of(batch, new, behaviour, q)
    rough = Sums.of(batch, new, behaviour, q, most_units=most)
    assert len(rough.units) == most
    assert rough.units.bucketed
    assert not exact.units.bucketed
    for ours, theirs in zip(estimates(rough), estimates(exact), strict=True):
        assert ours.value == pytest.approx(theirs.value, rel=1e-13)
        assert ours.stderr == pytest.approx(theirs.stderr, rel=0.2)  # 4.5 times 1 / sqrt(2 * 256)
        assert "256 groups of sessions" in ours.method
    assert difference(rough).value == pytest.approx(difference(exact).value, rel=1e-12)


def test_intervals_over_buckets_hold_the_truth_as_often_as_they_say(make_world):
    wobbly = np.array([[0.7, 0.5, 0.4]])
    counts = np.array([[SCALE // 2, SCALE // 4, SCALE // 4]])
    world = make_world(wobbly, counts, length=4, wobble=0.2)
    target = np.array([[0.5, 0.5, 0.0]])
    held = 0
    for seed in range(200):
        batch = world.log(400, seed)
        probs = target[batch.task]
        behaviour = (counts / SCALE)[batch.task]
        sums = Sums.of(batch, probs, behaviour, cross_fitted(batch), most_units=64)
        found = next(e for e in estimates(sums) if e.name == "dr")
        held += found.lower <= world.truth(target) <= found.upper
    assert 0.90 <= held / 200 <= 0.99  # 95 % less or more three standard errors of 200


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_merged_draws_test_the_sample_ratio_as_all_rounds_do(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n = data.draw(st.integers(2, 300))
    batch, behaviour = a_log(rng, n)
    names = tuple(data.draw(st.permutations("abcde")))
    cuts = sorted({0, n, *data.draw(st.lists(st.integers(0, n), max_size=4))})
    parts = []
    for start, stop in pairwise(cuts):
        columns = rng.permutation(5)  # arms come in another order in each chunk
        piece = batch.take(np.arange(start, stop))
        moved = LoggedBatch(
            np.argsort(columns)[piece.action],
            *(piece.reward, piece.count, piece.eligible[:, columns], piece.session),
            *(piece.observed, piece.task),
        )
        parts.append(
            Draws.of(moved, behaviour[start:stop][:, columns], tuple(names[k] for k in columns.tolist()))
        )
    whole = Draws.of(batch, behaviour, names)
    joined = merged(parts, rng)
    assert joined.arms == whole.arms
    for name in ("seen", "expected", "pairs"):
        assert getattr(joined, name).tobytes() == getattr(whole, name).tobytes()
    seen, expected = joined.test(), sample_ratio(batch, behaviour)
    assert seen.freedom == expected.freedom
    assert seen.statistic == pytest.approx(expected.statistic, rel=1e-6, abs=1e-9)
    assert seen.p_value == pytest.approx(expected.p_value, rel=1e-6, abs=1e-9)
    assert abs(seen.worst_z) == pytest.approx(abs(expected.worst_z), rel=1e-9)


def test_draws_need_whole_counts_and_one_name_a_column():
    batch, behaviour = a_log(np.random.default_rng(6), 20)
    off = behaviour.copy()
    off[:, 0] += 2.0**-30
    with pytest.raises(ValueError, match=r"whole counts / 2\*\*24"):
        Draws.of(batch, off, tuple("abcde"))
    with pytest.raises(ValueError, match="4 different arms: expected 5"):
        Draws.of(batch, behaviour, tuple("abcda"))


REALS = st.floats(-(2.0**58), 2.0**58, allow_nan=False) | st.floats(-2.0, 2.0) | st.sampled_from([0.0, -0.0])


@settings(max_examples=200, deadline=None)
@given(st.lists(REALS, min_size=1, max_size=30))
def test_a_sum_is_that_of_its_numbers_rounded_to_2_to_the_minus_60(numbers):
    limbs = total(np.array(numbers))
    unit = Fraction(1, 2**60)
    whole = sum(round(Fraction(x) / unit) for x in numbers)
    high, middle, low = (int(limb) for limb in limbs)
    assert high * 2**80 + middle * 2**40 + low == whole
    assert 0 <= middle < 2**40
    assert 0 <= low < 2**40
    exact = float(whole * unit)
    assert float(value_of(limbs)) == pytest.approx(exact, rel=5e-16, abs=0)
    assert settled(limbs).tolist() == limbs.tolist()


def test_what_cannot_be_added_exactly_is_refused():
    for bad in (np.inf, np.nan, 2.0**60, -(2.0**61)):
        with pytest.raises(ValueError, match="cannot be added exactly"):
            limbs_of(np.array([1.0, bad]))
    with pytest.raises(ValueError, match="expected at most 4194304"):
        total(np.zeros((1 << 22) + 1))
    with pytest.raises(ValueError, match="at least 2 units"):
        Units.none(3, 1)
    with pytest.raises(ValueError, match="cannot join"):
        Units.none(3).plus(Units.none(4))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_sum_that_would_leave_its_limbs_is_refused_and_never_wraps_round(sign):
    heaviest = sign * (2.0**24 * 10.0) ** 2  # the largest squared weight there is
    sums, rounds = total(np.full((1 << 10, 1), heaviest)), 1 << 10
    while rounds < 1 << 27:  # 134 million rounds, all of them of that weight
        sums, rounds = settled(sums + sums), rounds * 2
        assert value_of(sums)[0] == heaviest * rounds
    with pytest.raises(ValueError, match="cannot be kept exactly"):
        settled(sums + sums)
