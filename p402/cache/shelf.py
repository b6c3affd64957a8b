"""What is kept, for whom and for how long: the law of a cache over dictionaries.

An exact repeat is answered first. Else, where both prompts have vectors, the nearest prompt of the same
scope above the tenant's cosine is taken, if the guards find no word that could make another answer right;
where they refuse, the next nearest is asked, a few in all. It knows no clock, model or other worker.

A tenant has so many entries and bytes; beyond them its own longest unused go first, never another's.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from p402.cache.contract import EXACT, SEMANTIC, Entry, Hit, Query, Vector
from p402.cache.guards import disagreement
from p402.cache.index import Index

MAX_ENTRIES: Final = 10_000
MAX_BYTES: Final = 64 << 20
"""Of one tenant's answers, prompts and vectors."""

OVERHEAD: Final = 512
"""Bytes of an entry beside what is in it, about."""

CANDIDATES: Final = 4
"""Prompts above the cosine that the guards are asked about, nearest first."""

COSINE_ONE: Final = 1.0


class _Kept(msgspec.Struct, frozen=True):
    """An entry with what it answers, and how many bytes it takes."""

    scope: bytes
    text: str | None
    entry: Entry
    size: int


class _Tenant:
    """What is kept for one tenant: entries by exact digest, the longest unused first."""

    def __init__(self) -> None:
        self.kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self.by_id: dict[str, bytes] = {}
        self.scopes: dict[bytes, Index] = {}
        self.size = 0

    def put(self, key: bytes, kept: _Kept, vector: Vector | None) -> None:
        self.drop(key)
        self.kept[key] = kept
        self.by_id[kept.entry.id] = key
        self.size += kept.size
        if vector is not None:
            self.scopes.setdefault(kept.scope, Index()).put(key, vector)

    def drop(self, key: bytes) -> None:
        kept = self.kept.pop(key, None)
        if kept is None:
            return
        self.size -= kept.size
        self.by_id.pop(kept.entry.id, None)
        index = self.scopes.get(kept.scope)
        if index is not None:
            index.drop(key)
            if not len(index):
                del self.scopes[kept.scope]


class Shelf:
    """Kept answers of all tenants."""

    def __init__(self, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._tenants: dict[str, _Tenant] = {}

    def exact(self, query: Query, now_ms: int) -> Hit | None:
        """The answer to an exact repeat."""
        mine = self._tenants.get(query.tenant)
        if mine is None:
            return None
        kept = self._alive(mine, query.exact, now_ms)
        return None if kept is None else Hit(kept.entry, EXACT, COSINE_ONE)

    def alike(self, query: Query, vector: Vector, now_ms: int) -> Hit | None:
        """The answer of the nearest prompt that says the same."""
        mine = self._tenants.get(query.tenant)
        index = None if mine is None else mine.scopes.get(query.scope)
        if mine is None or index is None or query.text is None:
            return None
        for key, cosine in _near(mine, index, vector, query.similarity, now_ms):
            known = mine.kept[key].text
            if known is None or disagreement(query.text, known) is not None:
                continue
            kept = self._alive(mine, key, now_ms)
            if kept is not None:
                return Hit(kept.entry, SEMANTIC, min(cosine, COSINE_ONE))
        return None

    def put(self, query: Query, vector: Vector | None, entry: Entry, now_ms: int) -> None:
        """Keep an answer, in place of an earlier one to the same prompt; what has no room is not kept."""
        vectors = 0 if vector is None else 2 * vector.nbytes  # a matrix grows by doubling
        size = OVERHEAD + len(entry.body) + len(query.text or "") + vectors
        kept = _Kept(query.scope, query.text, entry, size)
        if entry.expires_ms <= now_ms or kept.size > self._max_bytes:
            return
        mine = self._tenants.setdefault(query.tenant, _Tenant())
        mine.put(query.exact, kept, vector)
        while len(mine.kept) > self._max_entries or mine.size > self._max_bytes:
            mine.drop(next(iter(mine.kept)))

    def drop(self, tenant: str, entry: str) -> bool:
        """Forget an entry by its id; False where there is none."""
        mine = self._tenants.get(tenant)
        key = None if mine is None else mine.by_id.get(entry)
        if mine is None or key is None:
            return False
        mine.drop(key)
        return True

    def clear(self, tenant: str) -> int:
        """Forget all of a tenant; gives how many there were."""
        mine = self._tenants.pop(tenant, None)
        return 0 if mine is None else len(mine.kept)

    def count(self, tenant: str, now_ms: int) -> int:
        """Entries of a tenant that can still be given."""
        mine = self._tenants.get(tenant)
        return 0 if mine is None else sum(k.entry.expires_ms > now_ms for k in mine.kept.values())

    @staticmethod
    def _alive(mine: _Tenant, key: bytes, now_ms: int) -> _Kept | None:
        """An entry that is to be given, which makes it the last used; an expired one is forgotten."""
        kept = mine.kept.get(key)
        if kept is None:
            return None
        if kept.entry.expires_ms <= now_ms:
            mine.drop(key)
            return None
        mine.kept.move_to_end(key)
        return kept


def _near(
    mine: _Tenant, index: Index, vector: Vector, similarity: float, now_ms: int
) -> list[tuple[bytes, float]]:
    """The candidates, none of them expired: an expired one is forgotten, so that it hides no other."""
    while True:
        near = index.above(vector, similarity, CANDIDATES)
        expired = [key for key, _ in near if mine.kept[key].entry.expires_ms <= now_ms]
        if not expired:
            return near
        for key in expired:
            mine.drop(key)
