"""An answer as bytes that can be kept, and given again byte for byte.

A stream is kept as the bytes of all its events and comes back as a stream of one piece. It knows nothing of
keys or files.
"""

from typing import Final, Self

import msgspec

from serve.http import Header, HttpReply

REPLAYED: Final[Header] = (b"x-p402-idempotent-replay", b"true")


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """One whole answer; `streamed` says in which form it came."""

    status: int
    headers: tuple[Header, ...]
    streamed: bool
    body: bytes


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Kept)


def pack(reply: HttpReply, body: bytes) -> bytes:
    """Bytes of an answer that has come to its end; `body` is all of it."""
    return _ENCODER.encode(Kept(reply.status, reply.headers, not isinstance(reply.body, bytes), body))


def unpack(content: bytes) -> HttpReply:
    """The answer again, marked as a replay.

    Raises
    ------
    ValueError
        These are not bytes that `pack` made.
    """
    try:
        found = _DECODER.decode(content)
    except msgspec.DecodeError as error:
        raise ValueError(f"a kept answer cannot be read: {error}") from error
    body = OnePiece(found.body) if found.streamed else found.body
    return HttpReply(found.status, (*found.headers, REPLAYED), body)


class OnePiece:
    """A stream that is all there."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> bytes:
        """All of it, once."""
        if not self._body:
            raise StopAsyncIteration
        body, self._body = self._body, b""
        return body

    async def aclose(self) -> None:
        """Nothing is to be let go of."""
        self._body = b""
