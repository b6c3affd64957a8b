"""Random histories of a guard against an oracle that keeps every call and adds it all up anew.

The oracle shares no code with the law: it knows no running totals, no arrival times and no expiry
events, only what a call asked, when, and what it was settled at. Its bucket is a count of tokens.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, log

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from p402.errors import Refusal
from p402.guard.daily import DAY_MS
from p402.guard.scopes import session
from p402.limits import Kind, Limits, Period, Rate, Scope, month_of
from p402.ports import Hold

CAP = 1_000
BURST, SPACING_MS, IN_FLIGHT = 5, 1_000, 3
LIMITS = Limits(CAP, Rate(3_600, BURST), IN_FLIGHT)
START = 20_057 * DAY_MS + DAY_MS - 400_000  # a history may cross midnight, into December
KEY = Scope(Kind.KEY, "k", Period.DAY, 700)
MONTH = Scope(Kind.KEY, "k", Period.MONTH, 900)
SESSION = session("s", 600)


@dataclass
class Known:
    day: int
    amount: int
    until: int
    slot: int
    scopes: tuple[Scope, ...] = ()
    actual: int | None = None

    def is_in(self, scope: Scope, day: int) -> bool:
        """Whether it counts in a scope's account of a day."""
        alike = {
            Period.DAY: self.day == day,
            Period.MONTH: month_of(self.day) == month_of(day),
            Period.LIFE: True,
        }
        return scope in self.scopes and alike[scope.period]


class GuardHistory(RuleBasedStateMachine):
    """Subclass with `open`, `close` and `call(name, *args)`, which runs a guard's operation."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = [START]
        self.calls: dict[tuple[str, str], Known] = {}
        self.taken: dict[str, list[int]] = {"t": [], "u": []}
        self.past: dict[str, list[float]] = {"t": [], "u": []}
        self.open()

    def open(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def call(self, name: str, *args):
        raise NotImplementedError

    def teardown(self) -> None:
        self.close()

    def books(self, tenant: str, day: int, but: str = "", scope: Scope | None = None) -> tuple[int, int]:
        spent = held = 0
        for (owner, name), known in self.calls.items():
            counts = known.day == day if scope is None else known.is_in(scope, day)
            if owner != tenant or not counts or name == but:
                continue
            if known.actual is not None:
                spent += known.actual
            elif known.until <= self.clock[0]:
                spent += known.amount
            else:
                held += known.amount
        return spent, held

    def tokens(self, tenant: str) -> Fraction:
        """Requests in the bucket, gained since each that was taken."""
        left, at = Fraction(BURST), START
        for taken in [*self.taken[tenant], self.clock[0]]:
            left = min(Fraction(BURST), left + Fraction(taken - at, SPACING_MS)) - 1
            at = taken
        return left + 1

    def in_flight(self, tenant: str) -> int:
        now = self.clock[0]
        return sum(
            owner == tenant and known.actual is None and min(known.slot, known.until) > now
            for (owner, _), known in self.calls.items()
        )

    def refused(self, verdict, code: str) -> bool:
        assert isinstance(verdict, Refusal), verdict
        assert verdict.code == code
        return False

    def admitted(self, verdict, tenant: str, day: int, amount: int, scopes: tuple[Scope, ...]) -> bool:
        """Compare the verdict on a new call with the oracle's; True if it is granted."""
        spent, held = self.books(tenant, day)
        tokens = self.tokens(tenant)
        if tokens < 1:
            assert verdict.retry_after_ms == ceil((1 - tokens) * SPACING_MS)
            return self.refused(verdict, "RATE_LIMIT_EXCEEDED")
        if spent + amount > CAP:
            return self.refused(verdict, "DAILY_SPEND_LIMIT_EXCEEDED")
        narrow = self.narrowed(tenant, day, amount, scopes)
        if narrow is not None and narrow != "BUDGET_RESERVATION_FAILED":
            return self.refused(verdict, narrow)
        if self.in_flight(tenant) >= IN_FLIGHT:
            return self.refused(verdict, "CONCURRENCY_LIMIT_EXCEEDED")
        if spent + held + amount > CAP or narrow is not None:
            return self.refused(verdict, "BUDGET_RESERVATION_FAILED")
        return True

    def narrowed(
        self, tenant: str, day: int, amount: int, scopes: tuple[Scope, ...], but: str = ""
    ) -> str | None:
        """Code of a refusal by a scope, by what is spent before what is held."""
        books = [(scope, *self.books(tenant, day, but, scope)) for scope in scopes]
        for scope, spent, _ in books:
            if spent + amount > scope.cap_nano:
                session = scope.kind is Kind.SESSION
                return "SESSION_BUDGET_EXCEEDED" if session else "API_KEY_BUDGET_EXCEEDED"
        full = any(spent + held + amount > scope.cap_nano for scope, spent, held in books)
        return "BUDGET_RESERVATION_FAILED" if full else None

    def remembers(self, hold: Hold, tenant: str) -> None:
        """The past that comes with a hold is that of the settled calls."""
        past = self.past[tenant]
        assert hold.history.count == len(past)
        if past:
            mean = sum(past) / len(past)
            assert abs(hold.history.mean - mean) < 1e-9
            assert abs(hold.history.m2 - sum((x - mean) ** 2 for x in past)) < 1e-6

    def check(self, verdict, tenant: str, day: int, id: str, amount: int) -> bool:  # noqa: A002
        """Compare a verdict with the oracle's; True if it is granted."""
        spent, held = self.books(tenant, day, but=id)
        narrow = self.narrowed(tenant, day, amount, self.calls[tenant, id].scopes, but=id)
        if spent + held + amount <= CAP and narrow is None:
            assert isinstance(verdict, Hold), verdict
            return True
        assert isinstance(verdict, Refusal)
        if spent + amount > CAP:
            return self.refused(verdict, "DAILY_SPEND_LIMIT_EXCEEDED")
        full = spent + held + amount > CAP
        return self.refused(verdict, "BUDGET_RESERVATION_FAILED" if full else narrow)

    tenants = st.sampled_from(["t", "u"])
    ids = st.sampled_from("abcdefghij")
    amounts = st.integers(0, 1_100)
    scopes = st.sampled_from([(), (SESSION,), (KEY,), (KEY, MONTH, SESSION)])

    @rule(tenant=tenants, id=ids, amount=amounts, scopes=scopes)
    def reserve(self, tenant: str, id: str, amount: int, scopes: tuple[Scope, ...]) -> None:  # noqa: A002
        known = self.calls.get((tenant, id))
        day = self.clock[0] // DAY_MS
        verdict = self.call("reserve", tenant, id, amount, 0, scopes)
        if known is not None and known.actual is not None:
            assert isinstance(verdict, Refusal)
        elif known is not None or self.admitted(verdict, tenant, day, amount, scopes):
            if known is None:
                now = self.clock[0]
                known = Known(day, amount, now + 300_000, now + 60_000, scopes)
                self.calls[tenant, id] = known
                self.taken[tenant].append(now)
            assert (verdict.id, verdict.tenant, verdict.amount_nano, verdict.day) == (
                id,
                tenant,
                known.amount,
                known.day,
            )
            self.remembers(verdict, tenant)

    @rule(tenant=tenants, id=ids, amount=amounts)
    def top_up(self, tenant: str, id: str, amount: int) -> None:  # noqa: A002
        known = self.calls.get((tenant, id))
        if known is None:
            return
        verdict = self.call("top_up", Hold(id, tenant, known.amount, known.day, scopes=known.scopes), amount)
        if known.actual is not None:
            assert isinstance(verdict, Refusal)
            return
        more = max(0, amount - known.amount)
        if more == 0 or self.check(verdict, tenant, known.day, id, amount):
            assert isinstance(verdict, Hold)
            known.amount += more
            known.until = self.clock[0] + 300_000
            known.slot = self.clock[0] + 60_000

    @rule(tenant=tenants, id=ids, actual=amounts, twice=st.booleans())
    def settle(self, tenant: str, id: str, actual: int, twice: bool) -> None:  # noqa: A002
        known = self.calls.get((tenant, id))
        if known is None:
            return
        hold = Hold(id, tenant, known.amount, known.day, scopes=known.scopes)
        for _ in range(1 + twice):
            self.call("settle", hold, actual)
        if known.actual is None:
            known.actual = actual
            if actual:
                self.past[tenant].append(log(actual))

    @rule(ms=st.sampled_from([1, 300, 999, 1_000, 59_999, 60_000, 150_000, 299_999, 300_000, 400_000]))
    def wait(self, ms: int) -> None:
        self.clock[0] += ms

    @invariant()
    def books_agree(self) -> None:
        for tenant in ("t", "u"):
            today, scopes = self.clock[0] // DAY_MS, (KEY, MONTH, SESSION)
            assert self.call("spent", tenant) == self.books(tenant, today)
            found = self.call("standing", tenant, scopes).scoped
            assert [(t.spent_nano, t.held_nano) for _, t in found] == [
                self.books(tenant, today, scope=scope) for scope in scopes
            ]
