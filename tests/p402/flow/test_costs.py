"""Every billed attempt and every class of tokens is in the cost; what nobody can price is null, never 0."""

import asyncio

import pytest

from p402.answer import Rejected, StreamEnd
from p402.flow.account import charged_nano
from p402.ports import Usage
from p402.routing.features import read
from tests.p402.flow.world import (
    ARMS,
    HEAD,
    Play,
    Row,
    World,
    a_request,
    a_spec,
    a_tenant,
    billed,
    broke,
    finish,
)

WRITING = (
    Row(
        "alpha/large", 3_000_000, 15_000_000, 0.9, 300_000, model="large", write=3_750_000, write_1h=6_000_000
    ),
    Row("beta/plain", 1_000_000, 4_000_000, 0.5, model="plain"),
)
PLAIN = {"baseline_model": None}


def writing(*script, **kw):
    return World(*script, spec=a_spec(WRITING, denied={"default": ()}), **kw)


def told_of(answer):
    return answer[-1].metadata if isinstance(answer, list) else answer.metadata


@pytest.mark.parametrize("stream", [False, True])
def test_each_class_of_tokens_is_billed_at_its_own_price_and_told_with_it(stream):
    used = Usage(prompt=100, output=10, cached=20, cache_write=50, reasoning=4, cache_write_1h=30)
    world = writing(Play(usage=used))
    told = told_of(world.ask(a_request(mode="quality", stream=stream), a_tenant(baseline_model="plain")))
    (attempt,) = told.attempts
    assert told.cost_nano == 30 * 3_000 + 20 * 300 + 20 * 3_750 + 30 * 6_000 + 10 * 15_000
    assert attempt.price_pico == [3_000_000, 300_000, 15_000_000, 3_750_000, 6_000_000]
    assert (attempt.cache_write_tokens, attempt.cache_write_1h_tokens) == (50, 30)
    assert (attempt.price_source, attempt.service_tier) == ("list", None)
    assert told.cache_write_tokens == world.outcome.cache_write_tokens == 50
    assert told.direct_nano == 100 * 1_000 + 10 * 4_000  # the baseline asks nothing more for a write
    assert world.books() == (told.cost_nano, 0)


def test_what_writes_a_cache_without_a_price_is_billed_as_input():
    told = (
        writing(Play(usage=Usage(100, 10, cached=0, cache_write=60)))
        .ask(a_request("plain"), a_tenant())
        .metadata
    )
    assert told.cost_nano == 100 * 1_000 + 10 * 4_000
    assert told.attempts[0].price_pico == [1_000_000, 1_000_000, 4_000_000, 1_000_000, 1_000_000]


def test_the_hold_covers_a_prompt_that_is_written_whole_for_an_hour():
    request = a_request(mode="quality", max_output=200)
    bound = read(request.transcript, request.options, 200, HEAD).prompt_bound
    world = writing(Play(usage=Usage(bound, 200, cache_write=bound, cache_write_1h=bound)))
    told = world.ask(request, a_tenant(**PLAIN)).metadata
    (held,) = world.guard.holds.values()
    assert told.cost_nano == held == bound * 6_000 + 200 * 15_000
    assert not any(w.startswith("hold_exceeded") for w in told.warnings)


def test_an_arm_whose_cache_writes_do_not_fit_the_ceiling_is_not_chosen():
    request = a_request(mode="quality", max_output=200)
    bound = read(request.transcript, request.options, 200, HEAD).prompt_bound
    at_input = (bound * 3_000_000 + 200 * 15_000_000) + bound * 1_000_000
    chosen = writing().ask(
        a_request(mode="quality", max_output=200, max_cost_pico=at_input), a_tenant(**PLAIN)
    )
    assert chosen.metadata.model == "plain"
    above = (bound * 6_000_000 // 1_000 + 200 * 15_000 + 1) * 1_000
    chosen = writing().ask(a_request(mode="quality", max_output=200, max_cost_pico=above), a_tenant(**PLAIN))
    assert chosen.metadata.model == "large"


def test_a_contracts_price_says_that_it_is_one():
    arms = (*ARMS, Row("zeta/deal", 1_000, 1_000, 0.99, model="deal", contract=True))
    told = World(spec=a_spec(arms)).ask(a_request(mode="quality")).metadata
    assert (told.provider, told.attempts[0].price_source) == ("zeta", "contract")


class TestServiceTiers:
    FLEX = Usage(prompt=20, output=10, tier="flex")

    @pytest.mark.parametrize("stream", [False, True])
    def test_what_was_billed_at_another_tier_has_no_known_cost_and_takes_the_hold(self, stream):
        world = World(Play(usage=self.FLEX))
        told = told_of(world.ask(a_request(mode="quality", stream=stream)))
        (held,) = world.guard.holds.values()
        (attempt,) = told.attempts
        assert told.cost_nano is attempt.cost_nano is attempt.price_pico is attempt.price_source is None
        assert (attempt.service_tier, attempt.prompt_tokens) == ("flex", 20)
        assert told.direct_nano == 20 * 10_000 + 10 * 40_000  # the baseline's standard price is known
        (warning,) = [w for w in told.warnings if w.startswith("price_unknown")]
        assert "service tier 'flex'" in warning
        assert attempt.arm in warning
        assert world.books() == (held, 0)
        assert held > 0

    def test_an_attempt_that_failed_at_another_tier_makes_the_whole_unknown_and_ends_failover(self):
        world = World(Play(failure=broke(usage=self.FLEX)), Play())
        answer = world.ask(a_request(mode="quality"))
        assert isinstance(answer, Rejected)
        assert len(world.upstream.calls) == 1
        assert world.outcome.cost_nano is None
        assert world.books() == (world.outcome.hold_nano, 0)

    def test_the_fee_on_an_unknown_cost_is_none_and_the_hold_has_it(self):
        world = World(Play(usage=self.FLEX))
        told = world.ask(a_request(mode="quality"), a_tenant(fee_bps=500)).metadata
        (held,) = world.guard.holds.values()
        assert told.fee_nano == 0
        assert charged_nano(world.outcome, held) == held == world.books()[0]


class TestFailedAttempts:
    def test_a_stream_that_broke_after_content_is_an_attempt_with_its_bill(self):
        usage = Usage(prompt=40, output=7, cached=10)
        world = World(Play(usage=usage, broken=broke()))
        end = world.ask(a_request(mode="quality", stream=True))[-1]
        assert isinstance(end, StreamEnd)
        assert end.failure is not None
        (attempt,) = end.metadata.attempts
        assert (attempt.status, attempt.output_tokens) == ("failed", 7)
        assert end.metadata.cost_nano == billed(attempt) == 30 * 5_000 + 10 * 500 + 7 * 20_000
        assert world.books() == (end.metadata.cost_nano, 0)

    def test_an_error_that_came_with_usage_is_an_attempt_with_its_bill_and_no_part_of_the_direct_cost(self):
        failed, served = Usage(prompt=30, output=20, cache_write=10), Usage(prompt=20, output=10)
        world = World(Play(failure=broke(usage=failed)), Play(usage=served))
        told = world.ask(a_request(mode="quality")).metadata
        assert [a.status for a in told.attempts] == ["failed", "ok"]
        assert told.cost_nano == sum(map(billed, told.attempts)) > billed(told.attempts[1])
        assert told.direct_nano == 20 * 10_000 + 10 * 40_000
        assert world.books() == (told.cost_nano, 0)

    def test_a_call_that_its_caller_left_is_an_attempt_with_its_estimated_bill(self):
        world = World(Play(hangs=True, events=0))
        client = world.client(a_request(mode="quality"), a_tenant())
        client.send(None)
        client.send(None)
        with pytest.raises(asyncio.CancelledError):
            client.throw(asyncio.CancelledError())
        (attempt,) = world.outcome.attempts
        assert attempt.status == world.outcome.status == "cancelled"
        assert world.outcome.cost_nano == billed(attempt) > 0
        assert world.outcome.usage_estimated
        assert world.outcome.direct_nano is None  # nothing was served
        assert world.books() == (world.outcome.cost_nano, 0)

    def test_a_stream_that_its_caller_left_is_an_attempt_with_what_it_used_so_far(self):
        world = World(Play(usage=Usage(20, 3), events=5))
        client = world.client(a_request(mode="quality", stream=True), a_tenant(), leave_after=1)
        assert len(finish(client)) == 1
        (attempt,) = world.outcome.attempts
        assert (attempt.status, attempt.output_tokens) == ("cancelled", 3)
        assert world.outcome.cost_nano == billed(attempt) == 20 * 5_000 + 3 * 20_000
