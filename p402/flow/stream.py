"""A stream's events as the flow hands them on, and what is done when nobody reads them any more.

Source: a generator would not do. One that was never begun runs none of its `finally` when it is
closed (PEP 525), so a client that leaves before the first byte would leave its hold behind and its
provider generating.
"""

from typing import Self

from p402.answer import StreamEnd
from p402.flow.exchange import Exchange
from p402.ports import Stream


class Events:
    """SSE bytes as they come and, as the last item, one `StreamEnd`; for one reader.

    `aclose` must be called on every way out; it is idempotent, and settles, logs and aborts the
    upstream call even if no event was ever asked for.
    """

    __slots__ = ("_ended", "_exchange", "_first_ms", "_source", "_stream", "_whole")

    def __init__(self, exchange: Exchange, stream: Stream) -> None:
        self._exchange = exchange
        self._stream = stream
        self._source = aiter(stream)
        self._first_ms = exchange.waited_ms()
        self._ended = False
        self._whole = False

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> bytes | StreamEnd:
        """Next event; `StreamEnd` after the provider's last, before its connection is given back."""
        if self._ended:
            await self.aclose()
            raise StopAsyncIteration
        try:
            return await self._next()
        except BaseException as reason:
            await self._leave("failed" if isinstance(reason, Exception) else "cancelled")
            raise

    async def _next(self) -> bytes | StreamEnd:
        try:
            event = await anext(self._source)
        except StopAsyncIteration:
            self._ended = True
            end = self._exchange.stream_ended(self._stream, self._first_ms)
            self._whole = end.failure is None
            return end
        self._exchange.keeping.piece(event)
        return event

    async def aclose(self) -> None:
        """Abort the upstream call if it still runs, settle what was used and log it."""
        await self._leave("cancelled")

    async def _leave(self, status: str) -> None:
        self._ended = True
        try:
            self._exchange.stream_left(self._stream, self._first_ms, status)
        finally:
            await self._stream.aclose()
        if self._whole:  # the client has it all: putting it together is not on its way
            self._whole = False
            self._exchange.keep_stream()
