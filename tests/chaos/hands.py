"""The guard under test, opened at a place: the one module that knows which hands there are."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from p402.ports import Guard
from serve.guard import scripts
from serve.guard.host import HostLedger
from serve.guard.reporter import Late
from serve.guard.shared import SharedGuard
from serve.guard.sqlite import SqliteGuard
from serve.redis.address import read_address
from serve.redis.door import Door
from serve.redis.link import Link
from tests.chaos import leaky, leaky_scopes
from tests.chaos.place import Place


@dataclass(frozen=True)
class Hand:
    """One hand, and what it promises.

    Attributes
    ----------
    redis
        Whether it needs one.
    hosts
        How many hosts may share a budget.
    ledgers
        Whether the hosts' SQLite files together tell all that was spent.
    longest_ms
        Promise: no reservation takes longer, while the ledger's lock is to be had.
    scoped
        Whether it keeps accounts of scopes.
    """

    open: Callable[[Place], AbstractAsyncContextManager[Guard]]
    redis: bool
    hosts: int
    ledgers: bool
    longest_ms: int
    scoped: bool = True


@asynccontextmanager
async def sqlite(place: Place) -> AsyncIterator[SqliteGuard]:
    guard = SqliteGuard(place.ledger, place.limits, place.now_ms)
    guard.beat_s /= place.speed
    guard.start()
    try:
        yield guard
    finally:
        await guard.close()


@asynccontextmanager
async def shared(place: Place) -> AsyncIterator[Guard]:
    """Redis in front, the host's own SQLite ledger behind."""
    own = HostLedger(place.ledger, place.limits, place.now_ms)
    way = Late(lambda: Door(Link(read_address(place.redis), scripts=scripts.ALL)))
    guard = SharedGuard(
        own,
        way,
        place.limits,
        hosts=place.hosts,
        tenants=place.tenants,
        now_ms=place.now_ms,
        lease_nano=place.lease_nano,
    )
    guard.beat_s /= place.speed
    guard.start()
    await guard.join()
    try:
        yield guard
    finally:
        await guard.close()


@asynccontextmanager
async def leaking(leak: Callable[[Guard, Place], Guard], place: Place) -> AsyncIterator[Guard]:
    async with sqlite(place) as guard:
        yield leak(guard, place)


HANDS = {
    "sqlite": Hand(sqlite, redis=False, hosts=1, ledgers=True, longest_ms=300),
    "redis": Hand(shared, redis=True, hosts=2, ledgers=True, longest_ms=300),
}
DEFAULT = "redis"
BROKEN = {
    name: Hand(partial(leaking, leak), redis=False, hosts=1, ledgers=True, longest_ms=300)
    for name, leak in (leaky.LEAKS | leaky_scopes.LEAKS).items()
} | {
    "forgetful": Hand(leaky.forgetful, redis=True, hosts=2, ledgers=False, longest_ms=300, scoped=False),
}
"""Hands that break a promise each, for the tests of this harness."""


def hand_of(name: str) -> Hand:
    """A hand by its name."""
    return (HANDS | BROKEN)[name]


def open_guard(place: Place) -> AbstractAsyncContextManager[Guard]:
    """The guard as a worker of a host has it; closed, settlements included, after the block."""
    return hand_of(place.hand).open(place)
