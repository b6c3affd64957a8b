"""Bills are exact, bounds bound them, and what is unknown is None."""

from fractions import Fraction
from math import ceil

from hypothesis import assume, given
from hypothesis import strategies as st

from p402.routing.pricing import (
    affordable_output,
    bill,
    bound,
    fee_on,
    token_prices,
    with_fee,
    without_fee,
)
from p402.routing.spec import Prices
from p402.store.catalog import load_catalog

pico = st.integers(0, 1 << 30)
tokens = st.integers(0, 1 << 21)


def prices(into, read, out, tier=None):
    threshold, into_above, read_above, out_above = tier or (None, None, None, None)
    return Prices(
        input=(into,),
        cache_read=(read,),
        output=(out,),
        threshold=(threshold,),
        input_above=(into_above,),
        cache_read_above=(read_above,),
        output_above=(out_above,),
    )


anything = st.builds(
    prices,
    pico,
    st.none() | pico,
    pico,
    st.none() | st.tuples(tokens, st.none() | pico, st.none() | pico, st.none() | pico),
)


@given(anything, tokens, tokens, st.integers(0, 100))
def test_a_bill_is_tokens_times_prices_rounded_up_once(row, prompt, output, share):
    cached = prompt * share // 100
    into, read, out = token_prices(row, 0, prompt)
    exact = Fraction((prompt - cached) * into + cached * read + output * out, 1000)
    assert bill(row, 0, prompt, cached, output) == ceil(exact)


@given(anything, tokens, tokens, st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_no_exchange_within_the_bounds_costs_more_than_the_bound(row, prompt_bound, output_bound, p, c, o):
    prompt, output = prompt_bound * p // 100, output_bound * o // 100
    most = bound(row, 0, prompt_bound, output_bound)
    assert bill(row, 0, prompt, prompt * c // 100, output) <= most


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
    assert token_prices(row, 0, 200) == (100, 10, 1_000)
    assert token_prices(row, 0, 201) == (300, 10, 2_000)


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
    assert odd == []
