"""The transport over httpx's types and aiohttp's connections: `transport = "httpx"` of a provider.

A second hand that owes nothing to our own, for a provider that disagrees with it. It costs about
five times its CPU a call; measured in the project's performance study, section 2.
"""

import asyncio
import socket
import ssl
from contextvars import ContextVar
from typing import Final

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport
from yarl import URL

from serve.upstream.address import is_refused
from serve.upstream.pool import KEEPALIVE_S
from serve.upstream.transport import Cause, Head, Lost, Receiver

_ESCAPED: Final[ContextVar[str]] = ContextVar("escaped_url")
"""Where the exchange of this task goes, if escapes in its path are to stay."""
_WIRE_ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError)


class Httpx:
    """Connections to one host; parameters are those of `serve.upstream.pool.Http1`."""

    def __init__(
        self,
        tls: ssl.SSLContext,
        *,
        limit: int,
        patience_ms: int,
    ) -> None:
        self._limit = limit
        self._active = 0
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._transport = AiohttpTransport(verify=tls, trust_env=False, client=self._open)
        patience_s = patience_ms / 1_000
        self._extensions = {"timeout": {"connect": patience_s, "pool": patience_s}}

    @property
    def connections(self) -> int:
        """Connections in use by exchanges."""
        connector = self._session.connector if self._session is not None else None
        return len(connector._acquired) if connector is not None else 0  # noqa: SLF001  # no public count

    async def exchange(self, head: Head, body: bytes, request_id: str, receiver: Receiver) -> None:
        """Send one request and return at its answer's end; `serve.upstream.transport` has the contract."""
        self._active += 1
        _ESCAPED.set(head.url if "%" in head.url else "")
        response: httpx.Response | None = None
        try:
            receiver.on_sent()  # or soon: aiohttp does not tell
            response = await self._transport.handle_async_request(self._request(head, body, request_id))
            tap = _Tap()
            receiver.on_head(response.status_code, _plain(response), tap)
            async for piece in response.stream:  # type: ignore[union-attr]  # the transport's is asynchronous
                receiver.on_data(piece)
                if tap.shut is not None:
                    await tap.shut
        except _WIRE_ERRORS as error:
            raise Lost(self._cause(error)) from error
        finally:
            self._active -= 1
            if response is not None:
                await response.stream.aclose()  # type: ignore[union-attr]  # the transport's is asynchronous
        receiver.on_end()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def _request(self, head: Head, body: bytes, request_id: str) -> httpx.Request:
        # Given as a stream that is then read, httpx prepares no headers: aiohttp sets Host and length
        # anyway. With the encoding named, neither side guesses it anew for every header.
        request = httpx.Request(
            "POST",
            head.url,
            headers=httpx.Headers(dict(head.headers)),
            stream=httpx.ByteStream(body),
            extensions=self._extensions,
        )
        request.read()
        request.headers["x-client-request-id"] = request_id
        request.headers.encoding = "ascii"
        return request

    def _cause(self, error: Exception) -> Cause:
        cause = error.__cause__ or error  # httpx-aiohttp calls a refused connection a timeout
        if isinstance(cause, aiohttp.ClientConnectorError) and isinstance(cause.os_error, _Forbidden):
            return Cause.FORBIDDEN
        if isinstance(cause, TimeoutError):
            return Cause.CROWDED if self._active > self._limit else Cause.SLOW_CONNECT
        if isinstance(cause, aiohttp.ClientConnectorError):
            return Cause.REFUSED
        return Cause.LOST

    def _open(self) -> aiohttp.ClientSession:
        # No cookies: one tenant's session at a provider must never travel with another's call.
        connector = aiohttp.TCPConnector(
            limit=self._limit, keepalive_timeout=KEEPALIVE_S, ssl=self._tls, resolver=_Resolver()
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            middlewares=(_as_it_is,),
        )
        return self._session


async def _as_it_is(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send the path as it was given: aiohttp writes `%3A` as a colon, and a signature over it is lost."""
    escaped = _ESCAPED.get("")
    if escaped:
        request.url = URL(escaped, encoded=True)
    return await handler(request)


class _Forbidden(OSError):
    """A name led only where it may not."""


class _Resolver(AbstractResolver):
    """aiohttp's own, which is asked for names only; what they may not lead to is left out."""

    def __init__(self) -> None:
        self._own = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._own.resolve(host, port, family)
        allowed = [result for result in found if not is_refused(host, result["host"])]
        if found and not allowed:
            raise _Forbidden
        return allowed

    async def close(self) -> None:
        await self._own.close()


class _Tap:
    """Holds back the next read while `shut`."""

    def __init__(self) -> None:
        self.shut: asyncio.Future[None] | None = None

    def pause(self) -> None:
        self.shut = asyncio.get_running_loop().create_future()

    def resume(self) -> None:
        shut, self.shut = self.shut, None
        if shut is not None and not shut.done():
            shut.set_result(None)


def _plain(response: httpx.Response) -> dict[str, str]:
    response.headers.encoding = "latin-1"
    return dict(response.headers)
