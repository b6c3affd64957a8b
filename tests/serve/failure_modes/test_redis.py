"""Failure modes 16 to 18: Redis is lost, frozen, or a cluster.

The books under every fault are in `tests/serve/guard` and `tests/chaos`.
"""

import time

import httpx
import pytest

from tests.serve.failure_modes.whole import Whole, until, whole_gateway
from tests.serve.redis.cluster_server import Cluster
from tests.serve.redis.server import Server, free_port, redis_server
from tests.serve.test_command import answer

HANG_S = 5.0
"""No request waits longer than 300 ms on Redis; shared cores are given more before it is called a hang."""


def test_failure_mode_16_a_redis_that_is_lost_at_the_start_is_found_when_it_comes(tmp_path):
    (tmp_path / "redis").mkdir()
    server = Server(tmp_path / "redis", free_port())
    try:
        with whole_gateway(tmp_path, answer, redis=server.url) as gateway:
            refused = gateway.ask()
            assert (refused.status_code, refused.json()["error"]["code"]) == (
                503,
                "BUDGET_RESERVATION_FAILED",
            )
            assert refused.json()["error"]["retry_after_ms"] > 0
            assert gateway.called() == {"a": 0}, "no budget of this process alone is spent instead"
            server.start()
            until(lambda: gateway.ask().status_code == 200)
    finally:
        server.kill()


def test_failure_mode_17_a_frozen_redis_hangs_nobody(tmp_path):
    (tmp_path / "redis").mkdir()
    with (
        redis_server(tmp_path / "redis") as server,
        whole_gateway(tmp_path, answer, redis=server.url) as gateway,
    ):
        until(lambda: gateway.ask().status_code == 200)
        server.freeze()
        try:
            for _ in range(6):
                begun = time.monotonic()
                reply = gateway.ask()
                assert time.monotonic() - begun < HANG_S
                assert reply.status_code in (200, 503)  # from the lease, or refused
                if reply.status_code == 503:
                    assert reply.json()["error"]["retry_after_ms"] > 0
        finally:
            server.thaw()
        until(lambda: gateway.ask().status_code == 200)


@pytest.mark.parametrize("sessions", [False, True])
def test_failure_mode_18_every_script_stays_in_one_slot_of_a_cluster(tmp_path, cluster: Cluster, sessions):
    keys = "".join(
        f'[tenants.t{i}]\nsession_cap_usd = 1\n[[keys]]\nname = "k{i}"\ntenant = "t{i}"\nkey_env = "K{i}"\n'
        f"daily_cap_usd = 1\n"
        for i in range(6)
    )
    environ = {f"K{i}": f"p402_live_of-tenant-{i}" for i in range(6)}
    with whole_gateway(tmp_path, answer, redis=cluster.url, more=keys, environ=environ) as gateway:
        for i in range(6):  # tenants of all slots

            def asked(i: int = i) -> bool:
                options = {"p402": {"session_id": f"s{i}"}} if sessions else {}
                headers = {
                    "authorization": f"Bearer {environ[f'K{i}']}",
                    "idempotency-key": f"{sessions}-{i}",
                }
                reply = gateway.ask(headers=headers, **options)
                assert reply.status_code in (200, 503), reply.text
                return reply.status_code == 200

            until(asked)
        assert gateway.called() == {"a": 6}


ON = {"cache": True}


def cached(gateway: Whole, **fields) -> bool:
    """Whether a request that asks for the cache is answered from it; a refusal is no answer."""
    reply = gateway.ask(p402=ON, **fields)
    assert reply.status_code in (200, 503), reply.text
    return reply.status_code == 200 and reply.json()["p402_metadata"]["cached"]


def test_failure_mode_16_a_cache_whose_redis_is_lost_at_the_start_is_used_when_it_comes(tmp_path):
    (tmp_path / "redis").mkdir()
    server = Server(tmp_path / "redis", free_port())
    try:
        with whole_gateway(tmp_path, answer, redis=server.url) as gateway:
            for _ in range(3):
                assert not cached(gateway)
            server.start()
            until(lambda: cached(gateway))
    finally:
        server.kill()


def test_failure_mode_17_a_frozen_cache_hangs_nobody_and_is_used_when_it_goes_on(tmp_path):
    (tmp_path / "redis").mkdir()
    with (
        redis_server(tmp_path / "redis") as server,
        whole_gateway(tmp_path, answer, redis=server.url) as gateway,
    ):
        until(lambda: cached(gateway))
        server.freeze()
        try:
            for _ in range(6):
                begun = time.monotonic()
                assert not cached(gateway), "nothing is given that Redis does not confirm"
                assert time.monotonic() - begun < HANG_S
        finally:
            server.thaw()
        until(lambda: cached(gateway))


def test_failure_mode_17_a_redis_that_dies_loses_kept_answers_and_no_request(tmp_path):
    (tmp_path / "redis").mkdir()
    with (
        redis_server(tmp_path / "redis") as server,
        whole_gateway(tmp_path, answer, redis=server.url) as gateway,
    ):
        until(lambda: cached(gateway))
        server.kill()
        for _ in range(3):
            assert not cached(gateway)
        stats = httpx.get(f"http://127.0.0.1:{gateway.port}/v1/cache/stats", timeout=30)
        assert (stats.status_code, "retry-after" in stats.headers) == (503, True)
        server.start()
        until(lambda: cached(gateway))


def test_failure_mode_18_every_script_of_the_cache_stays_in_one_slot_of_a_cluster(tmp_path, cluster: Cluster):
    keys = "".join(
        f'[tenants.c{i}]\n[[keys]]\nname = "k{i}"\ntenant = "c{i}"\nkey_env = "K{i}"\n' for i in range(6)
    )
    environ = {f"K{i}": f"p402_live_of-tenant-{i}" for i in range(6)}
    with whole_gateway(tmp_path, answer, redis=cluster.url, more=keys, environ=environ) as gateway:
        for key in environ.values():  # tenants of all slots
            headers = {"authorization": f"Bearer {key}"}
            until(lambda headers=headers: cached(gateway, headers=headers))
            at = f"http://127.0.0.1:{gateway.port}/v1/cache"
            assert httpx.get(f"{at}/stats", headers=headers).json()["entries"] == 1
            entry = gateway.ask(headers=headers, p402=ON).json()["p402_metadata"]["cache_entry_id"]
            assert httpx.delete(f"{at}/entries/{entry}", headers=headers).status_code == 200
            assert httpx.post(f"{at}/clear", headers=headers).json()["cleared"] == 0
