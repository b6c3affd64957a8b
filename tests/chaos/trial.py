"""One run: a server, hosts with workers, a fault while they work, and the books against what was spent."""

import asyncio
import random
import subprocess
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from p402.guard.daily import DAY_MS
from tests.chaos import journal
from tests.chaos.audit import Audit, Books
from tests.chaos.budgets import WIDELY
from tests.chaos.faults import AWAY_S, Fault, Scene
from tests.chaos.hands import hand_of
from tests.chaos.place import MEAN_COST, NOON_MS, TENANTS, UNIT_NANO, Orders, Place
from tests.chaos.processes import OPEN_S, Crew, python
from tests.chaos.tally import days, scopes
from tests.chaos.verdict import Measured
from tests.serve.redis.proxy import proxy
from tests.serve.redis.server import redis_server

FAULT_AT = 0.25
"""Of the time that spending the cap takes."""
SLACK_S = 12.0
"""After which a run ends that has not spent its cap."""


@dataclass(frozen=True)
class Plan:
    """The size of a run.

    Attributes
    ----------
    seconds
        How long it takes to spend the cap while nothing is wrong.
    rate
        Calls a second for each tenant, until scopes are spent: what a small machine makes with time to spare.
    speed
        Of the guard's clock.
    slack_ms
        Added to the longest wait that is promised.
    """

    seconds: float = 4.0
    workers: int = 6
    callers: int = 4
    rate: float = 250.0
    speed: float = 60.0
    slack_ms: int = 0

    @property
    def cap_nano(self) -> int:
        """Of a tenant: half of its clients, which no narrow scope holds back, spend what is left to them."""
        return int(self.rate / 2 * self.seconds * MEAN_COST * UNIT_NANO / WIDELY)

    @property
    def pace_s(self) -> float:
        """Time between the beginnings of a client's calls."""
        return self.workers * self.callers / self.rate


async def run(hand_name: str, fault: Fault, seed: int, plan: Plan, folder: Path) -> Measured:
    """Do one run in an empty folder."""
    begun = time.monotonic()
    hand = hand_of(hand_name)
    folders = [folder / f"host{i}" for i in range(hand.hosts)]
    for each in (*folders, folder / "redis", folder / "journals"):
        each.mkdir()
    async with AsyncExitStack() as later:
        server, wire = None, None
        if hand.redis:
            server = later.enter_context(redis_server(folder / "redis", *fault.options))
            if fault.proxied:
                wire = await later.enter_async_context(proxy(server.port))
        places = _places(hand_name, folders, (wire or server).url if server else "", fault, plan)
        limit_s = plan.seconds * (2 if fault.midnight else 1) + AWAY_S + places[0].hold_s + SLACK_S
        orders = [
            _orders(
                places[i % hand.hosts], i // hand.hosts, f"{fault.name}/{seed}", plan, limit_s, hand.scoped
            )
            for i in range(plan.workers)
        ]
        crew = Crew(orders, folder / "journals")
        later.callback(crew.close)
        await crew.begin()
        scene = Scene(crew, random.Random(f"{fault.name}/{seed}"), folders, places[0].hold_s, server, wire)
        await asyncio.sleep(plan.seconds * FAULT_AT * scene.rng.uniform(0.8, 1.2))
        since = journal.now_ms()
        await fault.run(scene)
        until = journal.now_ms()
        wrong = []
        if not await crew.ended(limit_s + 5):
            wrong.append(f"workers did not end: {', '.join(w.orders.name for w in crew.alive())}")
        crew.close()
        if broken := crew.broken():
            wrong.append(f"workers broke: {crew.said(broken)}")
        direct = [msgspec.structs.replace(p, redis=server.url if server else "") for p in places]
        books = await _audit(Audit(tuple(direct), orders[0].tenants, hand.scoped), folder)
    killed = {w.orders.name: w.killed_ms for w in crew.workers if w.killed_ms is not None}
    frozen = {w.orders.name: w.frozen_ms for w in crew.workers if w.frozen_ms is not None}
    truth = journal.read((folder / "journals").glob("*.journal"), killed, frozen)
    return Measured(
        fault=fault.name,
        seed=seed,
        days=tuple(days(truth, books, plan.cap_nano, ledgers=hand.ledgers)),
        scopes=tuple(scopes(truth, books, plan.cap_nano, ledgers=hand.ledgers)) if hand.scoped else (),
        calls=len(truth.dispatched_ms),
        left=truth.left,
        refusals=dict(truth.refusals),
        killed=len(killed),
        longest_ms=truth.longest_ms,
        longest_raw_ms=truth.longest_raw_ms,
        promised_ms=hand.longest_ms + fault.locked_ms + plan.slack_ms,
        during=sum(since <= at <= until for at in truth.dispatched_ms),
        after=sum(at > until for at in truth.dispatched_ms),
        refused=sum(at >= since for at in truth.refused_ms),
        seconds=time.monotonic() - begun,
        faults_of_ours=tuple(wrong),
    )


def _places(hand: str, folders: list[Path], redis: str, fault: Fault, plan: Plan) -> list[Place]:
    """The same place as each host sees it."""
    names, began_ns, began_ms = tuple(map(str, folders)), time.monotonic_ns(), _began_ms(fault, plan)
    return [
        Place(hand, names, host, redis, plan.cap_nano, plan.speed, began_ns, began_ms)
        for host in range(len(names))
    ]


def _orders(place: Place, slot: int, seed: str, plan: Plan, limit_s: float, scoped: bool) -> Orders:
    """What the first worker in a slot of a host is told, but for its journal."""
    name = f"h{place.host}w{slot}"
    return Orders(place, name, "", seed, TENANTS, scoped, plan.callers, plan.pace_s, limit_s)


def _began_ms(fault: Fault, plan: Plan) -> int:
    """What the guard's clock shows at first: noon, or so that it is midnight in the midst of the run."""
    if not fault.midnight:
        return NOON_MS
    return NOON_MS + DAY_MS // 2 - int((1.0 + plan.seconds / 2) * plan.speed * 1_000)


async def _audit(wanted: Audit, folder: Path) -> Books:
    """Read the books in a process of its own, while this one serves the wire."""
    with ExitStack() as later:
        said = later.enter_context((folder / "audit.said").open("wb"))
        process = python("tests.chaos.audit", msgspec.json.encode(wanted), said, stdout=subprocess.PIPE)
        later.callback(process.wait)
        later.callback(process.kill)
        patience_s = wanted.places[0].hold_s + OPEN_S
        told, _ = await asyncio.to_thread(process.communicate, timeout=patience_s)
    if process.returncode:
        raise RuntimeError(f"the books cannot be read: {(folder / 'audit.said').read_text()[-600:]}")
    return msgspec.json.decode(told, type=Books)
