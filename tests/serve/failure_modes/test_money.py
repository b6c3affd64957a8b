"""Failure modes 9, 14, 15, 22 and 27: money, and what is kept. Laws and races are in `tests/serve/guard`."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import orjson
import pytest

from tests.serve.failure_modes.test_leaving import STUCK, mute
from tests.serve.failure_modes.whole import HELLO, until, whole_gateway
from tests.serve.test_command import WHOLE, answer, gateway, rows, write_config
from tests.serve.test_hostile_cancels import memory_kib
from tests.serve.upstream.loopback import DONE, ROLE, Exchange, chunk_of, loopback

COST_NANO = (11 + 3) * 1_000
"""Of `WHOLE` at the cheapest provider of a gateway here."""
BILLED = {"error": {"message": "the tail was lost", "type": "server_error"}, "usage": WHOLE["usage"]}


def test_failure_mode_09_a_retry_under_a_key_is_not_billed_again(tmp_path):
    lost = [True]

    async def loses_the_first(x: Exchange) -> None:
        if lost:
            lost.pop()
            await asyncio.sleep(1.5)  # by then its client has gone and asks again
        await answer(x)

    with whole_gateway(tmp_path, loses_the_first) as gateway:
        client = openai.OpenAI(
            base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key="any", max_retries=6, timeout=0.6
        )
        with client:
            found = client.chat.completions.create(
                model="p402/cost", messages=HELLO, extra_headers={"idempotency-key": "one"}
            )
        assert found.choices[0].message.content == "hi"
        (outcome,) = gateway.until_quiet(1)
        assert outcome["cost_nano"] == COST_NANO
        assert gateway.called() == {"a": 1}


def test_failure_mode_09_a_refused_attempt_costs_nothing_and_a_billed_one_is_told_and_paid_once(tmp_path):
    async def refuses(x: Exchange) -> None:
        await x.json({"error": {"message": "overloaded"}}, "503 Service Unavailable")

    with whole_gateway(tmp_path, refuses, answer) as gateway:
        metadata = gateway.ask().json()["p402_metadata"]
        assert [a["cost_usd"] for a in metadata["attempts"]] == [0.0, pytest.approx(2 * COST_NANO / 1e9)]

    async def billed(x: Exchange) -> None:
        await x.json(BILLED)

    (tmp_path / "billed").mkdir()
    with whole_gateway(tmp_path / "billed", billed, answer) as gateway:
        metadata = gateway.ask().json()["p402_metadata"]
        (outcome,) = gateway.until_quiet(1)
    assert outcome["cost_nano"] == COST_NANO + 2 * COST_NANO
    assert sum(a["cost_usd"] for a in metadata["attempts"]) == pytest.approx(metadata["cost_usd"])
    assert gateway.called() == {"a": 1, "b": 1}, "nobody is asked twice"


def test_failure_mode_14_forty_at_once_do_not_pass_the_cap_together(tmp_path):
    cap_nano = 5 * 1_100_000  # of a hold of some thousand tokens each
    with (
        whole_gateway(tmp_path, answer, tenant={"daily_cap_usd": cap_nano / 1e9}) as gateway,
        ThreadPoolExecutor(40) as clients,
    ):
        replies = list(clients.map(lambda _: gateway.ask(max_tokens=1_000), range(40)))
        granted = [reply for reply in replies if reply.status_code == 200]
        refused = {reply.json()["error"]["code"] for reply in replies if reply.status_code != 200}
        assert {reply.status_code for reply in replies} == {200, 402}
        assert refused <= {"BUDGET_RESERVATION_FAILED", "DAILY_SPEND_LIMIT_EXCEEDED"}
        assert gateway.called() == {"a": len(granted)}
        until(lambda: gateway.budget()["calls"] == [])
        assert len(granted) * COST_NANO <= cap_nano
        assert gateway.budget()["layers"][1]["used"] == pytest.approx(len(granted) * COST_NANO / 1e9)


def test_failure_mode_15_no_way_of_ending_leaves_a_slot_or_a_hold_behind(tmp_path):
    async def plays(x: Exchange) -> None:
        match x.body.get("user"):
            case "refuse":
                await x.json({"error": {"message": "no"}}, "500 Internal Server Error")
            case "break":
                await x.begin()
                await x.send(ROLE + chunk_of("a"))
                x.writer.transport.abort()
            case "noise":
                await x.json(b"[]")
            case _:
                await mute(x)

    with whole_gateway(tmp_path, plays, tenant={"max_in_flight": 2}) as gateway:
        for _ in range(4):
            for kind in ("refuse", "break", "noise"):
                gateway.ask(user=kind, stream=kind == "break")
            gateway.ask(p402={"dry_run": True})
            gateway.ask(model="nobody's")
            gateway.leave(0.2, messages=STUCK)
            gateway.leave(0.2, messages=STUCK, stream=True, reset=True)
            until(lambda: gateway.calls_open == 0 and gateway.budget()["calls"] == [])
        reply = gateway.ask(messages=[{"role": "user", "content": "still there?"}], user="break", stream=True)
        assert reply.status_code == 200
        until(lambda: gateway.budget()["calls"] == [])
        used = {layer["layer"]: layer["used"] for layer in gateway.budget()["layers"]}
        assert (used[3], used[6]) == (0, 0), "neither a slot nor a hold is left"


def test_failure_mode_22_a_stop_under_load_loses_no_row_of_what_was_answered(tmp_path):
    async def steady(x: Exchange) -> None:
        if not x.body.get("stream"):
            await answer(x)
            return
        await x.begin()
        for event in (ROLE, chunk_of("a"), chunk_of("b"), chunk_of(finish="stop"), DONE):
            await x.send(event)
            await asyncio.sleep(0.05)
        await x.end()

    async def ask(client: httpx.AsyncClient, told: set[str], *, stream: bool) -> None:
        while True:
            try:
                reply = await client.post(
                    "/v1/chat/completions", json={"messages": HELLO, "stream": stream}, timeout=20
                )
            except httpx.TransportError:
                return
            if b'"p402_metadata"' in reply.content:
                told.add(reply.headers["x-p402-request-id"])

    async def scene() -> tuple[set[str], int]:
        told: set[str] = set()
        async with loopback(steady) as provider:
            write_config(tmp_path, provider.url)
            async with gateway(tmp_path) as (process, url), httpx.AsyncClient(base_url=url) as client:
                asking = [asyncio.create_task(ask(client, told, stream=i % 2 == 0)) for i in range(8)]
                await asyncio.sleep(1.0)
                process.send_signal(signal.SIGTERM)
                await asyncio.gather(*asking)
                async with asyncio.timeout(40):
                    await process.communicate()
                return told, process.returncode

    told, status = asyncio.run(scene())
    found = rows(tmp_path)
    decided = [row["id"] for row in found if row["kind"] == "decision"]
    ended = [row["id"] for row in found if row["kind"] == "outcome"]
    assert status == 0
    assert len(told) > 20
    assert told <= set(ended)
    assert sorted(decided) == sorted(set(ended)), "each round once, and each ended"


def test_failure_mode_27_requests_that_are_all_different_do_not_make_a_worker_grow(tmp_path):
    """Sessions, tags, models, pasts and idle connections are bounded; so is what one answer holds."""
    before, after = 1_500, 3_000

    async def ask(client: httpx.AsyncClient, numbers) -> None:
        for number in numbers:
            body = {
                "messages": [{"role": "user", "content": f"question {number} " + "x" * 500}],
                "stream": number % 3 == 0,
                "user": f"user {number}",
                "p402": {"session_id": f"session {number}", "tags": {"n": str(number)}},
                **({"model": f"unknown-{number}"} if number % 10 == 0 else {}),
            }
            reply = await client.post("/v1/chat/completions", content=orjson.dumps(body))
            assert reply.status_code in (200, 404)

    async def scene() -> tuple[int, int]:
        async with loopback(answer) as provider:
            provider.requests = _Nothing()
            write_config(tmp_path, provider.url)
            async with gateway(tmp_path) as (process, url):
                limits = httpx.Limits(max_connections=16)
                async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:
                    numbers = iter(range(before))
                    await asyncio.gather(*(ask(client, numbers) for _ in range(16)))
                    warm = memory_kib(process.pid)
                    numbers = iter(range(before, before + after))
                    await asyncio.gather(*(ask(client, numbers) for _ in range(16)))
                return warm, memory_kib(process.pid)

    warm, later = asyncio.run(scene())
    assert later - warm < 6 << 10, f"{warm} KiB after {before} requests, {later} KiB after {after} more"


class _Nothing(list):
    def append(self, _: object) -> None:
        pass
