"""How uvicorn serves the application: one configuration for the command and for tests."""

from collections.abc import Callable
from typing import Any, Final

from uvicorn import Config

from serve.protocol import BoundedHttp

BACKLOG: Final = 2_048
DRAIN_S: Final = 30
"""How long answers under way may take after a stop was asked for."""

KEEP_ALIVE_S: Final = 75
"""Longer than clients keep idle connections, so that they close first and no request meets a closed one."""


def server_config(app: Callable[..., Any], workers: int = 1, *, factory: bool = False) -> Config:
    """Configuration of uvicorn for an application, or for a factory that makes one in each process."""
    return Config(
        app,
        factory=factory,
        workers=workers,
        loop="uvloop",
        http=BoundedHttp,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        log_level="error",  # it would warn of every malformed request
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing is decided by who a header says the caller is
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )


def admin_config(app: Callable[..., Any]) -> Config:
    """The same for the admin plane, which runs in a thread beside what serves."""
    config = server_config(app)
    config.lifespan = "off"
    config.limit_concurrency = 64
    config.timeout_graceful_shutdown = 1
    return config
