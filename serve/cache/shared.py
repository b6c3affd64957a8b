"""The cache of all workers of one Redis: the port's hand where Redis is configured.

Redis has the entries. An exact look-up is one round trip, which also tells what was kept in the scope since
this worker last asked, so that it compares by meaning in its own memory. What it finds there it asks Redis
for: nothing is given that Redis does not have just then. So time, eviction and clearing are Redis' alone.

Failure contract, open: a look-up waits `BOUND_S` at most in all, its embedding included, and what is not
there by then is a miss. After three failures in a row one look-up a second asks Redis, and the others are
misses at once. What is to be kept is queued, and dropped and counted where that does not help. Trouble is
told once, and once when it is over. Whoever counts, clears or evicts is told that Redis is away.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from p402.cache.contract import EXACT, MISS, SEMANTIC, Embedder, Entry, Hit, Miss, Query, Tally, Vector
from p402.cache.guards import disagreement
from p402.cache.shelf import CANDIDATES, COSINE_ONE, MAX_BYTES, MAX_ENTRIES
from p402.errors import StateAway
from serve.cache import scripts
from serve.cache.code import prefix_of, unpack
from serve.cache.failing import note_failure, note_success
from serve.cache.keeping import Keeping, Note
from serve.cache.known import Known
from serve.cache.scripts import Command, Gone, News, Place
from serve.errors import report
from serve.redis.calls import RedisAway, RedisRefused, Reply
from serve.redis.connect import Way
from serve.sessions.trouble import Trouble

BOUND_S: Final = 0.04
"""The longest that a request waits for a look-up, all in all: a hit is to be out within 50 ms (P11)."""
FAIR_S: Final = 0.01
"""Who is asked with less time left and does not answer is not in trouble."""
LEAVE_S: Final = 1.0
"""How long what no request waits for may take: a connection, a page, a tenant's own call."""
PROMPTS: Final = 64
PROMPTS_BYTES: Final = 128 << 10
"""Told with a look-up; a worker that lacks more reads them in pages, of as many, for which nobody waits."""
LOADS: Final = 4
"""Scopes read at a time."""
CLEARED: Final = 250
"""Entries that one call clears: Redis serves nobody else meanwhile."""
_AWAY: Final = "the cache does not answer now, so that nothing is known of its entries; ask again"


class SharedCache:
    """Kept answers of one worker and of all others.

    Parameters
    ----------
    way
        Makes the way to Redis, on the event loop that asks first. It must know `scripts.ALL`.
    now_ms
        The worker's wall clock, by which entries say when they end; from then on Redis' counts.
    embedder
        None finds exact repeats only.
    max_entries
        Of a tenant; all workers must have the same.
    """

    def __init__(
        self,
        way: Callable[[], Way],
        now_ms: Callable[[], int],
        embedder: Embedder | None = None,
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        bound_s: float = BOUND_S,
    ) -> None:
        self._make, self._embedder, self._bound_s = way, embedder, bound_s
        self._most_entries = max_entries
        self._model = None if embedder is None else embedder.id
        self._way: Way | None = None
        self._known = Known()
        self._keeping = Keeping(self._opened, now_ms, max_entries, max_bytes)
        self._trouble = Trouble()
        self._telling: set[str] = set()
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._seen: dict[str, list[int]] = {}
        self._gone = self._late = self._read = 0
        self._closed = False

    async def open(self) -> None:
        """Connect, if that is soon; what is wrong shows as it is asked."""
        with suppress(RedisAway, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._opened().open()

    # Looking up

    async def find(self, query: Query) -> Hit | Miss:
        """The answer to give, if there is one and Redis says so in time."""
        if self._closed:
            return MISS
        try:
            found = await self._find(query, asyncio.get_running_loop().time() + self._bound_s)
        except Exception as error:  # noqa: BLE001 - whatever it is, the request goes on without it
            report(error, "cache")
            found = MISS
        seen = self._seen.setdefault(query.tenant, [0, 0, 0])
        seen[2 if isinstance(found, Miss) else 0 if found.tier == EXACT else 1] += 1
        return found

    async def _find(self, query: Query, end_s: float) -> Hit | Miss:
        place = Place.of(query, self._model)
        exact = query.exact.hex().encode()
        if place.index is None:
            found = await self._looked(scripts.ask_entry(place, exact), end_s)
            return Hit(found, EXACT, COSINE_ONE) if isinstance(found, Entry) else MISS
        name = place.prefix + place.index
        found = await self._look(place, exact, name, end_s)
        if isinstance(found, Entry):
            return Hit(found, EXACT, COSINE_ONE)
        if found is None:  # Redis says nothing: nor would it of what is near
            return MISS
        vector = await self._embed(query.text or "", end_s)
        return MISS if vector is None else await self._alike(query, place, name, vector, end_s)

    async def _look(self, place: Place, exact: bytes, name: str, end_s: float) -> Entry | News | Gone | None:
        """What Redis has of a prompt; and of its scope, where no other look-up is being told of that."""
        if name in self._telling:
            return await self._looked(scripts.ask_entry(place, exact), end_s)
        self._telling.add(name)
        try:
            known = self._known.seen(name)
            found = await self._looked(scripts.ask_find(place, exact, known, PROMPTS, PROMPTS_BYTES), end_s)
        finally:
            self._telling.remove(name)
        if isinstance(found, News) and self._known.take(name, known, found):
            self._load(place, name)
        return found

    async def _alike(self, query: Query, place: Place, name: str, vector: Vector, end_s: float) -> Hit | Miss:
        """The answer of the nearest prompt that says the same, if Redis still has it."""
        text, refused = query.text or "", set[bytes]()
        while True:
            near = self._known.above(name, vector, query.similarity, CANDIDATES)
            gone: list[bytes] = []
            for exact, known, cosine in near:
                if exact in refused or disagreement(text, known) is not None:
                    refused.add(exact)
                    continue
                found = await self._looked(scripts.ask_entry(place, exact), end_s)
                if isinstance(found, Entry):
                    return Hit(found, SEMANTIC, min(cosine, COSINE_ONE))
                if found is None:
                    return Miss(vector)
                gone.append(exact)
            if not gone and len(near) == CANDIDATES:  # what is not there any more hides no other
                gone = await self._missing(place, [exact for exact, _, _ in near], end_s)
            if not gone:
                return Miss(vector)
            for exact in gone:
                self._gone += 1
                self._known.drop(name, exact)

    async def _missing(self, place: Place, found: list[bytes], end_s: float) -> list[bytes]:
        """Those that Redis has no more."""
        asked = (self._ask(scripts.ask_exists(place, exact), end_s) for exact in found)
        return [exact for exact, has in zip(found, await asyncio.gather(*asked), strict=True) if has == 0]

    async def _looked(self, command: Command, end_s: float) -> Entry | News | Gone | None:
        """What Redis has; None where it is not asked, or does not say in time."""
        reply = await self._ask(command, end_s)
        if reply is None:
            return None
        found = scripts.read_find(reply)
        if not isinstance(found, bytes):
            return found
        try:
            return unpack(found)
        except ValueError:  # of another version of ours
            return Gone.GONE

    async def _ask(self, command: Command, end_s: float) -> Reply:
        """The reply; None where Redis is not asked, or does not answer in time."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= end_s or not self._trouble.may_ask(now_s):
            return None
        try:
            async with asyncio.timeout_at(end_s):
                reply = await self._opened().call(*command)
        except Exception as error:  # noqa: BLE001 - as above
            if isinstance(error, TimeoutError) and end_s - now_s < FAIR_S:  # the embedder took the time
                self._late += 1
                return None
            note_failure(self._trouble, error, "nothing is answered from it")
            return None
        note_success(self._trouble, "what it has is answered from it")
        return reply

    async def _embed(self, text: str, end_s: float) -> Vector | None:
        if self._embedder is None:
            return None
        try:
            async with asyncio.timeout_at(end_s):
                return await self._embedder.embed(text)
        except TimeoutError:
            self._late += 1
            return None

    # Reading a scope

    def _load(self, place: Place, name: str) -> None:
        """Begin to read what a look-up was not told of its scope; if too many are read, a later one does."""
        if len(self._loads) < LOADS and name not in self._loads:
            made = asyncio.get_running_loop().create_task(self._read_scope(place, name), name="cache scope")
            self._loads[name] = made

    async def _read_scope(self, place: Place, name: str) -> None:
        loop, last, more = asyncio.get_running_loop(), -1, True
        try:
            while more and last < (seen := self._known.seen(name)):  # else it was forgotten for others' sake
                last = seen
                page = scripts.ask_news(place, seen, PROMPTS, PROMPTS_BYTES)
                news = await self._looked(page, loop.time() + LEAVE_S)
                if not isinstance(news, News):
                    break
                self._read += len(news.rows)
                more = self._known.take(name, seen, news)
        except Exception as error:  # noqa: BLE001 - the next look-up begins again
            report(error, "cache")
        finally:
            del self._loads[name]

    # Keeping

    def keep(self, query: Query, miss: Miss, entry: Entry) -> None:
        """Keep an answer, soon."""
        self._keeping.put(Note(Place.of(query, self._model), query, miss.vector, entry))

    # What a tenant asks for

    async def tally(self, tenant: str) -> Tally:
        """What there is of a tenant; raises `StateAway` where Redis does not say."""
        entries = scripts.read_number(await self._told(scripts.ask_count(tenant)))
        return Tally(entries, *self._seen.get(tenant, (0, 0, 0)))

    async def clear(self, tenant: str) -> int:
        """Forget everything of a tenant; raises `StateAway` where some of it may live on."""
        self._keeping.forget(tenant)
        count = 0
        for _ in range(self._most_entries // CLEARED + 2):  # of more, all were kept meanwhile
            gone, left = scripts.read_clear(await self._told(scripts.ask_clear(tenant, CLEARED)))
            count += gone
            if not left:
                break
        self._known.forget_all(prefix_of(tenant))
        return count

    async def evict(self, tenant: str, entry: str) -> bool:
        """Forget one entry of a tenant; raises `StateAway` where it may live on."""
        waits = self._keeping.forget(tenant, entry)
        gone = scripts.read_number(await self._told(scripts.ask_evict(tenant, entry)))
        return bool(gone or waits)

    async def _told(self, command: Command) -> Reply:
        if self._closed:
            raise StateAway(_AWAY)
        try:
            async with asyncio.timeout(LEAVE_S):
                return await self._opened().call(*command)
        except (RedisAway, RedisRefused, TimeoutError) as error:
            note_failure(self._trouble, error, "nothing is answered from it")
            raise StateAway(_AWAY) from error

    # The end

    async def settled(self) -> None:
        """Wait until all that was to be kept was kept or dropped, and scopes are read."""
        await self._keeping.settled()
        while self._loads:
            await asyncio.wait(self._loads.values())

    async def close(self) -> None:
        """Keep what waits, for a second at most, and let go; idempotent."""
        self._closed = True
        await self._keeping.close()
        loads = tuple(self._loads.values())
        for task in loads:
            task.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        way, self._way = self._way, None
        if way is not None:
            await way.aclose()

    def collect(self) -> dict[str, float]:
        """Each by the name of its metric."""
        return {
            "p402_cache_lookups_total": sum(map(sum, self._seen.values())),
            "p402_cache_failed_total": self._trouble.failed,
            "p402_cache_late_total": self._late,
            "p402_cache_gone_total": self._gone,
            "p402_cache_prompts_read_total": self._read,
            "p402_cache_kept_total": self._keeping.kept,
            "p402_cache_dropped_total": self._keeping.dropped,
            "p402_cache_known_prompts": self._known.prompts,
            "p402_cache_known_bytes": self._known.size,
        }

    def _opened(self) -> Way:
        if self._way is None:
            self._way = self._make()
        return self._way
