"""Random histories of a guard against an oracle that keeps every call and adds it all up anew.

The oracle shares no code with the law: it knows no running totals and no expiry events, only what a
call asked, when, and what it was settled at.
"""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from p402.errors import Refusal
from p402.guard.daily import DAY_MS
from p402.ports import Hold

CAP = 1_000
START = 20_000 * DAY_MS + DAY_MS - 400_000  # a history may cross midnight


@dataclass
class Known:
    day: int
    amount: int
    until: int
    actual: int | None = None


class GuardHistory(RuleBasedStateMachine):
    """Subclass with `open`, `close` and `call(name, *args)`, which runs a guard's operation."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = [START]
        self.calls: dict[tuple[str, str], Known] = {}
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
    ids = st.sampled_from("abcdef")
    amounts = st.integers(0, 1_100)

    @rule(tenant=tenants, id=ids, amount=amounts)
    def reserve(self, tenant: str, id: str, amount: int) -> None:  # noqa: A002
        known = self.calls.get((tenant, id))
        day = self.clock[0] // DAY_MS
        verdict = self.call("reserve", tenant, id, amount)
        if known is not None:
            same = Hold(id, tenant, known.amount, known.day)
            assert verdict == same if known.actual is None else isinstance(verdict, Refusal)
        elif self.check(verdict, tenant, day, id, amount):
            assert verdict == Hold(id, tenant, amount, day)
            self.calls[tenant, id] = Known(day, amount, self.clock[0] + 300_000)

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

    @rule(ms=st.sampled_from([1, 1_000, 150_000, 299_999, 300_000, 400_000]))
    def wait(self, ms: int) -> None:
        self.clock[0] += ms

    @invariant()
    def books_agree(self) -> None:
        for tenant in ("t", "u"):
            assert self.call("spent", tenant) == self.books(tenant, self.clock[0] // DAY_MS)
