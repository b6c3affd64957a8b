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
from tests.chaos.hands import open_guard
from tests.chaos.place import Place

GRACE_S = 3.0
STEP_S = 0.1
ALIKE = 3
"""Books are read when they have said the same so many times."""


class Audit(msgspec.Struct, frozen=True):
    """What is to be read: the same place as each host sees it."""

    places: tuple[Place, ...]
    tenants: tuple[str, ...]


class Books(msgspec.Struct, frozen=True):
    """What the guard says.

    Attributes
    ----------
    day
        The guard's current day.
    hosts
        Of each host: spent and held today, by tenant.
    ledgers
        Spent, by tenant and day, in all SQLite files of the hosts together; held in them.
    """

    day: int
    hosts: tuple[dict[str, tuple[int, int]], ...]
    ledgers: tuple[tuple[str, int, int], ...]
    ledgers_held: int


async def audit(wanted: Audit) -> Books:
    """Read the books of every host when they are at rest."""
    async with AsyncExitStack() as stack:
        guards = [await stack.enter_async_context(open_guard(place)) for place in wanted.places]
        end = time.monotonic() + wanted.places[0].hold_s + GRACE_S
        alike, said = 0, None
        while True:
            late = time.monotonic() > end
            try:
                before, said = said, [{t: await guard.spent(t) for t in wanted.tenants} for guard in guards]
            except StoreError:  # Redis may have been away a moment ago
                if late:
                    raise
                before = said = None
            if said is not None:
                held = any(held for one in said for _, held in one.values())
                alike = alike + 1 if said == before and not held else 0
                if alike >= ALIKE or late:
                    break
            await asyncio.sleep(STEP_S)
    spent: Counter[tuple[str, int]] = Counter()
    held_nano = 0
    for place in wanted.places:
        for tenant, day, some, held in ledger(place.ledger):
            spent[tenant, day] += some
            held_nano += held
    ledgers = tuple((*key, some) for key, some in sorted(spent.items()))
    return Books(day_of(wanted.places[0].now_ms()), tuple(said), ledgers, held_nano)


def ledger(path: Path) -> list[tuple[str, int, int, int]]:
    """Rows of a host's SQLite file: tenant, day, spent, held."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT tenant, day, spent_nano, held_nano FROM day").fetchall()


if __name__ == "__main__":
    try:
        books = uvloop.run(audit(msgspec.json.decode(sys.argv[1], type=Audit)))
    except StoreError as error:
        sys.exit(str(error))
    print(msgspec.json.encode(books).decode())
