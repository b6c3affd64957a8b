"""A real `p402 serve` in front of the fault-injecting providers, for the clients of the tests.

Each client has a deployment of each scenario (`cut.langchain`), so that no breaker is shared, and a key
of a tenant whose hour has room for one request.
"""

import hashlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.upstreams.catalogue import SCENARIOS
from tests.upstreams.server import Upstreams

KEY = "p402_live_the-clients-of-the-tests"
IDLE_MS = 400
"""Patience of provider `hasty`, far below the silence that its scenarios make."""

_SERVE = "import sys; from serve.command import main; sys.exit(main(sys.argv[1:]))"
_ALL = '["chat", "code", "vision", "reasoning", "function_calling", "json_schema"]'
_PROVIDERS = {"stall": "hasty", "stall-first": "hasty", "quota": "broke", "locked": "broke"}
"""Who has a scenario's deployments, where it is not acme: one that waits little, one whose failures count
against all that it has."""
_TWO = ("cut-first", "error-first", "down", "html", "stall-first")
"""Scenarios that fail before content, also played by the cheaper of two deployments of one model: the other,
at zeta, answers. Streamed or not, each has its own, since a failure makes the other the first choice."""


@dataclass(frozen=True)
class Place:
    """Where clients call, and whom the gateway calls."""

    root: str
    upstreams: Upstreams
    log: Path

    def model(self, scenario: str, client: str) -> str:
        """The model that plays a scenario for a client."""
        return f"{scenario}.{client}"


def single_key(client: str) -> str:
    """Key of a tenant that may send one request an hour."""
    return f"p402_live_one-request-of-{client}"


def routed_key(client: str) -> str:
    """Key of a tenant that may be routed to scenario `json` alone."""
    return f"p402_live_routed-for-{client}"


def _key(key: str, tenant: str) -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f'[[keys]]\nname = "{tenant}"\ntenant = "{tenant}"\nkey_sha256 = "{digest}"\n'


def _model(provider: str, name: str, price: float, upstream: str | None = None) -> str:
    sent = "" if upstream is None else f'upstream_model = "{upstream}"\n'
    return (
        f'[[providers.{provider}.models]]\nid = "{name}"\n{sent}context_window = 100000\n'
        f"output_limit = 1000\ncapabilities = {_ALL}\n"
        f"input_usd_per_mtok = {price}\noutput_usd_per_mtok = {2 * price}\n"
    )


def config(folder: Path, upstreams: Upstreams, clients: tuple[str, ...]) -> str:
    """The gateway's `p402.toml`."""
    parts = [
        f'[server]\nport = 0\nstate = "sqlite:///{folder}/state.db"\nlog = "{folder}/log"\n'
        f'store = "{folder}/store"\nregistry = "{folder}/registry"\n'
        "[tenants.default]\nrequests_per_hour = 1_000_000\nmax_in_flight = 1_000\ndaily_cap_usd = 10_000\n"
        "exploration = false\n" + _key(KEY, "default")
    ]
    hasty = f"first_byte_timeout_ms = {IDLE_MS}\nidle_timeout_ms = {IDLE_MS}\n"
    for provider, more in {"acme": "", "zeta": "", "broke": "", "hasty": hasty}.items():
        parts.append(
            f'[providers.{provider}]\nbase_url = "{upstreams.url(provider)}"\n'
            f'api_key = "sk-{provider}"\n{more}'
        )
    for client in clients:
        slug = client.replace("-", "_")
        parts.append(
            f"[tenants.one_{slug}]\nrequests_per_hour = 1\n"
            f'[tenants.routed_{slug}]\nallow_models = ["json.{client}"]\n'
            + _key(single_key(client), f"one_{slug}")
            + _key(routed_key(client), f"routed_{slug}")
        )
        parts += [
            _model(_PROVIDERS.get(scenario, "acme"), f"{scenario}.{client}", 1) for scenario in SCENARIOS
        ]
        for scenario, do in itertools.product(_TWO, ("complete", "stream")):
            name, first = f"two-{scenario}-{do}.{client}", _PROVIDERS.get(scenario, "acme")
            parts += [
                _model(first, name, 1, f"{scenario}.{client}"),
                _model("zeta", name, 3, f"json.{client}"),
            ]
    return "".join(parts)


@contextmanager
def place(folder: Path, upstreams: Upstreams, clients: tuple[str, ...]) -> Iterator[Place]:
    """Serve while the block runs; AssertionError with the gateway's own words where it does not start."""
    (folder / "p402.toml").write_text(config(folder, upstreams, clients))
    ready, errors = folder / "ready", folder / "stderr"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("P402_")}
    argv = ["--config", str(folder / "p402.toml"), "--ready-file", str(ready), "--max-seconds", "1200"]
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _SERVE, *argv],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=kept,
            cwd=folder,
        )
        try:
            deadline = time.monotonic() + 60
            while not ready.exists():
                assert process.poll() is None, errors.read_text()
                assert time.monotonic() < deadline, "the gateway of the clients did not start"
                time.sleep(0.02)
            yield Place(ready.read_text().strip(), upstreams, folder / "log")
            process.terminate()
            assert process.wait(40) == 0, errors.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
