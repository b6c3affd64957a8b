"""A gateway for tests: real front and flow; clock, log, guard and providers that tests rule."""

import asyncio
import socket
import threading
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import orjson
import uvicorn

from p402.assemble import START_WEIGHTS, assemble
from p402.cache.contract import Cache
from p402.errors import DiskFull
from p402.flow.chat import Flow, Ports
from p402.flow.state import WorkerState
from p402.ports import Call, Completion, Failure, Usage
from p402.routing.compiled import compile_snapshot
from p402.settings import Settings, read_settings
from p402.store.catalog import load_catalog
from p402.store.task_head import load_head
from serve.app import create_app
from serve.handlers.front import Front
from serve.idempotency.keeper import Keeper
from serve.idempotency.once import Once
from serve.keys import keyring
from serve.server import server_config
from sim.memory import MemoryGuard

NOW_MS = 1_790_000_000_000
KEY = "p402_live_a-key-of-the-tests"
OTHER_KEY = "p402_live_another-key"
CONFIG = """
[providers.acme]
base_url = "http://127.0.0.1:1/v1"
[[providers.acme.models]]
id = "small"
family = "acme"
context_window = 8000
output_limit = 1000
capabilities = ["chat", "function_calling", "json_schema"]
input_usd_per_mtok = 1
output_usd_per_mtok = 2
[[providers.acme.models]]
id = "large"
family = "acme"
context_window = 100000
output_limit = 4000
capabilities = ["chat", "code", "vision", "reasoning", "function_calling"]
input_usd_per_mtok = 5
output_usd_per_mtok = 20
[providers.zeta]
base_url = "http://127.0.0.1:2/v1"
simulated = true
[[providers.zeta.models]]
id = "small"
family = "acme"
context_window = 8000
output_limit = 1000
input_usd_per_mtok = 0.9
output_usd_per_mtok = 1.9
[tenants.default]
baseline_model = "large"
exploration = false
[tenants.narrow]
deny_providers = ["zeta"]
[[keys]]
name = "main"
key_env = "TEST_KEY"
[[keys]]
name = "narrow"
tenant = "narrow"
key_env = "TEST_OTHER_KEY"
"""
ANSWER = (
    b'{"id": "cmpl-1", "object": "chat.completion", "created": 1, "model": "small",\n "choices": '
    b'[{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}],'
    b' "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}}\n'
)


def chunk(delta: dict, finish: str | None = None) -> bytes:
    """One chunk as a provider sends it."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    fields = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "small",
        "choices": [choice],
    }
    return b"data: %b\n\n" % orjson.dumps(fields)


CHUNKS = (chunk({"role": "assistant", "content": "Fo"}), chunk({"content": "ur"}), chunk({}, "stop"))
USAGE = Usage(prompt=9, output=1)


def settings(more: str = "") -> Settings:
    return read_settings(tomllib.loads(CONFIG + more, parse_float=Decimal), {})


class StillClock:
    """Time that stands still and ids that count: two runs give the same bytes."""

    def __init__(self) -> None:
        self.drawn = 0

    def now_ms(self) -> int:
        return NOW_MS

    def monotonic_ms(self) -> float:
        return 5_000.0

    def random_bits(self) -> int:
        self.drawn += 1
        return self.drawn


class RealClock(StillClock):
    """Time that runs."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return time.perf_counter() * 1000


class ListLog:
    """A log in memory; `full` makes it refuse as a full disk does."""

    def __init__(self) -> None:
        self.events: list = []
        self.full = False

    def append(self, event) -> None:
        if self.full:
            raise DiskFull("no space left on device")
        self.events.append(event)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class PlayedStream:
    """A stream that plays chunks; after them it hangs, breaks or ends well."""

    chunks: tuple[bytes, ...] = CHUNKS
    failure: Failure | None = None
    hangs: bool = False
    usage: Usage = USAGE
    warnings: tuple[str, ...] = ()
    closed: int = 0
    _position: int = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._position < len(self.chunks):
            self._position += 1
            return self.chunks[self._position - 1]
        if self.hangs:
            await asyncio.Event().wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1


@dataclass
class PlayedUpstream:
    """Providers that answer what a test says; `cancelled` counts calls whose caller left."""

    whole: Callable[[Call], Completion | Failure] = lambda call: Completion(ANSWER, USAGE)
    stream: Callable[[Call], PlayedStream | Failure] = lambda call: PlayedStream()
    hangs: bool = False
    calls: list[Call] = field(default_factory=list)
    streams: list[PlayedStream] = field(default_factory=list)
    cancelled: int = 0

    async def complete(self, call: Call) -> Completion | Failure:
        self.calls.append(call)
        if self.hangs:
            await self._hang()
        return self.whole(call)

    async def open_stream(self, call: Call) -> PlayedStream | Failure:
        self.calls.append(call)
        if self.hangs:
            await self._hang()
        answer = self.stream(call)
        if isinstance(answer, PlayedStream):
            self.streams.append(answer)
        return answer

    async def _hang(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class CountingGuard(MemoryGuard):
    """The memory guard, which also tells what was settled."""

    def __init__(self, caps, now_ms) -> None:
        super().__init__(caps, now_ms)
        self.settled: list[tuple[str, int]] = []

    def settle(self, hold, actual_nano: int) -> None:
        self.settled.append((hold.id, actual_nano))
        super().settle(hold, actual_nano)


@dataclass
class Gateway:
    """A front and the hands behind it; what is kept under an `Idempotency-Key` is in the file `answers`.

    `more` is added to its configuration; `more_keys` are the keys of its tables, by name.
    """

    clock: StillClock = field(default_factory=StillClock)
    log: ListLog = field(default_factory=ListLog)
    upstream: PlayedUpstream = field(default_factory=PlayedUpstream)
    keyless: bool = False
    ready: bool = True
    answers: Path = Path("/dev/null/no-folder/answers.db")
    cache: Cache | None = None
    more: str = ""
    more_keys: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = settings(self.more)
        made = assemble(load_catalog(), found, (), START_WEIGHTS, NOW_MS)
        self.guard = CountingGuard(lambda tenant: made.tenants[tenant].limits, self.clock.now_ms)
        flow = Flow(
            Ports(self.clock, self.log, self.guard, self.upstream, cache=self.cache),
            WorkerState("w0", compile_snapshot(made.spec), load_head()),
            dict(made.upstream_model),
        )
        secrets = {"main": _secret(KEY), "narrow": _secret(OTHER_KEY)}
        secrets |= {name: _secret(key) for name, key in self.more_keys.items()}
        keys = keyring(found, made.tenants, secrets)
        if self.keyless:
            keys = type(keys)(plain={}, peppered={}, pepper=None, anyone=made.tenants["default"])
        once = Once(Keeper(self.answers, self.clock.now_ms))
        self.front = Front(flow=flow, keys=keys, clock=self.clock, ready=lambda: self.ready, once=once)

    @contextmanager
    def served(self, *, seam: bool = True) -> Iterator[int]:
        """Serve on an ephemeral port of loopback, in a thread; gives the port."""

        async def nothing() -> None:
            pass

        app = create_app(self.front, nothing, self.front.once.close, seam=seam)
        with listening() as listener:
            server = uvicorn.Server(server_config(app))
            server.capture_signals = _no_signals  # a thread has none
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            try:
                deadline = time.monotonic() + 20
                while not server.started and thread.is_alive() and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert server.started, "the gateway of the test did not start"
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True
                thread.join(20)
            assert not thread.is_alive(), "the gateway of the test did not stop"


def _secret(text: str):
    from p402.settings import Secret

    return Secret(text)


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


@contextmanager
def listening() -> Iterator[socket.socket]:
    listener = socket.socket()
    with listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener


@dataclass(frozen=True)
class RawReply:
    """An HTTP answer as it came over the socket, transfer coding undone."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


def exchange(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> RawReply:
    """One request on a connection of its own."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(
            method, path, body or None, headers={"authorization": f"Bearer {KEY}", **(headers or {})}
        )
        response = connection.getresponse()
        found = tuple((name.lower(), value) for name, value in response.getheaders())
        return RawReply(response.status, found, response.read())
    finally:
        connection.close()
