"""Whether a kept answer may be given to a request, before anything is decided.

It fails as the cache does, open: what cannot be read is not there. What is found is given only while the
tenant may still use the arm that made it. It knows nothing of how an answer is told.
"""

from typing import Final

import msgspec

from p402.cache.contract import MISS, Cache, Entry, Hit, Miss, Query
from p402.cache.query import is_on, query_of
from p402.request import ChatRequest, Tenant
from p402.routing.compiled import Snapshot

NO_CACHE: Final = "no_cache: this gateway has no cache; the request was sent on"

_WHY: Final = {
    "audio": "it has sound",
    "chance": "it wants chance, a secret or another answer each time",
    "choices": "it asks for several choices",
    "field": "it has a field of which P402 does not know that it leaves the answer to model and messages",
    "files": "it has files",
    "images": "it has images",
    "last_message": "its last message is not a user's words",
    "logprobs": "it asks for log probabilities",
    "long": "its text is longer than 256 KiB",
    "search": "its model searches",
    "temperature": "its temperature is above 1",
    "time_sensitive": "its answer depends on when it is asked",
    "tools": "it has tools",
}


class Looked(msgspec.Struct, frozen=True):
    """What a look-up left for the answer that a provider now gives.

    Attributes
    ----------
    query
        What the answer may be kept for; None where it may not.
    warning
        Why it is neither looked up nor kept, for a request that asked for it.
    """

    query: Query | None = None
    miss: Miss = MISS
    warning: str | None = None


UNASKED: Final = Looked()


async def look_up(
    cache: Cache | None, request: ChatRequest, tenant: Tenant, snapshot: Snapshot
) -> Hit | Looked:
    """The kept answer that may be given, or what to do with the one to come."""
    if not is_on(request, tenant):
        return UNASKED
    asked = bool(request.options.cache)
    if cache is None:
        return Looked(warning=NO_CACHE) if asked else UNASKED
    query = query_of(request, tenant)
    if isinstance(query, str):
        why = f"not_cached: this request is neither answered from the cache nor kept, since {_WHY[query]}"
        return Looked(warning=why) if asked else UNASKED
    found = await cache.find(query)
    if isinstance(found, Miss):
        return Looked(query, found)
    return found if _may_give(snapshot, tenant, found.entry) else Looked(query)


def _may_give(snapshot: Snapshot, tenant: Tenant, entry: Entry) -> bool:
    """Whether the arm that made an answer is still on offer, and the tenant may use it."""
    arm = snapshot.index.get(entry.arm)
    return arm is not None and bool(snapshot.allowed[snapshot.policies[tenant.policy], arm])
