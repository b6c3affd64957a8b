"""What a reservation and its settlement cost, by SQLite and by Redis, and whether the event loop ever waits.

    .venv/bin/python -m tests.serve.guard.measure [--rounds 5] [--calls 5000]

Both are measured without scopes, and with two: a key's budget and a session's.

CPU of this process, event loop (uvloop) and guard's thread together; Redis is another process. Both
hands take turns in every round; the figures are medians over the rounds. Round trips are commands to Redis a
pair, of which a request waits for the first only. The event loop's waits are by a timer that is due every
millisecond, also while another process takes the ledger's write lock for 20 ms at a time, 20 ms apart.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count, product
from pathlib import Path

import uvloop

from p402.guard.scopes import session
from p402.limits import Kind, Period, Scope
from p402.ports import Guard, Hold
from serve.guard import position, scripts
from serve.guard.host import HostLedger
from serve.guard.shared import SharedGuard
from serve.guard.sqlite import SqliteGuard
from serve.redis.address import read_address
from serve.redis.calls import Part
from serve.redis.door import Door
from serve.redis.link import Link
from tests.limits import capped
from tests.serve.redis.server import Server, binary, redis_server

SIZES = (1, 16, 64)
LIMITS = capped(10**15)
TENANTS = 4
LOCKER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
while True:
    db.execute("BEGIN IMMEDIATE")
    time.sleep(0.02)
    db.execute("ROLLBACK")
    time.sleep(0.02)
"""


class CountingDoor(Door):
    calls = 0

    def call(self, *parts: Part) -> object:
        self.calls += 1
        return super().call(*parts)


@dataclass
class Figure:
    cpu_us: list[float] = field(default_factory=list)
    wall_us: list[float] = field(default_factory=list)
    trips: list[float] = field(default_factory=list)


_ids = count()


KEY = Scope(Kind.KEY, "k", Period.DAY, 10**15)
SCOPES = {"": (), ", two scopes": (KEY, session("s", 10**15))}
"""Scopes of a call, by what is said of them in the table."""


async def pairs(guard: Guard, concurrent: int, calls: int, scopes: tuple[Scope, ...] = ()) -> int:
    """Reserve and settle, each caller one after another."""

    async def caller(number: int) -> int:
        done = 0
        for _ in range(calls // concurrent):
            hold = await guard.reserve(
                f"t{number % TENANTS}", f"req_{next(_ids):026d}", 1_000_000, scopes=scopes
            )
            assert isinstance(hold, Hold), hold
            guard.settle(hold, 400_000)
            done += 1
        return done

    return sum(await asyncio.gather(*(caller(i) for i in range(concurrent))))


def _unscheduled_ms() -> float:
    """Time in ms that this process's threads were ready to run and had no core."""
    return sum(int(task.read_text().split()[1]) for task in Path("/proc/self/task").glob("*/schedstat")) / 1e6


async def watch(until: float, late: list[tuple[float, float]]) -> None:
    """By how many ms a timer came too late, as it was and without the time in which no core was to be had."""
    while time.perf_counter() < until:
        before, began = _unscheduled_ms(), time.perf_counter()
        await asyncio.sleep(0.001)
        ms = max(0.0, (time.perf_counter() - began) * 1e3 - 1)
        late.append((ms, max(0.0, ms - (_unscheduled_ms() - before))))


async def waits(guard: Guard | None, seconds: float) -> str:
    """The watch's findings while 16 callers reserve and settle."""
    late: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds

    async def callers() -> None:
        while guard is not None and time.perf_counter() < end:
            await pairs(guard, 16, 64)

    await asyncio.gather(watch(end, late), callers())
    whole, own = (sorted(ms[i] for ms in late) for i in range(2))
    at = int(len(late) * 0.999)
    return f"{own[len(own) // 2]:.2f}, {own[at]:.2f}, {own[-1]:.2f} ({whole[at]:.2f}, {whole[-1]:.2f})"


async def frozen(server: Server, folder: Path) -> list[tuple[float, float]]:
    """Ms of reservations once Redis stands still, as they are and without the time that no core was free."""
    own = HostLedger(folder / "frozen.db", lambda _: LIMITS, lambda: time.time_ns() // 1_000_000)
    door = Door(Link(read_address(server.url), scripts=scripts.ALL))
    shared = SharedGuard(own, door, lambda _: LIMITS, tenants=("t0",))
    shared.start()
    await shared.join()
    hold = await shared.reserve("t0", "first", 1)
    assert isinstance(hold, Hold)
    while not [told for told in await own.do(position.survey) if told.lease_nano]:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    taken: list[tuple[float, float]] = []
    server.freeze()
    try:
        for i in range(500):
            before, began = _unscheduled_ms(), time.perf_counter()
            hold = await shared.reserve("t0", f"frozen{i}", 1)
            ms = (time.perf_counter() - began) * 1e3
            assert isinstance(hold, Hold), hold
            shared.settle(hold, 1)
            taken.append((ms, max(0.0, ms - (_unscheduled_ms() - before))))
            await asyncio.sleep(0.002)
    finally:
        server.thaw()
    await shared.close()
    return taken


async def measure(server: Server, folder: Path, rounds: int, calls: int) -> None:
    door = CountingDoor(Link(read_address(server.url), scripts=scripts.ALL))
    one = SqliteGuard(folder / "one.db", lambda _: LIMITS, lambda: time.time_ns() // 1_000_000)
    own = HostLedger(folder / "own.db", lambda _: LIMITS, lambda: time.time_ns() // 1_000_000)
    shared = SharedGuard(own, door, lambda _: LIMITS, tenants=tuple(f"t{i}" for i in range(TENANTS)))
    one.start()
    shared.start()
    await shared.join()
    hands: dict[str, Guard] = {"SQLite": one, "Redis and the host's ledger": shared}
    seen: dict[tuple[str, int], Figure] = {}
    for _ in range(rounds):
        for concurrent in SIZES:
            for (name, guard), (and_so, scopes) in product(hands.items(), SCOPES.items()):
                figure = seen.setdefault((name + and_so, concurrent), Figure())
                door.calls = 0
                cpu, wall = time.process_time(), time.perf_counter()
                done = await pairs(guard, concurrent, calls, scopes)
                figure.wall_us.append((time.perf_counter() - wall) / done * 1e6)
                await guard.spent("t0")
                figure.cpu_us.append((time.process_time() - cpu) / done * 1e6)
                figure.trips.append(door.calls / done)
    print(
        f"{Path(binary()).name}; {rounds} rounds of {calls:,} pairs; us of client CPU (and of time) a pair, "
        "round trips a pair"
    )
    print("| |" + "|".join(f" {size} at a time " for size in SIZES) + "| round trips |")
    print("|---|" + "---|" * (len(SIZES) + 1))
    for name in dict.fromkeys(name for name, _ in seen):
        cells = [
            f" {statistics.median(f.cpu_us):.0f} ({statistics.median(f.wall_us):.0f}) "
            for f in (seen[name, size] for size in SIZES)
        ]
        trips = statistics.median(seen[name, SIZES[-1]].trips)
        print(f"| {name} |" + "|".join(cells) + f"| {trips:.2f} |")
    print(
        "\nms by which a timer of the event loop was late, with 16 callers, beyond the time without a core:"
        "\nmedian, 99.9 %, most (and with it: 99.9 %, most)"
    )
    print("| | alone | beside a process that holds the write lock half of the time |")
    print("|---|---|---|")
    print(f"| no guard at all | {await waits(None, 3)} | |")
    for name, guard, path in (("SQLite", one, one.path), ("Redis and the host's ledger", shared, own.path)):
        alone = await waits(guard, 3)
        locker = await asyncio.create_subprocess_exec(sys.executable, "-c", LOCKER, str(path))
        try:
            await asyncio.sleep(0.3)
            beside = await waits(guard, 3)
        finally:
            locker.kill()
            await locker.wait()
        print(f"| {name} | {alone} | {beside} |")
    await shared.close()
    await one.close()
    taken = await frozen(server, folder)
    later = sorted(own for _, own in taken[1:])
    whole = sorted(ms for ms, _ in taken[1:])
    print(
        f"\nRedis frozen, ms a reservation: the first {taken[0][0]:.0f}; {len(later)} later ones over "
        f"{len(later) * 0.003:.0f} s, paid from the lease: {later[len(later) // 2]:.2f} at the median, "
        f"{later[int(len(later) * 0.99)]:.2f} at 99 %, {later[-1]:.2f} at most "
        f"(with the time that no core was free: {whole[int(len(whole) * 0.99)]:.2f} at 99 %, {whole[-1]:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=5_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "r").mkdir()
        with redis_server(Path(folder) / "r") as server:
            uvloop.run(measure(server, Path(folder), given.rounds, given.calls))


if __name__ == "__main__":
    main()
