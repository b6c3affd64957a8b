"""What a call to Redis is, and how it may end.

It knows nothing of sockets, and of Redis only what its error replies look like.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

Part = bytes | str | int | float
"""One word of a command."""
Reply = bytes | int | list["Reply"] | None
"""What Redis answers (RESP2); an error inside an array is a `RedisRefused` there."""


RUN: Final = b"p402:run-id-of-the-server-behind-a-link:"
"""Part of a command that stands for the run id of the very server that will carry it out.

A server that begins anew has another, and so has a replica that takes over: a script that compares it with
the one under which something was written knows whether that may have been lost or taken back since.
"""
NO_RUN: Final = b"0" * len(RUN)
"""In its place where the server does not tell."""


class Cause(Enum):
    """Why there is no answer."""

    SLOW = auto()
    """None came before the call's deadline."""
    SLOW_CONNECT = auto()
    """No connection was made in time, its greeting included."""
    REFUSED = auto()
    """No connection was to be had: nobody listens, no such host, no trust in its certificate."""
    DENIED = auto()
    """Redis took the connection and refused its greeting: password, database or scripts."""
    LOST = auto()
    """The connection ended before the answer came, or in the middle of it."""
    MALFORMED = auto()
    """What came is no reply, or one that nobody had asked for."""
    CROWDED = auto()
    """More calls wait than may; it says nothing of Redis."""
    CLOSED = auto()
    """The link was closed by us; it says nothing of Redis."""
    OPEN = auto()
    """Redis was away lately, and the breaker is open; it was not asked."""
    UNSERVED = auto()
    """No node of the cluster serves the key's slot just now: it is moving, or the cluster is down."""


OURS: Final = frozenset({Cause.CROWDED, Cause.CLOSED, Cause.OPEN})
"""Causes that say nothing of how Redis is now."""


class RedisAway(Exception):
    """There is no answer to this call.

    Attributes
    ----------
    may_be_done
        Whether Redis may have carried it out all the same; false where it was certainly not sent, or a node
        of a cluster said that it did nothing.
    """

    def __init__(self, cause: Cause, message: str, *, may_be_done: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.may_be_done = may_be_done


class RedisRefused(Exception):
    """Redis answered this call with an error; all others go on.

    Attributes
    ----------
    code
        The error's first word: `OOM`, `WRONGTYPE`, `READONLY`, `ERR`.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, and the name that EVALSHA calls it by."""

    source: bytes
    sha: bytes

    @classmethod
    def of(cls, source: str | bytes) -> "Script":
        """A script and its name: 40 hexadecimal digits."""
        text = source.encode() if isinstance(source, str) else source
        return cls(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode("ascii"))


class Call:
    """One call that waits.

    Attributes
    ----------
    packed
        The command as it is sent.
    answer
        Done when the reply has come, when there will be none, or when the caller left.
    due
        Loop time, in seconds, at which its patience ends.
    again
        It has been sent a second time.
    ahead
        What must be sent right before it, whose reply is nobody's; None for nothing.
    """

    __slots__ = ("again", "ahead", "answer", "due", "packed")

    def __init__(self, packed: bytes, answer: asyncio.Future[Reply], due: float) -> None:
        self.packed = packed
        self.answer = answer
        self.due = due
        self.again = False
        self.ahead: Call | None = None

    def fail(self, error: Exception) -> None:
        """Tell the caller, if it still waits."""
        if not self.answer.done():
            self.answer.set_exception(error)
