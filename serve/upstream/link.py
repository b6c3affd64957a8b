"""The way to one provider: its language, its transport, and a call made into what is sent.

It knows nothing of answers.
"""

import ssl

from p402.ports import Call
from serve.upstream.dialects.table import DIALECTS
from serve.upstream.pool import Http1
from serve.upstream.provider import Provider
from serve.upstream.sign import Signer
from serve.upstream.transport import Head, Receiver, Transport


class Link:
    """One provider's connections.

    Parameters
    ----------
    signer
        Of a provider that asks for more than a fixed key.

    Attributes
    ----------
    dialect
        What it speaks.
    """

    def __init__(self, provider: Provider, tls: ssl.SSLContext, signer: Signer | None = None) -> None:
        self.provider = provider
        self.dialect = DIALECTS[provider.dialect]
        self._transport = _transport(provider, tls)
        self._signer = signer
        self._heads: dict[tuple[str, bool], Head] = {}  # as many as the provider has models, twice

    @property
    def connections(self) -> int:
        """Connections in use by calls; 0 after all calls are gone."""
        return self._transport.connections

    def warnings(self, call: Call) -> tuple[str, ...]:
        """What of the call its provider will not be told."""
        ignored = self.dialect.ignored(self.provider, call)
        if not ignored:
            return ()
        names = ", ".join(sorted(ignored))
        return (f"ignored_fields: provider {self.provider.name} has no word for {names}; they were left out",)

    def prepared(self, call: Call) -> bytes:
        """The body of one attempt.

        Raises
        ------
        serve.upstream.dialect.Unsupported
            The provider's language cannot say it.
        orjson.JSONEncodeError
            It cannot be written.
        """
        return self.dialect.body(self.provider, call)

    async def exchange(self, body: bytes, call: Call, receiver: Receiver) -> None:
        """Send one attempt and return at its answer's end.

        Raises
        ------
        serve.upstream.transport.Lost
            The answer did not come, or not whole.
        serve.upstream.sign.Unsigned
            The provider's credentials give no signature; nothing was sent.
        """
        head = self._heads.get((call.model, call.stream)) or self._head(call.model, stream=call.stream)
        if self._signer is not None:
            head = await self._signer.signed(head, body)
        await self._transport.exchange(head, body, call.request_id, receiver)

    async def aclose(self) -> None:
        """Close every connection."""
        if self._signer is not None:
            await self._signer.aclose()
        await self._transport.aclose()

    def _head(self, model: str, *, stream: bool) -> Head:
        provider, own = self.provider, self.dialect.headers(self.provider)
        url = self.dialect.url(provider, provider.id_of(model), stream=stream)
        head = self._heads[model, stream] = Head(
            url,
            {
                "content-type": "application/json",
                "accept": "text/event-stream" if stream else "application/json",
                "accept-encoding": "identity",  # a compressed stream would be held back and cost CPU
                "user-agent": "p402",
                **own,
                **{name.lower(): value for name, value in provider.headers.items()},
            },
        )
        return head


def _transport(provider: Provider, tls: ssl.SSLContext) -> Transport:
    limit, patience_ms = provider.max_connections, provider.timeouts.connect_ms
    if provider.transport == "http1":
        return Http1(provider.base_url, tls, limit=limit, patience_ms=patience_ms)
    # Imported only where it is configured: it takes a fifth of a worker's start.
    from serve.upstream.httpx_transport import Httpx  # noqa: PLC0415

    return Httpx(tls, limit=limit, patience_ms=patience_ms)
