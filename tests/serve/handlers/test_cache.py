"""The cache's three calls: a tenant's own entries, a clear word where there is none, 503 where it is away."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from p402.cache.contract import Miss, Query
from p402.cache.local import LocalCache
from p402.errors import StateAway
from serve.app import create_app
from serve.cache.meaning import UNWANTED, meaning_of
from tests.conformance.cache import Table, entry, query
from tests.serve.gateway import KEY, OTHER_KEY, Gateway, StillClock

CALLS = (("GET", "/v1/cache/stats"), ("POST", "/v1/cache/clear"), ("DELETE", "/v1/cache/entries/req_1"))


class Away:
    """A cache whose store does not answer."""

    async def find(self, query: Query) -> Miss:
        return Miss()

    def keep(self, *_) -> None:
        pass

    async def tally(self, tenant):
        raise StateAway("the cache does not answer now; ask again")

    clear = tally

    async def evict(self, tenant, entry):
        raise StateAway("the cache does not answer now; ask again")

    async def close(self) -> None:
        pass


async def nothing() -> None:
    pass


def ask(gateway: Gateway, *calls: tuple[str, str], key: str = KEY) -> list[tuple[int, dict, dict]]:
    """Status, body and headers of each call, one after another."""

    async def run():
        client = create_app(gateway.front, nothing, nothing).test_client()
        told = []
        for method, path in calls:
            reply = await client.open(path, method=method, headers={"authorization": f"Bearer {key}"})
            told.append((reply.status_code, orjson.loads(await reply.get_data()), dict(reply.headers)))
        return told

    return asyncio.run(run())


@pytest.fixture
def gateway():
    clock = StillClock()
    return Gateway(clock=clock, cache=LocalCache(clock.now_ms))


def keep(gateway: Gateway, *ids: str, tenant: str = "default") -> None:
    for made in ids:
        gateway.cache.keep(query(made, tenant), Miss(), entry(gateway.clock, made))


def test_stats_tell_entries_hits_by_tier_and_whether_prompts_are_compared(gateway):
    keep(gateway, "req_1", "req_2")
    keep(gateway, "req_3", tenant="narrow")
    for text in ("req_1", "req_1", "other"):
        asyncio.run(gateway.cache.find(query(text, "default")))
    ((status, said, _),) = ask(gateway, ("GET", "/v1/cache/stats"))
    assert status == 200
    assert said == {
        "object": "p402.cache",
        "tenant": "default",
        "kept_in": "worker",
        "entries": 2,
        "max_entries": 10_000,
        "worker": "w0",
        "hits": {"exact": 2, "semantic": 0},
        "misses": 1,
        "by_meaning": {
            "on": False,
            "model": None,
            "above_similarity": 0.92,
            "why_not": UNWANTED.reason,
        },
        "in_cost_mode": True,
        "ttl_s": 86_400,
    }


def test_with_an_embedder_stats_name_its_model(gateway):
    gateway.front = replace(gateway.front, meaning=meaning_of(Table(id="minilm")))
    ((_, said, _),) = ask(gateway, ("GET", "/v1/cache/stats"))
    assert said["by_meaning"] == {
        "on": True,
        "model": "minilm",
        "above_similarity": 0.92,
        "why_not": None,
    }


def test_a_tenant_clears_its_own_and_is_told_how_many_those_were(gateway):
    keep(gateway, "req_1", "req_2")
    keep(gateway, "req_3", tenant="narrow")
    told = ask(gateway, ("POST", "/v1/cache/clear"), ("POST", "/api/v2/cache/clear"))
    assert [(status, said) for status, said, _ in told] == [
        (200, {"object": "p402.cache", "tenant": "default", "kept_in": "worker", "cleared": 2}),
        (200, {"object": "p402.cache", "tenant": "default", "kept_in": "worker", "cleared": 0}),
    ]
    ((_, said, _),) = ask(gateway, ("GET", "/v1/cache/stats"), key=OTHER_KEY)
    assert said["entries"] == 1


def test_an_entry_is_deleted_once_and_by_its_own_tenant(gateway):
    keep(gateway, "req_1", "req_2")
    call = ("DELETE", "/v1/cache/entries/req_1")
    assert [status for status, _, _ in ask(gateway, call, key=OTHER_KEY)] == [404]
    (first, second) = ask(gateway, call, call)
    assert first[:2] == (
        200,
        {"object": "p402.cache.entry", "id": "req_1", "kept_in": "worker", "deleted": True},
    )
    assert (second[0], second[1]["error"]["code"], second[1]["error"]["param"]) == (404, "NOT_FOUND", "id")
    assert "no entry `req_1`" in second[1]["error"]["message"]
    assert "cache_entry_id" in second[1]["error"]["message"]
    assert asyncio.run(gateway.cache.tally("default")).entries == 1


@pytest.mark.parametrize("name", ["a%2Fb", "%20", "%F0%9F%92%A1", "x" * 3_000, "..%2F..", "%00"])
def test_whatever_is_asked_to_be_deleted_is_a_404(gateway, name):
    ((status, said, _),) = ask(gateway, ("DELETE", f"/v1/cache/entries/{name}"))
    assert (status, said["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("call", CALLS)
def test_where_there_is_no_cache_that_is_said(call):
    ((status, said, _),) = ask(Gateway(), call)
    assert (status, said["error"]["code"]) == (404, "NOT_FOUND")
    assert "no cache" in said["error"]["message"]


@pytest.mark.parametrize("call", CALLS)
def test_where_the_store_is_away_it_is_503_and_when_to_ask_again(call):
    ((status, said, headers),) = ask(Gateway(cache=Away()), call)
    assert (status, said["error"]["message"]) == (503, "the cache does not answer now; ask again")
    assert said["error"]["retry_after_ms"] > 0
    assert int({name.lower(): value for name, value in headers.items()}["retry-after"]) > 0


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_without_a_key_nothing_is_told_or_done(gateway, method, path):
    keep(gateway, "req_1")
    assert [status for status, _, _ in ask(gateway, (method, path), key="p402_live_wrong")] == [401]
    assert asyncio.run(gateway.cache.tally("default")).entries == 1


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_no_query_names_another_tenant(gateway, method, path):
    keep(gateway, "req_1")
    ((status, said, _),) = ask(gateway, (method, f"{path}?tenant=narrow"))
    assert (status, said["error"]["param"]) == (400, "tenant")
    assert asyncio.run(gateway.cache.tally("default")).entries == 1


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_another_method_is_405(gateway, method, path):
    assert [status for status, _, _ in ask(gateway, ("PUT", path))] == [405]
