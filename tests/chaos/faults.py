"""What is done to workers, hosts, Redis and the wire between them while calls are under way."""

import asyncio
import random
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.processes import Crew
from tests.serve.redis.proxy import Proxy
from tests.serve.redis.server import Server

AWAY_S = 1.2
"""How long what is taken away stays away."""


@dataclass
class Scene:
    """What a fault may lay hands on; `server` and `proxy` are there where it asks for them."""

    crew: Crew
    rng: random.Random
    folders: list[Path]
    hold_s: float
    server: Server | None = None
    proxy: Proxy | None = None

    @property
    def redis(self) -> Server:
        assert self.server is not None
        return self.server

    @property
    def wire(self) -> Proxy:
        assert self.proxy is not None
        return self.proxy

    def tell(self, command: str) -> None:
        """Give Redis a command."""
        with socket.create_connection(("127.0.0.1", self.redis.port), timeout=5) as there:
            there.sendall(f"{command}\r\n".encode())
            reply = there.recv(4096)
        assert reply.startswith(b"+OK"), (command, reply)


@dataclass(frozen=True)
class Fault:
    """A fault by name.

    Attributes
    ----------
    does
        One line for the table of `--help`.
    redis
        Whether it is done to Redis, or to the wire that leads there.
    ledger
        Whether it is done to the hosts' SQLite files.
    options
        Of the Redis server.
    midnight
        The guard's clock passes midnight during the run.
    locked_ms
        How much longer a reservation may take, since a ledger's lock is not to be had: what the hand promises
        is about Redis, and about a disk that others let go of.
    """

    name: str
    does: str
    run: Callable[[Scene], Awaitable[None]]
    redis: bool = False
    ledger: bool = False
    options: tuple[str, ...] = ()
    proxied: bool = False
    midnight: bool = False
    locked_ms: int = 0


async def nothing(scene: Scene) -> None:
    """The row all others are compared with."""


async def kill_workers(scene: Scene) -> None:
    """Half of them, one after another, each replaced at once."""
    alive = scene.crew.alive()
    for worker in scene.rng.sample(alive, len(alive) // 2):
        worker.kill()
        scene.crew.replace(worker)
        await asyncio.sleep(0.2)


@asynccontextmanager
async def host_down(scene: Scene) -> AsyncIterator[None]:
    """All workers of one host die at once, and others start on the same folder after the block."""
    last = len(scene.folders) - 1
    dead = scene.crew.alive(last)
    for worker in dead:
        worker.shoot()
    for worker in dead:
        worker.bury()
    yield
    for worker in dead:
        scene.crew.replace(worker)


async def kill_host(scene: Scene) -> None:
    async with host_down(scene):
        await asyncio.sleep(AWAY_S)


async def freeze_worker(scene: Scene) -> None:
    """For longer than its holds live: they expire, and it settles them all the same when it wakes."""
    with scene.rng.choice(scene.crew.alive()).frozen():
        await asyncio.sleep(scene.hold_s + 0.5)


def lock_files(seconds: float) -> Callable[[Scene], Awaitable[None]]:
    """Another process holds the write lock of every ledger."""

    @contextmanager
    def locked(path: Path):
        with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute("ROLLBACK")

    async def run(scene: Scene) -> None:
        for folder in scene.folders:
            with locked(folder / "state.db"):
                await asyncio.sleep(seconds)

    return run


async def freeze_redis(scene: Scene) -> None:
    scene.redis.freeze()
    try:
        await asyncio.sleep(AWAY_S)
    finally:
        scene.redis.thaw()


async def kill_redis(scene: Scene) -> None:
    scene.redis.kill()
    await asyncio.sleep(AWAY_S / 2)
    scene.redis.start()


async def flush_all(scene: Scene) -> None:
    scene.tell("FLUSHALL")


async def flush_twice(scene: Scene) -> None:
    """A second time while hosts may still be writing what they know."""
    scene.tell("FLUSHALL")
    await asyncio.sleep(scene.rng.uniform(0.001, 0.05))
    scene.tell("FLUSHALL")


async def flush_without_a_host(scene: Scene) -> None:
    """Redis forgets while one host, which alone knows what it spent, is down."""
    async with host_down(scene):
        await asyncio.sleep(AWAY_S / 4)
        scene.tell("FLUSHALL")
        await asyncio.sleep(AWAY_S)


async def flush_scripts(scene: Scene) -> None:
    for _ in range(5):
        scene.tell("SCRIPT FLUSH")
        await asyncio.sleep(0.1)


async def run_out_of_memory(scene: Scene) -> None:
    scene.tell("CONFIG SET maxmemory 1")
    try:
        await asyncio.sleep(AWAY_S)
    finally:
        scene.tell("CONFIG SET maxmemory 0")


async def delay(scene: Scene) -> None:
    scene.wire.delay_s = 0.2
    await asyncio.sleep(AWAY_S)
    scene.wire.delay_s = 0.0


async def swallow(scene: Scene) -> None:
    scene.wire.swallow = True
    await asyncio.sleep(AWAY_S)
    scene.wire.swallow = False


async def reset(scene: Scene) -> None:
    scene.wire.reset = True
    await asyncio.sleep(AWAY_S)
    scene.wire.reset = False


async def cut(scene: Scene) -> None:
    """Again and again, after some bytes that end inside a reply more often than not."""
    for _ in range(12):
        scene.wire.cut = scene.rng.randint(1, 60)
        await asyncio.sleep(AWAY_S / 12)
    scene.wire.cut = None


_AOF = ("--appendonly", "yes", "--appendfsync")
_ALL = (
    Fault("none", "nothing", nothing),
    Fault("kill-workers", "kill -9 of half the workers, each replaced at once", kill_workers),
    Fault("kill-host", "kill -9 of all workers of a host; 1.2 s later others on its folder", kill_host),
    Fault(
        "freeze-worker",
        "SIGSTOP of a worker for longer than its holds live",
        freeze_worker,
        locked_ms=2_000,
    ),
    Fault("midnight", "the UTC day ends while calls are under way", nothing, midnight=True),
    Fault(
        "lock",
        "another process holds the ledger's write lock for 0.5 s",
        lock_files(0.5),
        ledger=True,
        locked_ms=600,
    ),
    Fault(
        "lock-long",
        "the same for 1.5 s, longer than the SQLite hand waits",
        lock_files(1.5),
        ledger=True,
        locked_ms=2_000,
    ),
    Fault("redis-freeze", "SIGSTOP of Redis for 1.2 s", freeze_redis, redis=True),
    Fault(
        "redis-kill-everysec",
        "kill -9 of Redis, restarted after 0.6 s with its append-only file (fsync each second)",
        kill_redis,
        redis=True,
        options=(*_AOF, "everysec"),
    ),
    Fault("redis-kill-always", "the same (fsync always)", kill_redis, redis=True, options=(*_AOF, "always")),
    Fault("redis-kill-forgets", "the same with no file: everything is forgotten", kill_redis, redis=True),
    Fault("flushall", "FLUSHALL", flush_all, redis=True),
    Fault("flushall-twice", "FLUSHALL, and again 1 to 50 ms later", flush_twice, redis=True),
    Fault("flushall-host-down", "FLUSHALL while a host is down", flush_without_a_host, redis=True),
    Fault("script-flush", "SCRIPT FLUSH, five times", flush_scripts, redis=True),
    Fault("oom", "maxmemory reached, noeviction; lifted after 1.2 s", run_out_of_memory, redis=True),
    Fault("delay", "replies 200 ms late, for 1.2 s", delay, redis=True, proxied=True),
    Fault("blackhole", "nothing passes, connections hang, for 1.2 s", swallow, redis=True, proxied=True),
    Fault("reset", "every command resets its connection, for 1.2 s", reset, redis=True, proxied=True),
    Fault("cut", "connections end inside a reply, 12 times in 1.2 s", cut, redis=True, proxied=True),
)
FAULTS = {fault.name: fault for fault in _ALL}


def faults_for(*, redis: bool, ledger: bool) -> list[Fault]:
    """Faults that can be done to a hand with or without Redis, with or without ledgers."""
    return [f for f in FAULTS.values() if (redis or not f.redis) and (ledger or not f.ledger)]
