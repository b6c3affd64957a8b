"""One server and one cluster for the tests that leave them as they found them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.redis.cluster_server import Cluster, redis_cluster
from tests.serve.redis.server import Server, redis_server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("redis")
    with redis_server(folder) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes
