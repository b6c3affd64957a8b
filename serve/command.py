"""`p402 serve`: read the configuration, bind, say what is served, serve, and stop without losing anything.

One process serves by itself; more are uvicorn's own supervised workers on one shared socket.
SIGTERM, SIGINT or `--max-seconds` stop it: no new request is taken, those under way end, budgets
are settled and the log is sealed.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from quart import Quart
from uvicorn import Config, Server
from uvicorn.supervisors import Multiprocess

from p402.errors import ConfigError
from p402.settings import ServerSettings, Settings, is_loopback
from p402.store.config import DEFAULT_PATH, Configuration, load
from serve.admin import PATH, serve_admin
from serve.app import create_app
from serve.cache.meaning import UNWANTED
from serve.embedding.make import make_embedder
from serve.guard.make import prove_redis
from serve.keys import new_key
from serve.server import BACKLOG, server_config
from serve.worker import Worker

READY_WITHIN_S: Final = 60.0
_EXAMPLE: Final = '{"messages":[{"role":"user","content":"Hi"}]}'


def main(argv: Sequence[str]) -> int:
    """Run `p402 serve ARGV`; 0 after a stop that was asked for, 1 if no worker started, 2 on bad usage."""
    parser = _parser()
    try:
        args = parser.parse_args(list(argv))
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 2
    path = Path(args.config or os.environ.get("P402_CONFIG") or DEFAULT_PATH)
    configuration = _overridden(load(path, os.environ), args.port, args.workers)
    settings = configuration.settings
    dev_key = new_key() if args.dev_key else None
    refuse_open_door(settings, dev_key)
    away = asyncio.run(prove_redis(settings))
    if away is not None:
        print(f"p402 serve: {away}", file=sys.stderr)
    with (
        bind(settings.server.host, settings.server.port) as listener,
        admin_plane(settings.server) as admin,
    ):
        url = url_of(listener, settings.server.host)
        launch = Launch(configuration, dev_key, None if admin is None else admin.folder)
        announcement = _Announcement(configuration, url, admin, args.ready_file, dev_key)
        if settings.server.workers == 1:
            return _serve_here(launch, listener, announcement, args.max_seconds)
        return _serve_workers(launch, listener, announcement, args.max_seconds)


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process makes its application; it travels to worker processes."""

    configuration: Configuration
    dev_key: str | None
    sheets: Path | None
    started: Semaphore | None = None

    def __call__(self) -> Quart:
        """Build the worker of this process and its application."""
        return self.application(self.worker())

    def worker(self) -> Worker:
        """The worker of this process, with the embedder that is installed here.

        Raises
        ------
        p402.errors.P402Error
            As of `Worker`, or the embedder's files are not what they should be.
        """
        server = self.configuration.settings.server
        embedder = make_embedder() if server.cache and server.cache_by_meaning else UNWANTED
        return Worker(self.configuration, self.dev_key, self.sheets, embedder)

    def application(self, worker: Worker) -> Quart:
        """The application of a worker that is built."""

        async def start() -> None:
            await worker.start()
            if self.started is not None:
                self.started.release()

        return create_app(worker.front, start, worker.stop)


def refuse_open_door(settings: Settings, dev_key: str | None) -> None:
    """Refuse to listen beyond this machine while anyone could call without a key."""
    host = settings.server.host
    if settings.keys or dev_key is not None or is_loopback(host):
        return
    raise ConfigError(
        f"server.host: found {host}, which others can reach, and no key to check; "
        "add `[[keys]]`, or listen on 127.0.0.1"
    )


@contextmanager
def bind(
    host: str, port: int, setting: str = "server.port", mend: str = "choose another"
) -> Iterator[socket.socket]:
    """A listening socket; ConfigError if there is none to be had. Connections queue until a worker serves."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            raise ConfigError(
                f"{setting}: cannot listen on {host}:{port}: {error.strerror}; {mend}"
            ) from None
        listener.set_inheritable(True)
        yield listener


@dataclass(frozen=True, slots=True)
class AdminPlane:
    """Where metrics are served, and the folder that workers write what they count to."""

    url: str
    folder: Path


@contextmanager
def admin_plane(server: ServerSettings) -> Iterator[AdminPlane | None]:
    """The admin port, served while the block runs; None where there is none.

    Raises
    ------
    ConfigError
        Others could reach it without a key, or it is taken.
    """
    host, port = server.admin_host, server.metrics_port
    if port is None:
        yield None
        return
    if server.admin_key is None and not is_loopback(host):
        raise ConfigError(
            f"server.admin_host: found {host}, which others can reach, and no `server.admin_key`; "
            "set P402_SERVER_ADMIN_KEY, or listen on 127.0.0.1"
        )
    with (
        bind(host, port, "server.admin_port", "choose another, or 0 for no metrics") as listener,
        TemporaryDirectory(prefix="p402-metrics-") as folder,
        serve_admin(listener, Path(folder), server.admin_key),
    ):
        yield AdminPlane(url_of(listener, host), Path(folder))


def url_of(listener: socket.socket, host: str) -> str:
    """Root URL of the listening socket."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


@dataclass(frozen=True, slots=True)
class _Announcement:
    """What is said once requests are taken."""

    configuration: Configuration
    url: str
    admin: AdminPlane | None
    ready_file: Path | None
    dev_key: str | None

    def __call__(self) -> None:
        settings = self.configuration.settings
        for notice in self.configuration.notices:
            print(f"p402 serve: {notice}", file=sys.stderr)
        if not settings.keys and self.dev_key is None:
            print("p402 serve: no keys are configured: every caller is tenant default", file=sys.stderr)
        simulated = sorted(name for name, p in settings.providers.items() if p.simulated)
        print(f"P402 serves {self.url}/v1 with {settings.server.workers} worker(s)")
        print(f"  providers  {', '.join(sorted(settings.providers))}")
        if simulated:
            print(f"  simulated  {', '.join(simulated)}: their answers are not real")
        print(f"  tenants    {', '.join(sorted(settings.tenants))}")
        print(f"  log        {settings.server.log}")
        if settings.server.redis is not None:
            print(f"  budgets    shared by {settings.server.hosts} host(s) through Redis")
        if self.admin is not None:
            print(f"  metrics    {self.admin.url}{PATH}")
        if self.dev_key is not None:
            print(f"  dev key    {self.dev_key}  (tenant default, until this process stops)")
        print(f"  try        curl {self.url}/v1/chat/completions -d '{_EXAMPLE}'")
        sys.stdout.flush()
        if self.ready_file is not None:
            temporary = self.ready_file.with_name(f"{self.ready_file.name}.new")
            temporary.write_text(f"{self.url}\n")
            temporary.replace(self.ready_file)


class _HereServer(Server):
    """uvicorn's server in this process: it announces itself, and a signal that stops it is not raised on."""

    def __init__(self, config: Config, announce: _Announcement) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def _serve_here(
    launch: Launch, listener: socket.socket, announce: _Announcement, max_seconds: float | None
) -> int:
    app = launch()
    server = _HereServer(server_config(app, 1), announce)

    def stop() -> None:
        server.should_exit = True

    with _alarm(max_seconds, stop):
        try:
            server.run([listener])
        except SystemExit as leave:  # uvicorn's way to say that startup failed; it has printed why
            return leave.code if isinstance(leave.code, int) else 1
    return 0


def _serve_workers(
    launch: Launch, listener: socket.socket, announce: _Announcement, max_seconds: float | None
) -> int:
    asyncio.run(replace(launch, sheets=None).worker().stop())  # what is wrong is said once, and here
    workers = launch.configuration.settings.server.workers
    started = get_context("spawn").Semaphore(0)
    supervisor = Multiprocess(
        server_config(replace(launch, started=started), workers, factory=True), [listener]
    )
    ready = threading.Event()

    def wait_for_all() -> None:
        if all(started.acquire(timeout=READY_WITHIN_S) for _ in range(workers)):
            ready.set()
            announce()
        else:
            print(f"p402 serve: not all workers started within {READY_WITHIN_S:.0f} s", file=sys.stderr)
            supervisor.should_exit.set()

    threading.Thread(target=wait_for_all, daemon=True).start()
    with _alarm(max_seconds, supervisor.should_exit.set):
        supervisor.run()
    return 0 if ready.is_set() else 1


@contextmanager
def _alarm(seconds: float | None, ring: Callable[[], None]) -> Iterator[None]:
    """Ring after so many seconds, unless the block has ended by then."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _overridden(configuration: Configuration, port: int | None, workers: int | None) -> Configuration:
    server = configuration.settings.server
    if port is not None:
        server = replace(server, port=port)
    if workers is not None:
        server = replace(server, workers=workers)
    return replace(configuration, settings=replace(configuration.settings, server=server))


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"found {text}, expected a whole number from {low} to {high}")
        return value

    return read


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"found {text}, expected seconds above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="p402 serve", description="Run the gateway.", allow_abbrev=False)
    parser.add_argument(
        "--config", metavar="FILE", help=f"configuration (default: $P402_CONFIG or {DEFAULT_PATH})"
    )
    parser.add_argument(
        "--port", type=_whole(0, 65_535), help="port instead of the configured one; 0 takes a free one"
    )
    parser.add_argument("--workers", type=_whole(1, 256), help="processes instead of the configured number")
    parser.add_argument(
        "--ready-file", type=Path, metavar="FILE", help="write the root URL here once requests are taken"
    )
    parser.add_argument(
        "--max-seconds", type=_seconds, metavar="S", help="stop by itself after so many seconds"
    )
    parser.add_argument("--dev-key", action="store_true", help="make a key for this run and print it")
    return parser
