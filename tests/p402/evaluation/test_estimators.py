import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.evaluation.estimate import ESTIMAND, ESTIMANDS, Limits
from p402.evaluation.estimators import compare, evaluate
from p402.evaluation.fits import ALL_NAMES, NAMES, dm, dr, ips, sndr, snips
from p402.evaluation.intervals import clustered_stderr
from p402.evaluation.logged import SCALE, LoggedBatch, NoPropensity
from p402.evaluation.reward_model import cross_fitted
from p402.evaluation.side import Bends
from p402.evaluation.training import mrdr_weight


def by_name(estimates):
    return {estimate.name: estimate for estimate in estimates}


def brute(batch, target, q):
    """Each estimator written a second time, row by row in exact sums."""
    rows = range(batch.n)
    w = [target[i][batch.action[i]] / (batch.count[i] / SCALE) * batch.observed[i] for i in rows]
    q_logged = [q[i][batch.action[i]] for i in rows]
    q_target = [math.fsum(target[i][k] * q[i][k] for k in range(batch.n_arms)) for i in rows]
    n, total = batch.n, math.fsum(w)
    error = [batch.reward[i] - q_logged[i] for i in rows]
    base = math.fsum(q_target) / n
    return {
        "ips": math.fsum(w[i] * batch.reward[i] for i in rows) / n,
        "snips": math.fsum(w[i] * batch.reward[i] for i in rows) / total,
        "dm": base,
        "dr": base + math.fsum(w[i] * error[i] for i in rows) / n,
        "sndr": base + math.fsum(w[i] * error[i] for i in rows) / total,
    }


@st.composite
def logs(draw):
    n, k, seed = draw(st.integers(2, 40)), draw(st.integers(1, 5)), draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    action = rng.integers(0, k, n)
    eligible = rng.random((n, k)) < 0.7
    eligible[np.arange(n), action] = True
    observed = np.where(rng.random(n) < 0.3, 0.0, 1.0 + 3.0 * rng.random(n))
    observed[0] = 1.0
    batch = LoggedBatch(
        action=action,
        reward=rng.random(n),
        count=rng.integers(SCALE // 50, SCALE + 1, n),
        eligible=eligible,
        session=rng.integers(0, max(2, n // 2), n),
        observed=observed,
        task=rng.integers(0, 3, n),
    )
    target = rng.dirichlet(np.ones(k), n)
    return batch, target, rng.random((n, k))


@given(logs())
def test_every_estimator_equals_its_formula_in_exact_sums(log):
    batch, target, q = log
    expected = brute(batch, target, q)
    for name, estimate in by_name(evaluate(batch, target, q)).items():
        assert estimate.value == pytest.approx(expected[name], rel=1e-10, abs=1e-12)
        assert estimate.estimand == ESTIMAND


@given(logs(), st.floats(0.01, 1.0))
def test_scaling_rewards_scales_estimates_and_errors(log, factor):
    batch, target, q = log
    scaled = LoggedBatch(
        batch.action,
        batch.reward * factor,
        batch.count,
        batch.eligible,
        batch.session,
        batch.observed,
        batch.task,
    )
    for one, other in zip(evaluate(batch, target, q), evaluate(scaled, target, q * factor), strict=True):
        assert other.value == pytest.approx(one.value * factor, rel=1e-9, abs=1e-12)
        assert other.stderr == pytest.approx(one.stderr * factor, rel=1e-6, abs=1e-10)


@given(logs(), st.integers(0, 2**32))
def test_the_order_of_rows_does_not_matter(log, seed):
    batch, target, q = log
    order = np.random.default_rng(seed).permutation(batch.n)
    for one, other in zip(
        evaluate(batch, target, q), evaluate(batch.take(order), target[order], q[order]), strict=True
    ):
        scale = max(1.0, one.max_weight)
        assert other.value == pytest.approx(one.value, rel=1e-12, abs=1e-12 * scale)
        assert other.ess == pytest.approx(one.ess, rel=1e-12)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50), st.integers(0, 9))
def test_with_all_weights_one_every_estimator_is_the_mean(rewards, seed):
    reward = np.array(rewards)
    weight = np.ones_like(reward)
    q = np.random.default_rng(seed).random(len(reward))
    fits = [ips(reward, weight), snips(reward, weight), dr(reward, weight, q, q), sndr(reward, weight, q, q)]
    for fit in fits:
        assert fit.value == pytest.approx(math.fsum(rewards) / len(rewards), abs=1e-12)
        assert np.sum(fit.influence) == pytest.approx(0.0, abs=1e-9)


@given(logs(), st.integers(1, 3))
def test_an_influence_is_the_derivative_of_its_estimate_by_the_row_s_count(log, times):
    batch, target, q = log
    rows = np.arange(batch.n)
    weight = target[rows, batch.action] / batch.propensity * batch.observed
    q_logged, q_target = q[rows, batch.action], (q * target).sum(axis=1)
    step, row = 1e-6, times % batch.n
    plain, nudged = np.ones(batch.n), np.ones(batch.n)
    nudged[row] += step * batch.n
    nudged /= nudged.mean()
    for function, columns in (
        (ips, (batch.reward, weight)),
        (snips, (batch.reward, weight)),
        (dm, (q_target,)),
        (dr, (batch.reward, weight, q_logged, q_target)),
        (sndr, (batch.reward, weight, q_logged, q_target)),
    ):
        before, after = function(*columns, plain), function(*columns, nudged)
        slope = (after.value - before.value) / step
        size = max(1.0, float(np.abs(before.influence).max()), float(weight.max()))
        assert slope == pytest.approx(before.influence[row], abs=3e-3 * size**2)


@given(logs())
def test_counting_a_row_twice_is_weighting_it_by_two(log):
    batch, target, q = log
    twice = np.concatenate([np.arange(batch.n), [0]])
    weight = np.ones(batch.n)
    weight[0] = 2.0
    doubled = by_name(evaluate(batch.take(twice), target[twice], q[twice]))
    for name, estimate in by_name(evaluate(batch, target, q, row_weight=weight)).items():
        assert estimate.value == pytest.approx(doubled[name].value, rel=1e-9, abs=1e-9)


def test_the_harness_on_policy_value_is_the_declared_truth(world):
    """The simulator check that caught a real bug in our study: means must be those of the logged reward."""
    on_policy = world.behaviour / SCALE
    values = []
    for seed in range(40):
        batch = world.log(400, seed)
        (estimate,) = evaluate(batch, on_policy[batch.task], names=("ips",))
        values.append(estimate.value)
    error = np.std(values, ddof=1) / len(values) ** 0.5
    assert abs(np.mean(values) - world.truth(on_policy)) < 4 * error


@pytest.mark.parametrize("missing", [0.0, 0.5])
@pytest.mark.parametrize("name", ["ips", "snips", "dr", "sndr"])
def test_off_policy_values_are_unbiased_with_feedback_missing_too(world, target, name, missing):
    values = []
    for seed in range(60):
        batch = world.log(400, seed, missing)
        q = np.full((batch.n, 4), 0.2)  # a wrong model on purpose: the weights must mend it
        (estimate,) = evaluate(batch, target[batch.task], q, names=(name,))
        values.append(estimate.value)
    error = np.std(values, ddof=1) / len(values) ** 0.5
    assert abs(np.mean(values) - world.truth(target)) < 4 * error


def test_a_wrong_model_leaves_dm_wrong_and_dm_says_so(world, target):
    batch = world.log(2_000, 1)
    values = by_name(evaluate(batch, target[batch.task], np.full((batch.n, 4), 0.2)))
    assert values["dm"].value == pytest.approx(0.2)
    assert any(warning.startswith("model_only") for warning in values["dm"].warnings)
    assert abs(values["dr"].value - world.truth(target)) < 4 * values["dr"].stderr


def test_a_fitted_model_halves_the_variance_that_ips_has(world, target):
    batch = world.log(2_000, 2)
    values = by_name(evaluate(batch, target[batch.task], cross_fitted(batch)))
    assert values["dr"].stderr ** 2 < 0.5 * values["ips"].stderr ** 2


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_the_clustered_interval_covers_the_truth_as_often_as_it_says(world, target, missing):
    reps, covered, naive = 300, 0, 0
    truth = world.truth(target)
    for seed in range(reps):
        batch = world.log(200, 10_000 + seed, missing)
        estimate = by_name(evaluate(batch, target[batch.task], cross_fitted(batch), names=("dr",)))["dr"]
        covered += estimate.lower <= truth <= estimate.upper
        naive += abs(estimate.value - truth) <= 1.96 * estimate.stderr
    spread = (0.05 * 0.95 / reps) ** 0.5
    assert abs(covered / reps - 0.95) < 4 * spread
    assert naive <= covered


def test_a_paired_difference_is_the_difference_with_a_smaller_error(world, target):
    batch = world.log(1_000, 3)
    current = world.behaviour[batch.task] / SCALE
    near = 0.8 * current + 0.2 * target[batch.task]
    q = cross_fitted(batch)
    difference = compare(batch, near, current, q)
    one, other = (evaluate(batch, probs, q, names=("dr",))[0] for probs in (near, current))
    assert difference.value == pytest.approx(one.value - other.value, abs=1e-12)
    assert difference.stderr < 0.5 * math.hypot(one.stderr, other.stderr)
    back = compare(batch, current, near, q)
    assert (back.value, back.lower) == (-difference.value, pytest.approx(-difference.upper))


@pytest.mark.parametrize("name", NAMES)
def test_any_plain_estimator_can_be_compared_by(world, target, name):
    batch = world.log(200, 15)
    current = world.behaviour[batch.task] / SCALE
    q = cross_fitted(batch)
    found = compare(batch, target[batch.task], current, q, name=name)
    one, other = (evaluate(batch, probs, q, names=(name,))[0] for probs in (target[batch.task], current))
    assert found.name == f"{name}_difference"
    assert found.value == pytest.approx(one.value - other.value, abs=1e-12)
    assert ("model_only" in codes(found)) == (name == "dm")


def test_a_bent_estimator_is_no_evidence_of_a_difference(world, target):
    batch = world.log(20, 16)
    probs = target[batch.task]
    with pytest.raises(ValueError, match="expected one of ips, snips, dm, dr, sndr"):
        compare(batch, probs, probs, cross_fitted(batch), name="switch_dr")
    with pytest.raises(ValueError, match="needs modelled rewards"):
        compare(batch, probs, probs, name="sndr")


def test_a_policy_differs_from_itself_by_exactly_nothing(world):
    batch = world.log(300, 4)
    probs = world.behaviour[batch.task] / SCALE
    difference = compare(batch, probs, probs, cross_fitted(batch))
    assert (difference.value, difference.stderr, difference.n_changed) == (0.0, 0.0, 0)
    assert (difference.disagreement, difference.support_gap) == (0.0, 0.0)
    assert not difference.pessimistic > 0.0


def test_paired_differences_cover_the_true_difference(world, target):
    current = world.behaviour / SCALE
    truth = world.truth(target) - world.truth(current)
    reps, covered = 200, 0
    for seed in range(reps):
        batch = world.log(200, 50_000 + seed)
        found = compare(batch, target[batch.task], current[batch.task], cross_fitted(batch))
        covered += found.lower <= truth <= found.upper
    assert abs(covered / reps - 0.95) < 4 * (0.05 * 0.95 / reps) ** 0.5


def codes(estimate):
    return {warning.split(":")[0] for warning in estimate.warnings}


def test_a_well_supported_estimate_warns_of_nothing(world, target):
    batch = world.log(1_000, 5)
    near = 0.5 * world.behaviour[batch.task] / SCALE + 0.5 * target[batch.task]
    values = by_name(evaluate(batch, near, cross_fitted(batch)))
    assert values["dr"].warnings == values["snips"].warnings == ()


def test_on_policy_there_is_nothing_changed_to_warn_of(world):
    batch = world.log(1_000, 6)
    for estimate in evaluate(batch, world.behaviour[batch.task] / SCALE, names=("ips", "snips")):
        assert estimate.warnings == ()
        assert estimate.ess == pytest.approx(batch.n)


def test_a_target_the_log_hardly_took_is_warned_of(make_world, whole_counts):
    rare = make_world(np.array([[0.5, 0.9]]), whole_counts([[0.998, 0.002]]))
    batch = rare.log(500, 7)
    takeover = np.tile([0.0, 1.0], (batch.n, 1))
    values = by_name(evaluate(batch, takeover, cross_fitted(batch)))
    assert {"low_ess", "max_share", "few_changed"} <= codes(values["snips"])


def test_probability_on_arms_never_logged_is_a_support_gap(make_world, whole_counts):
    closed = make_world(np.array([[0.5, 0.5, 0.9]]), whole_counts([[0.5, 0.5, 0.0]]))
    batch = closed.log(400, 8)
    target = np.tile([0.45, 0.45, 0.1], (batch.n, 1))
    current = np.tile([0.5, 0.5, 0.0], (batch.n, 1))
    estimate = evaluate(batch, target, names=("snips",))[0]
    assert estimate.support_gap == pytest.approx(0.1)
    assert "support_gap" in codes(estimate)
    difference = compare(batch, target, current, cross_fitted(batch))
    assert difference.support_gap == pytest.approx(0.1)
    assert difference.pessimistic == pytest.approx(difference.lower - 0.1)


def test_wrong_propensities_make_snips_and_dr_disagree(world, target):
    batch = world.log(3_000, 9)
    wrong = LoggedBatch(
        batch.action,
        batch.reward,
        np.where(batch.action == 0, batch.count // 3, batch.count),
        batch.eligible,
        batch.session,
        batch.observed,
        batch.task,
    )
    dishonest = evaluate(wrong, target[batch.task], cross_fitted(batch), names=("dr",))[0]
    honest = evaluate(batch, target[batch.task], cross_fitted(batch), names=("dr",))[0]
    assert "disagreement" in codes(dishonest)
    assert "disagreement" not in codes(honest)


def test_a_log_where_nothing_matured_knows_nothing(world, target):
    batch = world.log(50, 10)
    silent = LoggedBatch(
        batch.action,
        np.zeros(batch.n),
        batch.count,
        batch.eligible,
        batch.session,
        np.zeros(batch.n),
        batch.task,
    )
    values = by_name(evaluate(silent, target[batch.task], cross_fitted(silent)))
    assert math.isnan(values["snips"].value)
    assert (values["snips"].lower, values["snips"].upper) == (-math.inf, math.inf)
    assert "low_ess" in codes(values["dr"])
    assert "disagreement" in codes(values["dr"])


def test_one_session_leaves_the_spread_unknown(world, target):
    batch = world.log(1, 11)
    (estimate,) = evaluate(batch, target[batch.task], names=("ips",))
    assert estimate.stderr == math.inf
    assert estimate.lower == -math.inf
    assert "few_sessions" in codes(estimate)


def test_without_a_model_only_what_needs_none_is_given(world, target):
    batch = world.log(100, 12)
    assert [e.name for e in evaluate(batch, target[batch.task])] == ["ips", "snips"]
    assert [e.name for e in evaluate(batch, target[batch.task], cross_fitted(batch))] == list(NAMES)
    assert compare(batch, target[batch.task], target[batch.task]).name == "snips_difference"


def test_limits_are_the_callers(world, target):
    batch = world.log(400, 13)
    strict = Limits(min_ess=1e9)
    assert "low_ess" in codes(evaluate(batch, target[batch.task], names=("ips",), limits=strict)[0])


@pytest.mark.parametrize(
    ("weights", "said"),
    [([1.0], "shape"), ([-1.0, 1.0, 1.0], "0 or more"), ([0.0, 0.0, 0.0], "0 everywhere")],
)
def test_row_weights_that_mean_nothing_are_refused(world, target, weights, said):
    batch = world.log(1, 14)
    with pytest.raises(ValueError, match=said):
        evaluate(batch, target[batch.task], row_weight=weights)


@settings(max_examples=30)
@given(logs())
def test_rows_of_one_session_count_as_one_unit(log):
    batch, target, _ = log
    fit = ips(batch.reward, target[np.arange(batch.n), batch.action] / batch.propensity)
    groups = sorted(set(batch.session.tolist()))
    totals = [math.fsum(fit.influence[batch.session == g].tolist()) for g in groups]
    g = len(groups)
    stderr, seen = clustered_stderr(fit.influence, batch.session)
    assert seen == g
    if g > 1:
        expected = math.sqrt(g / (g - 1) * math.fsum(t * t for t in totals)) / batch.n
        assert stderr == pytest.approx(expected, rel=1e-9, abs=1e-12)


BENDS = Bends(clip=2.0, switch=3.0, shrink=5.0)


@given(logs())
def test_every_bent_estimator_equals_its_formula_in_exact_sums(log):
    batch, target, q = log
    rows = range(batch.n)
    w = [target[i][batch.action[i]] / (batch.count[i] / SCALE) * batch.observed[i] for i in rows]
    base = [math.fsum(target[i][k] * q[i][k] for k in range(batch.n_arms)) for i in rows]
    error = [batch.reward[i] - q[i][batch.action[i]] for i in rows]
    expected = {
        "clipped_ips": math.fsum(min(w[i], 2.0) * batch.reward[i] for i in rows),
        "switch_dr": math.fsum(base[i] + (w[i] if w[i] <= 3.0 else 0.0) * error[i] for i in rows),
        "dros": math.fsum(base[i] + 5.0 * w[i] / (w[i] ** 2 + 5.0) * error[i] for i in rows),
        "mrdr": math.fsum(base[i] + w[i] * error[i] for i in rows),
    }
    found = by_name(evaluate(batch, target, q, names=ALL_NAMES, q_mrdr=q, bends=BENDS))
    for name, total in expected.items():
        assert found[name].value == pytest.approx(total / batch.n, rel=1e-10, abs=1e-12)
    assert found["mrdr"].value == found["dr"].value
    assert [found[name].parameter for name in ("clipped_ips", "switch_dr", "dros", "dr")] == [
        2.0,
        3.0,
        5.0,
        None,
    ]


@given(logs(), st.floats(0.0, 1.0))
def test_a_constant_model_makes_dr_ips_about_that_constant(log, constant):
    """With q = c everywhere DR is c + mean(w (r - c)), which is IPS where weights average 1."""
    batch, target, _ = log
    found = by_name(evaluate(batch, target, np.full(target.shape, constant)))
    weights = target[np.arange(batch.n), batch.action] / batch.propensity * batch.observed
    expected = found["ips"].value + constant * (1.0 - weights.mean())
    assert found["dr"].value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert found["sndr"].value == pytest.approx(found["snips"].value, rel=1e-9, abs=1e-9)


def test_every_bent_estimate_says_that_its_interval_leaves_out_a_bias(world, target):
    batch = world.log(400, 20)
    q = cross_fitted(batch)
    found = by_name(evaluate(batch, target[batch.task], q, names=ALL_NAMES, q_mrdr=q))
    bent = {name for name, estimate in found.items() if "traded_bias" in codes(estimate)}
    assert bent == {"clipped_ips", "switch_dr", "dros"}


def test_heavy_clipping_is_seen_to_be_biased_by_more_than_it_says(make_world, whole_counts):
    heavy = make_world(np.array([[0.5, 0.9]]), whole_counts([[0.95, 0.05]]))
    wanted, missed = np.array([[0.1, 0.9]]), 0
    for seed in range(40):
        batch = heavy.log(300, seed)
        (found,) = evaluate(batch, wanted[batch.task], names=("clipped_ips",), bends=Bends(clip=5.0))
        missed += not found.lower <= heavy.truth(wanted) <= found.upper
    assert missed == 40


def test_mrdr_is_unbiased_and_no_worse_than_dr_where_the_model_cannot_fit(make_world, whole_counts):
    """The model cannot tell tasks apart, so it fits somewhere only: MRDR has it fit on the target's rows."""
    world = make_world(
        np.array([[0.9, 0.2, 0.5], [0.2, 0.9, 0.5]]), whole_counts([[0.1, 0.6, 0.3], [0.8, 0.15, 0.05]])
    )
    wanted = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    plain, robust = [], []
    for seed in range(80):
        batch = world.log(200, seed)
        blind = blinded(batch)
        q = cross_fitted(blind)
        q_mrdr = cross_fitted(blind, weight=mrdr_weight(batch, wanted[batch.task]))
        found = by_name(evaluate(batch, wanted[batch.task], q, names=("dr", "mrdr"), q_mrdr=q_mrdr))
        plain.append(found["dr"].value)
        robust.append(found["mrdr"].value)
    assert abs(np.mean(robust) - world.truth(wanted)) < 4 * np.std(robust, ddof=1) / 80**0.5
    assert np.var(robust) < np.var(plain)


def blinded(batch):
    return LoggedBatch(
        batch.action,
        batch.reward,
        batch.count,
        batch.eligible,
        batch.session,
        batch.observed,
        np.zeros_like(batch.task),
    )


def imported(batch, rows):
    """As a log that kept no propensity for some rows."""
    count = batch.count.copy()
    count[rows] = 0
    return LoggedBatch(
        batch.action, batch.reward, count, batch.eligible, batch.session, batch.observed, batch.task
    )


@pytest.mark.parametrize("name", [name for name in ALL_NAMES if name != "dm"])
def test_a_null_propensity_is_refused_by_all_that_weigh_by_it(world, target, name):
    batch = imported(world.log(50, 21), [3, 4])
    q = np.full((batch.n, 4), 0.5)
    with pytest.raises(NoPropensity, match=r"row 3 is null, as of 2 of 150 rows.*names=\('dm',\)"):
        evaluate(batch, target[batch.task], q, names=(name,), q_mrdr=q)
    with pytest.raises(NoPropensity):
        compare(batch, target[batch.task], target[batch.task], q)


def test_estimates_come_in_the_order_asked_for(world, target):
    batch = world.log(60, 27)
    names = ("dr", "ips", "snips")
    assert (
        tuple(e.name for e in evaluate(batch, target[batch.task], cross_fitted(batch), names=names)) == names
    )


def test_a_null_propensity_leaves_the_model_which_says_that_it_is_one(world, target):
    batch = world.log(200, 22)
    q = cross_fitted(batch)
    (found,) = evaluate(imported(batch, slice(None)), target[batch.task], q, names=("dm",))
    assert found.value == by_name(evaluate(batch, target[batch.task], q))["dm"].value
    assert {"model_only", "no_propensity"} <= codes(found)


def test_the_estimand_is_of_whose_rewards_the_batch_holds(world, target):
    batch = world.log(60, 23)
    (first,) = evaluate(batch, target[batch.task], names=("snips",))
    (served,) = evaluate(batch, target[batch.task], names=("snips",), reward_of="served")
    assert (first.estimand, served.estimand) == (ESTIMAND, ESTIMANDS["served"])
    assert "failover" in served.estimand
    probs = target[batch.task]
    assert compare(batch, probs, probs, reward_of="served").estimand == ESTIMANDS["served"]


def test_an_unknown_name_is_refused_with_those_there_are(world, target):
    batch = world.log(10, 24)
    with pytest.raises(ValueError, match=r"'doubly'.*ips, snips"):
        evaluate(batch, target[batch.task], names=("doubly",))


def test_weights_that_miss_their_mean_are_warned_of_one_policy_and_of_two(make_world, whole_counts):
    """The target's arm is so rare that the log has not taken it as often as it should have."""
    rare = make_world(np.array([[0.5, 0.9]]), whole_counts([[0.999, 0.001]]))
    batch = rare.log(300, 25)
    wanted, current = np.tile([0.5, 0.5], (batch.n, 1)), rare.behaviour[batch.task] / SCALE
    (one,) = evaluate(batch, wanted, names=("snips",))
    taken = (batch.action == 1).sum()
    weights = np.where(batch.action == 1, 0.5, 0.5) / batch.propensity
    assert one.imbalance == pytest.approx(abs(weights.mean() - 1.0), rel=1e-9)
    two = compare(batch, wanted, current)
    moved = 0.5 - current[0, 1]
    assert two.imbalance == pytest.approx(abs(taken / batch.n / current[0, 1] - 1.0), rel=1e-9)
    assert moved > 0
    assert "imbalance" in codes(one)
    assert "imbalance" in codes(two)
    assert "imbalance" not in codes(evaluate(batch, current, names=("snips",))[0])


def test_changed_rows_of_which_few_carry_the_weight_are_few(make_world, whole_counts):
    skew = make_world(np.array([[0.5, 0.6, 0.7]]), whole_counts([[0.6, 0.3999, 0.0001]]))
    batch = skew.log(1_000, 26)
    action = batch.action.copy()
    action[:5] = 2
    batch = LoggedBatch(
        action,
        batch.reward,
        skew.behaviour[batch.task, action],
        batch.eligible,
        batch.session,
        batch.observed,
        batch.task,
    )
    (found,) = evaluate(batch, np.tile([0.0, 0.5, 0.5], (batch.n, 1)), names=("snips",))
    assert found.n_changed > 1_000
    assert found.ess_changed < 10
    assert "few_changed" in codes(found)
