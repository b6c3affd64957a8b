from dataclasses import replace

import numpy as np
import pytest

from p402.evaluation.gate import Gate, spent
from p402.evaluation.logged import LoggedBatch
from p402.learner.reweight import Settings, holdout_of, reweight
from p402.learner.weights import LEAST, MOST, ONE, START, STEP, Weights


def promoted(proposal):
    return proposal.verdict.action == "promote"


def test_a_strong_signal_moves_the_weights_the_right_way_by_one_step(make_traffic):
    traffic = make_traffic(lead=0.6)
    proposal = reweight(traffic.evidence, START, traffic.probabilities)
    assert proposal.verdict.reasons == ("better",)
    assert proposal.weights == proposal.candidate == Weights(ONE // 2 + STEP, ONE // 2 - STEP, 0)
    assert max(abs(a - b) for a, b in zip(START.shares, proposal.weights.shares, strict=True)) <= 0.05
    gain = traffic.truth(proposal.weights) - traffic.truth(START)
    assert gain > 0.0
    assert abs(proposal.difference.value - gain) < 4 * proposal.difference.stderr
    assert proposal.alpha == spent(0.05, 1)
    assert {left.kind for left in proposal.left_out} == {"tenant", "source"}
    assert [e.name for e in proposal.candidate_value] == ["ips", "snips", "dm", "dr", "sndr"]


def test_the_opposite_signal_moves_them_the_other_way(make_traffic):
    traffic = make_traffic(lead=-0.6, seed=3)
    proposal = reweight(traffic.evidence, START, traffic.probabilities)
    assert promoted(proposal)
    assert proposal.weights.cost < START.cost
    assert traffic.truth(proposal.weights) > traffic.truth(START)


def test_in_a_null_world_promotions_are_no_more_than_nominal(make_traffic):
    settings = Settings(look=1)
    wrong, scores = 0, []
    for seed in range(60):
        traffic = make_traffic(4_000, seed, tenants=1, sources=1)
        proposal = reweight(traffic.evidence, START, traffic.probabilities, settings)
        wrong += promoted(proposal)
        scores.append(proposal.difference.value / proposal.difference.stderr)
    rate = spent(0.05, 1)
    assert wrong <= 60 * rate + 3 * (60 * rate * (1 - rate)) ** 0.5
    assert abs(np.mean(scores)) < 4 / 60**0.5  # choosing on other sessions leaves the holdout unbiased
    assert 0.7 < np.std(scores) < 1.3


def test_p7_with_no_outcomes_the_weights_stay(make_traffic):
    traffic = make_traffic(judged=0.0, lead=0.9)
    proposal = reweight(traffic.evidence, START, traffic.probabilities)
    assert proposal.weights == START
    assert {"too_few_matured", "no_quality_evidence"} <= set(proposal.verdict.reasons)
    assert proposal.candidate is None
    assert proposal.alpha == 0.0


def test_p7_quality_never_falls_on_failures_alone(make_traffic):
    """Thousands of failures are matured rewards, but say nothing of quality."""
    traffic = make_traffic(judged=0.0, failing=0.5, lead=0.9)
    assert traffic.evidence.matured > 1_000
    proposal = reweight(traffic.evidence, START, traffic.probabilities)
    assert proposal.verdict.reasons == ("no_quality_evidence",)
    assert proposal.weights == START


@pytest.mark.parametrize("seed", range(5))
def test_too_few_matured_rewards_hold_however_strong_the_signal(make_traffic, seed):
    traffic = make_traffic(900, seed, lead=0.9, judged=1.0)
    proposal = reweight(traffic.evidence, START, traffic.probabilities)
    assert (proposal.verdict.reasons, proposal.weights) == (("too_few_matured",), START)


def test_a_lead_that_one_tenant_carries_is_held(make_traffic):
    """One of four tenants reports a lead that nobody else sees."""
    traffic = make_traffic(16_000, 7, lead=0.9, honest=1)
    proposal = reweight(traffic.evidence, START, traffic.probabilities)
    assert proposal.difference.pessimistic > 0.0
    assert (proposal.verdict.action, proposal.weights) == ("hold", START)
    assert "one_source_dominates" in proposal.verdict.reasons
    failed = [check.name for check in proposal.verdict.checks if not check.passed]
    assert failed == ["without_tenant:tenant-0"]


def test_a_lone_tenant_is_said_and_held_only_if_asked(make_traffic):
    traffic = make_traffic(lead=0.6, tenants=1, sources=1)
    free = reweight(traffic.evidence, START, traffic.probabilities)
    assert free.verdict.reasons == ("better", "single_tenant", "single_source")
    strict = Settings(gate=Gate(hold_when_alone=True))
    held = reweight(traffic.evidence, START, traffic.probabilities, strict)
    assert (held.verdict.reasons, held.weights) == (("single_tenant", "single_source"), START)


def test_what_the_log_never_took_is_not_supported(make_traffic):
    traffic = make_traffic(lead=0.6)
    batch = traffic.evidence.batch
    eligible = batch.eligible.copy()
    eligible[:, 3] = batch.action == 3
    narrow = replace(
        traffic.evidence,
        batch=LoggedBatch(
            batch.action,
            batch.reward,
            batch.count,
            eligible,
            batch.session,
            batch.observed,
            batch.task,
        ),
    )
    proposal = reweight(narrow, START, traffic.probabilities)
    assert "not_supported" in proposal.verdict.reasons
    assert proposal.weights == START


def test_weights_that_change_nothing_are_held(make_traffic):
    traffic = make_traffic(lead=0.6)
    same = traffic.probabilities(START)
    proposal = reweight(traffic.evidence, START, lambda _: same)
    assert set(proposal.verdict.reasons) == {"not_supported", "not_better"}
    assert proposal.difference.value == 0.0


def test_a_later_look_needs_more(make_traffic):
    traffic = make_traffic(lead=0.6)
    early, late = (
        reweight(traffic.evidence, START, traffic.probabilities, Settings(look=look)) for look in (1, 500)
    )
    assert late.difference.lower < early.difference.lower
    assert late.difference.value == early.difference.value


def test_one_evidence_gives_one_proposal_to_the_bit(make_traffic):
    traffic = make_traffic(3_000, 5, lead=0.6)
    first, second = (reweight(traffic.evidence, START, traffic.probabilities) for _ in range(2))
    assert repr(first) == repr(second)


@pytest.mark.parametrize("lead", [-0.9, -0.4, 0.4, 0.9])
@pytest.mark.parametrize("current", [START, Weights.of(0.78, 0.22), Weights.of(0.4, 0.4, 0.2)])
def test_every_hour_stays_within_a_step_and_the_bounds(make_traffic, lead, current):
    traffic = make_traffic(4_000, 11, lead=lead, current=current)
    proposal = reweight(traffic.evidence, current, traffic.probabilities)
    for trial in (proposal.weights, *(candidate.weights for candidate in proposal.candidates)):
        assert max(abs(a - b) for a, b in zip(current.shares, trial.shares, strict=True)) <= 0.05
        assert LEAST <= trial.cost <= MOST
        assert LEAST <= trial.quality <= MOST


def test_the_holdout_follows_the_session_and_never_chooses(make_traffic):
    traffic = make_traffic(6_000, 13, lead=0.6)
    evidence = traffic.evidence
    held = holdout_of(evidence.batch.session, 0.5)
    assert (held[::2] == held[1::2]).all()
    assert 0.45 < held.mean() < 0.55
    b = evidence.batch
    flipped = LoggedBatch(
        b.action,
        np.where(held & evidence.judged, 1.0 - b.reward, b.reward),
        b.count,
        b.eligible,
        b.session,
        b.observed,
        b.task,
    )
    before = reweight(evidence, START, traffic.probabilities)
    after = reweight(replace(evidence, batch=flipped), START, traffic.probabilities)
    assert before.candidates == after.candidates
    assert promoted(before)
    assert not promoted(after)


def test_a_window_of_one_session_has_nothing_held_out(make_traffic):
    traffic = make_traffic(4_000, 17, lead=0.6)
    b = traffic.evidence.batch
    lone = LoggedBatch(b.action, b.reward, b.count, b.eligible, np.zeros_like(b.session), b.observed, b.task)
    proposal = reweight(replace(traffic.evidence, batch=lone), START, traffic.probabilities)
    assert proposal.weights == START
    assert "too_few_matured" in proposal.verdict.reasons


def test_probabilities_for_other_rounds_are_refused(make_traffic):
    traffic = make_traffic(4_000, 19)
    with pytest.raises(ValueError, match="target_probs has shape"):
        reweight(traffic.evidence, START, lambda weights: traffic.probabilities(weights)[:5])


@pytest.mark.parametrize("bad", [{"holdout": 0.0}, {"holdout": 1.0}, {"step": STEP + 1}, {"tenant_cap": 0.0}])
def test_settings_that_break_the_law_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        Settings(**bad)


def test_many_tenants_are_left_out_by_what_they_add(make_traffic):
    traffic = make_traffic(6_000, 23, lead=0.9, tenants=40)
    proposal = reweight(traffic.evidence, START, traffic.probabilities, Settings(left_out=3))
    assert len([left for left in proposal.left_out if left.kind == "tenant"]) == 3
