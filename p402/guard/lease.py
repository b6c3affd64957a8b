"""What a host may spend while Redis is away: money drawn beforehand, and limits of its own.

Layer 6 spends from a lease alone, which Redis counts as held, so that the cap stands whatever a host
cannot see. Layers 1 to 4 fail open to a part of the tenant's limits, never to none. It knows no clock and
keeps no state.

Source: the project's reliability study, section 4.
"""

from dataclasses import replace
from typing import Final

from p402.limits import Limits, Rate

SHARE: Final = 200
"""All leases of a tenant together are at most the cap divided by this, so that they hardly take from it."""
PREFIX: Final = "lease:"
"""A lease is held under this and its host's name; no request id begins so."""
IDLE_MS: Final = 60_000
"""A tenant that has asked for nothing for so long needs no lease."""
REPORT_MS: Final = 10_000
"""How often a host renews what it holds in Redis: well within a slot's lease, beats included."""
GRACE_MS: Final = 30_000
"""Where Redis has forgotten, a host that does not report within this counts at its share of the cap."""


def wanted_nano(cap_nano: int, hosts: int) -> int:
    """Lease that a host of an active tenant asks for; 0 where the cap is too small for one.

    Of a scope's cap so much is never given out by Redis, for each host: it may spend it in one of the scope's
    periods while Redis is away.
    """
    return cap_nano // (SHARE * hosts)


def granted_nano(kept_nano: int, wanted: int, room_nano: int, hosts: int) -> int:
    """Lease after a report: what is kept, and more while every host may still ask for as much.

    Parameters
    ----------
    kept_nano
        What is left of the lease before; it is inside the cap already and never refused.
    room_nano
        What the day has left beside it; may be negative.
    """
    return kept_nano + max(0, min(wanted - kept_nano, room_nano // (2 * hosts)))


def local(limits: Limits, hosts: int) -> Limits:
    """Limits of one host on its own: twice its part of rate and slots, and never more than the tenant's."""

    def part(of: int) -> int:
        return min(of, -(-2 * of // hosts))

    rate = Rate(part(limits.rate.per_hour), part(limits.rate.burst))
    return replace(limits, rate=rate, max_in_flight=part(limits.max_in_flight))
