"""The simulated providers on a loopback port: started, announced, and stopped in time.

It knows the event loop, uvicorn and signals, and nothing of what is answered.
"""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
import uvloop

from p402.errors import ConfigError
from sim.providers.app import SimApp

HOST = "127.0.0.1"
GRACE_S = 1  # what an exchange under way gets when the server stops
_BACKLOG = 1024


def bind(port: int) -> socket.socket:
    """Listen on a loopback port, 0 for a free one.

    Raises
    ------
    ConfigError
        The port is taken or not allowed.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigError(f"cannot listen on {HOST}:{port}: {error}; choose another --port, or 0") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Root URL of a bound socket; a provider's OpenAI base is `{root}/{provider}/v1`."""
    return f"http://{HOST}:{listener.getsockname()[1]}"


class _Server(uvicorn.Server):
    """Says when it takes requests, and stops by itself after `max_seconds`."""

    def __init__(self, app: SimApp, ready: Callable[[], None], max_seconds: float | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                log_level="critical",  # a cut answer is on purpose, and uvicorn calls it an error
                access_log=False,
                lifespan="off",
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._ready = ready
        self._max_seconds = max_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce."""
        await super().startup(sockets)
        if self._max_seconds is not None:
            asyncio.get_running_loop().call_later(self._max_seconds, self.stop)
        self._ready()

    def stop(self) -> None:
        """Stop soon; exchanges under way get `GRACE_S` seconds."""
        self.should_exit = True

    def serve_on(self, listener: socket.socket) -> None:
        """Serve in this thread until told to stop."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self.serve([listener]))


def run(
    app: SimApp, listener: socket.socket, ready: Callable[[], None], max_seconds: float | None = None
) -> None:
    """Serve until SIGTERM, SIGINT or `max_seconds`; call `ready` once requests are taken."""

    def ignore(_signal: int, _frame: FrameType | None) -> None:
        """Take the signal that uvicorn raises again once it has stopped."""

    before = {sig: signal.signal(sig, ignore) for sig in (signal.SIGTERM, signal.SIGINT)}
    try:
        _Server(app, ready, max_seconds).serve_on(listener)
    finally:
        listener.close()
        for sig, handler in before.items():
            signal.signal(sig, handler)


@contextmanager
def running(app: SimApp, port: int = 0) -> Iterator[str]:
    """Serve from a thread of this process; gives the root URL, stops on leaving.

    Raises
    ------
    RuntimeError
        The server did not start within ten seconds.
    """
    listener = bind(port)
    url = url_of(listener)
    started = threading.Event()
    server = _Server(app, started.set)
    thread = threading.Thread(
        target=server.serve_on, args=(listener,), name="simulated-providers", daemon=True
    )
    thread.start()
    try:
        if not started.wait(10):
            raise RuntimeError("the simulated providers did not start within 10 s")
        yield url
    finally:
        server.stop()
        thread.join(10)
        listener.close()
