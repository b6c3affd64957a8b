"""The shelf of several hosts: one key of Redis for each session, which ends by itself.

One round trip a look and one a word, over a connection of its own, so that no budget waits behind it. Ages
are what Redis says is left of the hour, so hosts need not agree on the time. Each key has a hash tag of its
own: a cluster spreads them. It knows nothing of what words say.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.resources import files
from typing import Final

from p402.errors import StoreError
from p402.ports import SESSION_MS, Word
from serve.redis.calls import RedisAway, RedisRefused, Script
from serve.redis.connect import Way

RECALL: Final = Script.of((files(__package__) / "lua" / "recall.lua").read_text())
_PAIR: Final = 2


class RedisShelf:
    """The shelf of all hosts of one Redis.

    Parameters
    ----------
    way
        Makes the way to Redis, on the event loop that asks first. It must know `RECALL`.
    kept_ms
        How long a word is kept; all hosts must have the same.
    """

    def __init__(self, way: Callable[[], Way], kept_ms: int = SESSION_MS) -> None:
        self._make = way
        self._kept_ms = kept_ms
        self._way: Way | None = None

    async def open(self) -> None:
        """Connect; calls do so themselves where this was not done."""
        with suppress(RedisAway):  # a call will say it
            await self._opened().open()

    async def get(self, key: bytes) -> Word | None:
        """The word of a key; raises `StoreError` where Redis is away or refuses."""
        try:
            reply = await self._opened().call("EVALSHA", RECALL.sha, 1, name_of(key))
        except (RedisAway, RedisRefused) as error:
            raise _unusable(error) from error
        if not isinstance(reply, list) or len(reply) != _PAIR:
            return None
        left_ms, data = reply
        if not isinstance(left_ms, int) or not isinstance(data, bytes):
            return None
        return Word(max(0, self._kept_ms - left_ms), data)

    async def keep(self, words: Mapping[bytes, bytes]) -> None:
        """Leave words in one write; raises `StoreError` where one was not left."""
        way = self._opened()
        calls = [way.call("SET", name_of(key), data, "PX", self._kept_ms) for key, data in words.items()]
        for end in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(end, RedisAway | RedisRefused):
                raise _unusable(end) from end
            if isinstance(end, BaseException):
                raise end

    async def close(self) -> None:
        """Close the way; idempotent."""
        way, self._way = self._way, None
        if way is not None:
            await way.aclose()

    def _opened(self) -> Way:
        if self._way is None:
            self._way = self._make()
        return self._way


def name_of(key: bytes) -> bytes:
    """The key in Redis."""
    return b"p402:session:{%b}" % key.hex().encode()


def _unusable(error: Exception) -> StoreError:
    return StoreError(f"sessions of all hosts: {error}")
