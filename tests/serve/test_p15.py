"""Promise P15 over a real gateway of two workers: a call out of line is told four times, and not stopped."""

import asyncio
import os
import re
import signal
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serve.receiver import receiving
from tests.serve.test_command import WHOLE, free_port, gateway, rows, stopped
from tests.serve.upstream.loopback import loopback

SECRET = "whsec-of-the-tests"
CALLS = 40
CONFIG = """
[server]
port = 0
admin_port = {admin_port}
workers = 2
state = "sqlite:///{folder}/state.db"
log = "{folder}/log"
store = "{folder}/store"
registry = "{folder}/registry"
[tenants.default]
requests_per_hour = 1_000_000
max_in_flight = 1_000
daily_cap_usd = {cap}
alert_webhook = "{webhook}/hooks?to=p402"
alert_secret = "{secret}"
[providers.acme]
base_url = "{url}"
api_key = "sk-1"
[[providers.acme.models]]
id = "m"
context_window = 100_000
output_limit = 50_000
input_usd_per_mtok = 1
output_usd_per_mtok = 2
"""


async def provider(exchange) -> None:
    """Answers with as many tokens as it is asked for."""
    tokens = int(exchange.body["messages"][-1]["content"])
    usage = {"prompt_tokens": 11, "completion_tokens": tokens}
    await exchange.json({**WHOLE, "usage": usage})


def asked(tokens: int) -> dict:
    return {"messages": [{"role": "user", "content": str(tokens)}], "max_tokens": 20_000}


def samples(text: str) -> dict[tuple, float]:
    """Every sample of a scrape, as another project's parser reads it."""
    families = text_string_to_metric_families(text)
    return {(s.name, *sorted(s.labels.values())): s.value for f in families for s in f.samples}


async def scraped(admin_port: int, sample: tuple, value: float) -> dict[tuple, float]:
    """A scrape in which a sample has come to a value."""
    found: dict[tuple, float] = {}
    deadline = time.monotonic() + 10
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{admin_port}") as client:
        while time.monotonic() < deadline:
            reply = await client.get("/metrics")
            assert reply.status_code == 200
            assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
            found = samples(reply.text)
            if found.get(sample) == value:
                return found
            await asyncio.sleep(0.1)
    raise AssertionError(f"{sample} is {found.get(sample)}, expected {value}")


def configured(folder: Path, url: str, webhook: str, cap: object = 1_000) -> int:
    """Write the configuration; gives the admin port."""
    port = free_port()
    (folder / "p402.toml").write_text(
        CONFIG.format(folder=folder, url=url, webhook=webhook, cap=cap, admin_port=port, secret=SECRET)
    )
    return port


def test_p15_an_anomaly_is_a_warning_a_log_row_a_metric_and_a_webhook_and_is_not_stopped(tmp_path):
    async def run(receiver):
        async with loopback(provider) as upstream:
            admin = configured(tmp_path, upstream.url, receiver.url)
            limits = httpx.Limits(max_keepalive_connections=0)  # so that both workers are met
            async with (
                gateway(tmp_path) as (process, url),
                httpx.AsyncClient(base_url=url, limits=limits, timeout=20) as client,
            ):
                for begin in range(0, CALLS, 8):
                    usual = [
                        client.post("/v1/chat/completions", json=asked(90 + i % 20))
                        for i in range(begin, begin + 8)
                    ]
                    for reply in await asyncio.gather(*usual):
                        assert reply.status_code == 200
                        assert "ANOMALY" not in reply.text
                await asyncio.sleep(0.1)  # a settlement waits up to 10 ms, and the past is of the settled
                dear = await client.post("/v1/chat/completions", json=asked(10_000))
                assert dear.status_code == 200
                metadata = dear.json()["p402_metadata"]
                (post,) = await asyncio.to_thread(receiver.until, 1)
                found = await scraped(admin, ("p402_anomalies_total", "default"), 1)
                found = await scraped(admin, ("p402_alerts_delivered_total",), 1)
                found = await scraped(admin, ("p402_requests_total", "", "ok"), CALLS + 1)
                missing = await client.get("/metrics")
                assert missing.status_code == 404
                status, out, err = await stopped(process)
                assert (status, err) == (
                    0,
                    "p402 serve: no keys are configured: every caller is tenant default\n",
                )
                assert f"metrics    http://127.0.0.1:{admin}/metrics" in out
        return metadata, post, found

    with receiving() as receiver:
        metadata, post, found = asyncio.run(run(receiver))
    (warning,) = (w for w in metadata["warnings"] if w.startswith("ANOMALY_DETECTED"))
    assert f"of which {CALLS} are known" in warning

    (row,) = (r for r in rows(tmp_path) if r["kind"] == "outcome" and r["anomaly_z"] is not None)
    assert (row["id"], row["status"]) == (metadata["request_id"], "ok")
    assert row["anomaly_z"] >= 3

    assert post.signed_by(SECRET)
    assert post.path == "/hooks?to=p402"
    assert post.fields["id"] == f"ANOMALY_DETECTED:{row['id']}"
    assert (post.fields["arm"], post.fields["past_calls"]) == ("acme/m", CALLS)
    assert post.fields["z_score"] == row["anomaly_z"]
    assert post.fields["charged_usd"] == metadata["cost_usd"]
    assert len(receiver.posts) == 1

    assert found["p402_workers",] == 2
    assert found["p402_in_flight",] == 0
    assert found["p402_requests_total", "", "ok"] == CALLS + 1
    assert found["p402_http_answers_total", "200"] == CALLS + 1
    assert found["p402_attempts_total", "acme", "ok"] == CALLS + 1
    assert found["p402_request_seconds_count",] == CALLS + 1
    assert found["p402_guard_operations_total",] >= 2 * (CALLS + 1)
    assert found["p402_guard_unsettled_total",] == 0
    costs = sum(r["cost_nano"] for r in rows(tmp_path) if r["kind"] == "outcome")
    assert found["p402_cost_usd_total", "default"] == pytest.approx(costs / 1e9)


def test_a_day_that_is_spent_is_told_once_a_worker_under_one_id(tmp_path):
    async def run(receiver):
        async with loopback(provider) as upstream:
            admin = configured(tmp_path, upstream.url, receiver.url, cap="0.05")
            async with (
                gateway(tmp_path) as (process, url),
                httpx.AsyncClient(
                    base_url=url, limits=httpx.Limits(max_keepalive_connections=0), timeout=20
                ) as client,
            ):
                first = await client.post("/v1/chat/completions", json=asked(9_000))
                assert first.status_code == 200
                await asyncio.sleep(0.2)  # its settlement waits up to 10 ms; until then its hold refuses
                refused = 11
                for _ in range(refused):
                    reply = await client.post("/v1/chat/completions", json=asked(9_000))
                    assert reply.json()["error"]["code"] == "DAILY_SPEND_LIMIT_EXCEEDED"
                await asyncio.to_thread(receiver.until, 1)
                sample = ("p402_guard_refusals_total", "2", "DAILY_SPEND_LIMIT_EXCEEDED")
                await scraped(admin, sample, refused)
                assert (await stopped(process))[0] == 0

    with receiving() as receiver:
        asyncio.run(run(receiver))
    assert 1 <= len(receiver.posts) <= 2
    (told,) = {post.fields["id"] for post in receiver.posts}
    assert re.fullmatch(r"DAILY_SPEND_LIMIT_EXCEEDED:default:\d+", told)
    assert receiver.posts[0].fields["cap_usd"] == 0.05


def workers_of(pid: int) -> list[int]:
    """Processes that a gateway's command has started to serve."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(c) for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


def test_what_a_killed_worker_counted_stays_in_the_sum(tmp_path):
    async def run(receiver):
        async with loopback(provider) as upstream:
            admin = configured(tmp_path, upstream.url, receiver.url)
            async with (
                gateway(tmp_path) as (process, url),
                httpx.AsyncClient(
                    base_url=url, limits=httpx.Limits(max_keepalive_connections=0), timeout=20
                ) as client,
            ):
                replies = await asyncio.gather(
                    *(client.post("/v1/chat/completions", json=asked(10)) for _ in range(20))
                )
                assert {reply.status_code for reply in replies} == {200}
                counted = ("p402_requests_total", "", "ok")
                await scraped(admin, counted, 20)
                workers = workers_of(process.pid)
                assert len(workers) == 2
                os.kill(workers[0], signal.SIGKILL)
                await scraped(admin, ("p402_workers",), 1)
                await scraped(admin, ("p402_workers",), 2)  # its successor
                assert (await scraped(admin, counted, 20))["p402_request_seconds_count",] == 20
                assert (await stopped(process))[0] == 0

    with receiving() as receiver:
        asyncio.run(run(receiver))
