"""What a request costs at the gateway: CPU, added time, memory, start.

The real `p402 serve`, one worker, with everything on (keys, 300 catalogue arms, SQLite books, the log
on disk) between a provider that answers at once and a client of this process; all on loopback, all
in a temporary folder, all stopped at the end. CPU is read from the kernel, so that what the other
two processes use does not count; times are the client's, the same load sent direct taken off.
It imports nothing of the gateway.

Where there are two cores, the gateway has one and everything else the other, as where the gates were
set: threads that take turns at the interpreter's lock over two cores cost a third more, and how much
depends on who else is there. Costs are medians of windows in turn with each other and with the bare app's.
"""

import asyncio
import hashlib
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

import orjson
import uvloop

from experiments.bench import kernel
from experiments.bench.figure import Figure
from experiments.bench.load import Load, Shape, at_rate, closed
from experiments.bench.upstream import CHUNKS
from experiments.demonstration.processes import P402, Child, House
from p402.catalog.model import Deployment, is_priced
from p402.store.catalog import load_catalog

ARMS: Final = 300
CPU_US: Final = 500.0
"""Gate of CPU per request; DESIGN section 10 has those that follow."""

EVENT_US: Final = 30.0
"""What each event of a stream may add to that, by DESIGN section 10."""

BARE_US: Final = 19.6
"""CPU of a bare ASGI app per request on the machine that the gate was set on (performance study of
2026-11-22, section 3): with it, the gate can be read on a slower one."""

RATE: Final = 500.0
EVENTS: Final = CHUNKS + 4
"""Events of a stream that comes at once: a role, its chunks, a finish, usage, `[DONE]`."""

LONG, SHORT, GAP_MS = 100, 10, 2
"""Chunks of the two streams whose difference in CPU is that of LONG - SHORT chunks."""

PATH: Final = "/v1/chat/completions"
MAX_SECONDS: Final = 120
"""After which every process stops by itself, even if this one is killed."""

_PROMPT: Final = (
    "A shop sells pens at 3 for 2 dollars. How much do 12 pens cost, and how many can I buy for 15 dollars? "
)


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds of each part of a run, and of each window of `cost`."""

    warm: float = 1.5
    cost: float = 0.6
    windows: int = 7
    chunks: float = 3.0
    latency: float = 3.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A closed load and the gateway's CPU seconds meanwhile."""

    load: Load
    cpu_s: float

    @property
    def cpu_us(self) -> float:
        """CPU microseconds per request."""
        return self.cpu_s / max(1, self.load.sent) * 1e6


@dataclass(frozen=True, slots=True)
class Windows:
    """The same closed load several times, in turn with others."""

    each: list[Loaded]

    @property
    def cpu_us(self) -> float:
        """Median of the windows' CPU microseconds per request."""
        return median(loaded.cpu_us for loaded in self.each)

    @property
    def least_us(self) -> float:
        """Their least: the window that neighbours disturbed least."""
        return min(loaded.cpu_us for loaded in self.each)


@dataclass(frozen=True, slots=True)
class Added:
    """The same open load through the gateway and direct."""

    through: Load
    direct: Load

    def ms(self, share: float, *, first: bool) -> float:
        """Difference of the two loads' quantiles, of first bytes or of whole answers."""
        a, b = (
            load.quantile(load.first_ms if first else load.total_ms, share)
            for load in (self.through, self.direct)
        )
        return a - b


@dataclass(frozen=True, slots=True)
class Measured:
    """All of a run.

    Attributes
    ----------
    cost
        By (streamed, connections).
    bare
        A bare ASGI app in the place of the gateway, whole answers, 16 connections.
    short, long
        Streams whose chunks come one by one.
    """

    cost: Mapping[tuple[bool, int], Windows]
    bare: Windows
    short: Loaded
    long: Loaded
    plain: Added
    streamed: Added
    rss_mib: float
    start_s: float

    @property
    def chunk_us(self) -> float:
        """CPU microseconds for each chunk of a stream."""
        return (self.long.cpu_us - self.short.cpu_us) / (LONG - SHORT)

    @property
    def loads(self) -> list[Load]:
        """Every load of the run."""
        windows = [loaded.load for many in (*self.cost.values(), self.bare) for loaded in many.each]
        costs = [*windows, self.short.load, self.long.load]
        return [*costs, self.plain.through, self.plain.direct, self.streamed.through, self.streamed.direct]


def run() -> list[Figure]:
    """Measure in about 45 seconds."""
    return list(figures(measure(Durations())))


def measure(durations: Durations) -> Measured:
    """Start the processes, load them, stop them."""
    with (
        tempfile.TemporaryDirectory(prefix="p402-bench-") as folder,
        site(Path(folder)) as made,
        _apart(made),
    ):
        return uvloop.run(_measure(made, durations))


def figures(found: Measured) -> Iterator[Figure]:
    """What is printed."""
    for (streamed, connections), cost in found.cost.items():
        kind = f"streamed ({EVENTS} events)" if streamed else "whole"
        name = f"gateway CPU per request, {kind}, {connections} connections"
        yield Figure(name, cost.cpu_us, "us", most=CPU_US + EVENT_US * EVENTS * streamed)
        yield Figure(f"{name}, least window", cost.least_us, "us")
    yield Figure("bare ASGI app's CPU per request, whole, 16 connections", found.bare.cpu_us, "us")
    yield Figure(
        "gateway CPU over the bare app's, whole, 16 connections",
        found.cost[False, 16].cpu_us / max(found.bare.cpu_us, 1e-9),
        "x",
        most=CPU_US / BARE_US,
    )
    yield Figure(
        "gateway requests per CPU second, whole, 64 connections", 1e6 / found.cost[False, 64].cpu_us, "/s"
    )
    yield Figure("gateway CPU per chunk of a stream", found.chunk_us, "us")
    yield Figure(f"added latency at {RATE:g}/s, p50", found.plain.ms(0.5, first=False), "ms", most=10.0)
    yield Figure(f"added latency at {RATE:g}/s, p99", found.plain.ms(0.99, first=False), "ms")
    yield Figure(
        f"added time to first byte of a stream at {RATE:g}/s, p50", found.streamed.ms(0.5, first=True), "ms"
    )
    yield Figure("memory of a worker after load", found.rss_mib, "MiB")
    yield Figure("cold start to the first answer", found.start_s, "s")
    yield Figure(
        "errors of the gateway's bench", float(sum(load.errors for load in found.loads)), "", most=0.0
    )


@dataclass(frozen=True, slots=True)
class Site:
    """The running processes and how to ask them."""

    upstream: Child
    gateway: Child
    gateway_url: str
    bare: Child
    bare_url: str
    direct_url: str
    key: str

    def shape(self, *, stream: bool, direct: bool = False, chunks: int = 0) -> Shape:
        """Requests in balanced mode, a hundred sessions; a chunk count asks for spaced chunks."""
        word = f"bench chunks={chunks} gap_ms={GAP_MS}" if chunks else ""
        ends = b"data: [DONE]\n\n" if stream else b"}"
        headers = "" if direct else f"authorization: Bearer {self.key}\r\n"

        def request(number: int) -> bytes:
            return ready[number % len(ready)]

        ready = [_request(headers, session, word, stream=stream) for session in range(100)]
        return Shape(request, ends, b"" if direct else b'"p402_metadata"')


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """The provider and the gateway, serving."""
    key = f"p402_live_{secrets.token_urlsafe(32)}"
    with House(folder / "out", os.environ) as house:
        ready = folder / "upstream.ready"
        command = [sys.executable, "-m", "experiments.bench.upstream", "--ready-file", str(ready)]
        upstream = house.start("upstream", [*command, "--max-seconds", str(MAX_SECONDS)])
        direct = house.ready(upstream, ready)
        config = folder / "p402.toml"
        config.write_text(configuration(folder, direct, key))
        ready = folder / "gateway.ready"
        serve = [*P402, "serve", "--config", str(config), "--ready-file", str(ready)]
        gateway = house.start("gateway", [*serve, "--max-seconds", str(MAX_SECONDS)])
        gateway_url = house.ready(gateway, ready)
        ready = folder / "bare.ready"
        command = [sys.executable, "-m", "experiments.bench.bare", "--ready-file", str(ready)]
        bare = house.start("bare", [*command, "--max-seconds", str(MAX_SECONDS)])
        yield Site(upstream, gateway, gateway_url, bare, house.ready(bare, ready), direct, key)


def configuration(folder: Path, upstream: str, key: str, arms: int = ARMS) -> str:
    """`p402.toml`: `arms` active, priced deployments of the catalogue behind one mock."""
    lines = [
        "[server]",
        "port = 0",
        f'state = "sqlite:///{folder / "state.db"}"',
        *(f'{name} = "{folder / name}"' for name in ("log", "store", "registry")),
        "[tenants.default]",
        "daily_cap_usd = 1000000",
        "requests_per_hour = 1_000_000_000",
        "max_in_flight = 10_000",
        "[[keys]]",
        'name = "bench"',
        f'key_sha256 = "{hashlib.sha256(key.encode()).hexdigest()}"',
    ]
    by_provider: dict[str, list[str]] = {}
    usable = (d for d in load_catalog().deployments if _usable(d))
    for deployment in islice(usable, arms):
        by_provider.setdefault(deployment.provider, []).append(deployment.model)
    for name, models in by_provider.items():
        lines += [
            f"[providers.{name}]",
            "simulated = true",
            f'base_url = "{upstream}/v1"',
            'api_key = "bench"',
            f"models = {orjson.dumps(models).decode()}",
        ]
    return "\n".join(lines) + "\n"


def _usable(deployment: Deployment) -> bool:
    return (
        deployment.status == "active" and is_priced(deployment) and (deployment.context_window or 0) >= 8_000
    )


def _request(headers: str, session: int, word: str, *, stream: bool) -> bytes:
    body = {
        "model": "auto",
        "messages": [
            {"role": "system", "content": "You are a careful assistant. Answer in one sentence."},
            {"role": "user", "content": f"{_PROMPT}{word}"},
        ],
        "max_tokens": 200,
        "stream": stream,
        "p402": {"mode": "balanced", "session_id": f"bench-{session}"},
    }
    data = orjson.dumps(body)
    head = f"POST {PATH} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{headers}"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


async def _measure(made: Site, durations: Durations) -> Measured:
    first = await closed(made.gateway_url, made.shape(stream=False), 1, 0.0)
    start_s = time.monotonic() - made.gateway.started_s
    if first.errors:
        raise RuntimeError(f"the gateway's first answer was not good: {first.problem}")
    for stream in (False, True):
        await closed(made.gateway_url, made.shape(stream=stream), 16, durations.warm / 2)
    cases = [(stream, connections) for stream in (False, True) for connections in (16, 64)]
    cost: dict[tuple[bool, int], Windows] = {case: Windows([]) for case in cases}
    bare, least = Windows([]), made.shape(stream=False, direct=True)
    await closed(made.bare_url, least, 16, durations.warm / 4)
    for _ in range(durations.windows):
        for stream, connections in cases:
            shape = made.shape(stream=stream)
            window = await _loaded(made.gateway, made.gateway_url, shape, connections, durations.cost)
            cost[stream, connections].each.append(window)
        bare.each.append(await _loaded(made.bare, made.bare_url, least, 16, durations.cost / 2))
    short, long = [
        await _loaded(
            made.gateway, made.gateway_url, made.shape(stream=True, chunks=chunks), 8, durations.chunks
        )
        for chunks in (SHORT, LONG)
    ]
    plain, streamed = [await _added(made, stream, durations.latency) for stream in (False, True)]
    rss_mib = sum(map(kernel.rss_mib, kernel.tree(made.gateway.process.pid)))
    return Measured(cost, bare, short, long, plain, streamed, rss_mib, start_s)


@contextmanager
def _apart(made: Site) -> Iterator[None]:
    """The gateway, or the bare app in its place, on a core of its own; nothing where there is but one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        others = set(cores[1:])
        kernel.keep_to(made.gateway.process.pid, {cores[0]})
        kernel.keep_to(made.bare.process.pid, {cores[0]})
        kernel.keep_to(made.upstream.process.pid, others)
        kernel.keep_to(os.getpid(), others)
    try:
        yield
    finally:
        kernel.keep_to(os.getpid(), set(cores))


async def _loaded(child: Child, url: str, shape: Shape, connections: int, seconds: float) -> Loaded:
    """A closed load on a child, with the CPU that it and its descendants used meanwhile."""

    def cpu_s() -> float:
        return sum(map(kernel.cpu_s, kernel.tree(child.process.pid)))

    before = cpu_s()
    load = await closed(url, shape, connections, seconds)
    await asyncio.sleep(0.15)  # settlements and the log's sync are part of the cost
    return Loaded(load, cpu_s() - before)


async def _added(made: Site, stream: bool, seconds: float) -> Added:  # noqa: FBT001 - what is looped over
    through = await at_rate(made.gateway_url, made.shape(stream=stream), RATE, seconds)
    direct = await at_rate(made.direct_url, made.shape(stream=stream, direct=True), RATE, seconds)
    return Added(through, direct)
