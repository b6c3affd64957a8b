"""The demonstration's world: simulated providers and a gateway in front of them, all on loopback.

Both are the product's own commands with a configuration such as an operator writes; nothing here
knows how they work.
"""

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from openai import OpenAI

from experiments.demonstration.processes import P402, Child, House

BASELINE: Final = "gemini-2.5-pro"
DAILY_CAP_USD: Final = 10_000
LATENCY_SCALE: Final = 0.02
"""Real seconds per simulated second: a provider's 350 ms to the first token pass in 7 ms."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where everything of one run lies."""

    root: Path

    @property
    def log(self) -> Path:
        """The gateway's log."""
        return self.root / "log"

    @property
    def store(self) -> Path:
        """Snapshots by hash."""
        return self.root / "store"

    @property
    def registry(self) -> Path:
        """Published weights."""
        return self.root / "registry"

    @property
    def tracking(self) -> Path:
        """MLflow's database and artifacts."""
        return self.root / "mlflow"

    @property
    def config(self) -> Path:
        """The gateway's `p402.toml`."""
        return self.root / "p402.toml"

    @property
    def output(self) -> Path:
        """What the processes printed."""
        return self.root / "output"

    @property
    def client(self) -> Path:
        """Plan and records of the clients."""
        return self.root / "client"


@dataclass(frozen=True, slots=True)
class World:
    """What runs, and how a client reaches it."""

    providers: Child
    gateway: Child
    base_url: str
    key: str

    def environment(self) -> dict[str, str]:
        """The two variables that point any OpenAI application at this gateway."""
        return {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": self.key}

    def client(self) -> OpenAI:
        """A client of the gateway in this process."""
        return OpenAI(base_url=self.base_url, api_key=self.key, max_retries=0, timeout=30)


def open_world(house: House, folder: Folder, seed: int, max_seconds: float) -> World:
    """Start the providers, write the configuration that they ask for, start the gateway."""
    tables, scores = folder.root / "providers.toml", folder.root / "benchmarks.toml"
    ready = folder.root / "providers.ready"
    options = {
        "--port": 0,
        "--seed": seed,
        "--latency-scale": LATENCY_SCALE,
        "--config-out": tables,
        "--benchmarks-out": scores,
        "--ready-file": ready,
        "--max-seconds": max_seconds,
    }
    providers = house.start("providers", [*P402, "sim", "providers", *_flags(options)])
    house.ready(providers, ready)
    key = "p402_live_" + secrets.token_urlsafe(32)
    folder.config.write_text(configuration(folder, scores, key) + "\n" + tables.read_text())
    ready = folder.root / "gateway.ready"
    options = {"--config": folder.config, "--ready-file": ready, "--max-seconds": max_seconds}
    gateway = house.start("gateway", [*P402, "serve", *_flags(options)])
    return World(providers, gateway, house.ready(gateway, ready) + "/v1", key)


def configuration(folder: Folder, benchmarks: Path, key: str) -> str:
    """The gateway's own part of `p402.toml`; the key is kept as its SHA-256 only."""
    root = folder.root.resolve()
    return f"""# Written by `p402 demo`.
[server]
port = 0
state = "sqlite:///{root}/state.db"
log = "{root}/log"
store = "{root}/store"
registry = "{root}/registry"
benchmarks = "{benchmarks.resolve()}"

[tenants.default]
baseline_model = "{BASELINE}"
daily_cap_usd = {DAILY_CAP_USD}
requests_per_hour = 1_000_000
max_in_flight = 1_000

[[keys]]
name = "demo"
key_sha256 = "{hashlib.sha256(key.encode()).hexdigest()}"
"""


def _flags(options: dict[str, object]) -> list[str]:
    return [str(part) for flag in options.items() for part in flag]
