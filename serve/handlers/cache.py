"""`GET /v1/cache/stats`, `POST /v1/cache/clear`, `DELETE /v1/cache/entries/{id}`: a tenant's own answers.

Whose they are the key says. An entry's id is `cache_entry_id` in the `p402_metadata` of its hits, so that an
answer that should not have been given is given no more: by any worker where Redis keeps them, and else by
the worker that was asked, which `kept_in` tells. Where the store does not answer, it is 503.
"""

from typing import Final

import orjson

from p402.cache.contract import Cache
from p402.cache.shelf import MAX_ENTRIES
from p402.errors import NotFound
from serve.cache.shared import SharedCache
from serve.handlers.front import Front
from serve.http import HttpReply, HttpRequest, json_reply
from serve.wire.query import parse_query

_PATH: Final = "/cache/entries/"
_SHOWN: Final = 100


async def stats(front: Front, request: HttpRequest) -> HttpReply:
    """What the tenant has, and what this worker's look-ups for it came to."""
    tenant = front.tenant(request)
    parse_query(request.query, ())
    tally = await _cache(front).tally(tenant.name)
    meaning = front.meaning
    said = {
        "object": "p402.cache",
        "tenant": tenant.name,
        "kept_in": _kept_in(front),
        "entries": tally.entries,
        "max_entries": MAX_ENTRIES,
        "worker": front.flow.state.worker,
        "hits": {"exact": tally.exact_hits, "semantic": tally.semantic_hits},
        "misses": tally.misses,
        "by_meaning": {
            "on": meaning.model is not None,
            "model": meaning.model,
            "above_similarity": tenant.cache.similarity,
            "why_not": meaning.why_not,
        },
        "in_cost_mode": tenant.cache.in_cost_mode,
        "ttl_s": tenant.cache.ttl_s,
    }
    return json_reply(200, orjson.dumps(said))


async def clear(front: Front, request: HttpRequest) -> HttpReply:
    """Forget everything of the tenant."""
    tenant = front.tenant(request)
    parse_query(request.query, ())
    cleared = await _cache(front).clear(tenant.name)
    said = {
        "object": "p402.cache",
        "tenant": tenant.name,
        "kept_in": _kept_in(front),
        "cleared": cleared,
    }
    return json_reply(200, orjson.dumps(said))


async def evict(front: Front, request: HttpRequest) -> HttpReply:
    """Forget one entry of the tenant."""
    tenant = front.tenant(request)
    parse_query(request.query, ())
    entry = request.path.partition(_PATH)[2]
    if not await _cache(front).evict(tenant.name, entry):
        raise NotFound(
            f"id: your tenant's cache has no entry `{entry[:_SHOWN]}`; expected the `cache_entry_id` of an "
            "answer that came from it and has not ended since",
            param="id",
        )
    said = {"object": "p402.cache.entry", "id": entry, "kept_in": _kept_in(front), "deleted": True}
    return json_reply(200, orjson.dumps(said))


def _kept_in(front: Front) -> str:
    """Whether all workers have the same entries."""
    return "redis" if isinstance(front.flow.ports.cache, SharedCache) else "worker"


def _cache(front: Front) -> Cache:
    cache = front.flow.ports.cache
    if cache is None:
        raise NotFound("this gateway has no cache: its operator has set `cache = false` in `[server]`")
    return cache
