import math

import numpy as np
import pytest

from p402.evaluation.adaptive import evaluate_adaptive, spread_of
from p402.evaluation.estimators import evaluate
from p402.evaluation.logged import SCALE, LoggedBatch
from p402.evaluation.reward_model import past_fitted

MEANS = np.array(
    [[0.5, 0.45, 0.4], [0.4, 0.45, 0.5]]
)  # by context; arms are nearly alike, so a start decides
EPOCHS, ROWS = 5, 300


def learned(seed, floor=0.01, whole=None):
    """A greedy policy per context over five epochs, whose floor is small after the first."""
    rng = np.random.Generator(np.random.Philox(seed))
    seen, total = np.ones((2, 3)), np.full((2, 3), 0.45)
    policies, columns = [], []
    for epoch in range(EPOCHS):
        probs = np.full((2, 3), 1 / 3)
        if epoch:
            probs = np.full((2, 3), floor)
            probs[[0, 1], (total / seen).argmax(axis=1)] += 1 - 3 * floor
        counts = np.floor(probs * SCALE).astype(np.int64)
        counts[[0, 1], counts.argmax(axis=1)] += SCALE - counts.sum(axis=1)
        policies.append(counts)
        context = rng.integers(0, 2, ROWS)
        draw = rng.integers(0, SCALE, ROWS)
        action = (draw[:, None] >= np.cumsum(counts[context], axis=1)).sum(axis=1)
        reward = (rng.random(ROWS) < MEANS[context, action]).astype(float)
        np.add.at(seen, (context, action), 1.0)
        np.add.at(total, (context, action), reward)
        columns.append((context, action, reward, np.full(ROWS, epoch)))
    context, action, reward, epoch = (np.concatenate(column) for column in zip(*columns, strict=True))
    counts = np.stack(policies)
    batch = LoggedBatch(
        action=action,
        reward=reward,
        count=counts[epoch, context, action],
        eligible=counts[epoch, context] > 0,
        session=np.arange(len(action)),
        observed=np.ones(len(action)),
        task=context,
    )
    return batch, epoch, counts / SCALE


TARGET = np.array([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]])  # takes what the log came to avoid
TRUTH = float((TARGET * MEANS).sum(axis=1).mean())


def spreads_of(batch, policies, target=TARGET):
    return [spread_of(target[batch.task], probs[batch.task]) for probs in policies]


def test_on_a_log_that_learned_the_weighted_forms_err_less_than_dr_and_cover():
    reps = 120
    square = dict.fromkeys(("dr", "constant", "contextual"), 0.0)
    covered = dict.fromkeys(square, 0)
    signed = dict.fromkeys(square, 0.0)
    for seed in range(reps):
        batch, epoch, policies = learned(seed)
        q = past_fitted(batch, epoch)
        found = {"dr": evaluate(batch, TARGET[batch.task], q, names=("dr",))[0]}
        for form in ("constant", "contextual"):
            found[form] = evaluate_adaptive(
                batch, TARGET[batch.task], epoch, spreads_of(batch, policies), q, form=form
            )
        for name, estimate in found.items():
            square[name] += (estimate.value - TRUTH) ** 2
            signed[name] += (estimate.value - TRUTH) / reps
            covered[name] += estimate.lower <= TRUTH <= estimate.upper
    assert square["contextual"] < 0.6 * square["dr"]
    assert square["constant"] < 0.6 * square["dr"]
    for form in ("constant", "contextual"):
        assert covered[form] / reps >= 0.95 - 4 * (0.05 * 0.95 / reps) ** 0.5
        assert abs(signed[form]) < 4 * (square[form] / reps) ** 0.5 / reps**0.5


def test_under_one_policy_that_never_learned_both_forms_are_dr():
    batch, _, _ = learned(1)
    even = np.full((batch.n, 3), 1 / 3)
    first = LoggedBatch(
        batch.action,
        batch.reward,
        np.full(batch.n, SCALE // 3),
        np.ones((batch.n, 3), bool),
        batch.session,
        batch.observed,
        batch.task,
    )
    target = np.tile([0.2, 0.3, 0.5], (batch.n, 1))
    q = np.random.default_rng(0).random((batch.n, 3))
    spread = [spread_of(target, even)]
    (dr,) = evaluate(first, target, q, names=("dr",))
    for form in ("constant", "contextual"):
        found = evaluate_adaptive(first, target, np.zeros(batch.n, np.int64), spread, q, form=form)
        assert found.value == pytest.approx(dr.value, rel=1e-12)
        assert found.stderr == pytest.approx(dr.stderr, rel=1e-9)
        assert found.ess == pytest.approx(dr.ess, rel=1e-9)


def test_an_epoch_that_could_not_take_the_target_s_arm_is_left_out_instead_of_biasing():
    """Half of the log never takes arm 1: plain DR with a poor model is off by half of its value."""
    rng = np.random.Generator(np.random.Philox(3))
    n = 4_000
    epoch = (np.arange(n) >= n // 2).astype(np.int64)
    policies = np.array([[[0.5, 0.5]], [[1.0, 0.0]]])
    action = np.where(epoch == 0, rng.integers(0, 2, n), 0)
    reward = (rng.random(n) < np.where(action == 1, 0.9, 0.2)).astype(float)
    probs = policies[epoch, 0]
    batch = LoggedBatch(
        action=action,
        reward=reward,
        count=(probs[np.arange(n), action] * SCALE).astype(np.int64),
        eligible=probs > 0,
        session=np.arange(n),
        observed=np.ones(n),
        task=np.zeros(n, np.int64),
    )
    target = np.tile([0.0, 1.0], (n, 1))
    spreads = [spread_of(target, np.tile(p[0], (n, 1))) for p in policies]
    assert np.isinf(spreads[1]).all()
    q = np.zeros((n, 2))
    assert evaluate(batch, target, q, names=("dr",))[0].value < 0.5
    for form in ("constant", "contextual"):
        found = evaluate_adaptive(batch, target, epoch, spreads, q, form=form)
        assert found.lower <= 0.9 <= found.upper
        assert found.value == pytest.approx(0.9, abs=0.05)
        assert any(warning.startswith("support_gap") for warning in found.warnings)


def by_hand(score, h):
    """Zhan et al. by their formulas, `h` (n, n): weight of row t at the context of row s."""
    z = h.sum(axis=0)
    b = np.diag(h) / z * score
    return b.sum(), ((b - (h / z * b).sum(axis=1)) ** 2).sum()


def test_the_contextual_form_is_the_paper_s():
    batch, epoch, policies = learned(4)
    few = batch.take(np.arange(0, batch.n, 10))
    epoch = epoch[::10]
    target = TARGET[few.task]
    q = past_fitted(few, epoch)
    rows = np.arange(few.n)
    weight = target[rows, few.action] / few.propensity
    score = (target * q).sum(axis=1) + weight * (few.reward - q[rows, few.action])
    phi = np.stack(spreads_of(few, policies))
    value, variance = by_hand(score, phi[epoch] ** -0.5)
    found = evaluate_adaptive(few, target, epoch, list(phi), q)
    assert found.value == pytest.approx(value, rel=1e-10)
    assert found.stderr == pytest.approx(math.sqrt(variance * few.n / (few.n - 1)), rel=1e-9)


def test_a_model_of_the_past_knows_nothing_of_its_own_epoch_or_later():
    batch, epoch, _ = learned(5)
    q = past_fitted(batch, epoch)
    assert (q[epoch == 0] == 0.5).all()
    later = batch.reward.copy()
    later[epoch >= 2] = 1.0 - later[epoch >= 2]
    changed = LoggedBatch(
        batch.action, later, batch.count, batch.eligible, batch.session, batch.observed, batch.task
    )
    again = past_fitted(changed, epoch)
    assert (again[epoch <= 2] == q[epoch <= 2]).all()
    assert (again[epoch == 3] != q[epoch == 3]).any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s[:-1], "4 spreads: expected 5"),
        (lambda s: [row[:-1] for row in s], r"expected \(1500,\)"),
        (lambda s: [row * 0.1 for row in s], "expected 1 or more"),
    ],
)
def test_spreads_that_do_not_fit_are_refused(change, said):
    batch, epoch, policies = learned(6)
    with pytest.raises(ValueError, match=said):
        evaluate_adaptive(batch, TARGET[batch.task], epoch, change(spreads_of(batch, policies)))


def test_epochs_are_one_number_a_round():
    batch, _, policies = learned(7)
    with pytest.raises(ValueError, match="epoch has shape"):
        evaluate_adaptive(batch, TARGET[batch.task], np.zeros(3, np.int64), spreads_of(batch, policies))
    with pytest.raises(ValueError, match="expected both"):
        spread_of(np.ones((2, 2)), np.ones((2, 3)))
