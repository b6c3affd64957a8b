"""One process of `test_rounds`: many reservations at once, round by round, on a guard that others share.

    python -m tests.serve.guard.rounds ROUNDS NAME CALLS   (JSON of `Rounds`)

Told through its standard input: `ask TENANT` answers with the amounts that were granted; `settle` books all
of them at `ACTUAL` and answers when the guard holds nothing any more: spent and held of the tenant, then of
each scope. Time stands still.
"""

import asyncio
import json
import random
import sys
import time

import msgspec
import uvloop

from p402.errors import Refusal
from p402.guard.scopes import session
from p402.limits import MAX_PER_HOUR, Kind, Limits, Period, Rate, Scope
from p402.ports import Guard, Hold
from tests.chaos.hands import open_guard
from tests.chaos.place import NOON_MS, Place

AMOUNT, ACTUAL = 3, 1
"""What a call holds and what it costs."""
IDLE_S = 10.0
SPREAD_S = 0.03


class Rounds(Place, frozen=True):
    """A place whose tenants are named after their limits: `cap-17`, `slots-17`, `rate-17`, and more.

    Calls of `scopes-17-9` count against a key with a cap of 17 and, by every other process, a session with
    one of 9.
    """

    def lease_nano(self, cap_nano: int, hosts: int) -> int:
        return 0  # all of the cap is for calls, to the last of them

    @property
    def tenants(self) -> tuple[str, ...]:
        return ()

    def now_ms(self) -> int:
        return NOON_MS

    def limits(self, tenant: str) -> Limits:
        what, number = tenant.split("-")[:2]
        wide = {"cap": 10**12, "slots": 10**6, "rate": 10**6} | {what: int(number)}
        return Limits(wide["cap"], Rate(1 if what == "rate" else MAX_PER_HOUR, wide["rate"]), wide["slots"])


def scopes(tenant: str) -> tuple[Scope, ...]:
    """Key and session of a tenant that is named after their caps; none of another."""
    what, *caps = tenant.split("-")
    if what != "scopes":
        return ()
    return Scope(Kind.KEY, "k", Period.DAY, int(caps[0])), session("s", int(caps[1]))


def of_process(tenant: str, number: int) -> tuple[Scope, ...]:
    """Those that a process's calls name."""
    return scopes(tenant)[: 1 + number % 2]


async def ask(guard: Guard, name: str, calls: int, tenant: str) -> list[Hold]:
    """What is granted of many reservations at about the same time, with those of others between them."""

    async def one(number: int) -> Hold | Refusal:
        await asyncio.sleep(random.random() * SPREAD_S)
        request, named = f"{name}-{tenant}-{number}-{time.monotonic_ns()}", of_process(tenant, int(name[1:]))
        while True:
            verdict = await guard.reserve(tenant, request, AMOUNT, scopes=named)
            if isinstance(verdict, Hold) or verdict.status != 503:
                return verdict
            await asyncio.sleep(SPREAD_S)  # a tenant that no host has reported yet

    verdicts = await asyncio.gather(*(one(number) for number in range(calls)))
    return [verdict for verdict in verdicts if isinstance(verdict, Hold)]


async def settle(guard: Guard, holds: list[Hold], tenant: str) -> list[tuple[int, int]]:
    """Book them, and wait until the other processes have booked theirs."""
    for hold in holds:
        guard.settle(hold, ACTUAL)
    end = time.monotonic() + IDLE_S
    while True:
        books = await guard.spent(tenant)
        scoped = (await guard.standing(tenant, scopes(tenant))).scoped
        told = [books, *((totals.spent_nano, totals.held_nano) for _, totals in scoped)]
        if not any(held for _, held in told) or time.monotonic() > end:
            return told
        await asyncio.sleep(0.005)  # others settle too


async def main(place: Rounds, name: str, calls: int) -> None:
    holds: list[Hold] = []
    async with open_guard(place) as guard:
        print("open", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            what, tenant = line.split()
            if what == "ask":
                holds = await ask(guard, name, calls, tenant)
                print(json.dumps([hold.amount_nano for hold in holds]), flush=True)
            else:
                print(json.dumps(await settle(guard, holds, tenant)), flush=True)


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.argv[1], type=Rounds), sys.argv[2], int(sys.argv[3])))
