"""Budgets of sessions, keys and policies, as a caller meets them: refused, sent to a cheaper arm, or told."""

import pytest

from p402.answer import Completed, Rejected
from p402.events import Decision, Refused
from p402.flow.plan import scopes_of
from p402.guard.scopes import session
from p402.limits import Kind, Period, Scope
from p402.ports import CapReached, Hold, Usage
from tests.p402.flow.world import DOLLAR, Play, World, a_request, a_tenant, billed, broke, finish

CENT = DOLLAR // 100
MONTH = Scope(Kind.KEY, "ci", Period.MONTH, CENT // 2)
TEAM = Scope(Kind.POLICY, "team", Period.DAY, CENT // 2)


def under(*scopes, **changes):
    """A tenant as a key with these budgets gives it."""
    return a_tenant(scopes=scopes, **changes)


def until_refused(world, request, tenant, most=400):
    answers = []
    while not answers or (isinstance(answers[-1], Completed) and len(answers) < most):
        answers.append(world.ask(request, tenant))
    assert isinstance(answers[-1], Rejected)
    return answers


def held_for(request):
    """What one call of its kind holds where nothing is scarce."""
    world = World()
    world.ask(request)
    (held,) = world.guard.holds.values()
    return held


def account(world, scope, tenant="default"):
    ((_, totals),) = finish(world.guard.standing(tenant, (scope,))).scoped
    return totals


def test_p19_a_key_whose_month_is_spent_is_refused_and_another_key_of_its_tenant_is_not():
    world = World()
    refused = until_refused(world, a_request("large"), under(MONTH))[-1].refusal
    assert (refused.code, refused.status) == ("API_KEY_BUDGET_EXCEEDED", 402)
    assert "API key 'ci'" in refused.message
    assert refused.retry_after_ms > 0
    assert world.log.of(Refused)[-1].code == "API_KEY_BUDGET_EXCEEDED"
    assert isinstance(world.ask(a_request("large"), under()), Completed)
    other = Scope(Kind.KEY, "app", Period.MONTH, CENT)
    assert isinstance(world.ask(a_request("large"), under(other)), Completed)


def test_p19_a_policy_is_one_budget_of_all_its_keys_within_a_tenant():
    world = World()
    keys = [under(Scope(Kind.KEY, name, Period.DAY, DOLLAR), TEAM) for name in ("ci", "app")]
    until_refused(world, a_request("large"), keys[0])
    refused = world.ask(a_request("large"), keys[1]).refusal
    assert refused.code == "API_KEY_BUDGET_EXCEEDED"
    assert "policy 'team'" in refused.message
    assert isinstance(world.ask(a_request("large"), under(TEAM, name="other", policy="default")), Completed)


@pytest.mark.parametrize("scope", [MONTH, TEAM])
def test_p19_what_is_left_of_a_budget_goes_to_an_arm_that_it_can_pay(scope):
    world = World()
    answers = until_refused(world, a_request(mode="quality"), under(scope))
    served = [answer.metadata.model for answer in answers if isinstance(answer, Completed)]
    assert served[0] == "large"
    assert {"small", "tiny"} & set(served), "the cheap arms serve once the dear ones do not fit"
    spent = account(world, scope)
    assert scope.cap_nano * 9 // 10 < spent.spent_nano <= scope.cap_nano
    assert spent.held_nano == 0
    ceilings = {row.inputs.ceiling_pico for row in world.log.of(Decision)}
    assert len(ceilings) > 1, "the smaller ceiling is logged, so that replay decides the same"


def test_p19_a_session_is_refused_what_its_budget_does_not_cover():
    world, tenant = World(), a_tenant(session_cap_nano=CENT // 2)
    answers = until_refused(world, a_request("large", session_id="s-1"), tenant)
    refused = answers[-1].refusal
    assert (refused.code, refused.status, refused.retry_after_ms) == ("SESSION_BUDGET_EXCEEDED", 402, None)
    assert isinstance(world.ask(a_request("large", session_id="s-2"), tenant), Completed)
    other = a_tenant(name="other", policy="default", session_cap_nano=CENT // 2)
    assert isinstance(world.ask(a_request("large", session_id="s-1"), other), Completed)


def test_a_session_that_nobody_named_has_no_budget():
    world, tenant = World(), a_tenant(session_cap_nano=1)
    answer = world.ask(a_request("large"), tenant)
    assert isinstance(answer, Completed)
    assert answer.metadata.session_remaining_nano is None
    assert world.ask(a_request("large", session_id="s"), tenant).refusal.code == "SESSION_BUDGET_EXCEEDED"


def test_a_named_session_has_none_where_its_tenant_gives_none():
    answer = World().ask(a_request("large", session_id="s"))
    assert answer.metadata.session_remaining_nano is None


def test_scopes_of_a_call_are_the_keys_and_then_the_sessions():
    tenant = under(MONTH, TEAM, session_cap_nano=7)
    assert scopes_of("s", tenant) == (MONTH, TEAM, session("s", 7))
    assert scopes_of(None, tenant) == scopes_of("", tenant) == (MONTH, TEAM)


@pytest.mark.parametrize("stream", [False, True])
def test_p19_what_a_session_has_left_is_told_to_the_nano_dollar(stream):
    usages = [Usage(20, 10), Usage(20, 33), Usage(7, 190, cached=3)]
    world, left = World(*[Play(usage=usage) for usage in usages]), 50 * CENT
    tenant = under(MONTH, session_cap_nano=left, fee_bps=250)
    for _ in usages:
        answer = world.ask(a_request(session_id="s", mode="cost", stream=stream), tenant)
        told = (answer[-1] if stream else answer).metadata
        left -= told.cost_nano + told.fee_nano
        assert told.session_remaining_nano == left
    assert account(world, session("s", 50 * CENT)).spent_nano == 50 * CENT - left


def test_a_session_that_cost_more_than_it_had_left_is_below_nothing():
    world = World(Play(usage=Usage(50_000, 400)))
    tenant = a_tenant(session_cap_nano=CENT)
    told = world.ask(a_request("large", session_id="s"), tenant).metadata
    assert told.session_remaining_nano == CENT - told.cost_nano < 0
    assert world.ask(a_request("large", session_id="s"), tenant).refusal.code == "SESSION_BUDGET_EXCEEDED"


def test_failed_attempts_that_were_billed_are_taken_off_what_a_session_has_left():
    world = World(Play(failure=broke(usage=Usage(20, 5))), Play())
    told = world.ask(a_request(session_id="s"), a_tenant(session_cap_nano=CENT)).metadata
    assert len(told.attempts) == 2
    assert 0 < billed(told.attempts[0]) < sum(map(billed, told.attempts)) == told.cost_nano
    assert told.session_remaining_nano == CENT - told.cost_nano


def test_p19_a_failover_that_is_dearer_than_the_budget_is_not_made():
    probe = World(Play(failure=broke()), Play())
    probe.ask(a_request(mode="cost"))
    (held,) = probe.guard.holds.values()
    tight = Scope(Kind.KEY, "ci", Period.MONTH, held_for(a_request(mode="cost")))
    assert tight.cap_nano < held, "the failover is dearer than the budget"
    world = World(Play(failure=broke()), Play())
    answer = world.ask(a_request(mode="cost"), under(tight))
    assert isinstance(answer, Rejected)
    assert answer.refusal.code == "PROVIDER_ERROR"
    assert len(world.upstream.calls) == 1
    assert account(world, tight).held_nano == 0


def test_a_dry_run_counts_against_nothing_and_tells_nothing_of_its_session():
    world, tenant = World(), under(MONTH, session_cap_nano=CENT)
    told = world.ask(a_request(session_id="s", dry_run=True), tenant).metadata
    assert told.session_remaining_nano is None
    assert account(world, MONTH).spent_nano == account(world, session("s", CENT)).spent_nano == 0


def test_a_spent_budget_of_a_key_is_no_spent_day():
    world = World()
    until_refused(world, a_request("large"), under(MONTH))
    assert [event for event in world.journal if isinstance(event, CapReached)] == []


def test_a_budget_that_is_only_held_is_said_to_be_held():
    world = World(Play(hangs=True, events=0))
    cap = Scope(Kind.KEY, "ci", Period.DAY, held_for(a_request("large")))
    waiting = world.client(a_request("large"), under(cap))
    waiting.send(None)
    waiting.send(None)
    refused = world.ask(a_request("large"), under(cap)).refusal
    assert (refused.code, refused.status) == ("BUDGET_RESERVATION_FAILED", 402)
    assert refused.retry_after_ms
    waiting.close()


def test_a_hand_that_knows_no_rooms_tells_nothing_of_the_session():
    world = World()
    reserve = world.guard.reserve

    async def unknowing(*args):
        verdict = await reserve(*args)
        assert isinstance(verdict, Hold)
        return Hold(verdict.id, verdict.tenant, verdict.amount_nano, verdict.day, scopes=verdict.scopes)

    world.guard.reserve = unknowing
    told = world.ask(a_request(session_id="s"), a_tenant(session_cap_nano=CENT)).metadata
    assert told.session_remaining_nano is None
