"""Limits fit what was seen with room above it, or keep to a sum; and say why."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.guard.sizing import DEAREST_TIMES, LONGEST_MONTH, Demand, by_demand, by_spend, headroom, two_digits
from p402.limits import HOLD_PREDICTED, HOLD_STRICT
from p402.settings import read_settings

USD = 10**9
SEEN = Demand(
    days=10,
    requests=5_000,
    peak_day_nano=40 * USD,
    peak_hour=211,
    peak_in_flight=12,
    p99_nano=USD // 50,
    dearest_nano=USD // 10,
    peak_held_nano=15 * USD,
    peak_predicted_nano=2 * USD,
    predicted=1_000,
    overshot=1,
    overshoot_nano=USD // 100,
)
money = st.integers(0, 10**12)


@given(
    days=st.integers(1, 60), day=money, hour=st.integers(1, 10**6), flight=st.integers(1, 10**4),
    dearest=money, named=money, strict=money, share=st.integers(0, 100), predicted=st.integers(0, 10**4),
)  # fmt: skip
def test_whatever_was_seen_would_have_passed_and_the_settings_take_it(
    days, day, hour, flight, dearest, named, strict, share, predicted
):
    seen = Demand(
        days=days, requests=hour, peak_day_nano=day, peak_hour=hour, peak_in_flight=flight, p99_nano=dearest,
        dearest_nano=dearest, dearest_bound_nano=named, dearest_named_nano=named, peak_held_nano=strict,
        peak_predicted_nano=strict * share // 100, predicted=predicted,
    )  # fmt: skip
    given_ = by_demand(seen)
    held = strict * share // 100 if given_.hold == HOLD_PREDICTED else strict
    assert given_.daily_cap_nano >= day + held
    assert given_.daily_cap_nano >= given_.max_request_nano >= max(dearest, named)
    assert given_.requests_per_hour >= hour
    assert given_.max_in_flight >= flight
    assert all(given_.why)
    read_settings({"tenants": {"t": {
        "daily_cap_usd": given_.daily_cap_nano / USD, "requests_per_hour": given_.requests_per_hour,
        "max_in_flight": given_.max_in_flight, "max_request_usd": given_.max_request_nano / USD,
        "hold": given_.hold,
    }}}, {})  # fmt: skip


@given(st.integers(1, 100), st.integers(1, 100))
def test_the_more_days_were_seen_the_less_room_is_left(one, other):
    few, many = sorted((one, other))
    assert headroom(few)[0] >= headroom(many)[0] > 1.0
    assert f"once in {few + 1}" in headroom(few)[1]


def test_predicted_holds_are_suggested_where_they_free_enough_and_their_overshoot_is_told():
    found = by_demand(SEEN)
    assert found.hold == HOLD_PREDICTED
    assert found.daily_cap_nano == two_digits(int(1.5 * 42 * USD))
    (reason,) = [why for why in found.why if "p99.9" in why]
    assert "1 of 1,000 calls would have cost more than their hold" in reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"peak_predicted_nano": 14 * USD}, "below the 5%"),
        ({"predicted": 0}, "no worker saw the answers"),
        ({"peak_held_nano": None, "peak_predicted_nano": None}, "the log has no `hold_nano`"),
    ],
)
def test_strict_holds_are_suggested_where_prediction_frees_little_or_nobody_knows(change, said):
    found = by_demand(replace(SEEN, **change))
    assert found.hold == HOLD_STRICT
    assert any(said in why for why in found.why)


def test_a_request_may_cost_some_times_the_dearest_and_never_less_than_a_named_cap_needs():
    assert by_demand(SEEN).max_request_nano == DEAREST_TIMES * USD // 10
    strict = replace(SEEN, predicted=0, dearest_bound_nano=9 * USD)
    assert by_demand(strict).max_request_nano == DEAREST_TIMES * USD // 10
    assert by_demand(replace(strict, dearest_named_nano=2 * USD)).max_request_nano == 2 * USD
    assert by_demand(replace(SEEN, dearest_bound_nano=2 * USD)).max_request_nano == 2 * USD


def test_refusals_at_a_limit_say_that_demand_was_higher():
    found = by_demand(replace(SEEN, refused_slots=3))
    assert any("3 by calls in flight" in why for why in found.why)


@given(st.integers(31 * 1_000, 10**16), st.sampled_from([1, LONGEST_MONTH]))
def test_a_sum_is_never_passed(spend, days):
    found = by_spend(spend, days)
    assert found.daily_cap_nano * days <= spend
    assert 0 < found.max_request_nano <= max(found.daily_cap_nano, 1_000)
    assert found.hold == HOLD_STRICT


def test_a_sum_that_leaves_a_day_nothing_is_refused():
    with pytest.raises(ValueError, match="leave no day"):
        by_spend(30_000, LONGEST_MONTH)


@pytest.mark.parametrize(("given_", "rounded"), [(0, 0), (7, 7), (99, 99), (101, 110), (1_234, 1_300)])
def test_amounts_are_rounded_up_to_two_digits(given_, rounded):
    assert two_digits(given_) == rounded
