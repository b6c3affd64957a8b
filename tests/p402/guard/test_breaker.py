"""The breaker's law, on values alone."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from p402.guard.breaker import (
    FIRST_MS,
    HEALTHY,
    LONGEST_MS,
    PROBE_MS,
    Breaker,
    Closed,
    Leave,
    Open,
    Probing,
    call_failed,
    call_succeeded,
    knock,
    probe_failed,
    probe_succeeded,
    retry_after_ms,
)

times = st.floats(0, 1e12)
waits = st.integers(FIRST_MS, LONGEST_MS)
breakers = st.one_of(
    st.builds(Closed, waits), st.builds(Open, times, waits), st.builds(Probing, times, waits)
)


@given(times)
def test_one_failure_opens_for_200_ms_and_then_one_probe_asks_alone(now: float) -> None:
    opened = call_failed(HEALTHY, now)
    assert opened == Open(now + FIRST_MS, FIRST_MS)
    assert knock(opened, now + FIRST_MS - 1) == (opened, Leave.REFUSE)
    probing, leave = knock(opened, now + FIRST_MS)
    assert leave is Leave.PROBE
    assert knock(probing, now + FIRST_MS + PROBE_MS - 1) == (probing, Leave.REFUSE)


@given(times)
def test_openings_double_to_five_seconds(now: float) -> None:
    breaker, lasted = call_failed(HEALTHY, now), []
    for _ in range(8):
        assert isinstance(breaker, Open)
        lasted.append(breaker.wait_ms)
        breaker, leave = knock(breaker, breaker.until_ms)
        assert leave is Leave.PROBE
        breaker = probe_failed(breaker, now)
    assert lasted == [200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]


@given(times, waits)
def test_a_probe_that_succeeds_closes_and_a_call_that_succeeds_forgets(now: float, wait: int) -> None:
    closed = probe_succeeded(Probing(now, wait))
    assert knock(closed, now) == (closed, Leave.ASK)
    assert call_failed(closed, now) == Open(now + min(2 * wait, LONGEST_MS), min(2 * wait, LONGEST_MS))
    assert call_succeeded(closed) == HEALTHY


@given(breakers, times, st.integers(2, 50))
def test_many_that_fail_together_open_once(breaker: Breaker, now: float, n: int) -> None:
    once = breaker = call_failed(breaker, now)
    for _ in range(n):
        breaker = call_failed(breaker, now)
    assert breaker == once


@given(breakers, times)
def test_only_a_probes_word_closes_and_only_while_it_is_awaited(breaker: Breaker, now: float) -> None:
    assert isinstance(call_succeeded(breaker), Closed) == isinstance(breaker, Closed)
    assert isinstance(probe_succeeded(breaker), Closed) == isinstance(breaker, Closed | Probing)
    if not isinstance(breaker, Probing):
        assert probe_succeeded(breaker) == probe_failed(breaker, now) == breaker


@given(breakers, times)
def test_waiting_as_long_as_is_told_gets_somewhere(breaker: Breaker, now: float) -> None:
    after = retry_after_ms(breaker, now)
    assert after >= 0
    later, leave = knock(breaker, now + after)
    assert leave is not Leave.REFUSE or isinstance(breaker, Probing)
    assert later != breaker or isinstance(breaker, Closed)
    if after > 1:
        assert knock(breaker, now + after - 2) == (breaker, Leave.REFUSE)


@dataclass
class World:
    """A Redis that is there or not, and what a worker asked of it."""

    breaker: Breaker = HEALTHY
    now: float = 0.0
    probes: list[float] = field(default_factory=list)


@given(st.lists(st.tuples(st.sampled_from(["call", "probe"]), st.booleans(), st.integers(0, 2_000))))
def test_whatever_happens_probes_are_alone_and_no_opening_is_shorter_or_longer_than_may_be(
    history: list[tuple[str, bool, int]],
) -> None:
    world = World()
    for what, well, passed in history:
        world.now += passed
        before = world.breaker
        world.breaker, leave = knock(before, world.now)
        if leave is Leave.PROBE:
            assert not world.probes or world.now - world.probes[-1] >= FIRST_MS
            world.probes.append(world.now)
        if what == "call" and leave is Leave.ASK:
            world.breaker = call_succeeded(world.breaker) if well else call_failed(world.breaker, world.now)
        elif what == "probe":
            world.breaker = probe_succeeded(world.breaker) if well else probe_failed(world.breaker, world.now)
        if isinstance(world.breaker, Open) and world.breaker != before:
            assert FIRST_MS <= world.breaker.until_ms - world.now <= LONGEST_MS
        assert FIRST_MS <= world.breaker.wait_ms <= LONGEST_MS
