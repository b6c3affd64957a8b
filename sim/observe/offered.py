"""Which arms calls of another system's log might have gone to, and which arm each of them did go to.

The arms are those of the configuration, of which no key is looked up. A model that was called and that no
configured provider has stands beside them as an arm that nobody may choose. It knows nothing of the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from p402.assemble import START_WEIGHTS, assemble
from p402.catalog.benchmarks import Benchmark, parse_benchmarks
from p402.catalog.model import Catalog
from p402.errors import ConfigError
from p402.flow.plan import baseline_arm
from p402.routing.compiled import Snapshot, compile_snapshot
from p402.routing.spec import TASKS
from p402.settings import Settings, TenantSettings, read_settings
from p402.store.catalog import load_catalog
from p402.store.config import DEFAULT_PATH, read_toml
from p402.store.imported.price import deployment_of

DEFAULT_TENANT: Final = "default"

Name = tuple[str | None, str]
"""Provider and model as a log names them."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What could have been called: the configured providers, none of whose keys is looked up."""

    settings: Settings
    catalog: Catalog
    benchmarks: tuple[Benchmark, ...]


def offered(config: Path | None, environ: Mapping[str, str]) -> Offered:
    """The configuration's providers, the packaged catalogue and the configured benchmarks.

    Raises
    ------
    ConfigError
        There is no configuration, or something in it is wrong.
    """
    path = config or Path(environ.get("P402_CONFIG") or DEFAULT_PATH)
    settings = read_settings(read_toml(path), environ)
    if not settings.providers:
        raise ConfigError(f"{path}: found no provider, expected those that calls might be routed to")
    named = settings.server.benchmarks
    found = () if named is None else parse_benchmarks(read_toml(Path(named)), TASKS)
    return Offered(settings, load_catalog(), found)


def assembled(options: Offered, names: Sequence[Name], when_ms: int) -> tuple[Snapshot, dict[Name, int]]:
    """The snapshot that would have been in force, with the called models in it, and the arm of each name."""
    known = {name: deployment_of(options.catalog, *name) for name in names}
    settings, standins = options.settings, {}
    for k, deployment in enumerate(known.values()):
        if deployment is not None:  # a tenant's baseline is in the snapshot to be priced, never to be called
            standin = TenantSettings(name=f"called.{k}", baseline_model=deployment.id)
            standins[standin.name] = standin
    settings = replace(settings, tenants={**settings.tenants, **standins})
    spec = assemble(options.catalog, settings, options.benchmarks, START_WEIGHTS, when_ms).spec
    snapshot = compile_snapshot(spec)
    arms: dict[Name, int] = {}
    for name, deployment in known.items():
        provider, model = name
        arm = snapshot.index.get(model if provider is None else f"{provider}/{model}")
        if arm is None:
            canonical = model if deployment is None else deployment.model_family
            priced = baseline_arm(snapshot, canonical, DEFAULT_TENANT)
            arm = None if priced is None else priced[0]
        if arm is not None:
            arms[name] = arm
    return snapshot, arms
