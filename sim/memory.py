"""Spending protection in a dictionary: the guard's memory hand, for the simulator and for tests.

The same law as the SQLite hand (`p402.guard.ledger`), on a clock it is given. It is exact within
one process and forgets with it, so the gateway never uses it: a restart would forget the day's
spend. Operations take no turn of the event loop, so it is deterministic on virtual time.
"""

from collections.abc import Callable
from heapq import heappop, heappush

import msgspec

from p402.errors import Refusal
from p402.guard import daily, ledger
from p402.guard.daily import Booked, Day, Entry
from p402.guard.explain import Standing
from p402.guard.ledger import Account
from p402.limits import Limits
from p402.ports import Hold


class MemoryGuard:
    """The daily cap and the hold over dictionaries.

    Parameters
    ----------
    limits
        Of a tenant.
    now_ms
        Wall time in ms; may be virtual, must not be awaited.
    """

    def __init__(self, limits: Callable[[str], Limits], now_ms: Callable[[], int]) -> None:
        self._limits = limits
        self._now_ms = now_ms
        self._days: dict[tuple[str, int], Day] = {}
        self._entries: dict[tuple[str, str], Entry] = {}
        self._accounts: dict[str, Account] = {}
        self._slots: dict[str, dict[str, int]] = {}  # tenant to id to lease, of calls that are held
        self._leases: list[tuple[int, str, str]] = []  # heap of (expiry, tenant, id), stale ones included
        self._pruned_day = -1

    async def reserve(
        self, tenant: str, request_id: str, amount_nano: int, expected_nano: int = 0
    ) -> Hold | Refusal:
        """Take a slot and set aside the most a call may cost, or say which layer refuses."""
        now = self._sweep()
        entry = self._entries.get((tenant, request_id))
        account = self._account(tenant)
        verdict = ledger.reserve(
            self._day(tenant, daily.day_of(now) if entry is None else entry.day),
            entry,
            account,
            self._leased(tenant, now),
            amount_nano,
            expected_nano,
            self._limits(tenant),
            now,
        )
        if isinstance(verdict, Refusal):
            return verdict
        self._accounts[tenant] = verdict.account
        self._book(tenant, request_id, verdict.booked)
        return self._hold(tenant, request_id, verdict.booked, account)

    async def admit(self, tenant: str) -> Refusal | None:
        """Take one request from the rate, for an answer that costs nothing."""
        verdict = ledger.admit(self._account(tenant), self._limits(tenant), self._sweep())
        if isinstance(verdict, Refusal):
            return verdict
        self._accounts[tenant] = verdict
        return None

    async def top_up(self, hold: Hold, amount_nano: int) -> Hold | Refusal:
        """Raise or renew a hold; a refusal leaves it as it was."""
        now = self._sweep()
        entry = self._entries.get((hold.tenant, hold.id))
        cap_nano = self._limits(hold.tenant).daily_cap_nano
        verdict = daily.top_up(self._day(hold.tenant, hold.day), entry, amount_nano, cap_nano, now)
        if isinstance(verdict, Refusal):
            return verdict
        self._book(hold.tenant, hold.id, verdict)
        return msgspec.structs.replace(hold, amount_nano=verdict.entry.amount_nano)

    def settle(self, hold: Hold, actual_nano: int) -> None:
        """Replace the hold by what was spent; idempotent."""
        now = self._sweep()
        entry = self._entries.get((hold.tenant, hold.id))
        account = self._account(hold.tenant)
        posted = ledger.settle(self._day(hold.tenant, hold.day), entry, account, actual_nano, now)
        if posted is not None:
            self._accounts[hold.tenant] = posted.account
            self._book(hold.tenant, hold.id, posted.booked)

    async def spent(self, tenant: str) -> tuple[int, int]:
        """Nano-USD spent and held on the tenant's current UTC day."""
        day = self._day(tenant, daily.day_of(self._sweep()))
        return day.spent_nano, day.held_nano

    async def standing(self, tenant: str) -> Standing:
        """Where a tenant stands."""
        now = self._sweep()
        held = [
            (name, entry)
            for (owner, name), entry in self._entries.items()
            if owner == tenant and entry.state is daily.State.HELD
        ]
        return Standing(
            now,
            self._day(tenant, daily.day_of(now)),
            self._account(tenant),
            self._leased(tenant, now),
            tuple(sorted(held, key=lambda call: (call[1].expires_ms, call[0]))),
        )

    def _leased(self, tenant: str, now: int) -> int:
        return sum(lease > now for lease in self._slots.get(tenant, {}).values())

    def _day(self, tenant: str, day: int) -> Day:
        return self._days.get((tenant, day)) or Day(day)

    def _account(self, tenant: str) -> Account:
        return self._accounts.get(tenant) or Account()

    def _hold(self, tenant: str, request_id: str, booked: Booked, before: Account) -> Hold:
        return Hold(request_id, tenant, booked.entry.amount_nano, booked.entry.day, before.history)

    def _book(self, tenant: str, request_id: str, booked: Booked) -> None:
        entry = booked.entry
        known = self._entries.get((tenant, request_id))
        self._days[tenant, entry.day] = booked.day
        self._entries[tenant, request_id] = entry
        mine = self._slots.setdefault(tenant, {})
        if entry.state is daily.State.HELD:
            mine[request_id] = entry.slot_ms
        else:
            mine.pop(request_id, None)
        if entry.state is daily.State.HELD and (known is None or known.expires_ms != entry.expires_ms):
            heappush(self._leases, (entry.expires_ms, tenant, request_id))

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
