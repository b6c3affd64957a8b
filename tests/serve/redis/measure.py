"""What one EVALSHA costs the client, through the link and through redis-py's pool, in the same run.

    .venv/bin/python -m tests.serve.redis.measure [--rounds 5] [--calls 20000]

CPU of this process, whose event loop (uvloop) does nothing else; the server is another process. Both take
turns in every round; the figures are medians over the rounds.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from serve.redis.address import read_address
from serve.redis.calls import Script
from serve.redis.door import Door
from serve.redis.link import Link
from tests.serve.redis.server import Server, binary, redis_server

# The shape of a reservation: three keys of one tenant, six arguments, a handful of commands, an array back.
LUA = """
local spent = tonumber(redis.call('HGET', KEYS[1], 'spent') or '0')
local held = redis.call('HINCRBY', KEYS[1], 'held', ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[3])
redis.call('HINCRBY', KEYS[1], 'held', -ARGV[1])
return {1, spent, held, redis.call('INCR', KEYS[3])}
"""
SCRIPT = Script.of(LUA)
WORDS = (
    b"EVALSHA", SCRIPT.sha, 3, b"p402:{acme}:day", b"p402:{acme}:hold", b"p402:{acme}:seq",
    1_000_000, 1_790_000_000_000, b"req_01J9ZK3N5T7W9YBDFHKMPQRSTV", 300_000, 1_000_000_000, 10,
)  # fmt: skip
SIZES = (1, 16, 64)

Ask = Callable[[], Awaitable[object]]


async def cost(ask: Ask, concurrent: int, calls: int) -> tuple[float, float]:
    """CPU and time, in us a call."""
    each = calls // concurrent

    async def caller() -> None:
        for _ in range(each):
            await ask()

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(concurrent)))
    done = each * concurrent
    return (time.process_time() - cpu) / done * 1e6, (time.perf_counter() - wall) / done * 1e6


async def measure(server: Server, rounds: int, calls: int) -> dict[tuple[str, int], tuple[float, float]]:
    tcp, unix = (Link(read_address(url), scripts=[SCRIPT]) for url in (server.url, f"unix://{server.socket}"))
    door = Door(tcp)
    pool = BlockingConnectionPool.from_url(server.url, max_connections=64, retry=Retry(NoBackoff(), 0))
    redis = Redis(connection_pool=pool)
    hands: dict[str, Ask] = {
        "link, tcp": lambda: tcp.call(*WORDS),
        "link behind the breaker, tcp": lambda: door.call(*WORDS),
        "link, unix": lambda: unix.call(*WORDS),
        "redis-py pool, tcp": lambda: redis.execute_command(*WORDS),
    }
    seen: dict[tuple[str, int], list[tuple[float, float]]] = {}
    await tcp.open()
    for name, ask in hands.items():
        assert isinstance(await ask(), list), name
    for _ in range(rounds):
        for concurrent in SIZES:
            for name, ask in hands.items():
                seen.setdefault((name, concurrent), []).append(await cost(ask, concurrent, calls))
    await door.aclose()
    await unix.aclose()
    await redis.aclose()
    await pool.aclose()
    return {
        key: (statistics.median(cpu for cpu, _ in figures), statistics.median(wall for _, wall in figures))
        for key, figures in seen.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        figures = uvloop.run(measure(server, given.rounds, given.calls))
    print(
        f"{Path(binary()).name}; {given.rounds} rounds of {given.calls:,} calls; "
        "us of client CPU (and of time) a call"
    )
    print("| |" + "|".join(f" {size} at a time " for size in SIZES) + "|")
    print("|---|" + "---|" * len(SIZES))
    for name in dict.fromkeys(name for name, _ in figures):
        cells = (f" {figures[name, size][0]:.1f} ({figures[name, size][1]:.1f}) " for size in SIZES)
        print(f"| {name} |" + "|".join(cells) + "|")


if __name__ == "__main__":
    main()
