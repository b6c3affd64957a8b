"""A real `p402 serve` in front of the fault-injecting providers, for the clients of the tests.

Each client has, over each wire, a deployment of each scenario (`cut.langchain`), so that no breaker is
shared; providers of its own where calls fail over, so that no budget of failovers is; and a key of a tenant
whose hour has room for one request.
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

from tests.clients.seats import ACROSS, SEATS, THOROUGH, WIRES, Seat, provider_of
from tests.upstreams.catalogue import SCENARIOS
from tests.upstreams.server import Upstreams

KEY = "p402_live_the-clients-of-the-tests"
IDLE_MS = 400
"""Patience of providers `hasty`, far below the silence that their scenarios make."""

_SERVE = "import sys; from serve.command import main; sys.exit(main(sys.argv[1:]))"
_ALL = '["chat", "code", "vision", "reasoning", "function_calling", "json_schema"]'
_STALLING = ("stall", "stall-first")
_DISMISSED = ("quota", "locked")
"""Scenarios whose failure counts against all that their provider has."""
_SOME = ("plain", "json", "form", "tools", "limited", "cut", "no-finish", "quiet")
"""Scenarios of a client that does not go through everything over a wire."""
_TWO = ("cut-first", "error-first", "down", "html", "stall-first")
"""Scenarios that fail before content, also played by the cheaper of two deployments of one model: the other,
at zeta, answers. Streamed or not, each has its own, since a failure makes the other the first choice."""
_DO = ("complete", "stream")

SEALED = "sealed.of-two-labs"
"""Model whose cheaper deployment is Anthropic's own, and the other some other lab's."""


@dataclass(frozen=True)
class Place:
    """Where clients call, and whom the gateway calls."""

    root: str
    upstreams: Upstreams
    log: Path


def single_key(seat: Seat) -> str:
    """Key of a tenant that may send one request an hour."""
    return f"p402_live_one-request-of-{seat.slug}"


def routed_key(seat: Seat) -> str:
    """Key of a tenant that may be routed to scenario `json` alone."""
    return f"p402_live_routed-for-{seat.slug}"


def weak(wire: str, client: str) -> str:
    """The provider on a wire whose calls for a client are answered on another."""
    return f"weak-{wire}-{client}"


def cross(first: str, then: str, do: str, client: str) -> str:
    """The model that one wire fails to answer for, and another does."""
    return f"cross-{first}-{then}-{do}.{client}"


def swap(first: str, then: str, client: str) -> str:
    """The model of one lab whose conversation begins on one wire and goes on on another."""
    return f"swap-{first}-{then}.{client}"


def able(seat: Seat) -> str:
    """The model that its own wire's provider and a dearer one on OpenAI's have."""
    return seat.model("able")


def _key(key: str, tenant: str) -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f'[[keys]]\nname = "{tenant}"\ntenant = "{tenant}"\nkey_sha256 = "{digest}"\n'


def _provider(upstreams: Upstreams, name: str, wire: str, more: str = "") -> str:
    return (
        f'[providers.{name}]\ndialect = "{wire}"\nbase_url = "{upstreams.url(name)}"\n'
        f'api_key = "sk-{name}"\n{more}'
    )


def _model(provider: str, name: str, price: float, upstream: str | None = None, family: str = "") -> str:
    sent = "" if upstream is None else f'upstream_model = "{upstream}"\n'
    made = f'family = "{family}"\n' if family else ""
    return (
        f'[[providers.{provider}.models]]\nid = "{name}"\n{sent}{made}context_window = 100000\n'
        f"output_limit = 1000\ncapabilities = {_ALL}\n"
        f"input_usd_per_mtok = {price}\noutput_usd_per_mtok = {2 * price}\n"
    )


def _player(seat: Seat, scenario: str) -> str:
    """Who has a scenario's deployment."""
    if scenario in _STALLING:
        return seat.own("hasty")
    return seat.provider("broke" if scenario in _DISMISSED else "acme")


def _seat(upstreams: Upstreams, seat: Seat) -> Iterator[str]:
    """What one client needs over one wire."""
    if not seat.thorough:
        yield from (_model(_player(seat, scenario), seat.model(scenario), 1) for scenario in _SOME)
    else:
        slug = seat.slug.replace("-", "_")
        yield f"[tenants.one_{slug}]\nrequests_per_hour = 1\n"
        yield f'[tenants.routed_{slug}]\nallow_models = ["{seat.model("json")}"]\n'
        yield _key(single_key(seat), f"one_{slug}") + _key(routed_key(seat), f"routed_{slug}")
        hasty = f"first_byte_timeout_ms = {IDLE_MS}\nidle_timeout_ms = {IDLE_MS}\n"
        yield _provider(upstreams, seat.own("hasty"), seat.wire, hasty)
        yield _provider(upstreams, seat.own("frail"), seat.wire)
        yield from (_model(_player(seat, scenario), seat.model(scenario), 1) for scenario in SCENARIOS)
        for scenario, do in itertools.product(_TWO, _DO):
            name, first = f"two-{scenario}-{do}", seat.own("hasty" if scenario in _STALLING else "frail")
            yield _model(first, seat.model(name), 1, seat.model(scenario))
            yield _model(seat.provider("zeta"), seat.model(name), 3, seat.model("json"))
    if seat.wire != "openai":
        yield _model(seat.provider("acme"), able(seat), 1, seat.model("plain"))
        yield _model("acme", able(seat), 3, Seat(seat.client).model("plain"))


def _across(upstreams: Upstreams, client: str) -> Iterator[str]:
    """What one client needs where one wire fails and another answers."""
    yield from (_provider(upstreams, weak(wire, client), wire) for wire in WIRES)
    for first, then in ACROSS:
        for do in _DO if client == THOROUGH else ("stream",):
            yield _model(weak(first, client), cross(first, then, do, client), 1)
            yield _model(provider_of("zeta", then), cross(first, then, do, client), 3)
        yield _model(weak(first, client), swap(first, then, client), 1, family="openlab")
        yield _model(provider_of("zeta", then), swap(first, then, client), 3, family="openlab")


def config(folder: Path, upstreams: Upstreams, clients: tuple[str, ...]) -> str:
    """The gateway's `p402.toml`."""
    parts = [
        f'[server]\nport = 0\nstate = "sqlite:///{folder}/state.db"\nlog = "{folder}/log"\n'
        f'store = "{folder}/store"\nregistry = "{folder}/registry"\n'
        "[tenants.default]\nrequests_per_hour = 1_000_000\nmax_in_flight = 1_000\ndaily_cap_usd = 10_000\n"
        "exploration = false\n" + _key(KEY, "default")
    ]
    for role, wire in itertools.product(("acme", "zeta", "broke"), WIRES):
        parts.append(_provider(upstreams, provider_of(role, wire), wire))
    for seat in SEATS.values():
        if seat.client in clients:
            parts += _seat(upstreams, seat)
    for client in clients:
        parts += _across(upstreams, client)
    parts.append(_model(weak("anthropic", THOROUGH), SEALED, 1, family="anthropic"))
    parts.append(_model("zeta", SEALED, 3, family="openlab"))
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
