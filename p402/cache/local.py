"""A cache of one process: the shelf's law with a clock and an embedder.

The simulator's hand, and the gateway's where no Redis is configured: each worker then has its own. It takes
no turn of the event loop but the embedder's.
"""

from collections.abc import Callable

from p402.cache.contract import EXACT, MISS, Embedder, Entry, Hit, Miss, Query, Tally
from p402.cache.shelf import MAX_BYTES, MAX_ENTRIES, Shelf


class LocalCache:
    """Answers kept in this process.

    Parameters
    ----------
    now_ms
        Wall time in ms since 1970 UTC; may be virtual.
    embedder
        None finds exact repeats only.
    max_entries, max_bytes
        Of a tenant.
    """

    def __init__(
        self,
        now_ms: Callable[[], int],
        embedder: Embedder | None = None,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._now_ms, self._embedder = now_ms, embedder
        self._shelf = Shelf(max_entries, max_bytes)
        self._seen: dict[str, list[int]] = {}
        self._closed = False

    async def find(self, query: Query) -> Hit | Miss:
        """The answer to give, if there is one."""
        if self._closed:
            return MISS
        hit, miss = self._shelf.exact(query, self._now_ms()), MISS
        if hit is None and query.text is not None and self._embedder is not None:
            vector = await self._embedder.embed(query.text)
            if vector is not None:
                hit, miss = self._shelf.alike(query, vector, self._now_ms()), Miss(vector)
        seen = self._seen.setdefault(query.tenant, [0, 0, 0])
        seen[2 if hit is None else 0 if hit.tier == EXACT else 1] += 1
        return miss if hit is None else hit

    def keep(self, query: Query, miss: Miss, entry: Entry) -> None:
        """Keep an answer, at once."""
        if not self._closed:
            self._shelf.put(query, miss.vector, entry, self._now_ms())

    async def tally(self, tenant: str) -> Tally:
        """What there is of a tenant."""
        exact, semantic, misses = self._seen.get(tenant, (0, 0, 0))
        return Tally(self._shelf.count(tenant, self._now_ms()), exact, semantic, misses)

    async def clear(self, tenant: str) -> int:
        """Forget everything of a tenant."""
        return self._shelf.clear(tenant)

    async def evict(self, tenant: str, entry: str) -> bool:
        """Forget one entry of a tenant."""
        return self._shelf.drop(tenant, entry)

    async def close(self) -> None:
        """Forget all."""
        self._closed = True
        self._shelf = Shelf()
