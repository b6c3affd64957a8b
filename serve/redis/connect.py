"""What a guard asks, whether its url names one Redis or a cluster.

It knows nothing of what is asked.
"""

import ssl
from collections.abc import Awaitable, Sequence
from typing import Final, Protocol

from serve.redis.address import Address, ClusterAddress, read_addresses
from serve.redis.calls import Part, RedisRefused, Reply, Script
from serve.redis.cluster import ClusterDoor
from serve.redis.door import Door
from serve.redis.link import Link


class Way(Protocol):
    """A worker's way to Redis: a `Door`, or a `ClusterDoor` of many."""

    @property
    def clustered(self) -> bool:
        """Whether keys are spread over nodes, so that those of one call need one hash tag."""

    async def open(self) -> None:
        """Connect; `RedisAway` says why that cannot be. Without it, calls connect when they need to."""

    def call(self, *parts: Part) -> Awaitable[Reply]:
        """The reply to a command; `RedisAway` if there is none, `RedisRefused` if it is an error."""

    async def each(self, *parts: Part) -> list[tuple[Address, Reply | RedisRefused]]:
        """What every master answers, an error being an answer; `RedisAway` if one does not."""

    def retry_after_ms(self, key: Part) -> int:
        """In how many ms asking for a key again may help; 0 when it may now."""

    async def aclose(self) -> None:
        """Take no more calls, wait for those under way, and close; idempotent."""


PATIENT_MS: Final = 2_000
"""For whom no request waits: a start, an operator's command."""


def way_to(
    url: str, *, scripts: Sequence[Script] = (), name: str = "p402", patience_ms: int | None = None
) -> Way:
    """The way to what a url names; nothing is connected yet. It lives on the running event loop.

    Parameters
    ----------
    scripts
        What EVALSHA may call, on every node.
    name
        Of the connections, as CLIENT LIST shows it; no spaces.
    patience_ms
        How long an answer or a connection may take; the link's own short times if None.

    Raises
    ------
    ConfigError
        The url is none, or the extra `redis` is not installed.
    """
    address = read_addresses(url)
    # Made once: it reads a file of authorities, 20 to 35 ms, and a cluster's links are made as requests wait.
    tls = ssl.create_default_context() if address.tls else None

    times = {} if patience_ms is None else {"deadline_ms": patience_ms, "connect_ms": patience_ms}

    def link(node: Address) -> Link:
        return Link(node, scripts=scripts, name=name, tls=tls, **times)

    if isinstance(address, ClusterAddress):
        return ClusterDoor(address, link)
    return Door(link(address))
