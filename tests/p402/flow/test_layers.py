"""Layers 1, 3 and 4 as a caller meets them: refusals with their codes, anomalies told and not stopped."""

from dataclasses import replace

from p402.answer import Completed, Rejected
from p402.events import Decision, Outcome, Refused
from p402.limits import Limits, Rate
from p402.ports import Usage
from tests.p402.flow.world import Play, World, a_request, a_tenant


def guarded(world, **limited):
    """A tenant whose limits the world's guard holds it to."""
    limits = replace(Limits(), **limited)
    world.guard._limits = lambda tenant: limits
    return a_tenant(limits=limits)


def test_p12_the_request_beyond_the_rate_is_refused_before_anything_is_sent_or_logged_as_a_round():
    world = World(Play(takes_ms=0.0))
    tenant = guarded(world, rate=Rate(3_600, 2))
    assert all(isinstance(world.ask(a_request(), tenant), Completed) for _ in range(2))
    refused = world.ask(a_request(), tenant)
    assert isinstance(refused, Rejected)
    assert (refused.refusal.code, refused.refusal.status) == ("RATE_LIMIT_EXCEEDED", 429)
    assert refused.refusal.retry_after_ms is not None
    assert len(world.upstream.calls) == len(world.log.of(Decision)) == 2
    assert world.log.of(Refused)[-1].code == "RATE_LIMIT_EXCEEDED"
    world.clock.ms += refused.refusal.retry_after_ms
    assert isinstance(world.ask(a_request(), tenant), Completed)


def test_p14_a_dry_run_takes_no_slot_and_a_settled_call_gives_its_own_back():
    world = World(Play())
    tenant = guarded(world, max_in_flight=1)
    for _ in range(5):
        assert isinstance(world.ask(a_request(dry_run=True), tenant), Completed)
        assert isinstance(world.ask(a_request(), tenant), Completed)


def after_thirty_usual_calls(**limited):
    world = World(*[Play(usage=Usage(20, 10 + i % 3)) for i in range(30)], Play(usage=Usage(20, 4_000)))
    tenant = guarded(world, **limited)
    usual = [world.ask(a_request(), tenant) for _ in range(30)]
    assert all(isinstance(answer, Completed) for answer in usual)
    assert not [o for o in world.log.of(Outcome) if o.anomaly_z is not None]
    return world, tenant


def test_p15_a_call_far_above_the_past_is_answered_flagged_in_the_log_and_told_in_a_warning():
    world, tenant = after_thirty_usual_calls()
    answer = world.ask(a_request(), tenant)
    assert isinstance(answer, Completed)
    row = world.log.of(Outcome)[-1]
    assert row.anomaly_z is not None
    assert row.anomaly_z >= 3.0
    (warning,) = [w for w in answer.metadata.warnings if w.startswith("ANOMALY_DETECTED")]
    assert f"{row.anomaly_z:.1f} standard deviations" in warning


def test_p15_a_tenant_that_blocks_anomalies_has_the_next_such_call_refused_by_what_it_is_expected_to_cost():
    world, tenant = after_thirty_usual_calls(block_anomalies=True)
    refused = world.ask(a_request(n=40), tenant)
    assert isinstance(refused, Rejected)
    assert (refused.refusal.code, refused.refusal.status) == ("ANOMALY_DETECTED", 402)
    assert len(world.upstream.calls) == 30
