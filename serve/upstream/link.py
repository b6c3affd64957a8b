"""The way to one provider: its transport, its connections, its prepared request.

httpx's `Request` and `Response` over aiohttp's connections, the transport called directly:
`AsyncClient.send` costs about 80 us a call and httpcore's pool 700 us more (DESIGN section 10).
"""

import ssl

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from p402.ports import Call
from serve.upstream import openai
from serve.upstream.provider import Provider

KEEPALIVE_S = 15.0
"""Idle connections are closed by us after this, before most servers close them on us."""


class Link:
    """One provider's connections.

    Attributes
    ----------
    active
        Calls under way, those waiting for a connection included.
    """

    def __init__(self, provider: Provider, tls: ssl.SSLContext) -> None:
        self.provider = provider
        self.active = 0
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._transport = AiohttpTransport(verify=tls, trust_env=False, client=self._open)
        self._url = httpx.URL(openai.url_of(provider))
        self._headers = {
            stream: httpx.Headers(openai.headers_of(provider, stream=stream)) for stream in (False, True)
        }
        patience_s = provider.timeouts.connect_ms / 1_000
        self._extensions = {"timeout": {"connect": patience_s, "pool": patience_s}}

    @property
    def crowded(self) -> bool:
        """Whether calls wait for a connection because all are in use."""
        return self.active > self.provider.max_connections

    @property
    def connections(self) -> int:
        """Connections in use by calls; 0 after all calls are gone."""
        connector = self._session.connector if self._session is not None else None
        return len(connector._acquired) if connector is not None else 0  # noqa: SLF001  # no public count

    async def send(self, call: Call) -> httpx.Response:
        """Send one attempt; gives the response when its headers have come. Redirects are not followed."""
        body = openai.body_of(self.provider, call)
        # Given as a stream that is then read, httpx prepares no headers: aiohttp sets Host and length
        # anyway. With the encoding named, neither side guesses it anew for every header.
        request = httpx.Request(
            "POST",
            self._url,
            headers=self._headers[call.stream],
            stream=httpx.ByteStream(body),
            extensions=self._extensions,
        )
        request.read()
        request.headers["x-client-request-id"] = call.request_id
        request.headers.encoding = "ascii"
        response = await self._transport.handle_async_request(request)
        response.headers.encoding = "latin-1"
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def _open(self) -> aiohttp.ClientSession:
        # No cookies: one tenant's session at a provider must never travel with another's call.
        connector = aiohttp.TCPConnector(
            limit=self.provider.max_connections, keepalive_timeout=KEEPALIVE_S, ssl=self._tls
        )
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self._session
