"""Whether Redis has room for answers, or what it has left is for budgets.

The same memory keeps both, and nothing in it may be evicted: answers yield long before a budget is refused.
"""

import re
from typing import Final

from serve.cache.failing import log
from serve.redis.connect import Way

FULL: Final = 0.75
"""Share of Redis' `maxmemory` from which on nothing is kept."""
EVERY_S: Final = 5.0
_MEMORY: Final = re.compile(rb"^(used_memory|maxmemory):(\d+)\r?$", re.MULTILINE)


class Room:
    """What was seen of the memory of the fullest Redis, every few seconds. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._next_s = 0.0
        self._full = False

    async def is_full(self, way: Way, now_s: float) -> bool:
        """Whether nothing is to be kept.

        Raises
        ------
        serve.redis.calls.RedisAway
            It does not say.
        """
        if now_s < self._next_s:
            return self._full
        share = 0.0
        for _, told in await way.each("INFO", "memory"):
            found = dict(_MEMORY.findall(told)) if isinstance(told, bytes) else {}
            if (limit := int(found.get(b"maxmemory", 0))) > 0:
                share = max(share, int(found.get(b"used_memory", 0)) / limit)
        self._next_s = now_s + EVERY_S
        was, self._full = self._full, share >= FULL
        if self._full and not was:
            log.error(
                "Redis' memory is in use to %.0f %%, and from %.0f %% on what is left is for budgets; no "
                "answers are kept until there is room",
                100 * share,
                100 * FULL,
            )
        elif was and not self._full:
            log.warning("Redis has room: answers are kept again")
        return self._full
