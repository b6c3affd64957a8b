import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.evaluation.estimate import ESTIMAND, Estimate
from p402.evaluation.gate import Gate, LeftOut, judge, spent

GOOD = Estimate(
    name="dr_difference",
    estimand=ESTIMAND,
    value=0.02,
    stderr=0.004,
    lower=0.01,
    upper=0.03,
    method="normal",
    ess=5_000.0,
    max_weight=20.0,
    max_share=0.01,
    n=10_000,
    n_sessions=3_000,
    n_changed=900,
    support_gap=0.0,
    disagreement=0.4,
    warnings=(),
)
COUNTS = {"matured": 5_000, "quality_outcomes": 4_000, "tenants": 3, "sources": 2}


def test_enough_good_evidence_promotes():
    verdict = judge(Gate(), GOOD, **COUNTS)
    assert (verdict.action, verdict.reasons) == ("promote", ("better",))
    assert all(check.passed for check in verdict.checks)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ess": 199.0}, "not_supported"),
        ({"n_changed": 99}, "not_supported"),
        ({"max_share": 0.11}, "not_supported"),
        ({"support_gap": 0.011, "lower": 0.1}, "not_supported"),
        ({"disagreement": 2.1}, "estimators_disagree"),
        ({"lower": 0.0}, "not_better"),
        ({"lower": -math.inf}, "not_better"),
        ({"lower": math.nan}, "not_better"),
        ({"lower": 0.005, "support_gap": 0.006}, "not_better"),
        ({"ess": math.nan}, "not_supported"),
    ],
)
def test_each_fault_of_a_comparison_holds_for_its_own_reason(change, reason):
    verdict = judge(Gate(), replace(GOOD, **change), **COUNTS)
    assert (verdict.action, verdict.reasons) == ("hold", (reason,))
    (failed,) = [check for check in verdict.checks if not check.passed]
    assert failed.reason == reason
    assert failed.expected.startswith(("at least", "at most", "above"))


@pytest.mark.parametrize(
    ("counts", "reason"),
    [({"matured": 999}, "too_few_matured"), ({"quality_outcomes": 99}, "no_quality_evidence")],
)
def test_too_little_evidence_holds_however_good_it_looks(counts, reason):
    assert judge(Gate(), GOOD, **{**COUNTS, **counts}).reasons == (reason,)


def test_a_lead_that_one_witness_carries_is_held():
    left_out = [LeftOut("tenant", "acme", 0.6, -0.001), LeftOut("source", "judge", 0.5, 0.004)]
    verdict = judge(Gate(), GOOD, left_out=left_out, **COUNTS)
    assert (verdict.action, verdict.reasons) == ("hold", ("one_source_dominates",))
    assert [check.name for check in verdict.checks if not check.passed] == ["without_tenant:acme"]


def test_a_lone_tenant_is_said_and_blocks_only_if_asked():
    counts = {**COUNTS, "tenants": 1}
    assert judge(Gate(), GOOD, **counts).reasons == ("better", "single_tenant")
    assert judge(Gate(), GOOD, **counts).action == "promote"
    strict = judge(Gate(hold_when_alone=True), GOOD, **counts)
    assert (strict.action, strict.reasons) == ("hold", ("single_tenant",))


def test_several_faults_are_all_named_once():
    bad = replace(GOOD, ess=1.0, n_changed=0, lower=-1.0)
    assert judge(Gate(), bad, **COUNTS).reasons == ("not_supported", "not_better")


@given(st.floats(1e-6, 0.5), st.integers(1, 720), st.integers(0, 10_000))
def test_no_month_of_looks_spends_more_than_its_error_rate(alpha, looks, start):
    first = start * looks + 1
    assert math.fsum(spent(alpha, first + k, looks) for k in range(looks)) <= alpha * (1 + 1e-9)


def test_a_month_spends_exactly_its_rate_and_starves_no_look():
    rates = [spent(0.05, look) for look in range(1, 721)]
    assert rates == sorted(rates, reverse=True)
    assert math.fsum(rates) == pytest.approx(0.05)
    assert rates[-1] >= 0.05 / 720 / 2
    assert spent(0.05, 721) == rates[0]


@pytest.mark.parametrize(("look", "looks"), [(0, 720), (1, 0), (1, 721)])
def test_a_look_that_is_none_is_refused(look, looks):
    with pytest.raises(ValueError, match="count from 1"):
        spent(0.05, look, looks)
