"""The way to one provider: its transport, and a call made into what is sent.

It knows nothing of answers.
"""

import ssl

from p402.ports import Call
from serve.upstream import openai
from serve.upstream.pool import Http1
from serve.upstream.provider import Provider
from serve.upstream.transport import Receiver, Transport


class Link:
    """One provider's connections."""

    def __init__(self, provider: Provider, tls: ssl.SSLContext) -> None:
        self.provider = provider
        self._transport = _transport(provider, tls)

    @property
    def connections(self) -> int:
        """Connections in use by calls; 0 after all calls are gone."""
        return self._transport.connections

    def prepared(self, call: Call) -> bytes:
        """The body of one attempt.

        Raises
        ------
        orjson.JSONEncodeError
            It cannot be written.
        """
        return openai.body_of(self.provider, call)

    async def exchange(self, body: bytes, call: Call, receiver: Receiver) -> None:
        """Send one attempt and return at its answer's end.

        Raises
        ------
        serve.upstream.transport.Lost
            The answer did not come, or not whole.
        """
        await self._transport.exchange(body, call.request_id, receiver, stream=call.stream)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


def _transport(provider: Provider, tls: ssl.SSLContext) -> Transport:
    url = openai.url_of(provider)
    headers = {stream: openai.headers_of(provider, stream=stream) for stream in (False, True)}
    limit, patience_ms = provider.max_connections, provider.timeouts.connect_ms
    if provider.transport == "http1":
        return Http1(url, headers, tls, limit=limit, patience_ms=patience_ms)
    # Imported only where it is configured: it takes a fifth of a worker's start.
    from serve.upstream.httpx_transport import Httpx  # noqa: PLC0415

    return Httpx(url, headers, tls, limit=limit, patience_ms=patience_ms)
