"""Money and the only conversions between its units.

Prices are whole pico-USD per token, ledger money is whole nano-USD, and both are
integers, so that a bill can be recomputed exactly. Floats appear only on the wire.
It knows nothing of catalogues or requests.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import NewType

PicoUsd = NewType("PicoUsd", int)
"""1e-12 USD. A price of 1 USD per million tokens is 1_000_000 pico-USD per token."""

NanoUsd = NewType("NanoUsd", int)
"""1e-9 USD: the unit of the ledger, the log and every budget."""

PICO_PER_NANO = 1_000
NANO_PER_USD = 1_000_000_000
PICO_PER_USD = 1_000_000_000_000
PICO_PER_USD_PER_MTOK = 1_000_000


def pico_per_token(usd_per_mtok: Decimal) -> PicoUsd:
    """Price per token of a price in USD per million tokens, half a pico-USD rounded up."""
    return PicoUsd(int((usd_per_mtok * PICO_PER_USD_PER_MTOK).to_integral_value(ROUND_HALF_UP)))


def nano_ceil(pico: int) -> NanoUsd:
    """Whole nano-USD that cover `pico`; the ledger never undercharges."""
    return NanoUsd(-(-pico // PICO_PER_NANO))


def usd_to_nano(usd: Decimal | float) -> NanoUsd:
    """Nearest whole nano-USD of an amount in USD."""
    return NanoUsd(int((Decimal(str(usd)) * NANO_PER_USD).to_integral_value(ROUND_HALF_UP)))


def nano_to_usd(nano: int) -> float:
    """USD as the wire shows it: the float nearest to the exact amount."""
    return nano / NANO_PER_USD
