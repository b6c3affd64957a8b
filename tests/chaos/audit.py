"""What the guard says was spent, asked on every host once the workers are gone.

    python -m tests.chaos.audit PLACES   (JSON of `Audit`; answers with JSON of `Books`)

A process of its own, so that nothing the harness holds helps the guard. It waits until no host says that
anything is held, at most for as long as a hold lasts and a little more.
"""

import asyncio
import sqlite3
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, closing
from pathlib import Path

import msgspec
import uvloop

from p402.errors import StoreError
from p402.guard.daily import day_of
from p402.ports import Guard
from tests.chaos.budgets import budgets
from tests.chaos.hands import open_guard
from tests.chaos.place import Place

GRACE_S = 3.0
STEP_S = 0.1
ALIKE = 3
"""Books are read when they have said the same so many times."""

Said = tuple[dict[str, tuple[int, int]], tuple[tuple[str, str, int, int], ...]]
"""A host's word on days and scopes, as in `Books`."""


class Audit(msgspec.Struct, frozen=True):
    """What is to be read: the same place as each host sees it."""

    places: tuple[Place, ...]
    tenants: tuple[str, ...]
    scoped: bool


class Books(msgspec.Struct, frozen=True):
    """What the guard says.

    Attributes
    ----------
    day
        The guard's current day.
    hosts
        Of each host: spent and held today, by tenant.
    scopes
        Of each host: spent and held in today's accounts, by tenant and stem.
    ledgers
        Spent and held, by tenant and day or scope's account, in all SQLite files of the hosts together.
    """

    day: int
    hosts: tuple[dict[str, tuple[int, int]], ...]
    scopes: tuple[tuple[tuple[str, str, int, int], ...], ...]
    ledgers: tuple[tuple[str, int | str, int, int], ...]


async def audit(wanted: Audit) -> Books:
    """Read the books of every host when they are at rest."""
    async with AsyncExitStack() as stack:
        guards = [await stack.enter_async_context(open_guard(place)) for place in wanted.places]
        end = time.monotonic() + wanted.places[0].hold_s + GRACE_S
        alike, said = 0, None
        while True:
            late = time.monotonic() > end
            try:
                before, said = said, [await _said(guard, wanted) for guard in guards]
            except StoreError:  # Redis may have been away a moment ago
                if late:
                    raise
                before = said = None
            if said is not None:
                busy = any(held for days, scopes in said for *_, held in (*days.values(), *scopes))
                alike = alike + 1 if said == before and not busy else 0
                if alike >= ALIKE or late:
                    break
            await asyncio.sleep(STEP_S)
    spent: Counter[tuple[str, int | str]] = Counter()
    held: Counter[tuple[str, int | str]] = Counter()
    for place in wanted.places:
        for tenant, period, *some in ledger(place.ledger):
            spent[tenant, period] += some[0]
            held[tenant, period] += some[1]
    ledgers = tuple((*key, some, held[key]) for key, some in spent.items())
    days, scopes = zip(*said, strict=True)
    return Books(day_of(wanted.places[0].now_ms()), days, scopes, ledgers)


async def _said(guard: Guard, wanted: Audit) -> Said:
    """What one host says now."""
    days = {tenant: await guard.spent(tenant) for tenant in wanted.tenants}
    if not wanted.scoped:
        return days, ()
    scopes = []
    asked = tuple(budget.scope for budget in budgets(wanted.places[0].cap_nano))
    for tenant in wanted.tenants:
        for scope, totals in (await guard.standing(tenant, asked)).scoped:
            scopes.append((tenant, scope.stem, totals.spent_nano, totals.held_nano))
    return days, tuple(scopes)


def ledger(path: Path) -> list[tuple[str, int | str, int, int]]:
    """Rows of a host's SQLite file: tenant, day or scope's account, spent, held."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as db:
        return db.execute(
            "SELECT tenant, day, spent_nano, held_nano FROM day "
            "UNION ALL SELECT tenant, account, spent_nano, held_nano FROM scope"
        ).fetchall()


if __name__ == "__main__":
    try:
        books = uvloop.run(audit(msgspec.json.decode(sys.argv[1], type=Audit)))
    except StoreError as error:
        sys.exit(str(error))
    print(msgspec.json.encode(books).decode())
