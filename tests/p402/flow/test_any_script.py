"""Whatever providers do, whenever the caller leaves, whenever the disk is full: the books balance."""

import asyncio

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from p402.answer import Completed, Rejected, StreamEnd
from p402.errors import DiskFull, StoreError
from p402.events import Attempt, Decision, Event, Outcome
from p402.flow.plan import scopes_of
from p402.guard.scopes import Totals
from p402.limits import Kind, Period, Scope
from p402.ports import Call, Usage
from p402.routing.features import read
from tests.p402.flow.world import (
    DOLLAR,
    HEAD,
    Play,
    World,
    a_request,
    a_tenant,
    billed,
    broke,
    finish,
)

share = st.integers(0, 100)


class Unforeseen(Exception):
    """An error of ours, or of a hand."""


@st.composite
def usages(draw, nothing=False):
    """Usage within what the call allows: shares of the prompt's bound and of the output cap."""
    prompt, cached, output, estimated = draw(st.tuples(share, share, share, st.booleans()))
    written, hour = draw(st.tuples(share, share))

    def usage(call: Call) -> Usage:
        most = call.output_cap or call.body["max_tokens"]
        tokens = call.body["bound"] * prompt // 100
        read = tokens * cached // 100
        write = (tokens - read) * written // 100
        return Usage(
            prompt=tokens,
            output=most * call.body["n"] * output // 100,
            cached=read,
            cache_write=write,
            cache_write_1h=write * hour // 100,
            estimated=estimated,
        )

    return usage


@st.composite
def failures(draw):
    return broke(
        fail_over=draw(st.booleans()),
        counts=draw(st.booleans()),
        usage=draw(st.none() | st.just(Usage(12, 7, 3)) | st.just(Usage(0, 0, estimated=True))),
        retry_after_ms=draw(st.none() | st.integers(0, 100_000)),
    )


@st.composite
def plays(draw):
    kind = draw(st.sampled_from(["ok", "ok", "fails", "fails", "raises", "hangs"]))
    return Play(
        failure=draw(failures()) if kind == "fails" else None,
        usage=draw(usages()),
        events=draw(st.integers(0, 3)),
        broken=draw(st.none() | failures()) if kind == "ok" else None,
        raises=Unforeseen() if kind == "raises" else None,
        hangs=kind == "hangs",
        takes_ms=draw(st.sampled_from([0.0, 1.0, 250.0, 400_000.0])),
    )


@st.composite
def requests(draw):
    max_output, n = draw(st.sampled_from([None, 1, 200, 1_000])), draw(st.sampled_from([1, 3]))
    request = a_request(
        draw(st.sampled_from([None, None, "large", "alpha/small"])),
        stream=draw(st.booleans()),
        max_output=max_output,
        n=n,
        mode=draw(st.sampled_from([None, "cost", "quality", "speed", "balanced"])),
        failover=draw(st.sampled_from([True, True, True, False])),
        explain=draw(st.booleans()),
        max_cost_pico=draw(st.sampled_from([None, None, 20_000_000_000, 1_000_000_000])),
        session_id=draw(st.sampled_from([None, "s"])),
    )
    bound = read(request.transcript, request.options, max_output, HEAD).prompt_bound
    request.body.update(n=n, max_tokens=max_output, bound=bound)
    return request


caps = st.sampled_from([1_000 * DOLLAR, DOLLAR // 100, DOLLAR // 3_000])
tenants = st.builds(
    a_tenant,
    route_named_models=st.sampled_from(["observe", "on", "off"]),
    exploration=st.booleans(),
    fee_bps=st.sampled_from([0, 1, 250, 10_000]),
    max_request_nano=st.sampled_from([50 * DOLLAR, DOLLAR // 50]),
    baseline_model=st.sampled_from([None, "flagship", "small"]),
    scopes=st.lists(
        st.builds(Scope, st.just(Kind.KEY), st.just("ci"), st.sampled_from([Period.DAY, Period.MONTH]), caps),
        max_size=2,
        unique_by=lambda scope: scope.period,
    ).map(tuple),
    session_cap_nano=st.none() | caps,
)


@given(
    script=st.lists(plays(), min_size=1, max_size=4),
    request=requests(),
    tenant=tenants,
    cap=caps,
    cancel_at=st.none() | st.integers(0, 12),
    leave_after=st.none() | st.integers(0, 4),
    full_from=st.none() | st.integers(1, 6),
    full_for=st.sampled_from([1, 1, 100]),
    log_error=st.sampled_from([DiskFull, StoreError]),
)
@settings(max_examples=400, deadline=None)
def test_any_script_leaves_balanced_books_and_one_line_of_each_kind(
    script, request, tenant, cap, cancel_at, leave_after, full_from, full_for, log_error
):
    world = World(*script, cap=cap)
    world.log.error = log_error
    if full_from is not None:
        world.log.full = lambda event, number: full_from <= number < full_from + full_for
    seen, end = None, "answered"
    try:
        seen = finish(world.client(request, tenant, leave_after), cancel_at)
    except asyncio.CancelledError:
        end = "cancelled"
    except Unforeseen:
        end = "raised"
    event(end if seen is None else type(seen).__name__)

    decisions, outcomes = world.log.of(Decision), world.log.of(Outcome)
    log_refused = world.log.asked > len(world.log.of(Event))
    assert len(decisions) <= 1
    assert len(outcomes) <= len(decisions)
    if not log_refused and decisions:
        assert len(outcomes) == 1

    # Nothing is sent that was not logged first, and nobody is called twice.
    order = [e for e in world.journal if isinstance(e, Decision | Attempt | Call)]
    called = [k for k, e in enumerate(order) if isinstance(e, Call)]
    for number, k in enumerate(called):
        line = order[k - 1]
        if number == 0:
            assert isinstance(line, Decision) or (isinstance(line, Attempt) and line.attempt == 0)
        else:
            assert isinstance(line, Attempt)
            assert line.attempt == number
    arms = [(c.provider, c.model) for c in world.upstream.calls]
    assert len(set(arms)) == len(arms) <= 3

    # Whatever was held is settled once, and never above what was held.
    spent, held = world.books()
    assert held == 0
    assert len(world.settled) == len(world.guard.holds) <= 1
    for settled in world.settled:
        assert settled.nano <= settled.held
        assert settled.nano == spent
        limit = min(tenant.max_request_nano, (request.options.max_cost_pico or 10**18) // 1000)
        assert settled.nano <= limit

    # Every scope of the call has moved as the day has.
    scopes = scopes_of(request.options.session_id, tenant)
    for scope, totals in finish(world.guard.standing("default", scopes)).scoped:
        assert totals == Totals(spent, 0)
        assert spent <= scope.cap_nano

    # The bill is its tokens at its prices, in the log and in the answer.
    for outcome in outcomes:
        assert outcome.cost_nano == sum(billed(a) for a in outcome.attempts)
        assert all(a.cost_nano == billed(a) for a in outcome.attempts)
        assert len(outcome.attempts) == len(world.upstream.calls)
        assert spent == outcome.cost_nano + outcome.fee_nano
        assert outcome.fee_nano == -(-outcome.cost_nano * tenant.fee_bps // 10_000)
        assert outcome.overhead_ms >= 0
        if outcome.status == "ok":
            assert outcome.arm == outcome.attempts[-1].arm
    last = seen if isinstance(seen, Completed) else seen[-1] if isinstance(seen, list) and seen else None
    if isinstance(last, Completed | StreamEnd) and outcomes:
        told, logged = last.metadata, outcomes[0]
        for name in ("cost_nano", "direct_nano", "fee_nano", "cached_tokens", "reasoning_tokens"):
            assert getattr(told, name) == getattr(logged, name)
        assert (told.input_tokens, told.output_tokens) == (logged.prompt_tokens, logged.output_tokens)
        assert told.attempts == tuple(logged.attempts)
        assert (told.latency_ms, told.overhead_ms) == (logged.latency_ms, logged.overhead_ms)
        assert f"{told.provider}/" == logged.arm[: len(told.provider) + 1]
        budgeted = len(scopes) > len(tenant.scopes)
        assert told.session_remaining_nano == (tenant.session_cap_nano - spent if budgeted else None)
    if isinstance(seen, Rejected) and not world.upstream.calls:
        assert spent == 0
    assert all(stream.closed for stream in world.upstream.streams)


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_may_leave_at_every_single_await(stream):
    script = [Play(failure=broke(usage=Usage(30, 20))), Play(failure=broke()), Play(events=3)]
    request = a_request(stream=stream, max_output=None)
    left = 0
    for step in range(40):
        world = World(*script)
        try:
            finish(world.client(request, a_tenant(fee_bps=100)), cancel_at=step)
        except asyncio.CancelledError:
            left += 1
        spent, held = world.books()
        assert held == 0
        if not world.log.of(Decision):
            assert spent == 0
            assert not world.upstream.calls
            continue
        assert spent == world.outcome.cost_nano + world.outcome.fee_nano
        assert len(world.settled) == 1
        assert all(s.closed for s in world.upstream.streams)
    assert left >= (4 if not stream else 8)
