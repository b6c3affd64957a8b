import numpy as np

from p402.evaluation.logged import SCALE
from p402.learner.evidence import NO_SOURCE
from p402.learner.reward import Objective
from p402.learner.rounds import evidence_of
from p402.routing.spec import TASKS

ARMS = ("a/one", "b/two")


def word(source, quality, ts_ms, status="accepted"):
    return {"source": source, "status": status, "quality": quality, "ts_ms": ts_ms}


def row(**changes):
    first = {"arm": "a/one", "status": "ok", "cost_nano": 400, "latency_ms": 20.0}
    return {
        "id": "r", "tenant": "acme", "session": "s", "task": "code", "arm": "a/one", "count": SCALE // 2,
        "direct_nano": 1_000, "first": first, "said": None,
    } | changes  # fmt: skip


def evidence(*rows):
    return evidence_of(rows, ARMS, np.full((len(rows), 2), 0.5), Objective())


def test_the_last_word_of_each_source_is_a_rounds_quality():
    said = [word("client", 0.0, 1), word("judge", 0.5, 2), word("client", 1.0, 3)]
    found = evidence(row(said=said))
    assert found.batch.reward.tolist() == [0.5 * 0.75 + 0.5 * 0.6]
    assert found.source.tolist() != [NO_SOURCE]
    assert (found.matured, found.quality_outcomes) == (1, 1)


def test_a_failure_is_a_known_0_and_what_is_under_way_or_unjudged_is_not_known():
    failed = {"arm": "a/one", "status": "failed", "cost_nano": None, "latency_ms": 9.0}
    found = evidence(row(first=failed, said=[word("client", 1.0, 1)]), row(first=None), row())
    assert found.batch.reward.tolist() == [0.0, 0.0, 0.0]
    assert (found.matured, found.quality_outcomes) == (1, 0)


def test_an_unknown_baseline_or_cost_gives_no_credit():
    said = [word("client", 1.0, 1)]
    unpriced = {"arm": "a/one", "status": "ok", "cost_nano": None, "latency_ms": 1.0}
    found = evidence(row(said=said, direct_nano=None), row(said=said, first=unpriced))
    assert found.batch.reward.tolist() == [0.5, 0.5]


def test_rows_are_numbered_by_arm_task_and_session_of_a_tenant():
    rows = (row(), row(arm="b/two", task="new", session="t"), row(tenant="other"), row(task=TASKS[0]))
    behaviour = np.array([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0], [1.0, 0.0]])
    found = evidence_of(rows, ARMS, behaviour, Objective())
    assert found.batch.action.tolist() == [0, 1, 0, 0]
    assert found.batch.task.tolist() == [TASKS.index("code"), len(TASKS), TASKS.index("code"), 0]
    assert found.batch.eligible.tolist() == (behaviour > 0.0).tolist()
    session = found.batch.session.tolist()
    assert session[0] == session[3]
    assert len(set(session)) == 3
