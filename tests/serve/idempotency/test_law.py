"""The law of idempotency keys: one first request, and never a second one that could be billed."""

from hypothesis import given
from hypothesis import strategies as st

from p402.errors import Refusal
from serve.idempotency.law import (
    GONE,
    IN_FLIGHT,
    KEPT_MS,
    LEASE_MS,
    OTHER_BODY,
    UNKNOWN,
    Claim,
    Entry,
    Replay,
    State,
    is_forgotten,
    is_kept,
    judge,
)

NOW = 1_790_000_000_000
TIMES = st.integers(NOW - 3 * KEPT_MS, NOW + 3 * KEPT_MS)
ENTRIES = st.builds(
    Entry,
    fingerprint=st.sampled_from([b"a", b"b"]),
    created_ms=TIMES,
    lease_ms=TIMES,
    state=st.sampled_from(State),
)


def entry(state: State = State.IN_FLIGHT, age_ms: int = 0, lease_ms: int = LEASE_MS) -> Entry:
    return Entry(b"a", NOW - age_ms, NOW - age_ms + lease_ms, state)


def test_an_unknown_key_is_claimed():
    assert judge(None, b"a", NOW) == Claim()


def test_a_key_in_flight_is_to_be_waited_for():
    assert judge(entry(), b"a", NOW) is IN_FLIGHT
    assert IN_FLIGHT.status == 409
    assert IN_FLIGHT.retry_after_ms


def test_an_answer_is_replayed_for_a_day_and_then_forgotten():
    assert judge(entry(State.ANSWERED, KEPT_MS - 1), b"a", NOW) == Replay()
    assert judge(entry(State.ANSWERED, KEPT_MS), b"a", NOW) == Claim()


def test_a_first_request_whose_end_nobody_knows_is_neither_waited_for_nor_sent_again():
    assert judge(entry(age_ms=LEASE_MS), b"a", NOW) is UNKNOWN
    assert UNKNOWN.retry_after_ms is None


def test_an_answer_that_is_not_kept_is_not_made_again():
    assert judge(entry(State.GONE), b"a", NOW) is GONE


@given(ENTRIES, TIMES)
def test_another_body_is_never_sent_and_never_answered_while_its_key_is_known(found: Entry, now: int):
    verdict = judge(found, b"c", now)
    assert verdict == (Claim() if is_forgotten(found, now) else OTHER_BODY)


@given(st.none() | ENTRIES, st.sampled_from([b"a", b"b"]), TIMES)
def test_a_key_is_claimed_only_if_nobody_may_have_paid_under_it_within_a_day(found, body, now):
    verdict = judge(found, body, now)
    if isinstance(verdict, Claim) and found is not None:
        assert now - found.created_ms >= KEPT_MS
        assert found.state is not State.IN_FLIGHT or now >= found.lease_ms
    if isinstance(verdict, Replay):
        assert found.state is State.ANSWERED
        assert found.fingerprint == body
    if isinstance(verdict, Refusal):
        assert verdict.status in (409, 422)
        assert (verdict.retry_after_ms is not None) == (verdict is IN_FLIGHT)


@given(st.integers(200, 599))
def test_what_was_spent_on_is_kept_whatever_it_says_and_a_refusal_that_cost_nothing_is_not(status):
    assert is_kept(status, spent=True)
    assert is_kept(status, spent=False) == (status < 300)
