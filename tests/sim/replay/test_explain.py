"""One logged round is explained as the gateway would have explained it."""

import json

import pytest
from msgspec import structs

from p402.store.reader import connect
from sim.replay.command import main
from sim.replay.explain import explain


@pytest.fixture
def failed_over(busy_once):
    with connect(busy_once.log) as con:
        return con.execute(
            'SELECT d.id, d.arm, d."count" FROM decisions d JOIN attempts a ON a.id = d.id '
            "WHERE a.attempt = 1 AND d.live_seq > 2 ORDER BY d.id LIMIT 1"
        ).fetchone()


def test_a_round_is_explained_with_its_failover(busy_once, failed_over):
    request_id, arm, count = failed_over
    decision, failover, *_ = explain(busy_once.log, busy_once.store, request_id)
    assert (decision.attempt, failover.attempt) == (None, 1)
    assert decision.arm == decision.recomputed == arm
    assert decision.propensity == count / 2**24
    chosen = next(view for view in decision.arms if view.arm == arm)
    assert chosen.propensity == decision.propensity
    assert sum(view.propensity for view in decision.arms) == 1
    again = next(view for view in failover.arms if view.arm == arm)
    assert (again.reason, again.score) == ("already_tried", None)
    assert failover.arm == failover.recomputed != arm


def test_each_arm_says_where_its_quality_comes_from(house, spec_of, capsys):
    spec = spec_of()
    sources = tuple(f"judge [{k}]" if k % 2 else "prior" for k in range(len(spec.arms.arm)))
    posterior = structs.replace(spec.posterior, quality_source=sources)
    flow = house.worker("w", house.stored(structs.replace(spec, posterior=posterior)))
    told = house.ask(flow)
    house.close()
    decision, *_ = explain(house.log, house.store, told.request_id)
    assert decision.quality_source == dict(zip(spec.arms.arm, sources, strict=True))
    where = ("--log", str(house.log), "--store", str(house.store))
    assert main(["--explain", told.request_id, *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    for arm, source in decision.quality_source.items():
        assert any(arm in line and source in line for line in lines)
    assert main(["--explain", told.request_id, "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)[0]["quality_source"] == decision.quality_source


def test_it_is_what_the_answer_itself_explained(house, spec_of):
    flow = house.worker("w", house.stored(spec_of()))
    house.mixed_traffic([flow], 30)
    told = house.ask(flow, explain=True, exclude_providers=("alder",))
    house.close()
    decision, *_ = explain(house.log, house.store, told.request_id)
    assert decision.live_seq > 0
    assert decision.arms == told.considered


def test_the_command_prints_every_arm_and_reason(busy_once, failed_over, capsys):
    request_id, arm, _ = failed_over
    where = ("--log", str(busy_once.log), "--store", str(busy_once.store))
    assert main(["--explain", request_id, *where]) == 0
    said = capsys.readouterr().out
    assert f"decision of {request_id}: {arm}" in said
    assert "already_tried" in said
    assert said.count("elm/small") >= 2
    assert main(["--explain", request_id, "--json", *where]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document[0]["arms"]) == 8


def test_a_changed_row_is_pointed_out(busy, edit, failed_over, capsys):
    request_id, arm, _ = failed_over
    other = "elm/small" if arm != "elm/small" else "elm/large"

    def change(event):
        if event["kind"] == "decision" and event["id"] == request_id:
            event["arm"] = other
        return event

    edit(busy.log, change)
    assert main(["--explain", request_id, "--log", str(busy.log), "--store", str(busy.store)]) == 0
    assert f"logged {other}, decided again {arm}" in capsys.readouterr().out
