"""Which addresses a name may not turn out to be: those where clouds keep the credentials of their machines.

A base_url comes from the operator alone, but what its name resolves to comes from whoever answers for the
name. An operator who means such an address writes it down as it is. It knows nothing of sockets.

Source: reference study "Reliability and security", section 5, 3; RFC 3927 and RFC 4291, section 2.5.6
(link-local); metadata services of AWS (also fd00:ec2::254) and Alibaba Cloud (100.100.100.200), read
2026-11-26.
"""

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

REFUSED: Final[tuple[IPv4Network | IPv6Network, ...]] = (
    IPv4Network("169.254.0.0/16"),
    IPv4Network("100.100.100.200/32"),
    IPv6Network("fe80::/10"),
    IPv6Network("fd00:ec2::254/128"),
)


def is_refused(host: str, address: str) -> bool:
    """Whether a connection to `host` that came out at `address` must not be used."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in REFUSED) and not _is_literal(host)


def _is_literal(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
