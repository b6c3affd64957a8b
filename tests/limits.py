"""Limits of which a test means one."""

from dataclasses import replace

from p402.limits import MAX_PER_HOUR, Limits, Rate

WIDE = Limits(rate=Rate(MAX_PER_HOUR, 10**6), max_in_flight=10**6)
"""So wide that only the daily cap is felt."""


def capped(cap_nano: int, **more) -> Limits:
    return replace(WIDE, daily_cap_nano=cap_nano, **more)
