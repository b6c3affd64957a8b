"""What a host may spend while Redis is away."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from p402.guard.lease import SHARE, granted_nano, local, wanted_nano
from p402.limits import Limits, Rate

money = st.integers(0, 10**12)
hosts = st.integers(1, 64)


@given(cap=money, hosts=hosts)
def test_all_leases_together_are_a_small_part_of_the_cap(cap: int, hosts: int) -> None:
    assert hosts * wanted_nano(cap, hosts) <= cap // SHARE


@given(kept=money, wanted=money, room=st.integers(-(10**12), 10**12), hosts=hosts)
def test_what_is_kept_is_never_refused_and_more_only_where_there_is_room_for_all(
    kept: int, wanted: int, room: int, hosts: int
) -> None:
    granted = granted_nano(kept, wanted, room, hosts)
    assert kept <= granted <= max(kept, wanted)
    assert granted == kept or (granted - kept) * 2 * hosts <= room


@given(per_hour=st.integers(1, 10**9), burst=st.integers(1, 10**6), slots=st.integers(1, 10**6), hosts=hosts)
def test_p18_a_hosts_own_limits_are_never_none_and_never_more_than_the_tenants(
    per_hour: int, burst: int, slots: int, hosts: int
) -> None:
    limits = Limits(rate=Rate(per_hour, burst), max_in_flight=slots)
    own = local(limits, hosts)
    assert 1 <= own.rate.per_hour <= per_hour
    assert 1 <= own.rate.burst <= burst
    assert 1 <= own.max_in_flight <= slots
    assert hosts * own.max_in_flight < 2 * slots + hosts
    assert replace(own, rate=limits.rate, max_in_flight=slots) == limits


def test_one_host_alone_has_all_of_its_limits() -> None:
    assert local(Limits(), 1) == local(Limits(), 2) == Limits()
