"""A whole gateway and its providers for one failure: all real, on loopback, in threads of the test.

The gateway is `serve.worker.Worker` as `p402 serve` makes it, under uvicorn, on its configuration file, with
its SQLite ledger and its log. Providers are scripts behind real sockets, in an event loop of their own, which
a test may ask. Only what a worker says of itself (`Whole.worker`) is looked at from inside.
"""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvicorn

from p402.cache.contract import Embedder
from p402.store.config import load
from serve.app import create_app
from serve.cache.meaning import UNWANTED
from serve.embedding.parts import Absent
from serve.server import server_config
from serve.worker import Worker
from tests.serve.gateway import listening
from tests.serve.test_kill import lines
from tests.serve.upstream.loopback import Loopback, Reply, loopback

PATH = "/v1/chat/completions"
PATIENCE_S = 15.0
HELLO = [{"role": "user", "content": "Hi"}]
TENANT = {
    "exploration": "false",
    "requests_per_hour": 1_000_000,
    "max_in_flight": 1_000,
    "cache_in_cost_mode": "false",  # scenes ask the same again, and mean the provider
}
MODEL = """
[[providers.{name}.models]]
id = "{model}"
model_family = "m"
family = "lab"
context_window = 300000
output_limit = 1000
capabilities = ["chat", "function_calling", "json_schema"]
input_usd_per_mtok = {price}
output_usd_per_mtok = {price}
"""


@dataclass(frozen=True)
class Says:
    """A provider: what it does with each request, its language, and settings of its own."""

    reply: Reply
    dialect: str = "openai"
    more: str = ""
    key: str = "sk-of-the-tests-0123456789"


@dataclass
class Whole:
    """The gateway under test; providers by name are `a`, `b`, ..., the cheapest first."""

    folder: Path
    port: int
    worker: Worker
    providers: dict[str, Loopback] = field(default_factory=dict)

    def ask(self, *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        """One chat, read to its end."""
        body = {"model": "p402/cost", "messages": HELLO, **fields}
        url = f"http://127.0.0.1:{self.port}{PATH}"
        return httpx.post(url, content=orjson.dumps(body), headers=headers, timeout=30)

    def leave(self, after_s: float = 0.3, *, reset: bool = False, **fields: Any) -> bytes:
        """One chat whose client goes away; what it had read by then."""
        body = orjson.dumps({"model": "p402/cost", "messages": HELLO, **fields})
        heard = b""
        with closing(socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)) as client:
            client.sendall(
                b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b"
                % (PATH.encode(), len(body), body)
            )
            deadline = time.monotonic() + after_s
            while (left := deadline - time.monotonic()) > 0:
                client.settimeout(left)
                try:
                    heard += client.recv(1 << 16)
                except TimeoutError:
                    break
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return heard

    def rows(self, kind: str) -> list[dict]:
        """Events of the log so far."""
        return [row for row in lines(self.folder) if row["kind"] == kind]

    def until_quiet(self, count: int) -> list[dict]:
        """The outcomes, once there are `count` of them and no call is open anywhere."""
        until(lambda: len(self.rows("outcome")) >= count and self.calls_open == 0)
        return self.rows("outcome")

    @property
    def calls_open(self) -> int:
        """Connections in use by calls, and calls that have not ended."""
        upstream = self.worker._upstream
        return upstream.connections() + upstream.under_way()

    def called(self) -> dict[str, int]:
        """Requests that each provider has seen."""
        return {name: len(provider.requests) for name, provider in self.providers.items()}

    def budget(self) -> dict:
        """What the gateway says of its tenant's budget."""
        return httpx.get(f"http://127.0.0.1:{self.port}/v1/budgets/explain", timeout=30).json()


def until(true: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Wait until something is true; it must become so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it did not become true within {seconds} s"
        time.sleep(0.01)


@contextmanager
def whole_gateway(
    folder: Path,
    a: Says | Reply,
    b: Says | Reply | None = None,
    *,
    tenant: dict[str, object] | None = None,
    redis: str | None = None,
    more: str = "",
    environ: dict[str, str] | None = None,
    embedder: Embedder | Absent = UNWANTED,
) -> Iterator[Whole]:
    """A gateway with one provider or two, gone after the block; `more` ends its configuration."""
    said = {"a": a} if b is None else {"a": a, "b": b}
    plays = {name: found if isinstance(found, Says) else Says(found) for name, found in said.items()}
    with ExitStack() as stack:
        providers = stack.enter_context(_providers(plays))
        path = folder / "p402.toml"
        path.write_text(_configuration(folder, plays, providers, TENANT | (tenant or {}), redis) + more)
        with _serving(load(path, environ or {}), embedder) as (port, worker):
            yield Whole(folder, port, worker, providers)


def _configuration(
    folder: Path,
    plays: dict[str, Says],
    providers: dict[str, Loopback],
    tenant: dict[str, object],
    redis: str | None,
) -> str:
    text = (
        f'[server]\nport = 0\nstate = "sqlite:///{folder}/state.db"\nlog = "{folder}/log"\n'
        f'store = "{folder}/store"\nregistry = "{folder}/registry"\n'
    )
    text += "[tenants.default]\n" if redis is None else f'redis = "{redis}"\n[tenants.default]\n'
    text += "".join(f"{name} = {value}\n" for name, value in tenant.items())
    for price, (name, says) in enumerate(plays.items(), 1):
        model = "m" if says.dialect == "openai" else "claude-sonnet-4-5"
        text += (
            f'[providers.{name}]\nbase_url = "{providers[name].url}"\ndialect = "{says.dialect}"\n'
            f'api_key = "{says.key}"\n{says.more}\n{MODEL.format(name=name, model=model, price=price)}'
        )
    return text


@contextmanager
def _providers(plays: dict[str, Says]) -> Iterator[dict[str, Loopback]]:
    loop = asyncio.new_event_loop()
    ready, ended = threading.Event(), asyncio.Event()
    found: dict[str, Loopback] = {}

    async def play() -> None:
        async with AsyncExitStack() as stack:
            for name, says in plays.items():
                found[name] = await stack.enter_async_context(loopback(says.reply))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(play(),))
    thread.start()
    try:
        assert ready.wait(PATIENCE_S), "the providers did not start"
        yield found
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(PATIENCE_S)
        loop.close()


@contextmanager
def _serving(configuration, embedder: Embedder | Absent) -> Iterator[tuple[int, Worker]]:
    worker = Worker(configuration, embedder=embedder)
    app = create_app(worker.front, worker.start, worker.stop)
    with listening() as listener:
        server = uvicorn.Server(server_config(app))
        server.capture_signals = _no_signals  # a thread has none
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            assert server.started, "the gateway of the test did not start"
            yield listener.getsockname()[1], worker
        finally:
            server.should_exit = True
            thread.join(40)
            assert not thread.is_alive(), "the gateway of the test did not stop"


@contextmanager
def _no_signals() -> Iterator[None]:
    yield
