"""The cache of all hosts passes the suite, on one Redis and on a cluster."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from serve.cache.scripts import ALL
from serve.cache.shared import SharedCache
from serve.redis.connect import way_to
from tests.conformance.cache import SharedCacheConformance
from tests.serve.redis.cluster_server import Cluster, ask
from tests.serve.redis.server import Server

PATIENT_S = 20.0


class RealTime:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def elapse(self, ms: int) -> None:
        await asyncio.sleep(ms / 1_000)


def hand(url: str, embedder=None, bound_s=PATIENT_S, **bounds) -> SharedCache:
    """A worker's hand with patience, for cores that others use too."""
    made = lambda: way_to(url, scripts=ALL, patience_ms=20_000)  # noqa: E731
    return SharedCache(made, RealTime().now_ms, embedder, bound_s=bound_s, **bounds)


def opener(url: str):
    @asynccontextmanager
    async def opened(embedders, max_entries):
        hands = [hand(url, embedder, max_entries=max_entries) for embedder in embedders]
        try:
            for one in hands:
                await one.open()
            yield RealTime(), hands
        finally:
            for one in hands:
                await one.close()

    return opened


class TestRedis(SharedCacheConformance):
    @pytest.fixture
    def open_some(self, redis: Server):
        ask(redis, "FLUSHALL")
        return opener(redis.url)


class TestRedisCluster(SharedCacheConformance):
    @pytest.fixture
    def open_some(self, cluster: Cluster):
        for node in cluster.masters:
            ask(node, "FLUSHALL")
        return opener(cluster.url)
