"""What a layer says of itself is what it would do."""

from hypothesis import given
from hypothesis import strategies as st

from p402.errors import Refusal
from p402.guard.anomaly import CostHistory
from p402.guard.daily import DAY_MS, Day
from p402.guard.explain import Standing, layers, past
from p402.guard.ledger import Account, reserve
from p402.limits import Limits, Rate

LIMITS = Limits(100, Rate(3_600, 3), 2)


MONEY = st.integers(0, 120)


@given(st.integers(0, DAY_MS - 1), MONEY, MONEY, st.integers(0, 3), st.integers(0, 6_000))
def test_the_first_layer_that_refuses_is_the_one_that_refuses_the_next_call(
    ms, spent, held, in_flight, ahead
):
    now = 20_000 * DAY_MS + ms
    day, account = Day(20_000, spent, held), Account(tat_us=(now + ahead) * 1_000)
    found = layers(Standing(now, day, account, in_flight, ()), LIMITS)
    refusing = [layer for layer in found if layer.refuses]
    verdict = reserve(day, None, account, in_flight, 1, 0, LIMITS, now)
    if refusing:
        assert isinstance(verdict, Refusal)
        assert verdict.code == refusing[0].code
        if refusing[0].layer != 6:
            assert verdict.retry_after_ms == refusing[0].retry_after_ms
    else:
        assert not isinstance(verdict, Refusal)
    for layer in found:
        assert 0 <= layer.left <= layer.limit
        assert (layer.retry_after_ms is not None) == layer.refuses


def test_layer_4_says_whether_it_is_silent_yet():
    assert past(CostHistory(3, 1.0, 1.0), LIMITS) == "silent: 3 calls are known, 30 are needed"
    assert "from 3 standard deviations" in past(CostHistory(30, 1.0, 1.0), LIMITS)
