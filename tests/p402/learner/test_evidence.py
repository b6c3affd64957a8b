import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.evaluation.logged import SCALE, LoggedBatch
from p402.learner.evidence import NO_SOURCE, Evidence, capped_weight, gather
from p402.learner.reward import Objective, Parts


def of_tenants(tenant, observed=None):
    n = len(tenant)
    batch = LoggedBatch(
        action=np.zeros(n, dtype=int),
        reward=np.ones(n),
        count=np.full(n, SCALE),
        eligible=np.ones((n, 1), dtype=bool),
        session=np.arange(n),
        observed=np.ones(n) if observed is None else np.array(observed),
        task=np.zeros(n, dtype=int),
    )
    names = tuple(str(i) for i in range(max(tenant) + 1))
    return Evidence(batch, np.ones(n, dtype=bool), np.array(tenant), np.zeros(n, dtype=int), names, ("user",))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=200), st.integers(0, 2**32))
def test_no_tenant_carries_more_than_a_fifth_once_there_are_five(tenant, seed):
    observed = 1.0 + 9.0 * np.random.default_rng(seed).random(len(tenant))
    evidence = of_tenants(tenant, observed)
    weight = capped_weight(evidence)
    mass = np.bincount(evidence.tenant, weights=weight * observed)
    assert weight.max() <= 1.0 + 1e-12
    assert weight.min() > 0.0
    if len(set(tenant)) >= 5:
        assert mass.max() / mass.sum() <= 0.2 * (1 + 1e-9)
    else:
        assert (weight == 1.0).all()


def test_tenants_below_the_cap_keep_their_weight():
    weight = capped_weight(of_tenants([0] * 90 + [1, 2, 3, 4, 5] * 2))
    assert (weight[90:] == 1.0).all()
    assert weight[0] == pytest.approx(2.5 / 90)  # 2.5 of 12.5 is a fifth


def test_a_window_becomes_evidence():
    evidence = gather(
        Parts(
            failed=np.array([False, False, True, False]),
            quality=np.array([1.0, math.nan, math.nan, 0.5]),
            cost_nano=np.array([5.0, 5.0, math.nan, 0.0]),
            direct_nano=np.full(4, 10.0),
            latency_ms=np.zeros(4),
        ),
        Objective(),
        action=np.array([0, 0, 1, 1]),
        count=np.full(4, SCALE // 2),
        eligible=np.ones((4, 2), dtype=bool),
        session=np.arange(4),
        task=np.zeros(4, dtype=int),
        tenant=["b", "a", "b", "a"],
        source=["user", None, "user", None],
    )
    assert evidence.batch.reward.tolist() == [0.75, 0.0, 0.0, 0.75]
    assert evidence.batch.observed.tolist() == [2.0, 0.0, 1.0, 1.0]
    assert (evidence.tenants, evidence.tenant.tolist()) == (("a", "b"), [1, 0, 1, 0])
    assert (evidence.sources, evidence.source.tolist()) == (("unnamed", "user"), [1, -1, -1, 0])
    assert (evidence.matured, evidence.quality_outcomes) == (3, 2)


def test_without_a_source_the_others_stand_for_all_that_was_judged():
    evidence = Evidence(
        of_tenants([0] * 4, [2.0, 2.0, 0.0, 1.0]).batch,
        np.array([True, True, False, False]),
        np.zeros(4, dtype=int),
        np.array([0, 1, NO_SOURCE, NO_SOURCE]),
        ("t",),
        ("judge", "user"),
    )
    rest = evidence.without_source(0)
    assert rest.batch.observed.tolist() == [0.0, 4.0, 0.0, 1.0]
    assert rest.judged.tolist() == [False, True, False, False]
    assert rest.source.tolist() == [NO_SOURCE, 1, NO_SOURCE, NO_SOURCE]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("tenant", [5], r"tenant\[0\] is 5: expected an index in \[0, 1\)"),
        ("source", [-2], r"source\[0\] is -2: expected an index in \[-1, 1\)"),
        ("tenant", [0, 0], "shape"),
        ("judged", [True, True], "shape"),
    ],
)
def test_evidence_that_does_not_fit_is_refused(column, value, said):
    good = of_tenants([0])
    columns = {
        "batch": good.batch,
        "judged": good.judged,
        "tenant": good.tenant,
        "source": good.source,
        "tenants": good.tenants,
        "sources": good.sources,
    }
    with pytest.raises(ValueError, match=said):
        Evidence(**{**columns, column: np.array(value)})
