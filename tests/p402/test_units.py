"""Money is whole: prices in pico-USD, books in nano-USD, and each conversion rounds one stated way."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from p402.units import (
    NANO_PER_USD,
    PICO_PER_NANO,
    PICO_PER_USD,
    nano_ceil,
    nano_to_usd,
    pico_per_token,
    usd_to_nano,
)

amounts = st.decimals(0, 10**7, allow_nan=False, allow_infinity=False, places=12)


def test_the_units_fit_each_other():
    assert PICO_PER_NANO * NANO_PER_USD == PICO_PER_USD
    assert pico_per_token(Decimal(1)) == 1_000_000
    assert pico_per_token(Decimal("0.075")) == 75_000
    assert usd_to_nano(Decimal("0.000000001")) == 1


@given(amounts)
def test_a_price_is_the_nearest_whole_pico_dollar_half_up(usd):
    pico = pico_per_token(usd)
    exact = Fraction(usd) * 1_000_000
    assert abs(pico - exact) <= Fraction(1, 2)
    assert pico - exact != Fraction(-1, 2)


def test_halves_go_up_not_to_even():
    assert pico_per_token(Decimal("0.0000005")) == 1
    assert pico_per_token(Decimal("0.0000015")) == 2
    assert pico_per_token(Decimal("0.0000025")) == 3
    assert usd_to_nano(Decimal("0.0000000025")) == 3


@given(st.integers(0, 1 << 80))
def test_the_ledger_never_undercharges(pico):
    assert nano_ceil(pico) == ceil(Fraction(pico, PICO_PER_NANO))


@given(st.integers(0, 4_194_304 * NANO_PER_USD))
def test_an_amount_survives_the_wire_up_to_four_million_dollars(nano):
    assert usd_to_nano(nano_to_usd(nano)) == nano


def test_a_float_is_taken_at_what_it_prints_not_at_its_bits():
    assert usd_to_nano(0.1) == 100_000_000
    assert usd_to_nano(1.1) == 1_100_000_000
    assert usd_to_nano(0.3) == 300_000_000
