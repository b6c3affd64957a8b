"""Layer 1: a bucket kept as one number is a bucket of tokens."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import Refusal
from p402.guard.rate import admit, left
from p402.limits import HOUR_US, MAX_PER_HOUR, Limits, Rate

NOW = 1_795_000_000_000


def test_p12_a_thousand_an_hour_is_the_default():
    assert Limits().rate == Rate(1_000, 1_000)


@given(st.integers(1, MAX_PER_HOUR), st.integers(1, 50), st.lists(st.integers(0, 5_000), max_size=80))
def test_it_grants_what_a_bucket_of_tokens_grants(per_hour, burst, gaps):
    rate = Rate(per_hour, burst)
    tokens, tat, now = Fraction(burst), 0, NOW
    for gap in gaps:
        now += gap
        tokens = min(Fraction(burst), tokens + Fraction(gap * 1_000, rate.spacing_us))
        assert left(tat, rate, now) == tokens // 1
        verdict = admit(tat, rate, now)
        if tokens >= 1:
            assert isinstance(verdict, int)
            tat, tokens = verdict, tokens - 1
        else:
            assert isinstance(verdict, Refusal)
            assert (verdict.code, verdict.status) == ("RATE_LIMIT_EXCEEDED", 429)


@given(st.integers(1, 10**7), st.integers(1, 20), st.integers(0, 30))
def test_the_retry_hint_is_exact(per_hour, burst, early_ms):
    rate, tat = Rate(per_hour, burst), 0
    while isinstance(verdict := admit(tat, rate, NOW), int):
        tat = verdict
    wait = verdict.retry_after_ms
    assert wait is not None
    assert isinstance(admit(tat, rate, NOW + wait), int)
    assert isinstance(admit(tat, rate, NOW + max(0, wait - 1 - early_ms)), Refusal)


@pytest.mark.parametrize("per_hour", [1, 7, 1_000, 999_983, MAX_PER_HOUR])
def test_rounding_never_gives_more_than_the_rate(per_hour):
    assert Rate(per_hour, 1).spacing_us * per_hour >= HOUR_US


@given(st.integers(1, 10_000))
def test_a_clock_that_is_set_back_gives_nothing(back_ms):
    rate = Rate(1_000, 2)
    tat = admit(admit(0, rate, NOW), rate, NOW)
    assert isinstance(admit(tat, rate, NOW - back_ms), Refusal)
