"""Spending protection in a dictionary: the guard's memory hand, for the simulator and for tests.

The same law as the SQLite hand (`p402.guard.daily`), on a clock it is given. It is exact within
one process and forgets with it, so the gateway never uses it: a restart would forget the day's
spend. Operations take no turn of the event loop, so it is deterministic on virtual time.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from p402.errors import Refusal
from p402.guard import daily
from p402.guard.daily import Booked, Day, Entry
from p402.ports import Hold


class MemoryGuard:
    """The daily cap and the hold over dictionaries.

    Parameters
    ----------
    caps
        Daily cap in nano-USD of a tenant.
    now_ms
        Wall time in ms; may be virtual, must not be awaited.
    """

    def __init__(self, caps: Callable[[str], int], now_ms: Callable[[], int]) -> None:
        self._caps = caps
        self._now_ms = now_ms
        self._days: dict[tuple[str, int], Day] = {}
        self._entries: dict[tuple[str, str], Entry] = {}
        self._leases: list[tuple[int, str, str]] = []  # heap of (expiry, tenant, id), stale ones included
        self._pruned_day = -1

    async def reserve(self, tenant: str, request_id: str, amount_nano: int) -> Hold | Refusal:
        """Set aside the most a call may cost, or say which layer refuses."""
        now = self._sweep()
        entry = self._entries.get((tenant, request_id))
        day = self._day(tenant, daily.day_of(now) if entry is None else entry.day)
        return self._book(tenant, request_id, daily.reserve(day, entry, amount_nano, self._caps(tenant), now))

    async def top_up(self, hold: Hold, amount_nano: int) -> Hold | Refusal:
        """Raise a hold to `amount_nano`; a refusal leaves it as it was."""
        now = self._sweep()
        entry = self._entries.get((hold.tenant, hold.id))
        day = self._day(hold.tenant, hold.day)
        verdict = daily.top_up(day, entry, amount_nano, self._caps(hold.tenant), now)
        return self._book(hold.tenant, hold.id, verdict)

    def settle(self, hold: Hold, actual_nano: int) -> None:
        """Replace the hold by what was spent; idempotent."""
        now = self._sweep()
        entry = self._entries.get((hold.tenant, hold.id))
        booked = daily.settle(self._day(hold.tenant, hold.day), entry, actual_nano, now)
        if booked is not None:
            self._book(hold.tenant, hold.id, booked)

    async def spent(self, tenant: str) -> tuple[int, int]:
        """Nano-USD spent and held on the tenant's current UTC day."""
        day = self._day(tenant, daily.day_of(self._sweep()))
        return day.spent_nano, day.held_nano

    def _day(self, tenant: str, day: int) -> Day:
        return self._days.get((tenant, day)) or Day(day)

    def _book(self, tenant: str, request_id: str, verdict: Booked | Refusal) -> Hold | Refusal:
        if isinstance(verdict, Refusal):
            return verdict
        entry = verdict.entry
        known = self._entries.get((tenant, request_id))
        self._days[tenant, entry.day] = verdict.day
        self._entries[tenant, request_id] = entry
        if entry.state is daily.State.HELD and (known is None or known.expires_ms != entry.expires_ms):
            heappush(self._leases, (entry.expires_ms, tenant, request_id))
        return Hold(request_id, tenant, entry.amount_nano, entry.day)

    def _sweep(self) -> int:
        """Charge what has expired, drop what no settlement can reach; gives the time it did so for."""
        now = self._now_ms()
        while self._leases and self._leases[0][0] <= now:
            _, tenant, request_id = heappop(self._leases)
            entry = self._entries.get((tenant, request_id))
            if entry is None:
                continue
            booked = daily.expire(self._day(tenant, entry.day), entry, now)
            if booked is not None:
                self._book(tenant, request_id, booked)
        oldest = daily.day_of(now) - daily.KEEP_DAYS
        if oldest > self._pruned_day:
            self._pruned_day = oldest
            self._entries = {
                key: entry
                for key, entry in self._entries.items()
                if entry.day >= oldest or entry.state is daily.State.HELD
            }
        return now
