"""Truth against books: every budget of a run, with what was spent of it and what the guard says."""

from collections.abc import Iterator

from tests.chaos.audit import Books
from tests.chaos.budgets import account, budgets
from tests.chaos.journal import Truth
from tests.chaos.verdict import Account


def days(truth: Truth, books: Books, cap_nano: int, *, ledgers: bool) -> Iterator[Account]:
    """Of each tenant."""
    told = _ledgers(books)
    for tenant, day in sorted(truth.spent_nano):
        now = day == books.day
        spent, held = told.get((tenant, day), (0, 0))
        yield Account(
            f"{tenant} on day {day}",
            cap_nano,
            truth.spent_nano[tenant, day],
            truth.unsure_nano[tenant],
            tuple(host[tenant][0] for host in books.hosts) if now else (),
            tuple(host[tenant][1] for host in books.hosts) if now else (),
            spent if ledgers else None,
            held if ledgers else 0,
            binds=day == _last_day(truth, tenant),
        )


def scopes(truth: Truth, books: Books, cap_nano: int, *, ledgers: bool) -> Iterator[Account]:
    """Of each tenant's keys and sessions."""
    told = _ledgers(books)
    said = [{(tenant, stem): (spent, held) for tenant, stem, spent, held in host} for host in books.scopes]
    for tenant in sorted({tenant for tenant, _ in truth.spent_nano}):
        worked = sorted(day for t, day in truth.spent_nano if t == tenant)
        for budget in budgets(cap_nano):
            stem = budget.scope.stem
            for name in dict.fromkeys(account(stem, day) for day in worked):
                now = name == account(stem, books.day)
                spent, held = told.get((tenant, name), (0, 0))
                yield Account(
                    f"{tenant}'s {name}",
                    budget.scope.cap_nano,
                    truth.scoped_nano[tenant, name],
                    truth.scoped_unsure_nano[tenant, stem],
                    tuple(host[tenant, stem][0] for host in said) if now else (),
                    tuple(host[tenant, stem][1] for host in said) if now else (),
                    spent if ledgers else None,
                    held if ledgers else 0,
                    late_nano=truth.scoped_late_nano[tenant, stem],
                    binds=budget.binds and name == account(stem, worked[-1]),
                )


def _ledgers(books: Books) -> dict[tuple[str, int | str], tuple[int, int]]:
    return {(tenant, period): (spent, held) for tenant, period, spent, held in books.ledgers}


def _last_day(truth: Truth, tenant: str) -> int:
    return max(day for t, day in truth.spent_nano if t == tenant)
