"""What an operator is told at once: after it is settled and logged, and never in its stead."""

import pytest

from p402.answer import Rejected, StreamEnd
from p402.errors import DiskFull
from p402.events import Outcome, Refused
from p402.ports import Anomaly, CapReached
from tests.limits import capped
from tests.p402.flow.test_layers import after_thirty_usual_calls
from tests.p402.flow.world import DOLLAR, Play, Settled, World, a_request, a_tenant


def told(world) -> list:
    return [e for e in world.journal if isinstance(e, Anomaly | CapReached)]


@pytest.mark.parametrize("stream", [False, True])
def test_p15_an_alert_says_what_the_log_says_and_follows_it(stream):
    world, tenant = after_thirty_usual_calls()
    assert told(world) == []
    answer = world.ask(a_request(stream=stream), tenant)
    assert not isinstance(answer, Rejected)
    if stream:
        assert isinstance(answer[-1], StreamEnd)
    row = world.log.of(Outcome)[-1]
    assert told(world) == [
        Anomaly(
            tenant="default",
            ts_ms=row.ts_ms,
            request_id=row.id,
            arm=row.arm,
            charged_nano=row.cost_nano + row.fee_nano,
            z=row.anomaly_z,
            past_calls=30,
        )
    ]
    assert world.kinds()[-3:] == ["Settled", "Outcome", "Anomaly"]


def test_an_anomaly_that_the_log_does_not_take_is_told_all_the_same():
    world, tenant = after_thirty_usual_calls()
    world.log.full = lambda event, number: isinstance(event, Outcome)
    world.ask(a_request(), tenant)
    assert world.kinds()[-2:] == ["Settled", "Anomaly"]


def test_a_blocked_anomaly_is_a_refusal_in_the_log_and_no_alert():
    world, tenant = after_thirty_usual_calls(block_anomalies=True)
    world.ask(a_request(n=40), tenant)
    assert told(world) == []


def spent(cap: int):
    """A world whose day has no room for another call."""
    world = World(Play(takes_ms=0.0), cap=cap)
    tenant = a_tenant(limits=capped(cap))
    while not isinstance(world.ask(tenant=tenant), Rejected):
        pass
    return world, tenant


def test_p13_a_day_that_is_spent_is_told_with_each_refusal():
    (held,) = (s.held for s in settled_once())
    world, tenant = spent(3 * held)
    world.ask(tenant=tenant)
    refused = world.log.of(Refused)
    assert {row.code for row in refused} == {"DAILY_SPEND_LIMIT_EXCEEDED"}
    assert told(world) == [CapReached("default", row.ts_ms, row.id, 3 * held) for row in refused]
    assert world.kinds()[-2:] == ["Refused", "CapReached"]


def test_a_refusal_that_the_log_does_not_take_is_told_all_the_same():
    (held,) = (s.held for s in settled_once())
    world, tenant = spent(2 * held)
    before = len(told(world))
    world.log.full, world.log.error = (lambda event, number: True), DiskFull
    assert world.ask(tenant=tenant).refusal.status == 503
    assert len(told(world)) == before + 1


def test_a_call_that_fits_no_day_is_no_reached_cap():
    world = World(cap=1)
    answer = world.ask(tenant=a_tenant(limits=capped(1)))
    assert (answer.refusal.code, answer.refusal.retry_after_ms) == ("DAILY_SPEND_LIMIT_EXCEEDED", None)
    assert told(world) == []


def test_other_refusals_are_no_alerts():
    world = World()
    assert isinstance(world.ask(tenant=a_tenant(max_request_nano=1)), Rejected)
    assert told(world) == []


def settled_once() -> list[Settled]:
    """What one usual call holds."""
    world = World(cap=1_000 * DOLLAR)
    world.ask()
    return world.settled
