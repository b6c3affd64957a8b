"""Bills are exact, bounds bound them, and what is unknown is None."""

from fractions import Fraction
from math import ceil

from hypothesis import assume, given
from hypothesis import strategies as st

from p402.routing.pricing import (
    affordable_output,
    bill,
    bound,
    dearest_input,
    fee_on,
    token_prices,
    with_fee,
    without_fee,
)
from p402.routing.spec import Prices
from p402.store.catalog import load_catalog

pico = st.integers(0, 1 << 30)
tokens = st.integers(0, 1 << 21)


def prices(into, read, out, tier=None, write=None, hour=None):
    threshold, into_above, read_above, out_above, *writes = tier or (None, None, None, None)
    write_above, hour_above = writes or (None, None)
    return Prices(
        input=(into,),
        cache_read=(read,),
        output=(out,),
        threshold=(threshold,),
        input_above=(into_above,),
        cache_read_above=(read_above,),
        output_above=(out_above,),
        cache_write=() if write is None else (write,),
        cache_write_1h=() if hour is None else (hour,),
        cache_write_above=() if write_above is None else (write_above,),
        cache_write_1h_above=() if hour_above is None else (hour_above,),
    )


maybe = st.none() | pico
share = st.integers(0, 100)
anything = st.builds(
    prices,
    pico,
    maybe,
    pico,
    st.none() | st.tuples(tokens, maybe, maybe, maybe, maybe, maybe),
    maybe,
    maybe,
)


def split(prompt, cached, written, hour):
    """Tokens read from the cache, written to it and written for an hour, of shares in per cent."""
    read = prompt * cached // 100
    write = (prompt - read) * written // 100
    return read, write, write * hour // 100


@given(anything, tokens, tokens, share, share, share)
def test_a_bill_is_tokens_times_prices_rounded_up_once(row, prompt, output, c, w, h):
    cached, write, hour = split(prompt, c, w, h)
    of = token_prices(row, 0, prompt)
    exact = Fraction((prompt - cached - write) * of.input, 1000)
    exact += Fraction(cached * of.cache_read + output * of.output, 1000)
    exact += Fraction((write - hour) * of.cache_write + hour * of.cache_write_1h, 1000)
    assert bill(row, 0, prompt, cached, output, write, hour) == ceil(exact)


@given(anything, tokens, tokens, share, share, share, share, share)
def test_no_exchange_within_the_bounds_costs_more_than_the_bound(row, most_in, most_out, p, c, w, h, o):
    prompt, output = most_in * p // 100, most_out * o // 100
    cached, write, hour = split(prompt, c, w, h)
    assert bill(row, 0, prompt, cached, output, write, hour) <= bound(row, 0, most_in, most_out)


@given(anything, st.integers(0, 1 << 16), st.integers(0, 10**12), st.integers(1, 8))
def test_the_affordable_output_fits_the_ceiling_and_one_token_more_does_not(row, prompt, ceiling, n):
    output = affordable_output(row, 0, prompt, ceiling, n)
    if bound(row, 0, prompt, 0) > ceiling:
        assert output == 0
    elif bound(row, 0, prompt, 1 << 30) == bound(row, 0, prompt, 0):
        assert output >= 1 << 21  # output is free
    else:
        assert bound(row, 0, prompt, output * n) <= ceiling
        assert bound(row, 0, prompt, (output + 1) * n) > ceiling


@given(st.integers(0, 10**15), st.integers(0, 10_000))
def test_what_is_left_without_the_fee_is_the_most_that_fits_with_it(amount, bps):
    cost = without_fee(amount, bps)
    assert with_fee(cost, bps) <= amount
    assert with_fee(cost + 1, bps) > amount


@given(st.integers(0, 10**15), st.integers(0, 10_000))
def test_a_fee_is_rounded_up_and_nothing_of_nothing(cost, bps):
    assert fee_on(cost, bps) == ceil(Fraction(cost * bps, 10_000))
    assert fee_on(0, bps) == 0
    assert with_fee(cost, 0) == cost


def test_a_tier_is_a_cliff():
    row = prices(100, 10, 1_000, (200, 300, None, 2_000))
    assert token_prices(row, 0, 200) == (100, 10, 1_000, 100, 100)
    assert token_prices(row, 0, 201) == (300, 10, 2_000, 300, 300)


def test_a_tier_is_a_cliff_for_cache_writes_too():
    row = prices(100, 10, 1_000, (200, 300, 30, 2_000, 375, 600), 125, 200)
    assert token_prices(row, 0, 200) == (100, 10, 1_000, 125, 200)
    assert token_prices(row, 0, 201) == (300, 30, 2_000, 375, 600)


def test_a_class_without_a_price_is_billed_as_the_wider_one():
    assert token_prices(prices(100, None, 1_000), 0, 1) == (100, 100, 1_000, 100, 100)
    assert token_prices(prices(100, None, 1_000, write=125), 0, 1) == (100, 100, 1_000, 125, 125)
    assert token_prices(prices(100, None, 1_000, hour=200), 0, 1) == (100, 100, 1_000, 100, 200)
    assert bill(prices(0, None, 0, write=7_000), 0, 10, 0, 0, 10) == 70  # a write is a write at any input


@given(pico, maybe, pico, maybe, maybe)
def test_the_dearest_input_of_a_logged_row_is_what_its_bound_took_old_rows_too(into, read, out, write, hour):
    old, new = prices(into, read, out), prices(into, read, out, None, write, hour)
    for row, logged in ((old, token_prices(old, 0, 1)[:3]), (new, token_prices(new, 0, 1))):
        assert bound(row, 0, 1_000, 0) == dearest_input(list(logged))


def test_a_cache_read_without_a_price_is_input_of_its_tier():
    row = prices(100, None, 1_000, (200, 300, None, None))
    assert token_prices(row, 0, 1).cache_read == 100
    assert token_prices(row, 0, 201).cache_read == 300


@given(st.none() | pico, st.none() | pico, tokens, tokens)
def test_an_unknown_price_makes_an_unknown_cost_never_zero(into, out, prompt, output):
    assume(into is None or out is None)
    row = prices(into, 5, out)
    assert token_prices(row, 0, prompt) is None
    assert bill(row, 0, prompt, 0, output) is None
    assert bound(row, 0, prompt, output) is None
    assert affordable_output(row, 0, prompt, 10**12, 1) == 0


def test_the_catalogues_cache_reads_and_tiers_are_as_the_bound_expects_them():
    # Nothing depends on it, the bound takes the dearest; this tells when a price list turns odd.
    odd = []
    for d in load_catalog().deployments:
        for period in d.prices:
            base = period.prices.base
            if base.cache_read is not None and base.input is not None and base.cache_read > base.input:
                odd.append(d.id)
            if any((tier.prices.input or 1 << 60) < (base.input or 0) for tier in period.prices.tiers):
                odd.append(d.id)
            known = [name for name in base.__struct_fields__ if getattr(base, name) is not None]
            told = {getattr(tier.prices, name) for tier in period.prices.tiers for name in known}
            if None in told:  # a tier tells the price of every class that its base tells
                odd.append(d.id)
    assert odd == []
