import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402 import catalog
from p402.catalog.price import (
    DAY_MS,
    PricePeriod,
    PriceRow,
    Tier,
    TokenPrices,
    discounted,
    next_price_change,
    prices_at,
)
from p402.store.catalog import load_catalog

HOUR = 3_600_000


class Offer(NamedTuple):
    prices: tuple[PricePeriod, ...]


def row(price: int | None) -> PriceRow:
    return PriceRow(TokenPrices(input=price, output=price))


hours = st.integers(0, 23).map(lambda h: h * HOUR)
constraints = st.tuples(
    st.none() | st.integers(0, 9).map(lambda d: d * DAY_MS), st.none() | st.tuples(hours, hours)
)
offers = st.lists(st.tuples(constraints, st.integers(0, 2)), min_size=1, max_size=5).map(
    lambda items: Offer(tuple(PricePeriod(row(p), start, window) for (start, window), p in items))
)
instants = st.integers(0, 12 * DAY_MS)


@given(offers, instants)
def test_the_last_period_in_force_wins_and_the_first_of_all_is_the_fallback(offer: Offer, when: int) -> None:
    def active(period: PricePeriod) -> bool:
        if period.from_ms is not None and when < period.from_ms:
            return False
        if period.window is None:
            return True
        start, end = period.window
        day = when % DAY_MS
        length = (end - start) % DAY_MS
        return (day - start) % DAY_MS < length

    expected = [p.prices for p in offer.prices if active(p)]
    assert prices_at(offer, when) == (expected[-1] if expected else offer.prices[0].prices)


@given(offers, instants)
def test_the_next_change_is_the_first_instant_whose_price_differs(offer: Offer, when: int) -> None:
    change = next_price_change([offer], when)
    first_hour = when - when % HOUR + HOUR
    edges = range(first_hour, first_hour + 14 * DAY_MS, HOUR)  # all changes lie on whole hours here
    expected = next((t for t in edges if prices_at(offer, t) != prices_at(offer, t - 1)), None)
    assert change == expected


@given(st.lists(offers, max_size=4), instants)
def test_of_many_deployments_the_earliest_change_counts(many: list[Offer], when: int) -> None:
    single = [c for o in many if (c := next_price_change([o], when)) is not None]
    assert next_price_change(many, when) == min(single, default=None)


def test_a_window_over_midnight_holds_on_both_sides() -> None:
    night = Offer((PricePeriod(row(2)), PricePeriod(row(1), window=(22 * HOUR, 4 * HOUR))))
    cheap = [h for h in range(24) if prices_at(night, 5 * DAY_MS + h * HOUR) == row(1)]
    assert cheap == [0, 1, 2, 3, 22, 23]


def test_no_price_is_none_and_never_changes() -> None:
    assert prices_at(Offer(()), 0) is None
    assert next_price_change([Offer(())], 0) is None


def test_a_tier_is_a_cliff_for_the_whole_request() -> None:
    low, high, top = (TokenPrices(input=p, output=p) for p in (1, 2, 3))
    tiered = PriceRow(low, (Tier(100, high), Tier(200, top)))
    assert [tiered.price_for(n) for n in (0, 100, 101, 200, 201)] == [low, low, high, high, top]


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=4, unique=True),
    st.data(),
)
def test_the_tier_of_routing_never_understates(thresholds: list[int], data: st.DataObject) -> None:
    prices = data.draw(st.lists(st.integers(0, 99), min_size=len(thresholds), max_size=len(thresholds)))
    tiers = tuple(
        Tier(t, TokenPrices(input=p, output=p)) for t, p in zip(sorted(thresholds), prices, strict=True)
    )
    tiered = PriceRow(TokenPrices(input=0, output=0), tiers)
    one = tiered.routing_tier()
    assert one is not None
    prompt = data.draw(st.integers(0, 2 * 10**6))
    routed = one.prices if prompt > one.threshold else tiered.base
    assert routed.input >= tiered.price_for(prompt).input
    if len(tiers) == 1:
        assert routed == tiered.price_for(prompt)


def test_only_the_two_deployments_that_the_readme_names_have_more_than_one_tier() -> None:
    several = {d.id for d in load_catalog().deployments for p in d.prices if len(p.prices.tiers) > 1}
    readme = (Path(catalog.__file__).parent / "README.md").read_text()
    assert several == set(re.findall(r"`(openrouter/[^`]+)`", readme))


def test_a_row_without_tiers_has_no_tier_for_routing() -> None:
    assert row(1).routing_tier() is None


def test_a_class_without_a_price_is_billed_as_its_wider_class_and_zero_is_kept() -> None:
    assert TokenPrices(input=5, output=7).billed() == TokenPrices(5, 5, 5, 7, 5)
    free = TokenPrices(input=5, cache_read=0, cache_write=6, output=7).billed()
    assert (free.cache_read, free.cache_write, free.cache_write_1h) == (0, 6, 6)
    assert TokenPrices().billed() == TokenPrices()


@given(st.integers(0, 1 << 30), st.decimals(0, 100, places=6), st.none() | st.integers(0, 1 << 30))
def test_a_discount_takes_its_share_of_every_price_and_rounds_half_a_pico_up(
    price: int, percent: Decimal, other: int | None
) -> None:
    base, tier = TokenPrices(price, other, 1, price, 3), TokenPrices(0, price, other, 5, price)
    period = PricePeriod(PriceRow(base, (Tier(10, tier), Tier(20, base))), from_ms=7, window=(1, 2))
    (found,) = discounted((period,), percent)
    assert (found.from_ms, found.window) == (7, (1, 2))
    assert [t.threshold for t in found.prices.tiers] == [10, 20]
    assert found.prices.tiers[1].prices == found.prices.base
    for before, after in ((base, found.prices.base), (tier, found.prices.tiers[0].prices)):
        for name in TokenPrices.__struct_fields__:
            listed, paid = getattr(before, name), getattr(after, name)
            exact = None if listed is None else listed * (100 - percent) / 100
            assert paid == (None if exact is None else int(exact.to_integral_value(ROUND_HALF_UP))), name


def test_no_discount_is_the_list_and_all_of_it_is_free_not_unknown() -> None:
    periods = (PricePeriod(row(5)),)
    assert discounted(periods, Decimal(0)) == periods
    (free,) = discounted(periods, Decimal(100))
    assert free.prices.base.input == 0


def test_costs_agree_with_the_source_on_every_dated_or_tiered_deployment() -> None:
    """The source's own calculator is the oracle: dates, hours, tiers and cache classes."""
    snapshot = pytest.importorskip("genai_prices.data_snapshot").get_snapshot()
    from genai_prices.types import Usage

    models = {(p.id, m.id): (p, m) for p in snapshot.providers for m in p.models}
    moments = [datetime(y, m, d, h, 30, tzinfo=UTC) for y, m, d, h in (
        (2025, 3, 1, 2), (2026, 8, 20, 7), (2026, 11, 22, 2), (2026, 11, 22, 12), (2027, 1, 5, 23),
    )]  # fmt: skip
    checked = 0
    for deployment in load_catalog().deployments:
        dated = len(deployment.prices) > 1 or any(p.prices.tiers for p in deployment.prices)
        if not dated or deployment.price_rounded:
            continue
        provider, model = models[deployment.provider, deployment.model]
        for moment in moments:
            now = prices_at(deployment, int(moment.timestamp() * 1000))
            assert now is not None
            for prompt in (50_000, 100_001, 300_000, 600_000):
                usage = Usage(input_tokens=prompt, cache_read_tokens=prompt // 4, output_tokens=1_000)
                theirs = model.calc_price(usage, provider, genai_request_timestamp=moment).total_price
                price = now.price_for(prompt).billed()
                ours = (
                    (prompt - prompt // 4) * price.input
                    + prompt // 4 * price.cache_read
                    + 1_000 * price.output
                )
                assert Decimal(ours) == theirs * 10**12, (deployment.id, moment, prompt)
                checked += 1
    assert checked > 4_000


def test_no_gemini_route_writes_its_cache_for_less_than_plain_input() -> None:
    """OpenRouter's price of a write is the storage alone; what is billed is the input and that."""
    routes = [d for d in load_catalog().deployments if d.id.startswith("openrouter/google/gemini")]
    rows = [p.prices for d in routes for p in d.prices if p.prices.base.cache_write is not None]
    assert len(rows) >= 12
    for found in rows:
        for prices in (found.base, *(tier.prices for tier in found.tiers)):
            assert prices.input is not None
            assert prices.cache_write is not None
            assert prices.input < prices.cache_write < 2 * prices.input
