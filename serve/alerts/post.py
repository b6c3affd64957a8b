"""One POST to a receiver, and what it said: the status, or why there is none.

Over the transport that calls to providers take by default: no redirect is followed, no proxy or variable of
the environment is heeded, no cookie kept. It ends with the head of the answer: nobody reads the body. It
knows nothing of alerts.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress

from serve.upstream.pool import Http1
from serve.upstream.transport import Flow, Head, Lost


class _Answer:
    """Waits for an answer's head, and takes no more."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_sent(self) -> None:
        pass

    def on_head(self, status: int, headers: Mapping[str, str], flow: Flow) -> None:  # noqa: ARG002 - a receiver's
        flow.pause()
        if not self.status.done():
            self.status.set_result(status)

    def on_data(self, data: bytes) -> None:
        pass

    def on_end(self) -> None:
        pass


async def post(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    request_id: str,
    tls: ssl.SSLContext | None,
    within_s: float,
) -> int | str:
    """Post a body once and give the answer's status, or in a word why none came within `within_s`."""
    receiver = Http1(url, tls, limit=1, patience_ms=int(within_s * 1_000))
    head = _Answer()
    exchange = asyncio.ensure_future(receiver.exchange(Head(url, headers), body, request_id, head))
    try:
        async with asyncio.timeout(within_s):
            await asyncio.wait((exchange, head.status), return_when=asyncio.FIRST_COMPLETED)
            if not head.status.done():
                await exchange  # it failed, and says why
        return head.status.result()
    except TimeoutError:
        return "slow"
    except Lost as lost:
        return str(lost)
    finally:
        exchange.cancel()
        with suppress(asyncio.CancelledError, Lost):
            await exchange
        await receiver.aclose()
