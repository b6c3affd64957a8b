"""Whether a tenant may have one more request in flight.

The law behind guard layer 3 (promise P14). A slot is a lease: whoever works renews it, and a worker
that dies gives it back by dying. It knows no clock and keeps no state.
"""

from typing import Final

from p402.errors import Refusal

SLOT_LEASE_MS: Final = 60_000
"""A slot that nobody renews is free after this."""
BEAT_MS: Final = 20_000
"""How often who holds a slot renews it: two beats may be missed."""
RETRY_MS: Final = 1_000
"""Retry hint: calls end within seconds, and nobody knows which one when."""


def refuse(in_flight: int, limit: int) -> Refusal | None:
    """Refusal of one more request beside `in_flight` leased slots, or None where there is room."""
    if in_flight < limit:
        return None
    return Refusal(
        "CONCURRENCY_LIMIT_EXCEEDED",
        429,
        f"concurrency limit: {in_flight} requests are in flight, expected at most {limit}; "
        "retry when one has ended, or ask for a higher limit",
        RETRY_MS,
    )
