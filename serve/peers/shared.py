"""The board of several hosts: words in one hash in Redis, by one round trip an exchange.

Ages are told by Redis, so hosts need not agree on the time. Words of the dead are removed as others come,
and the hash ends with its last. Where Redis is away the exchange says so at once: nobody waits, and nothing
is sent again. It knows nothing of what words say.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Final

from p402.errors import StoreError
from p402.ports import WORD_MS, Word
from serve.redis.calls import RedisAway, RedisRefused, Reply, Script
from serve.redis.connect import Way

EXCHANGE: Final = Script.of((files(__package__) / "lua" / "exchange.lua").read_text())
KEY: Final = "p402:{live}:words"


class SharedBoard:
    """The board of all hosts of one Redis.

    Parameters
    ----------
    way
        Makes the way to Redis, on the event loop that asks first. It must know `EXCHANGE`.
    now_ms
        Wall time in ms for Redis; 0 for its own.
    """

    def __init__(self, way: Callable[[], Way], now_ms: Callable[[], int] = int) -> None:
        self._make = way
        self._now_ms = now_ms
        self._way: Way | None = None
        self._opening = asyncio.Lock()

    async def exchange(self, worker: str, data: bytes) -> Sequence[Word]:
        """Leave a word, and take the others'; raises `StoreError` where Redis is away or refuses."""
        way = await self._opened()
        try:
            reply = await way.call("EVALSHA", EXCHANGE.sha, 1, KEY, self._now_ms(), worker, data, WORD_MS)
        except (RedisAway, RedisRefused) as error:
            raise StoreError(f"words of all hosts' workers: {error}") from error
        return _words(reply)

    async def _opened(self) -> Way:
        async with self._opening:
            if self._way is None:
                self._way = self._make()
                with suppress(RedisAway):  # the call says it
                    await self._way.open()
            return self._way

    async def close(self) -> None:
        """Close the way; idempotent."""
        way, self._way = self._way, None
        if way is not None:
            await way.aclose()


def _words(reply: Reply) -> list[Word]:
    found = reply if isinstance(reply, list) else []
    pairs = zip(found[::2], found[1::2], strict=True)
    return [Word(int(age), data) for age, data in pairs if isinstance(age, bytes) and isinstance(data, bytes)]
