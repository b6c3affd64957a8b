"""What sharing sessions costs: a look and a note by each hand, and a request at the gateway with and without.

    .venv/bin/python -m tests.serve.sessions.measure [--calls 3000] [--rounds 7] [--seconds 0.6]

Looks are timed in turn with notes that are left, alone and 16 at once; CPU is this process's, event loop
(uvloop) and threads together. Then three real gateways of one worker each, over one provider that answers at
once, in turn in every round, 16 connections: sharing off, as a single worker has it; by the file; by Redis.
The last two are made to ask at every request that may, as if another worker had always given the last answer.
CPU is the gateway's, by the kernel; the figures are medians over the rounds.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import orjson
import uvloop

from experiments.bench import kernel
from experiments.bench.gateway import configuration
from experiments.bench.load import Shape, closed
from p402.ports import Sessions, Warmth
from serve.redis.connect import way_to
from serve.sessions.file import FileShelf
from serve.sessions.redis_shelf import RECALL, RedisShelf
from serve.sessions.shared import SharedSessions
from sim.memory import MemorySessions
from tests.serve.redis.cluster_server import ask
from tests.serve.redis.server import Server, redis_server

SESSIONS = 1_000
KEY = "k"
HANDS = ("off", "file", "redis")
GATEWAY = """
import sys
import p402.flow.chat as chat
import serve.worker as worker
from serve.redis.connect import way_to
from serve.sessions.file import FileShelf
from serve.sessions.redis_shelf import RECALL, RedisShelf
from serve.sessions.shared import SharedSessions
hand, where = sys.argv[1:3]
def shelf(now_ms):
    if hand == "file":
        return FileShelf(worker.Path(where), now_ms)
    return RedisShelf(lambda: way_to(where, scripts=(RECALL,)))
if hand != "off":
    worker.make_sessions = lambda settings, now_ms, name: SharedSessions(shelf(now_ms), now_ms)
    chat.is_known = lambda transcript, known: False
from serve.command import main
sys.exit(main(sys.argv[3:]))
"""
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
SAID = [
    {"role": "system", "content": "You are a careful assistant."},
    {"role": "user", "content": "What is there?"},
]
CALLED = [
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    ]},
    {"role": "tool", "tool_call_id": "c1", "content": "a pen"},
]  # fmt: skip


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def looks(hand: Sessions, calls: int, at_once: int) -> tuple[float, float, float]:
    """Median and 99th percentile in ms, and CPU us, of a look."""
    took: list[float] = []

    async def one(n: int) -> None:
        began = time.perf_counter()
        await hand.recall("tenant", f"session-{n % SESSIONS}", 0)
        took.append((time.perf_counter() - began) * 1e3)

    cpu = time.process_time()
    for begin in range(0, calls, at_once):
        await asyncio.gather(*(one(n) for n in range(begin, begin + at_once)))
    spent = (time.process_time() - cpu) / calls * 1e6
    ordered = sorted(took)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.99)], spent


async def notes(hand: Sessions, calls: int, at_once: int) -> float:
    """CPU us of a note."""
    cpu = time.process_time()
    for begin in range(0, calls, at_once):
        for n in range(begin, begin + at_once):
            hand.note("tenant", f"session-{n % SESSIONS}", Warmth("provider/some-model", 12_345, 0, n))
        if isinstance(hand, SharedSessions):
            await hand.settled()
    return (time.process_time() - cpu) / calls * 1e6


async def hands(folder: Path, server: Server, calls: int) -> None:
    made: dict[str, Sessions] = {
        "memory": MemorySessions(now_ms),
        "file": SharedSessions(FileShelf(folder / "x.db", now_ms), now_ms, bound_s=10),
        "redis": SharedSessions(
            RedisShelf(lambda: way_to(server.url, scripts=(RECALL,))), now_ms, bound_s=10
        ),
    }
    print(
        f"{'hand':8} {'at once':>7} {'look p50 ms':>12} {'p99 ms':>8} {'look CPU us':>12} {'note CPU us':>12}"
    )
    for at_once in (1, 16):
        for name, hand in made.items():
            await notes(hand, SESSIONS, at_once)
            note = await notes(hand, calls, at_once)
            p50, p99, look = await looks(hand, calls, at_once)
            print(f"{name:8} {at_once:7} {p50:12.3f} {p99:8.3f} {look:12.1f} {note:12.1f}")
    for hand in made.values():
        await hand.close()
    key = ask(server, "KEYS", "p402:session:*")[0]
    print(f"in Redis {ask(server, 'MEMORY', 'USAGE', key)} bytes a session, beside its place in two tables")


def request(session: int, *, tools: bool) -> bytes:
    body = {
        "model": "auto",
        "messages": [*SAID, *(CALLED if tools else ())],
        "max_tokens": 200,
        **({"tools": [TOOL]} if tools else {}),
        "p402": {"mode": "balanced", "session_id": f"bench-{session}"},
    }
    data = orjson.dumps(body)
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    return f"{head}authorization: Bearer {KEY}\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data


@contextmanager
def started(folder: Path, name: str, command: list[str]) -> Iterator[tuple[int, str]]:
    """A process and the URL that it serves."""
    ready = folder / f"{name}.ready"
    with (folder / f"{name}.out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command, "--ready-file", str(ready), "--max-seconds", "300"],
            stdout=out,
            stderr=out,
        )
    try:
        end = time.monotonic() + 60
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((folder / f"{name}.out").read_text())
            time.sleep(0.05)
        yield process.pid, ready.read_text().strip()
    finally:
        process.terminate()
        process.wait(30)


def shape_of(*, tools: bool) -> Shape:
    ready = [request(session, tools=tools) for session in range(100)]
    return Shape(lambda n: ready[n % len(ready)], b"}", b'"p402_metadata"')


async def gateways(folder: Path, server: Server, rounds: int, seconds: float) -> None:
    shapes = {"short chat": shape_of(tools=False), "tool loop": shape_of(tools=True)}
    with ExitStack() as stack:
        _, upstream = stack.enter_context(started(folder, "upstream", ["-m", "experiments.bench.upstream"]))
        running: dict[str, tuple[int, str]] = {}
        for hand in HANDS:
            own = folder / f"gateway-{hand}"
            own.mkdir()
            (own / "p402.toml").write_text(configuration(own, upstream, KEY))
            where = server.url if hand == "redis" else str(own / "sessions.db")
            code = ["-c", GATEWAY, hand, where, "--config", str(own / "p402.toml")]
            running[hand] = stack.enter_context(started(folder, hand, code))
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:  # threads that take turns at the interpreter's lock over two cores cost more
            for pid, _ in running.values():
                kernel.keep_to(pid, {cores[0]})
            kernel.keep_to(os.getpid(), set(cores[1:]))
        cost: dict[tuple[str, str], list[float]] = {(kind, hand): [] for kind in shapes for hand in HANDS}
        for turn in range(rounds + 1):
            for kind, shape in shapes.items():
                for hand in HANDS[turn % 3 :] + HANDS[: turn % 3]:
                    pid, url = running[hand]
                    before = kernel.cpu_s(pid)
                    load = await closed(url, shape, 16, seconds)
                    await asyncio.sleep(0.15)
                    assert not load.errors, load.problem
                    if turn:
                        cost[kind, hand].append((kernel.cpu_s(pid) - before) / load.sent * 1e6)
    print(f"{'request':12} {'sharing':8} {'CPU us':>8} {'over off':>9}")
    for (kind, hand), found in cost.items():
        over = statistics.median(a - b for a, b in zip(found, cost[kind, "off"], strict=True))
        print(f"{kind:12} {hand:8} {statistics.median(found):8.0f} {over:9.0f}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.6)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="p402-sessions-") as name:
        folder = Path(name)
        (folder / "redis").mkdir()
        with redis_server(folder / "redis") as server:
            uvloop.run(hands(folder, server, args.calls - args.calls % 16))
            uvloop.run(gateways(folder, server, args.rounds, args.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
