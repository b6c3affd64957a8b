"""The gateway's hand of the `Upstream` port: attempts over HTTP, each owned by its own task.

It makes one attempt when asked and never retries: the flow owns retries. It knows nothing of arms,
prices or tenants.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping

import certifi

from p402.ports import Call, Completion, Failure, Stream, Usage
from serve.upstream.link import Link
from serve.upstream.owner import Owner
from serve.upstream.provider import Provider
from serve.upstream.signers import signer_of
from serve.upstream.watchdog import Watch


class HttpUpstream:
    """Configured providers over HTTP/1.1.

    Parameters
    ----------
    providers
        By name, as `Call.provider` gives it.
    now_ms
        Wall time in ms, for a `Retry-After` that is a date.
    """

    def __init__(self, providers: Mapping[str, Provider], now_ms: Callable[[], int]) -> None:
        tls = ssl.create_default_context(cafile=certifi.where())
        self._links = {name: Link(provider, tls, signer_of(provider)) for name, provider in providers.items()}
        self._now_ms = now_ms
        self._watch = Watch()
        self._owners: set[Owner] = set()

    @property
    def lacks(self) -> dict[str, frozenset[str]]:
        """Per provider the forms of a request that its language cannot say; without those that lack none."""
        return {name: link.dialect.lacks for name, link in self._links.items() if link.dialect.lacks}

    async def complete(self, call: Call) -> Completion | Failure:
        """Make one attempt and read the whole answer; a cancelled caller aborts the attempt."""
        owner = self._begin(call)
        if isinstance(owner, Failure):
            return owner
        answer = await self._head(owner)
        assert answer is not None, "a whole answer is a completion or a failure"
        return answer

    async def open_stream(self, call: Call) -> Stream | Failure:
        """Make one attempt and return with its first content, or with the failure before it.

        A cancelled caller aborts the attempt; afterwards the stream's `aclose` does.
        """
        owner = self._begin(call)
        if isinstance(owner, Failure):
            return owner
        answer = await self._head(owner)
        assert not isinstance(answer, Completion), "a stream has no whole answer"
        return HttpStream(owner) if answer is None else answer

    def connections(self) -> int:
        """Connections in use by calls."""
        return sum(link.connections for link in self._links.values())

    def under_way(self) -> int:
        """Calls whose connection is not yet given back or closed."""
        return len(self._owners)

    async def aclose(self) -> None:
        """Abort every call and close every connection."""
        owners = list(self._owners)
        for owner in owners:
            owner.abort()
        for owner in owners:
            await owner.gone()
        for link in self._links.values():
            await link.aclose()

    def _begin(self, call: Call) -> Owner | Failure:
        link = self._links.get(call.provider)
        if link is None:
            text = f"provider {call.provider} is not configured; expected one of {', '.join(self._links)}"
            return Failure("PROVIDER_ERROR", 502, text, fail_over=True, counts=False)
        owner = Owner(link, call, self._watch, self._now_ms(), self._owners.discard)
        self._owners.add(owner)
        return owner

    async def _head(self, owner: Owner) -> Completion | Failure | None:
        try:
            return await owner.head
        except asyncio.CancelledError:
            owner.abort()
            raise


class HttpStream:
    """A committed stream over HTTP; one consumer."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Events as they come, one or more whole ones an item."""
        return self

    async def __anext__(self) -> bytes:
        events = await self._owner.channel.get()
        if events is None:
            raise StopAsyncIteration
        return events

    @property
    def usage(self) -> Usage:
        """Tokens used so far."""
        return self._owner.reading.usage

    @property
    def failure(self) -> Failure | None:
        """Why the stream broke, after the last item; None for a clean end."""
        return self._owner.reading.failure

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the request was left out."""
        return self._owner.warnings

    async def aclose(self) -> None:
        """Abort the upstream call and wait until its connection is given back or closed; idempotent."""
        self._owner.abort()
        await self._owner.gone()
