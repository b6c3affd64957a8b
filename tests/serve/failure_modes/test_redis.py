"""Failure modes 16 to 18: Redis is lost, frozen, or a cluster.

The books under every fault are in `tests/serve/guard` and `tests/chaos`.
"""

import time

import pytest

from tests.serve.failure_modes.whole import until, whole_gateway
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
