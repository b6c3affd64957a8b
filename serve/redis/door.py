"""Asking Redis only while it is there: the link behind the breaker.

While the breaker is open every call is refused in the same turn, and whether Redis is back is found out by
a PING in the background: no request waits for it. It knows nothing of what is asked.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final, assert_never

from p402.guard.breaker import (
    HEALTHY,
    Breaker,
    Closed,
    Leave,
    call_failed,
    call_succeeded,
    knock,
    probe_failed,
    probe_succeeded,
    retry_after_ms,
)
from serve.redis.address import Address
from serve.redis.calls import OURS, Cause, Part, RedisAway, RedisRefused, Reply
from serve.redis.link import Link


class Door:
    """Calls to Redis, none of which waits long.

    Parameters
    ----------
    link
        The door's own from now on: `aclose` closes it.

    Attributes
    ----------
    breaker
        As the last call left it.
    """

    clustered: Final = False

    def __init__(self, link: Link) -> None:
        self.breaker: Breaker = HEALTHY
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._probe: asyncio.Task[None] | None = None

    def retry_after_ms(self, key: Part) -> int:  # noqa: ARG002 - a cluster's depends on it
        """In how many ms Redis may be asked for a key again; 0 when it may now."""
        return retry_after_ms(self.breaker, self._now_ms())

    @property
    def away(self) -> bool:
        """Redis was away lately and has not been found back."""
        return not isinstance(self.breaker, Closed)

    async def open(self) -> None:
        """Connect now, whatever the breaker says; raises as `Link.open` does."""
        await self._link.open()

    async def each(self, *parts: Part) -> list[tuple[Address, Reply | RedisRefused]]:
        """What every Redis behind this door answers, an error being an answer: here, one.

        Raises
        ------
        RedisAway
            It does not answer.
        """
        try:
            return [(self._link.address, await self.call(*parts))]
        except RedisRefused as refused:
            return [(self._link.address, refused)]

    def call(self, *parts: Part, asking: bool = False) -> Awaitable[Reply]:
        """Ask as `Link.call` does, if Redis is there; what is returned must be awaited, and has the reply.

        Calls go out in the order in which they are made, whenever they are awaited.

        Raises
        ------
        RedisAway
            When awaited: it is not, or has just been found not to be.
        RedisRefused
            When awaited: it answered with an error.
        """
        try:
            if not isinstance(self.breaker, Closed):
                self._knock()
            return self._answer(self._link.call(*parts, asking=asking))
        except RedisAway as away:
            return self._answer(away)

    async def _answer(self, call: asyncio.Future[Reply] | RedisAway) -> Reply:
        if isinstance(call, RedisAway):
            raise call
        try:
            reply = await call
        except RedisAway as away:
            if away.cause not in OURS:
                self.breaker = call_failed(self.breaker, self._now_ms())
            raise
        except RedisRefused:
            self.breaker = call_succeeded(self.breaker)
            raise
        if self.breaker is not HEALTHY:
            self.breaker = call_succeeded(self.breaker)
        return reply

    async def aclose(self) -> None:
        """Take no more calls, wait for those and the probe under way, and close the link; idempotent."""
        if self._probe is not None:
            await asyncio.wait([self._probe])
        await self._link.aclose()

    def _knock(self) -> None:
        """Refuse this call; begin a probe if it is time for one."""
        self.breaker, leave = knock(self.breaker, self._now_ms())
        match leave:
            case Leave.ASK:
                return
            case Leave.PROBE:
                self._probe = self._loop.create_task(self._find_out())
            case Leave.REFUSE:
                pass
            case _:
                assert_never(leave)
        raise RedisAway(
            Cause.OPEN, f"{self._link.address} was away just now and is not asked until a probe finds it back"
        )

    async def _find_out(self) -> None:
        try:
            await self._link.call("PING")
        except RedisAway:
            self.breaker = probe_failed(self.breaker, self._now_ms())
        except RedisRefused:  # it answers
            self.breaker = probe_succeeded(self.breaker)
        else:
            self.breaker = probe_succeeded(self.breaker)

    def _now_ms(self) -> float:
        return self._loop.time() * 1_000
