"""Real gateways of several hosts that share their budgets through a real Redis."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from serve.keys import hash_key
from serve.limits_command import main as limits
from tests.serve.redis.server import Server, free_port, redis_server
from tests.serve.test_command import (
    WHOLE,
    answer,
    environment,
    gateway,
    loopback,
    stopped,
    write_config,
)

HELLO = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1_000}
COST_USD = 11 * 1e-6 + 3 * 2e-6
"""Of `WHOLE` at the prices of `write_config`."""
assert WHOLE["usage"] == {"prompt_tokens": 11, "completion_tokens": 3}


def host(folder: Path, provider: str, redis: str, hosts: int = 2, tenant: str = "") -> Path:
    """The configuration of one host: its own folder, the others' Redis."""
    folder.mkdir()
    path = write_config(folder, provider)
    text = path.read_text().replace("[server]\n", f'[server]\nredis = "{redis}"\nhosts = {hosts}\n')
    path.write_text(text.replace("[tenants.default]\n", f"[tenants.default]\n{tenant}"))
    return path


def serve(path: Path) -> subprocess.CompletedProcess[str]:
    """What a gateway says that does not start."""
    return subprocess.run(
        [sys.executable, "-m", "p402.cli", "serve", "--config", str(path), "--max-seconds", "20"],
        capture_output=True, text=True, timeout=60, env=environment(), cwd=path.parent, check=False,
    )  # fmt: skip


def test_p13_two_hosts_spend_one_cap_and_both_say_so(tmp_path: Path, redis: Server, capsys) -> None:
    asyncio.run(_flushed(redis))
    cap = 0.0105  # five calls' upper bounds, and what is left of 75 as they end

    async def run():
        async with loopback(answer) as provider:
            paths = [
                host(tmp_path / name, provider.url, redis.url, tenant=f"daily_cap_usd = {cap}\n")
                for name in "ab"
            ]
            async with (
                gateway(tmp_path / "a") as (one, a),
                gateway(tmp_path / "b") as (two, b),
                httpx.AsyncClient(timeout=30) as client,
            ):
                answered, end = 0, time.monotonic() + 40
                codes: set[str] = set()
                while time.monotonic() < end and "DAILY_SPEND_LIMIT_EXCEEDED" not in codes:
                    replies = await asyncio.gather(
                        *(
                            client.post(f"{url}/v1/chat/completions", json=HELLO)
                            for url in (a, b)
                            for _ in range(4)
                        )
                    )
                    answered += sum(reply.status_code == 200 for reply in replies)
                    codes |= {r.json()["error"]["code"] for r in replies if r.status_code != 200}

                async def explained() -> list[dict]:
                    return [(await client.get(f"{url}/v1/budgets/explain")).json() for url in (a, b)]

                async def at_rest() -> bool:
                    return all(t.get("calls") == [] for t in await explained())

                await _until(at_rest)
                told = await explained()
                explained = await asyncio.to_thread(limits, ["explain", "--config", str(paths[0]), "--json"])
                assert explained == 0
                printed = json.loads(capsys.readouterr().out)
                assert (await stopped(one))[0] == (await stopped(two))[0] == 0
        return answered, codes, told, printed

    answered, codes, told, printed = asyncio.run(run())
    spent = {t["layers"][1]["used"] for t in (*told, printed)}
    assert len(spent) == 1
    assert spent.pop() == pytest.approx(answered * COST_USD)
    assert answered * COST_USD <= cap
    assert codes <= {"DAILY_SPEND_LIMIT_EXCEEDED", "BUDGET_RESERVATION_FAILED"}
    assert "DAILY_SPEND_LIMIT_EXCEEDED" in codes


def test_p19_a_key_and_a_session_are_one_budget_over_two_hosts(tmp_path: Path, redis: Server, capsys) -> None:
    asyncio.run(_flushed(redis))
    cost_nano, calls = 17_000, 6
    cap_nano = 10_000_000 - 50_000  # of which a 200th is kept for when Redis is away
    keys = f'[[keys]]\nname = "ci"\nkey_sha256 = "{hash_key("k")}"\nmonthly_cap_usd = 5\n'
    headers = {"authorization": "Bearer k"}

    async def run():
        async with loopback(answer) as provider:
            paths = [
                host(tmp_path / name, provider.url, redis.url, tenant="session_cap_usd = 0.01\n")
                for name in "ab"
            ]
            for path in paths:
                path.write_text(path.read_text() + keys)
            async with (
                gateway(tmp_path / "a") as (one, a),
                gateway(tmp_path / "b") as (two, b),
                httpx.AsyncClient(timeout=30, headers=headers) as client,
            ):

                async def at_rest() -> bool:
                    told = [(await client.get(f"{url}/v1/budgets/explain")).json() for url in (a, b)]
                    return all(t.get("calls") == [] for t in told)

                left = []
                await _until(at_rest)
                for i in range(calls):
                    body = {**HELLO, "p402": {"session_id": "s"}}
                    reply = await client.post(f"{(a, b)[i % 2]}/v1/chat/completions", json=body)
                    left.append(reply.json()["p402_metadata"]["session_remaining_usd"])
                    await _until(at_rest)
                argv = ["explain", "--config", str(paths[1]), "--key", "ci", "--session", "s", "--json"]
                assert await asyncio.to_thread(limits, argv) == 0
                printed = json.loads(capsys.readouterr().out)
                assert (await stopped(one))[0] == (await stopped(two))[0] == 0
        return left, printed

    left, printed = asyncio.run(run())
    assert left == [(cap_nano - i * cost_nano) / 1e9 for i in range(1, calls + 1)]
    key, session = printed["scopes"]
    assert (key["scope"], key["name"], session["scope"]) == ("key", "ci", "session")
    assert key["spent_usd"] == session["spent_usd"] == calls * cost_nano / 1e9
    assert session["left_usd"] == left[-1]


def test_p18_a_gateway_goes_on_from_its_lease_when_redis_dies_and_mends_the_books_when_it_is_back(
    tmp_path: Path,
) -> None:
    async def run(server: Server):
        async with loopback(answer) as provider:
            host(tmp_path / "a", provider.url, server.url, hosts=1, tenant="daily_cap_usd = 100\n")
            async with (
                gateway(tmp_path / "a") as (process, url),
                httpx.AsyncClient(base_url=url, timeout=30) as client,
            ):

                async def ask() -> int:
                    return (await client.post("/v1/chat/completions", json=HELLO)).status_code

                async def leased() -> bool:
                    told = (await client.get("/v1/budgets/explain")).json()
                    return bool(told["leases"]) and told["calls"] == []

                assert await ask() == 200
                await _until(leased)
                server.kill()
                away = [await ask() for _ in range(10)]
                assert (await client.get("/v1/budgets/explain")).status_code == 503
                server.start()

                async def mended() -> bool:
                    told = await client.get("/v1/budgets/explain")
                    return told.status_code == 200 and told.json()["layers"][1]["used"] == pytest.approx(
                        11 * COST_USD
                    )

                await _until(mended)
                after = await ask()
                status, _, err = await stopped(process)
        return away, after, status, err

    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        away, after, status, err = asyncio.run(run(server))
    assert away == [200] * 10
    assert (after, status) == (200, 0)
    assert "Traceback" not in err


def test_p16_a_single_request_over_the_ceiling_is_refused_whatever_state_redis_is_in(tmp_path: Path) -> None:
    async def run(server: Server):
        async with loopback(answer) as provider:
            host(tmp_path / "a", provider.url, server.url, hosts=1, tenant="max_request_usd = 0.001\n")
            async with (
                gateway(tmp_path / "a") as (process, url),
                httpx.AsyncClient(base_url=url, timeout=30) as client,
            ):
                said = []
                for state in ("well", "frozen", "gone", "back"):
                    {"frozen": server.freeze, "gone": server.kill, "back": server.start}.get(state, int)()
                    reply = await client.post("/v1/chat/completions", json=HELLO)
                    said.append((reply.status_code, reply.json()["error"]["code"]))
                await stopped(process)
                return said, len(provider.requests)

    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        said, calls = asyncio.run(run(server))
    assert said == [(402, "REQUEST_COST_EXCEEDED")] * 4
    assert calls == 0


def test_start_refuses_several_hosts_without_redis(tmp_path: Path) -> None:
    path = write_config(tmp_path, "http://127.0.0.1:9/v1")
    path.write_text(path.read_text().replace("[server]\n", "[server]\nhosts = 2\n"))
    said = serve(path)
    assert said.returncode == 1
    assert "server.hosts: found 2 and no `server.redis`" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_start_refuses_a_redis_that_may_evict(tmp_path: Path, workers: int) -> None:
    options = ("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis", *options) as server:
        path = host(tmp_path / "a", "http://127.0.0.1:9/v1", server.url)
        path.write_text(path.read_text().replace("[server]\n", f"[server]\nworkers = {workers}\n"))
        said = serve(path)
    assert said.returncode == 1
    assert "server.redis" in said.stderr
    assert "allkeys-lru" in said.stderr
    assert "noeviction" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_url_that_is_none_is_refused_and_not_shown(tmp_path: Path) -> None:
    path = host(tmp_path / "a", "http://127.0.0.1:9/v1", "redis://:hunter2@/0")
    said = serve(path)
    assert said.returncode == 1
    assert "server.redis" in said.stderr
    assert "hunter2" not in said.stderr + said.stdout
    assert "Traceback" not in said.stderr


def test_a_redis_that_is_away_at_start_is_said_and_waited_for(tmp_path: Path) -> None:
    async def run(server: Server):
        async with loopback(answer) as provider:
            host(tmp_path / "a", provider.url, server.url, hosts=1)
            async with (
                gateway(tmp_path / "a") as (process, url),
                httpx.AsyncClient(base_url=url, timeout=30) as client,
            ):
                first = await client.post("/v1/chat/completions", json=HELLO)
                server.start()

                async def back() -> bool:
                    return (await client.post("/v1/chat/completions", json=HELLO)).status_code == 200

                await _until(back)
                _, _, err = await stopped(process)
        return first, err

    (tmp_path / "redis").mkdir()
    server = Server(tmp_path / "redis", free_port())
    try:
        first, err = asyncio.run(run(server))
    finally:
        server.kill()
    error = first.json()["error"]
    assert (first.status_code, error["code"]) == (503, "BUDGET_RESERVATION_FAILED")
    assert error["retry_after_ms"]
    assert first.headers["retry-after"]
    assert "no budget can be reserved until it is there" in err


async def _flushed(server: Server) -> None:
    from tests.serve.guard.test_shared import tell

    await tell(server, "FLUSHALL")


async def _until(claim) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if await claim():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came true")
