"""What a run must have shown, and what it shows instead: measurements in, breaches out.

The invariants are I1 (never more is spent than the cap), I2 (nothing stays held), I3 (books are never below
the truth, and are the truth where nobody died) and I7 (no wait) of the reliability study. It knows nothing of
processes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from p402.units import nano_to_usd

USED = 0.99
"""Share of the cap that must have been used: a guard that refuses everything overspends nothing."""


@dataclass(frozen=True)
class Account:
    """One budget in one of its periods: a tenant's day, or a scope's account.

    Attributes
    ----------
    whose
        As it is called in sentences.
    truth_nano
        From the journals.
    unsure_nano
        How much more the books may say, because workers were killed; 0 where nobody died.
    books_nano, held_nano
        What each host's guard says; nothing for a day that is over.
    ledger_nano, ledger_held_nano
        What the hosts' SQLite files say together; None where the hand does not promise that.
    late_nano
        What came back so late that nobody may have been left to use it.
    binds
        Whether its cap was there to be used up: clients went on until it was, and the run ended in its
        period.
    """

    whose: str
    cap_nano: int
    truth_nano: int
    unsure_nano: int
    books_nano: tuple[int, ...]
    held_nano: tuple[int, ...]
    ledger_nano: int | None
    ledger_held_nano: int = 0
    late_nano: int = 0
    binds: bool = True

    @property
    def overspend_nano(self) -> int:
        """Truth beyond the cap."""
        return max(0, self.truth_nano - self.cap_nano)

    @property
    def all_books(self) -> tuple[int, ...]:
        """Every word on what was spent."""
        return self.books_nano + (() if self.ledger_nano is None else (self.ledger_nano,))

    @property
    def most_held_nano(self) -> int:
        """Worst word on what is held."""
        return max(*self.held_nano, self.ledger_held_nano, 0)

    @property
    def off_nano(self) -> int:
        """Books less truth, where it is worst: below zero, else furthest above."""
        off = [books - self.truth_nano for books in self.all_books] or [0]
        return min(off) if min(off) < 0 else max(off)

    @property
    def used(self) -> float:
        """Share of the cap that the books say is used."""
        return min(self.books_nano or self.all_books or (0,)) / self.cap_nano


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes
    ----------
    longest_ms
        Longest wait for a reservation, less what the machine withheld from the process.
    promised_ms
        What it may be.
    days, scopes
        Of each tenant; of each scope of a tenant.
    during, after
        Attempts made while the fault lasted, and after it.
    refused
        Calls that scopes refused by what they had spent, since the fault began.
    faults_of_ours
        What went wrong beside the books: workers that broke or did not end.
    """

    fault: str
    seed: int
    days: tuple[Account, ...]
    scopes: tuple[Account, ...]
    calls: int
    left: int
    refusals: dict[str, int]
    killed: int
    longest_ms: int
    longest_raw_ms: int
    promised_ms: int
    during: int
    after: int
    refused: int
    seconds: float
    faults_of_ours: tuple[str, ...] = ()


def breaches(run: Measured) -> Iterator[str]:
    """Each broken promise, as a sentence."""
    for account in (*run.days, *run.scopes):
        yield from _of(account)
    if run.longest_ms > run.promised_ms:
        yield f"a reservation waited {run.longest_ms} ms; promised are {run.promised_ms}"
    if not run.during + run.after:
        yield "the run proves nothing: the cap was used up before the fault; give it more --seconds"
    if run.scopes and not run.refused:
        yield "the run proves nothing of scopes: none has refused a call since the fault began"
    yield from run.faults_of_ours


def _of(account: Account) -> Iterator[str]:
    who = account.whose
    if account.overspend_nano:
        yield f"{who}: {usd(account.overspend_nano)} spent beyond the cap of {usd(account.cap_nano)}"
    if any(account.held_nano):
        yield f"{who}: {', '.join(map(usd, account.held_nano))} still held when idle"
    if account.ledger_held_nano:
        yield f"{who}: {usd(account.ledger_held_nano)} still held by ledgers when idle"
    if len(set(account.books_nano)) > 1:
        yield f"{who}: hosts disagree on what was spent: {', '.join(map(usd, account.books_nano))}"
    for books in sorted(set(account.all_books)):
        off = books - account.truth_nano
        if off < 0:
            yield f"{who}: books are {usd(-off)} below the truth"
        elif off > account.unsure_nano:
            why = f"deaths explain {usd(account.unsure_nano)}" if account.unsure_nano else "nobody died"
            yield f"{who}: books are {usd(off)} above the truth; {why}"
    if account.binds and account.used + account.late_nano / account.cap_nano < USED:
        yield f"{who}: {account.used:.1%} of the cap used; expected at least {USED:.0%}"


def usd(nano: int) -> str:
    """Money as people read it."""
    return f"${nano_to_usd(nano):.6f}"
