"""One connection to Redis: calls go out together, replies come back in the same order.

Bytes are parsed by hiredis as the event loop reads them, and every reply goes to the call that is first in
line, whether its caller still waits or not. It knows nothing of deadlines, reconnecting or greetings.

Source: Redis serialization protocol specification (RESP2), "Request-Response model" and "pipelining".
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from serve.redis.calls import NO_RUN, RUN, Call, Cause, RedisRefused

if TYPE_CHECKING:
    import hiredis

SHORT = object()
"""What the reader must return while a reply is not whole: `hiredis.Reader(notEnoughData=SHORT)`."""


class Malformed(Exception):
    """What the reader must raise at what is no reply: `hiredis.Reader(protocolError=Malformed)`."""


class Connection(asyncio.Protocol):
    """A connection that `loop.create_connection` makes.

    Parameters
    ----------
    reader
        Of this connection alone; its `replyError` must be `RedisRefused`.
    ended
        Called once, when the connection is of no more use, unless it was given up by `abort`.
    unknown_script
        Called with a call that Redis did not carry out, since it had forgotten the script; true if the call
        will be sent again.

    Attributes
    ----------
    sent
        Calls without a reply, in the order in which they were sent.
    run
        Run id of the server, which is sent in place of `RUN`.
    over
        Nothing more will come.
    cause
        Why it ended by itself; None while it has not.
    """

    __slots__ = ("_ended", "_reader", "_socket", "_unknown_script", "cause", "over", "run", "sent")

    def __init__(
        self,
        reader: "hiredis.Reader",
        ended: Callable[["Connection", Cause], None],
        unknown_script: Callable[[Call], bool],
    ) -> None:
        self.sent: deque[Call] = deque()
        self.run = NO_RUN
        self.over = False
        self.cause: Cause | None = None
        self._reader = reader
        self._ended = ended
        self._unknown_script = unknown_script
        self._socket: asyncio.Transport | None = None

    def send(self, calls: list[Call]) -> None:
        """Send calls in one write."""
        assert self._socket is not None, "made by the event loop"
        self.sent.extend(calls)
        self._socket.write(b"".join([call.packed for call in calls]).replace(RUN, self.run))

    def abort(self) -> None:
        """Close at once; what is on its way is read by nobody."""
        self.over = True
        if self._socket is not None:
            self._socket.abort()

    # Of asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        if self.over:
            self._socket.abort()

    def data_received(self, data: bytes) -> None:
        """Hand every whole reply to its call; what fits no call ends the connection."""
        if self.over:
            return
        reader, sent = self._reader, self.sent
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not SHORT:
                if not sent:
                    self._end(Cause.MALFORMED)
                    return
                call = sent.popleft()
                if isinstance(reply, RedisRefused):
                    if reply.code != "NOSCRIPT" or not self._unknown_script(call):
                        call.fail(reply)
                elif not call.answer.done():
                    call.answer.set_result(reply)
        except Malformed:
            self._end(Cause.MALFORMED)
        else:
            if not sent and reader.has_data():
                self._end(Cause.MALFORMED)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """The connection has ended."""
        if not self.over:
            self._end(Cause.LOST)

    def _end(self, cause: Cause) -> None:
        self.cause = cause
        self.abort()
        self._ended(self, cause)
