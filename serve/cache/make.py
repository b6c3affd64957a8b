"""Which hand keeps answers: none, this process's memory, or Redis."""

from collections.abc import Callable
from typing import Final

from p402.cache.contract import Embedder
from p402.cache.local import LocalCache
from p402.cache.shelf import MAX_BYTES
from p402.settings import Settings
from serve.cache.scripts import ALL
from serve.cache.shared import SharedCache
from serve.redis.connect import way_to

WORKER_BYTES: Final = 256 << 20
"""Of all tenants, in the memory of one worker; they have equal parts, so that none takes another's."""


def make_cache(
    settings: Settings, now_ms: Callable[[], int], name: str, embedder: Embedder | None = None
) -> LocalCache | SharedCache | None:
    """What the settings ask for; nothing is opened yet.

    Parameters
    ----------
    name
        Of the worker, as Redis shows it.
    embedder
        None finds exact repeats only.
    """
    server = settings.server
    if not server.cache:
        return None
    if server.redis is None:
        share = WORKER_BYTES // max(1, len(settings.tenants))
        return LocalCache(now_ms, embedder, max_bytes=min(MAX_BYTES, share))
    url = server.redis.reveal()
    return SharedCache(lambda: way_to(url, scripts=ALL, name=f"p402-{name}-cache"), now_ms, embedder)
