"""What the cache costs and saves over HTTP, by each hand: a hit, a hit by meaning, a miss, and without it.

    .venv/bin/python -m tests.serve.cache.measure [--rounds 7] [--seconds 0.6] [--prompts 1000]

Two real gateways of one worker each, over one provider that answers at once, in turn in every round: the
cache in the worker's memory, and in a Redis of its own; the books are a file in both, so that only the cache
differs. Hits are in a scope with so many other prompts, misses in scopes of up to 500. The embedder takes
little time: vectors of 384 numbers that are drawn from the words, so that a model's own time comes on top of
what is shown. `hits` is the share of requests that were answered from the cache, by its own count. CPU is the
gateway's, by the kernel. Figures are medians over the rounds, of which the first is left out.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import httpx
import orjson
import uvloop

from experiments.bench import kernel
from experiments.bench.gateway import configuration
from experiments.bench.load import Load, Shape, closed
from tests.serve.redis.server import Server, redis_server
from tests.serve.sessions.measure import started

KEY = "k"
HANDS = ("memory", "redis")
KINDS = ("off", "miss", "exact", "semantic")
CONNECTIONS = (1, 16)
SCOPE = 500
Found = dict[tuple[str, int, str], list[tuple[Load, float, float]]]
GATEWAY = """
import sys
from hashlib import blake2b
import numpy as np
import serve.worker as worker
from p402.cache.local import LocalCache
from serve.cache.scripts import ALL
from serve.cache.shared import SharedCache
from serve.redis.connect import way_to
class Words:
    id = "words"
    async def embed(self, text):
        said = " ".join(text.split()).encode()
        drawn = np.frombuffer(b"".join(blake2b(said, salt=b"%d" % k).digest() for k in range(12)), "<i2")
        return (drawn / np.linalg.norm(drawn.astype(np.float64))).astype(np.float32)
url = sys.argv[1]
def make(settings, now_ms, name, embedder=None):
    if not url:
        return LocalCache(now_ms, Words())
    return SharedCache(lambda: way_to(url, scripts=ALL, name=f"p402-{name}-cache"), now_ms, Words())
worker.make_cache = make
from serve.command import main
sys.exit(main(sys.argv[2:]))
"""


def request(text: str, *, cache: bool, scope: int = 0) -> bytes:
    body = {
        "model": "auto",
        "messages": [
            {"role": "system", "content": f"You are careful assistant {scope}."},
            {"role": "user", "content": text},
        ],
        "max_tokens": 200,
        "temperature": 0,
        "p402": {"mode": "balanced", "cache": cache},
    }
    data = orjson.dumps(body)
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    return f"{head}authorization: Bearer {KEY}\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data


def spaced(n: int) -> str:
    """One question, with other white space each time."""
    return f"How do rivers{' ' * (n % 90 + 1)}reach the sea{' ' * (n // 90 % 90 + 1)}?"


def shapes(numbers: Iterator[int]) -> dict[str, Shape]:
    """Requests by kind; no two of a miss are alike, nor is one of a hit by meaning like what is kept."""

    def new(*, cache: bool) -> bytes:
        number = next(numbers)
        return request(f"What is {number} in words?", cache=cache, scope=1 + number // SCOPE)

    asked = {
        "first": lambda: request(f"What is {next(numbers)} in words?", cache=True),
        "off": lambda: new(cache=False),
        "miss": lambda: new(cache=True),
        "exact": lambda: request(spaced(0), cache=True),
        "semantic": lambda: request(spaced(1 + next(numbers) % 8_000), cache=True),
    }
    return {
        kind: Shape(lambda _, made=made: made(), b"}", b'"p402_metadata"') for kind, made in asked.items()
    }


def hits(url: str) -> int:
    """Requests that a gateway has answered from its cache so far."""
    headers = {"authorization": f"Bearer {KEY}"}
    return sum(httpx.get(f"{url.rstrip('/')}/v1/cache/stats", headers=headers).json()["hits"].values())


async def filled(url: str, kinds: dict[str, Shape], prompts: int) -> None:
    """Keep so many prompts, and the one that is asked again."""
    sent = 0
    while sent < prompts:
        load = await closed(url, kinds["first"], 16, 0.3)
        assert not load.errors, load.problem
        sent += load.sent
    load = await closed(url, kinds["exact"], 1, 0.2)
    assert not load.errors, load.problem
    await asyncio.sleep(0.5)


async def run(folder: Path, server: Server, rounds: int, seconds: float, prompts: int) -> None:
    kinds = shapes(count(1))
    with ExitStack() as stack:
        _, upstream = stack.enter_context(started(folder, "upstream", ["-m", "experiments.bench.upstream"]))
        running: dict[str, tuple[int, str]] = {}
        for hand in HANDS:
            own = folder / f"gateway-{hand}"
            own.mkdir()
            (own / "p402.toml").write_text(configuration(own, upstream, KEY))
            where = server.url if hand == "redis" else ""
            code = ["-c", GATEWAY, where, "--config", str(own / "p402.toml")]
            running[hand] = stack.enter_context(started(folder, hand, code))
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            for pid, _ in running.values():
                kernel.keep_to(pid, {cores[0]})
            kernel.keep_to(os.getpid(), set(cores[1:]))
        for _, url in running.values():
            await filled(url, kinds, prompts)
        loads: Found = {}
        for turn in range(rounds + 1):
            for connections in CONNECTIONS:
                for kind in KINDS:
                    for hand in HANDS[turn % 2 :] + HANDS[: turn % 2]:
                        pid, url = running[hand]
                        before, had = kernel.cpu_s(pid), hits(url)
                        load = await closed(url, kinds[kind], connections, seconds)
                        await asyncio.sleep(0.1)
                        assert not load.errors, f"{kind} at {hand}: {load.problem}"
                        if turn:
                            cpu_us = (kernel.cpu_s(pid) - before) / load.sent * 1e6
                            share = (hits(url) - had) / load.sent
                            loads.setdefault((hand, connections, kind), []).append((load, cpu_us, share))
    show(loads)


def show(loads: Found) -> None:
    names = ("hits", "p50 ms", "p99 ms", "over off", "CPU us")
    print(f"{'hand':8} {'conns':>5} {'request':9}" + "".join(f"{name:>10}" for name in names))
    for (hand, connections, kind), found in loads.items():
        p50 = [load.quantile(load.total_ms, 0.5) for load, _, _ in found]
        p99 = [load.quantile(load.total_ms, 0.99) for load, _, _ in found]
        off = [load.quantile(load.total_ms, 0.5) for load, _, _ in loads[hand, connections, "off"]]
        over = statistics.median(a - b for a, b in zip(p50, off, strict=True))
        cpu = statistics.median(cpu_us for _, cpu_us, _ in found)
        share = statistics.median(share for _, _, share in found)
        mid, far = statistics.median(p50), statistics.median(p99)
        print(f"{hand:8} {connections:5} {kind:9}{share:10.1%}{mid:10.3f}{far:10.3f}{over:+10.3f}{cpu:10.0f}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--prompts", type=int, default=1_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="p402-cache-") as name:
        folder = Path(name)
        (folder / "redis").mkdir()
        with redis_server(folder / "redis") as server:
            uvloop.run(run(folder, server, args.rounds, args.seconds, args.prompts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
