"""Where a guard works and what a worker is told: values that pass between the harness and its processes."""

import time
from pathlib import Path

import msgspec

from p402.guard.daily import DAY_MS, HOLD_TTL_MS
from p402.guard.lease import wanted_nano
from p402.limits import MAX_PER_HOUR, Limits, Rate

UNIT_NANO = 1_000_000
"""The usual hold: $0.001."""
MEAN_COST = 0.6
"""What a call costs of its hold, on average."""
MOST_HELD = 2.0
"""The largest hold, in units."""
TENANTS = ("t0", "t1")
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2


class Place(msgspec.Struct, frozen=True):
    """What a hand of the guard needs to know.

    Attributes
    ----------
    folders
        Of all hosts: each has its own disk, hence its own ledger.
    redis
        Its url; empty where there is none.
    speed
        How much faster than ours the guard's clock goes: at 60, a hold of 5 minutes lasts 5 seconds.
    began_ns, began_ms
        Monotonic time at which the guard's clock showed `began_ms`; all processes share it.
    """

    hand: str
    folders: tuple[str, ...]
    host: int
    redis: str
    cap_nano: int
    speed: float
    began_ns: int
    began_ms: int

    @property
    def hosts(self) -> int:
        """How many there are."""
        return len(self.folders)

    @property
    def tenants(self) -> tuple[str, ...]:
        """Those that a guard knows of from its start."""
        return TENANTS

    def lease_nano(self, cap_nano: int, hosts: int) -> int:
        """Lease that a host asks for."""
        return wanted_nano(cap_nano, hosts)

    @property
    def ledger(self) -> Path:
        """The host's own SQLite file."""
        return Path(self.folders[self.host]) / "state.db"

    @property
    def hold_s(self) -> float:
        """How long a hold lasts, in our time."""
        return HOLD_TTL_MS / 1_000 / self.speed

    def now_ms(self) -> int:
        """The guard's wall clock."""
        return self.began_ms + int((time.monotonic_ns() - self.began_ns) / 1e6 * self.speed)

    def midnight_s(self) -> float:
        """Monotonic time, in our seconds, at which the guard's day ends."""
        return time.monotonic() + (DAY_MS - self.now_ms() % DAY_MS) / 1_000 / self.speed

    def limits(self, tenant: str) -> Limits:
        """Of these, only the daily cap is to be felt."""
        del tenant
        return Limits(self.cap_nano, Rate(MAX_PER_HOUR, 10**6), 10**6)


class Orders(msgspec.Struct, frozen=True):
    """What one worker does.

    Attributes
    ----------
    scoped
        Whether calls are made under scopes (`tests.chaos.budgets`).
    callers
        Clients of each tenant that this worker serves.
    pace_s
        Time between the beginnings of a client's calls.
    limit_s
        When it stops at the latest.
    """

    place: Place
    name: str
    journal: str
    seed: str
    tenants: tuple[str, ...]
    scoped: bool
    callers: int
    pace_s: float
    limit_s: float
