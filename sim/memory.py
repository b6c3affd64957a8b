"""Spending protection, words between workers and sessions in dictionaries, for the simulator and for tests.

The guard is the same law as the SQLite hand (`p402.guard.ledger`), on a clock it is given. It is exact within
one process and forgets with it, so the gateway never uses it: a restart would forget the day's
spend. Operations take no turn of the event loop, so it is deterministic on virtual time.
"""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush

import msgspec

from p402.errors import Refusal
from p402.guard import daily, ledger
from p402.guard import scopes as budgets
from p402.guard.daily import Booked, Day, Entry
from p402.guard.explain import Standing
from p402.guard.ledger import Account
from p402.guard.scopes import Scoped, Totals
from p402.limits import Limits, Scope
from p402.ports import SESSION_MS, WORD_MS, Hold, Warmth, Word


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
        self._totals: dict[tuple[str, str], Totals] = {}  # tenant and account
        self._until: dict[tuple[str, str], int] = {}  # last day on which an account is needed
        self._entries: dict[tuple[str, str], Entry] = {}
        self._accounts: dict[str, Account] = {}
        self._slots: dict[str, dict[str, int]] = {}  # tenant to id to lease, of calls that are held
        self._leases: list[tuple[int, str, str]] = []  # heap of (expiry, tenant, id), stale ones included
        self._pruned_day = -1

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        """Take a slot and set aside the most a call may cost, or say which layer or scope refuses."""
        budgets.check(scopes)
        now = self._sweep()
        entry = self._entries.get((tenant, request_id))
        account = self._account(tenant)
        day = self._day(tenant, daily.day_of(now) if entry is None else entry.day)
        scoped = self._scoped(tenant, scopes, day.day)
        in_flight, limits = self._leased(tenant, now), self._limits(tenant)
        verdict = ledger.reserve(
            day, entry, account, in_flight, amount_nano, expected_nano, limits, now, scoped
        )
        if isinstance(verdict, Refusal):
            return verdict
        self._accounts[tenant] = verdict.account
        self._book(tenant, request_id, verdict.booked)
        booked = verdict.booked.entry
        rooms = budgets.rooms(scoped, entry)
        return Hold(request_id, tenant, booked.amount_nano, booked.day, account.history, scopes, rooms)

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
        scoped = self._scoped(hold.tenant, hold.scopes, hold.day)
        verdict = ledger.top_up(self._day(hold.tenant, hold.day), entry, amount_nano, cap_nano, now, scoped)
        if isinstance(verdict, Refusal):
            return verdict
        self._book(hold.tenant, hold.id, verdict)
        return msgspec.structs.replace(hold, amount_nano=verdict.entry.amount_nano)

    def settle(self, hold: Hold, actual_nano: int) -> None:
        """Replace the hold by what was spent; idempotent."""
        now = self._sweep()
        entry = self._entries.get((hold.tenant, hold.id))
        account = self._account(hold.tenant)
        day, accounts = self._day(hold.tenant, hold.day), budgets.accounts(hold.scopes, hold.day)
        posted = ledger.settle(day, entry, account, actual_nano, now, accounts)
        if posted is not None:
            self._accounts[hold.tenant] = posted.account
            self._book(hold.tenant, hold.id, posted.booked)

    async def spent(self, tenant: str) -> tuple[int, int]:
        """Nano-USD spent and held on the tenant's current UTC day."""
        day = self._day(tenant, daily.day_of(self._sweep()))
        return day.spent_nano, day.held_nano

    async def left(self, tenant: str, scopes: tuple[Scope, ...] = ()) -> int:
        """Nano-USD that a call may cost at most now."""
        day = self._day(tenant, daily.day_of(self._sweep()))
        return ledger.left(day, self._limits(tenant).daily_cap_nano, self._scoped(tenant, scopes, day.day))

    async def standing(self, tenant: str, scopes: tuple[Scope, ...] = ()) -> Standing:
        """Where a tenant and some scopes stand."""
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
            self._scoped(tenant, scopes, daily.day_of(now)),
        )

    def _leased(self, tenant: str, now: int) -> int:
        return sum(lease > now for lease in self._slots.get(tenant, {}).values())

    def _day(self, tenant: str, day: int) -> Day:
        return self._days.get((tenant, day)) or Day(day)

    def _account(self, tenant: str) -> Account:
        return self._accounts.get(tenant) or Account()

    def _scoped(self, tenant: str, scopes: tuple[Scope, ...], day: int) -> Scoped:
        return tuple([(s, self._totals.get((tenant, s.account(day)), Totals())) for s in scopes])

    def _book(self, tenant: str, request_id: str, booked: Booked) -> None:
        entry = booked.entry
        known = self._entries.get((tenant, request_id))
        for account in entry.accounts:
            before = self._totals.get((tenant, account), Totals())
            self._totals[tenant, account] = before.moved(self._day(tenant, entry.day), booked.day)
            until = budgets.kept_until(account, max(entry.day, daily.day_of(self._now_ms())))
            self._until[tenant, account] = until
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
            for key in [key for key, until in self._until.items() if until < daily.day_of(now)]:
                del self._until[key], self._totals[key]
        return now


class MemoryBoard:
    """Words of workers in a dictionary: the board's memory hand, for workers of one process.

    Parameters
    ----------
    now_ms
        As of `MemoryGuard`.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._words: dict[str, tuple[int, bytes]] = {}

    async def exchange(self, worker: str, data: bytes) -> Sequence[Word]:
        """Leave a word, and take the others'."""
        now_ms = self._now_ms()
        self._words[worker] = now_ms, data
        self._words = {
            name: (at_ms, kept)
            for name, (at_ms, kept) in self._words.items()
            if 0 <= now_ms - at_ms <= WORD_MS
        }
        return [Word(now_ms - at_ms, kept) for name, (at_ms, kept) in self._words.items() if name != worker]

    async def close(self) -> None:
        """Nothing is open."""


class MemorySessions:
    """Where sessions were last served, in a dictionary: the memory hand, for workers of one process.

    Parameters
    ----------
    now_ms
        As of `MemoryGuard`: the store's clock, and that of its workers.
    """

    def __init__(self, now_ms: Callable[[], int], kept_ms: int = SESSION_MS) -> None:
        self._now_ms = now_ms
        self._kept_ms = kept_ms
        self._left: dict[tuple[str, str], tuple[int, Warmth]] = {}

    async def recall(self, tenant: str, session: str, answers: int) -> Warmth | None:  # noqa: ARG002
        """Where the session was last served; no word is ever on its way."""
        at_ms, warmth = self._left.get((tenant, session), (-1, None))
        now_ms = self._now_ms()
        if warmth is None or not 0 <= now_ms - at_ms <= self._kept_ms:
            return None
        return msgspec.structs.replace(warmth, at_ms=at_ms)

    def note(self, tenant: str, session: str, warmth: Warmth) -> None:
        """Leave where a session was served; the longest unseen are forgotten once they are old."""
        now_ms = self._now_ms()
        self._left.pop((tenant, session), None)
        self._left[tenant, session] = now_ms, warmth
        while next(iter(self._left.values()))[0] < now_ms - self._kept_ms:
            del self._left[next(iter(self._left))]

    async def close(self) -> None:
        """Nothing is open."""
