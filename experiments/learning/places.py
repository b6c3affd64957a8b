"""Where a project keeps its log, snapshots, weights and record: the gateway's own settings, or as told.

Providers' keys are not looked up: learning calls nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from p402.settings import read_settings
from p402.store.config import DEFAULT_PATH, read_toml


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of the log, the snapshots, the published weights and MLflow."""

    log: Path
    store: Path
    registry: Path
    tracking: Path


def places_of(
    config: Path | None,
    environ: Mapping[str, str],
    *,
    log: Path | None = None,
    store: Path | None = None,
    registry: Path | None = None,
    tracking: Path | None = None,
) -> Places:
    """Folders as the configuration and the overrides say; MLflow lies beside the registry.

    Parameters
    ----------
    config
        The gateway's file; None takes `p402.toml` where there is one, else the defaults.

    Raises
    ------
    ConfigError
        The file cannot be read or is wrong.
    """
    if config is None and Path(DEFAULT_PATH).exists():
        config = Path(DEFAULT_PATH)
    server = read_settings({} if config is None else read_toml(config), environ).server
    registry = registry or Path(server.registry)
    return Places(
        log=log or Path(server.log),
        store=store or Path(server.store),
        registry=registry,
        tracking=tracking or registry.parent / "mlflow",
    )
