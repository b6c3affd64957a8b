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
from p402.limits import Limits, Rate
from p402.ports import Hold

CAP = 1_000
BURST, SPACING_MS, IN_FLIGHT = 5, 1_000, 3
LIMITS = Limits(CAP, Rate(3_600, BURST), IN_FLIGHT)
START = 20_000 * DAY_MS + DAY_MS - 400_000  # a history may cross midnight


@dataclass
class Known:
    day: int
    amount: int
    until: int
    slot: int
    actual: int | None = None


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

    def books(self, tenant: str, day: int, but: str = "") -> tuple[int, int]:
        spent = held = 0
        for (owner, name), known in self.calls.items():
            if owner != tenant or known.day != day or name == but:
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

    def admitted(self, verdict, tenant: str, day: int, id: str, amount: int) -> bool:  # noqa: A002
        """Compare the verdict on a new call with the oracle's; True if it is granted."""
        spent, held = self.books(tenant, day)
        tokens = self.tokens(tenant)
        if tokens < 1:
            assert verdict.retry_after_ms == ceil((1 - tokens) * SPACING_MS)
            return self.refused(verdict, "RATE_LIMIT_EXCEEDED")
        if spent + amount > CAP:
            return self.refused(verdict, "DAILY_SPEND_LIMIT_EXCEEDED")
        if self.in_flight(tenant) >= IN_FLIGHT:
            return self.refused(verdict, "CONCURRENCY_LIMIT_EXCEEDED")
        if spent + held + amount > CAP:
            return self.refused(verdict, "BUDGET_RESERVATION_FAILED")
        return True

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
        if spent + held + amount <= CAP:
            assert isinstance(verdict, Hold), verdict
            return True
        assert isinstance(verdict, Refusal)
        daily = spent + amount > CAP
        assert verdict.code == ("DAILY_SPEND_LIMIT_EXCEEDED" if daily else "BUDGET_RESERVATION_FAILED")
        return False

    tenants = st.sampled_from(["t", "u"])
    ids = st.sampled_from("abcdefghij")
    amounts = st.integers(0, 1_100)

    @rule(tenant=tenants, id=ids, amount=amounts)
    def reserve(self, tenant: str, id: str, amount: int) -> None:  # noqa: A002
        known = self.calls.get((tenant, id))
        day = self.clock[0] // DAY_MS
        verdict = self.call("reserve", tenant, id, amount)
        if known is not None and known.actual is not None:
            assert isinstance(verdict, Refusal)
        elif known is not None or self.admitted(verdict, tenant, day, id, amount):
            if known is None:
                now = self.clock[0]
                known = self.calls[tenant, id] = Known(day, amount, now + 300_000, now + 60_000)
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
        verdict = self.call("top_up", Hold(id, tenant, known.amount, known.day), amount)
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
        hold = Hold(id, tenant, known.amount, known.day)
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
            assert self.call("spent", tenant) == self.books(tenant, self.clock[0] // DAY_MS)
