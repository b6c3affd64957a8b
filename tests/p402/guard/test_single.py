"""Layer 5: one call's ceiling."""

from hypothesis import given
from hypothesis import strategies as st

from p402.guard.single import DEFAULT_CEILING_NANO, refuse_single

amounts = st.integers(0, 10**14)


@given(amounts, amounts, st.none() | amounts)
def test_p16_a_call_passes_only_if_every_ceiling_covers_it(upper: int, ceiling: int, own: int | None) -> None:
    refusal = refuse_single(upper, ceiling, own)
    limit = ceiling if own is None else min(ceiling, own)
    assert (refusal is None) == (upper <= limit)
    if refusal is not None:
        assert (refusal.code, refusal.status, refusal.retry_after_ms) == ("REQUEST_COST_EXCEEDED", 402, None)


def test_p16_the_default_ceiling_is_fifty_dollars() -> None:
    assert refuse_single(50_000_000_000) is None
    assert refuse_single(50_000_000_001) is not None
    assert DEFAULT_CEILING_NANO == 50_000_000_000


def test_p16_an_unknown_cost_is_refused() -> None:
    assert refuse_single(None) is not None


def test_the_message_names_the_rule_that_said_no() -> None:
    own, layer = refuse_single(20, 100, 10), refuse_single(200, 100, 1_000)
    assert own is not None
    assert layer is not None
    assert (own.param, layer.param) == ("p402.max_cost", None)
    assert "single-request ceiling" in layer.message
