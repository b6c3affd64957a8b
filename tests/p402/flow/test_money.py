"""What is held covers what may be billed, what is billed is what was used, and no ceiling is passed."""

import asyncio

import pytest
from msgspec.structs import replace

from p402.answer import Completed, Rejected
from p402.events import Attempt, Decision
from p402.flow.plan import hold_of, make_plan
from p402.ports import Usage
from p402.routing.features import read
from p402.routing.pricing import bill
from tests.limits import capped
from tests.p402.flow.world import (
    ARMS,
    DOLLAR,
    HEAD,
    Play,
    Row,
    World,
    a_request,
    a_spec,
    a_tenant,
    a_transcript,
    billed,
    broke,
    finish,
)


def held(world):
    (hold,) = world.guard.holds.values()
    return hold


def test_the_hold_is_the_bill_of_the_largest_exchange_with_its_fee():
    world = World()
    request = a_request(mode="quality", max_output=200, n=2)
    world.ask(request, a_tenant(fee_bps=250))
    bound = read(request.transcript, request.options, 200, HEAD).prompt_bound
    most = -(-(bound * 5_000_000 + 400 * 20_000_000) // 1000)
    assert held(world) == most + -(-most * 250 // 10_000)


def test_without_max_tokens_the_cap_that_is_held_for_is_sent_and_said():
    world = World()
    answer = world.ask(a_request(max_output=None, mode="quality"))
    (call,) = world.upstream.calls
    assert call.output_cap == 1_000
    assert held(world) >= 1_000 * 20_000
    assert any(w.startswith("output_cap") and "1000" in w for w in answer.metadata.warnings)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("cache", "warned"), [(True, True), (False, False), (None, False)])
def test_a_cache_that_is_asked_for_is_said_to_be_absent_and_the_provider_is_called(stream, cache, warned):
    world = World()
    answer = world.ask(a_request(mode="cost", cache=cache, stream=stream))
    told = answer[-1].metadata if stream else answer.metadata
    assert any(w.startswith("no_cache") for w in told.warnings) is warned
    assert len(world.upstream.calls) == 1


def test_a_named_max_tokens_is_left_alone():
    world = World()
    answer = world.ask(a_request(max_output=77))
    assert world.upstream.calls[0].output_cap is None
    assert not any(w.startswith("output_cap") for w in answer.metadata.warnings)


def test_a_low_ceiling_lowers_the_cap_until_the_hold_fits():
    world = World()
    world.ask(a_request(max_output=None, mode="quality", max_cost_pico=8_000_000_000))  # 0.8 cents
    (call,) = world.upstream.calls
    assert 200 <= call.output_cap < 1_000
    assert held(world) <= 8_000_000
    assert held(world) > 8_000_000 - 20_000  # not by a token more than needed


def test_the_cap_stays_within_the_arms_limit_and_its_window():
    small = (Row("a/x", 1_000_000, 1_000_000, limit=150), Row("b/y", 900_000, 900_000, context=300))
    for arm, cap in (("a/x", 150), ("b/y", None)):
        world = World(spec=a_spec([r for r in small if r.arm == arm], denied={"default": ()}))
        world.ask(a_request(max_output=None, task="tools"), a_tenant(baseline_model=None))
        (call,) = world.upstream.calls
        bound = read(a_transcript(), a_request().options, None, HEAD).prompt_bound
        assert call.output_cap == (cap or 300 - bound)


def test_a_fee_counts_against_the_ceiling_of_a_request():
    for fee in (0, 1, 333, 10_000):
        world = World()
        world.ask(
            a_request(max_output=None, mode="quality", max_cost_pico=9_000_000_000), a_tenant(fee_bps=fee)
        )
        assert held(world) <= 9_000_000
    # Twice the price is a fee of 100 %: what fits without it does not fit with it.
    request = a_request(max_output=400, mode="quality", max_cost_pico=9_000_000_000)
    assert isinstance(World().ask(request), Completed)
    answer = World().ask(replace(request, model="alpha/large"), a_tenant(fee_bps=10_000))
    assert isinstance(answer, Completed)
    assert answer.metadata.model != "large"


def test_the_fee_is_booked_and_told():
    world = World()
    told = world.ask(a_request(mode="quality"), a_tenant(fee_bps=250)).metadata
    assert told.fee_nano == -(-told.cost_nano * 250 // 10_000)
    assert world.books() == (told.cost_nano + told.fee_nano, 0)
    assert world.outcome.fee_nano == told.fee_nano


@pytest.mark.parametrize("stream", [False, True])
def test_cached_tokens_are_billed_at_their_own_price(stream):
    world = World(Play(usage=Usage(prompt=30, output=10, cached=20)))
    answer = world.ask(a_request(mode="quality", stream=stream))
    told = answer[-1].metadata if stream else answer.metadata
    assert told.cost_nano == 10 * 5_000 + 20 * 500 + 10 * 20_000
    assert told.cached_tokens == 20
    assert told.attempts[0].price_pico == [5_000_000, 500_000, 20_000_000, 5_000_000, 5_000_000]


def test_direct_cost_is_the_served_exchange_at_the_baseline_and_savings_may_be_negative():
    told = World().ask(a_request("tiny", mode="quality")).metadata
    assert (told.model, told.baseline_model) == ("large", "tiny")
    assert told.direct_nano == 20 * 50 + 10 * 200
    assert told.direct_nano < told.cost_nano


def test_a_baseline_is_priced_at_its_cheapest_provider_so_that_no_saving_is_overstated():
    told = World().ask(a_request("large", mode="cost")).metadata
    assert told.direct_nano == 20 * 4_500 + 10 * 18_000  # beta's price, not alpha's


def test_without_a_baseline_the_direct_cost_is_unknown_and_said_to_be():
    told = World().ask(a_request(), a_tenant(baseline_model=None)).metadata
    assert told.direct_nano is None
    assert told.baseline_model is None
    assert any(w.startswith("no_baseline") for w in told.warnings)


def test_every_billed_attempt_is_in_the_cost_failed_ones_too():
    world = World(Play(failure=broke(usage=Usage(15, 3))), Play(failure=broke()), Play(usage=Usage(20, 10)))
    told = world.ask().metadata
    first, second, third = told.attempts
    assert first.cost_nano == billed(first) > 0
    assert (second.cost_nano, second.prompt_tokens) == (0, None)
    assert told.cost_nano == first.cost_nano + third.cost_nano
    assert told.input_tokens == 20  # of the answer, not of all attempts
    assert world.books() == (told.cost_nano, 0)


def test_a_dearer_failover_tops_the_hold_up():
    world = World(Play(failure=broke(usage=Usage(10, 10))), Play())
    world.ask(a_request(mode="balanced", exclude_providers=("beta",)))
    arms = [a.arm for a in world.outcome.attempts]
    assert arms == ["gamma/tiny", "alpha/small"]
    assert held(world) >= world.outcome.attempts[0].cost_nano + 200 * 1_200


def test_a_top_up_holds_the_fee_on_every_attempt():
    world = World(Play(failure=broke(usage=Usage(44, 200))), Play(usage=Usage(44, 200)))
    world.ask(a_request(mode="cost", exclude_providers=("beta",)), a_tenant(fee_bps=5_000))
    first, second = world.outcome.attempts
    assert world.settled[0].nano == (first.cost_nano + second.cost_nano) * 3 // 2
    assert world.settled[0].nano <= held(world)


def test_where_the_day_has_no_room_failover_takes_an_arm_that_the_hold_covers():
    arms = (
        Row("a/good", 2_000_000, 2_000_000, 0.9),
        Row("b/dear", 9_000_000, 9_000_000, 0.85),
        Row("c/cheap", 1_000_000, 1_000_000, 0.5),
    )
    world = World(Play(failure=broke()), Play(), spec=a_spec(arms, denied={"default": ()}))
    plain = a_tenant(baseline_model=None)
    request = a_request(mode="quality", max_output=100)
    world.ask(request, plain)
    assert world.outcome.arm == "b/dear"  # with room, the next best is topped up for
    need = World(spec=a_spec(arms, denied={"default": ()}))
    need.ask(request, plain)
    world = World(Play(failure=broke()), Play(), spec=a_spec(arms, denied={"default": ()}), cap=held(need))
    answer = world.ask(request, plain)
    assert isinstance(answer, Completed)
    assert world.outcome.arm == "c/cheap"
    assert any("failover passed over b/dear" in w for w in answer.metadata.warnings)
    row = world.one(Attempt)
    assert row.arm == "c/cheap"
    assert row.inputs.ceiling_pico == held(world) * 1000  # logged, so replay finds the same arm
    assert world.books() == (world.outcome.cost_nano, 0)


def test_where_the_hold_covers_no_other_arm_the_first_failure_is_the_answer():
    request = a_request(mode="cost", max_output=100)
    need = World()
    need.ask(request)
    world = World(Play(failure=broke(usage=Usage(1, 1))), Play(), cap=held(need))
    answer = world.ask(request)
    assert isinstance(answer, Rejected)
    assert answer.refusal.code == "PROVIDER_ERROR"
    assert len(world.upstream.calls) == 1
    assert world.books() == (world.outcome.cost_nano, 0)


def test_a_top_up_is_refused_once_not_once_an_arm():
    many = tuple(Row(f"p{i:02d}/m{i}", 1_000_000 * (i + 1), 1_000_000 * (i + 1)) for i in range(40))
    spec = a_spec(many, denied={"default": ()})
    need = World(spec=spec)
    need.ask(a_request(mode="cost"), a_tenant(baseline_model=None))
    world = World(Play(failure=broke()), Play(), spec=spec, cap=held(need))
    asked = []
    top_up = world.guard.top_up

    async def counted(hold, amount_nano):
        asked.append(amount_nano)
        return await top_up(hold, amount_nano)

    world.guard.top_up = counted
    world.ask(a_request(mode="cost"), a_tenant(baseline_model=None))
    assert len(asked) == 1


def test_max_cost_bounds_the_request_not_each_attempt():
    ceiling = 5_000_000_000  # half a cent, pico-USD
    dear = Play(failure=broke(usage=Usage(40, 180)))
    world = World(dear, dear, Play())
    world.ask(a_request(mode="quality", max_output=180, max_cost_pico=ceiling))
    for row in world.log.of(Attempt):
        spent = sum(a.cost_nano for a in world.outcome.attempts[: row.attempt])
        assert row.inputs.ceiling_pico == ceiling - spent * 1000
    assert world.outcome.cost_nano <= ceiling // 1000
    assert world.guard.holds.popitem()[1] <= ceiling // 1000


def test_an_attempt_of_more_usage_than_was_held_is_booked_as_it_was():
    world = World(Play(usage=Usage(500_000, 10)))
    told = world.ask(a_request(mode="quality")).metadata
    assert world.books() == (told.cost_nano, 0)
    assert told.cost_nano > held(world)


def test_an_arm_of_unknown_price_is_never_called():
    arms = (*ARMS, Row("zeta/free", None, None, 1.0), Row("zeta/half", 0, None, 1.0))
    for mode in ("cost", "quality", "speed", "balanced"):
        answer = World(spec=a_spec(arms)).ask(a_request(mode=mode, explain=True))
        views = {v.arm: v.reason for v in answer.metadata.considered}
        assert views["zeta/free"] == views["zeta/half"] == "price_unknown"
        assert answer.metadata.provider != "zeta"


def test_a_price_of_zero_is_a_price():
    arms = (*ARMS, Row("zeta/gift", 0, 0, 0.99))
    world = World(spec=a_spec(arms))
    told = world.ask(a_request(mode="quality")).metadata
    assert (told.provider, told.cost_nano) == ("zeta", 0)
    assert held(world) == 0


def test_the_hold_covers_every_split_of_the_prompt_even_at_odd_prices():
    # Cache reads dearer than input, and a tier that is cheaper: an operator may say so.
    odd = (Row("odd/x", 1_000_000, 3_000_000, 0.9, cache_read=2_000_000, tier=(20, 500_000, 1_000_000)),)
    world = World(spec=a_spec(odd, denied={"default": ()}))
    request = a_request(max_output=100)
    plan = make_plan("req_" + "0" * 32, request, a_tenant(baseline_model=None), world.state, 0)
    most = hold_of(plan, plan.inputs, 0).most_nano
    bound = plan.inputs.prompt_bound
    for prompt in range(0, bound + 1, 3):
        for cached in range(0, prompt + 1, 5):
            for output in (0, 50, 100):
                assert bill(world.snapshot.spec.prices, 0, prompt, cached, output) <= most


class TestP13TheDailyCap:
    def test_p13_the_day_never_costs_more_than_its_cap_and_says_when_it_resets(self):
        world = World(cap=DOLLAR // 100)
        answers = [world.ask(a_request("large")) for _ in range(200)]
        refused = [a.refusal for a in answers if isinstance(a, Rejected)]
        spent, held_now = world.books()
        assert 0 < len(refused) < 200
        assert spent <= DOLLAR // 100
        assert held_now == 0
        assert {r.code for r in refused} == {"DAILY_SPEND_LIMIT_EXCEEDED"}
        assert {r.status for r in refused} == {402}
        assert refused[0].retry_after_ms <= 12 * 3_600_000

    def test_p13_a_new_utc_day_has_its_cap_again(self):
        world = World(cap=DOLLAR // 100)
        while not isinstance(world.ask(a_request("large")), Rejected):
            pass
        world.clock.ms += 12 * 3_600_000
        assert isinstance(world.ask(a_request("large")), Completed)

    def test_p13_only_what_is_held_by_others_is_refused_as_such(self):
        world = World(Play(hangs=True, events=0), cap=DOLLAR // 100)
        waiting = [world.client(a_request("large"), a_tenant()) for _ in range(2)]
        for client in waiting:
            client.send(None)
            client.send(None)
        answer = world.ask(a_request("large"))
        assert answer.refusal.code == "BUDGET_RESERVATION_FAILED"
        assert answer.refusal.retry_after_ms
        assert len(world.upstream.calls) == 2
        for client in waiting:
            with pytest.raises(asyncio.CancelledError):
                client.throw(asyncio.CancelledError())
        assert world.books()[1] == 0

    def test_p13_what_is_left_of_the_day_goes_to_an_arm_that_it_can_pay(self):
        cap = DOLLAR // 200
        world = World(cap=cap)
        tenant = a_tenant(limits=capped(cap))
        request = a_request(mode="quality", max_output=200)
        answers = [world.ask(request, tenant) for _ in range(400)]
        served = [a.metadata.model for a in answers if isinstance(a, Completed)]
        assert served[0] == "large"
        assert {"small", "tiny"} & set(served), "the cheap arms serve once the dear ones do not fit"
        assert isinstance(answers[-1], Rejected)
        spent, held_now = world.books()
        assert held_now == 0
        assert cap * 9 // 10 < spent <= cap
        ceilings = {d.inputs.ceiling_pico for d in world.log.of(Decision)}
        assert len(ceilings) > 1, "the smaller ceiling is logged, so that replay decides the same"


class TestP16OneRequest:
    def test_p16_no_request_may_cost_more_than_fifty_dollars(self):
        dear = (Row("a/x", 900_000_000, 900_000_000, 0.9, limit=None, context=1_000_000),)
        world = World(spec=a_spec(dear, denied={"default": ()}))
        answer = world.ask(a_request(max_output=80_000), a_tenant(baseline_model=None))
        assert (answer.refusal.code, answer.refusal.status) == ("REQUEST_COST_EXCEEDED", 402)
        assert "$50.000000" in answer.refusal.message
        assert world.guard.holds == {}
        assert world.upstream.calls == []

    def test_p16_it_holds_where_the_guard_would_grant_anything(self):
        world = World(cap=10**15)
        answer = world.ask(a_request(mode="quality"), a_tenant(max_request_nano=1_000))
        assert answer.refusal.code == "REQUEST_COST_EXCEEDED"
        assert world.guard.holds == {}

    def test_p16_an_unnamed_output_is_capped_below_it(self):
        world = World()
        world.ask(a_request(max_output=None), a_tenant(max_request_nano=DOLLAR // 1_000))
        assert held(world) <= DOLLAR // 1_000


class TestP17TheHold:
    def test_p17_the_most_is_held_before_the_call_and_replaced_by_what_was_used(self):
        world = World()
        client = world.client(a_request(mode="quality"), a_tenant())
        client.send(None)
        client.send(None)  # the provider has been called
        assert len(world.upstream.calls) == 1
        assert world.books() == (0, held(world))
        with pytest.raises(StopIteration):
            client.send(None)
        assert world.books() == (world.outcome.cost_nano, 0)

    def test_p17_a_call_longer_than_five_minutes_is_charged_at_its_most_and_corrected(self):
        world = World(Play(takes_ms=0.0, hangs=True, events=0))
        client = world.client(a_request(mode="quality"), a_tenant())
        client.send(None)
        client.send(None)
        world.clock.ms += 300_000
        assert world.books() == (held(world), 0)
        world.upstream.script[0].hangs = False
        assert isinstance(finish(client), Completed)
        assert world.books() == (world.outcome.cost_nano, 0)
        assert world.outcome.cost_nano < held(world)
