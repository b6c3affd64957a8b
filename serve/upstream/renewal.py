"""A token that ends: fetched once for all that wait, and anew before it ends.

A hand of `serve.upstream.sign`. The event loop never waits for a token server: it is asked in a thread, by
one call for all, and while the token at hand still serves nobody waits at all. It knows nothing of who
grants.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from serve.upstream.sign import Unsigned
from serve.upstream.transport import Head

AHEAD_S: Final = 300.0
"""A token that ends sooner is fetched anew. Google's metadata server gives a new one from this age on."""
LEAST_S: Final = 20.0
"""A token that ends sooner is not sent: the call may reach its host later."""
PAUSE_S: Final = 10.0
"""Between two attempts to fetch a new token while the old one still serves."""


class Granted(NamedTuple):
    """Headers that let a call in, by lower-case name, and when they end, in s since 1970."""

    headers: Mapping[str, str]
    ends_s: float


class Account(Protocol):
    """Who grants tokens."""

    def granted(self) -> Granted:
        """Fetch a new token; called in a thread, one call at a time.

        Raises
        ------
        Unsigned
            There is none to be had.
        """
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class RenewingSigner:
    """`serve.upstream.sign.Signer` by an account whose tokens end.

    Parameters
    ----------
    now_s
        Wall time in s.
    """

    def __init__(self, account: Account, now_s: Callable[[], float] = time.time) -> None:
        self._account = account
        self._now_s = now_s
        self._token: Granted | None = None
        self._next_s = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._signed: dict[Head, Head] = {}  # as many as the provider has models, twice

    async def signed(self, head: Head, body: bytes) -> Head:
        """Give the head with a token; waits only where there is none to send."""
        del body
        now_s = self._now_s()
        left_s = 0.0 if self._token is None else self._token.ends_s - now_s
        if left_s < LEAST_S:
            # Shielded: a caller that leaves must not take the token from the others.
            await asyncio.shield(self._fetch())
        elif left_s < AHEAD_S and now_s >= self._next_s:
            self._fetch()
        if self._token is None:
            raise Unsigned("no token was granted")
        found = self._signed.get(head)
        if found is None:
            found = self._signed[head] = Head(head.url, {**head.headers, **self._token.headers})
        return found

    async def aclose(self) -> None:
        """Wait for a token under way, as long as its server's patience; then close the connections."""
        if self._fetching is not None:
            await asyncio.wait([self._fetching])
        self._account.close()

    def _fetch(self) -> "asyncio.Task[None]":
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.get_running_loop().create_task(self._renew())
            self._fetching.add_done_callback(_seen)
        return self._fetching

    async def _renew(self) -> None:
        self._next_s = self._now_s() + PAUSE_S
        self._token = await asyncio.to_thread(self._account.granted)
        self._signed.clear()


def _seen(task: "asyncio.Task[None]") -> None:
    """Look at a failure that nobody waited for: the old token still serves, and a later call asks again."""
    if not task.cancelled():
        task.exception()
