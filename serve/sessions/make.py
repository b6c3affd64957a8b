"""Which hand shares sessions: none for a single worker, the host's file, or Redis."""

from collections.abc import Callable
from pathlib import Path

from p402.settings import Settings
from serve.guard.make import state_path
from serve.redis.connect import way_to
from serve.sessions.file import FileShelf
from serve.sessions.redis_shelf import RECALL, RedisShelf
from serve.sessions.shared import SharedSessions


def sessions_path(settings: Settings) -> Path:
    """File of the sessions of this host's workers: beside the state."""
    return state_path(settings).with_suffix(".sessions.db")


def make_sessions(settings: Settings, now_ms: Callable[[], int], name: str) -> SharedSessions | None:
    """What the settings ask for; nothing is opened yet. None where nobody else serves.

    Parameters
    ----------
    name
        Of the worker, as Redis shows it.
    """
    server = settings.server
    if server.workers == 1 and server.hosts == 1:
        return None
    if server.redis is None:
        return SharedSessions(FileShelf(sessions_path(settings), now_ms), now_ms)
    url = server.redis.reveal()
    shelf = RedisShelf(lambda: way_to(url, scripts=(RECALL,), name=f"p402-{name}-sessions"))
    return SharedSessions(shelf, now_ms)
