"""Whether a tenant may send one more request now.

The law behind guard layer 1 (promise P12): a bucket that holds `burst` requests and gains `per_hour`
of them an hour, kept as one number, the theoretical arrival time. It knows no clock and keeps no
state. A refusal takes nothing, and a clock that is set back gives nothing.

Source: the generic cell rate algorithm, ITU-T I.371, annex A, as virtual scheduling.
"""

from p402.errors import Refusal
from p402.limits import Rate


def admit(tat_us: int, rate: Rate, now_ms: int) -> int | Refusal:
    """Take one request from the bucket: its new theoretical arrival time, or a refusal.

    Parameters
    ----------
    tat_us
        Theoretical arrival time in microseconds of wall time; 0 for a bucket never used.
    """
    now_us = now_ms * 1_000
    base, spacing = max(tat_us, now_us), rate.spacing_us
    wait_us = base + spacing - spacing * rate.burst - now_us
    if wait_us <= 0:
        return base + spacing
    wait_ms = -(-wait_us // 1_000)
    return Refusal(
        "RATE_LIMIT_EXCEEDED",
        429,
        f"rate limit: {rate.per_hour} requests an hour and {rate.burst} at once are used up; "
        f"the next is free in {wait_ms / 1_000:.3f} s; wait, or ask for a higher limit",
        wait_ms,
    )


def left(tat_us: int, rate: Rate, now_ms: int) -> int:
    """Requests that the bucket still holds."""
    ahead_us = max(tat_us - now_ms * 1_000, 0)
    return max(0, rate.burst - -(-ahead_us // rate.spacing_us))
