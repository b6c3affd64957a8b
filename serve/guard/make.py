"""Which hand of the guard serves: this host's file, or Redis with the file behind it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from p402.errors import ConfigError
from p402.limits import Limits
from p402.settings import Settings
from serve.guard import scripts
from serve.guard.host import HostLedger
from serve.guard.reporter import Late
from serve.guard.shared import SharedGuard
from serve.guard.sqlite import SqliteGuard
from serve.redis.calls import RedisAway
from serve.redis.checks import check
from serve.redis.connect import PATIENT_MS, way_to

_SQLITE: Final = "sqlite:///"


def state_path(settings: Settings) -> Path:
    """File of the host's ledger."""
    return Path(settings.server.state.removeprefix(_SQLITE))


def make_guard(
    settings: Settings, limits: Callable[[str], Limits], now_ms: Callable[[], int], name: str
) -> SqliteGuard | SharedGuard:
    """The guard that the settings ask for; nothing is opened yet.

    Parameters
    ----------
    name
        Of the worker, as Redis shows it.
    """
    path, server = state_path(settings), settings.server
    if server.redis is None:
        return SqliteGuard(path, limits, now_ms)
    url = server.redis.reveal()
    way = Late(lambda: way_to(url, scripts=scripts.ALL, name=f"p402-{name}"))
    return SharedGuard(
        HostLedger(path, limits, now_ms),
        way,
        limits,
        hosts=server.hosts,
        tenants=tuple(settings.tenants),
        check=lambda: check(way.way),
    )


async def prove_redis(settings: Settings) -> str | None:
    """Look at the Redis that is to keep budgets; a notice where it is away.

    Raises
    ------
    ConfigError
        It may not keep them, or its url is none.
    """
    if settings.server.redis is None:
        return None
    try:
        way = way_to(settings.server.redis.reveal(), scripts=scripts.ALL, patience_ms=PATIENT_MS)
        try:
            await way.open()
            await check(way)
        finally:
            await way.aclose()
    except RedisAway as away:
        return f"{away}; no budget can be reserved until it is there"
    except ConfigError as error:
        raise ConfigError(f"server.redis: {error}") from None
    return None
