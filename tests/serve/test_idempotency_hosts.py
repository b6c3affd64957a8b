"""`Idempotency-Key` over gateways of two hosts that share a Redis: real processes, OpenAI's own client."""

import asyncio
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import openai
import pytest

from tests.serve.redis.cluster_server import ask
from tests.serve.redis.server import Server, redis_server
from tests.serve.test_command import HELLO, gateway, rows, stopped
from tests.serve.test_command import answer as provider_answer
from tests.serve.test_hosts import host
from tests.serve.test_idempotency_process import PATH, called, fresh, hanging_answer, keyed
from tests.serve.upstream.loopback import loopback

ONCE = "p402:once:*"


@asynccontextmanager
async def two_hosts(tmp_path: Path, provider: str, redis: str):
    """Process and url of each; their workers have met Redis, and each other through it."""
    for name in "ab":
        host(tmp_path / name, provider, redis, tenant="daily_cap_usd = 100\n")
    async with gateway(tmp_path / "a") as a, gateway(tmp_path / "b") as b, fresh() as client:
        for _, url in (a, b):
            await told(client, url, lambda said: said.get("calls") == [])
        yield a, b


async def told(client: httpx.AsyncClient, url: str, true) -> None:
    """Wait for what a gateway says of its budgets."""
    for _ in range(400):
        if true((await client.get(f"{url}/v1/budgets/explain")).json()):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came true")


@asynccontextmanager
async def balancer(*urls: str):
    """Connections go to the hosts in turn; the first of each is lost once its request has gone through."""
    ends = [url.removeprefix("http://").split(":") for url in urls]
    taken: list[int] = []

    async def pipe(reader, writer) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader, writer) -> None:
        turn = len(taken) % len(ends)
        taken.append(turn)
        name, port = ends[turn]
        to_reader, to_writer = await asyncio.open_connection(name, int(port))
        try:
            if len(taken) <= len(ends):
                to_writer.write(await reader.read(65536))
                await asyncio.sleep(0.2)
                return
            await asyncio.gather(pipe(reader, to_writer), pipe(to_reader, writer))
        except ConnectionError:
            pass
        finally:
            to_writer.close()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", taken
    finally:
        server.close()


def outcomes(tmp_path: Path) -> int:
    return sum(row["kind"] == "outcome" for name in "ab" for row in rows(tmp_path / name))


@pytest.mark.parametrize("stream", [False, True])
def test_p21_the_same_key_at_two_hosts_is_one_call_and_one_answer(tmp_path, redis: Server, stream) -> None:
    ask(redis, "FLUSHALL")

    async def ask_host(url: str):
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
            found = await client.chat.completions.create(
                model="auto",
                messages=HELLO["messages"],
                stream=stream,
                extra_headers={"Idempotency-Key": "order-7"},
            )
            return [chunk.to_dict() async for chunk in found] if stream else found.to_dict()

    async def run():
        async with loopback(provider_answer) as provider:
            async with (
                two_hosts(tmp_path, provider.url, redis.url) as ((one, a), (two, b)),
                fresh() as client,
            ):
                answers = [await ask_host(url) for url in (a, b, a, b)]
                raw = [await client.post(url + PATH, **keyed("raw", stream)) for url in (b, a)]
                other = await client.post(
                    a + PATH, json={**HELLO, "seed": 1}, headers={"idempotency-key": "raw"}
                )
                for process in (one, two):
                    code, _, err = await stopped(process)
                    assert (code, err.count("Traceback")) == (0, 0), err
            assert len(provider.requests) == 2
        assert answers[1:] == answers[:1] * 3
        assert raw[0].content == raw[1].content
        assert "x-p402-idempotent-replay" not in raw[0].headers
        assert raw[1].headers["x-p402-idempotent-replay"] == "true"
        assert (other.status_code, other.json()["error"]["code"]) == (422, "INVALID_INPUT")

    asyncio.run(run())
    assert outcomes(tmp_path) == 2


def test_twenty_at_once_at_two_hosts_make_one_call(tmp_path, redis: Server) -> None:
    ask(redis, "FLUSHALL")

    async def slowly(exchange) -> None:
        await asyncio.sleep(0.3)
        await provider_answer(exchange)

    async def run():
        async with loopback(slowly) as provider:
            async with two_hosts(tmp_path, provider.url, redis.url) as ((_, a), (_, b)), fresh() as client:
                found = await asyncio.gather(
                    *(client.post(url + PATH, **keyed()) for url in (a, b) for _ in range(10))
                )
                assert {reply.status_code for reply in found} == {200, 409}
                again = [await client.post(url + PATH, **keyed()) for url in (a, b)]
                assert len({r.content for r in (*found, *again) if r.status_code == 200}) == 1
            assert len(provider.requests) == 1

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_the_openai_clients_own_retry_that_reaches_another_host_is_billed_once(
    tmp_path, redis: Server, stream
) -> None:
    ask(redis, "FLUSHALL")

    async def slowly(exchange) -> None:
        await asyncio.sleep(1.0)
        await provider_answer(exchange)

    async def run():
        async with loopback(slowly) as provider:
            async with (
                two_hosts(tmp_path, provider.url, redis.url) as ((_, a), (_, b)),
                balancer(a, b) as (url, taken),
                openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=8, timeout=20) as client,
            ):
                found = await client.chat.completions.create(
                    model="auto",
                    messages=HELLO["messages"],
                    stream=stream,
                    extra_headers={"Idempotency-Key": "order-7"},
                )
                if stream:
                    text = "".join([c.choices[0].delta.content or "" async for c in found if c.choices])
                else:
                    text = found.choices[0].message.content
                await client.close()
            assert text == "hi"
            assert taken[:2] == [0, 1]
            assert len(provider.requests) == 1

    asyncio.run(run())
    assert outcomes(tmp_path) == 1


def test_kill_9_in_flight_at_one_host_is_not_sent_again_by_the_other(tmp_path, redis: Server) -> None:
    ask(redis, "FLUSHALL")

    async def run():
        async with loopback(hanging_answer) as provider:
            async with two_hosts(tmp_path, provider.url, redis.url) as ((one, a), (_, b)), fresh() as client:
                asked = asyncio.create_task(client.post(a + PATH, **keyed()))
                await called(provider, 1)
                one.send_signal(signal.SIGKILL)
                with pytest.raises(httpx.TransportError):
                    await asked
                await one.wait()
                early = await client.post(b + PATH, **keyed())
                (entry,) = ask(redis, "KEYS", ONCE)
                ask(redis, "HINCRBY", entry, "lease", -60_000)  # as waiting would
                late = [await client.post(b + PATH, **keyed()) for _ in range(2)]
            assert len(provider.requests) == 1
        assert (early.status_code, early.json()["error"]["code"]) == (409, "IDEMPOTENCY_IN_FLIGHT")
        for reply in late:
            assert (reply.status_code, reply.json()["error"]["code"]) == (409, "IDEMPOTENCY_NO_REPLAY")

    asyncio.run(run())


def test_while_redis_is_away_what_has_a_key_is_refused_and_nothing_else(tmp_path) -> None:
    (tmp_path / "redis").mkdir()

    async def run(server: Server):
        async with loopback(provider_answer) as provider:
            async with two_hosts(tmp_path, provider.url, server.url) as ((one, a), _), fresh() as client:
                first = await client.post(a + PATH, **keyed("before"))
                await told(client, a, lambda said: said.get("calls") == [] and said.get("leases"))
                server.kill()
                found = [await client.post(a + PATH, **keyed(name)) for name in ("k", "k", "before")]
                plain = await client.post(a + PATH, json=HELLO)
                server.start()
                for _ in range(600):
                    back = await client.post(a + PATH, **keyed("k"))
                    if back.status_code == 200:
                        break
                    await asyncio.sleep(0.05)
                _, _, err = await stopped(one)
            assert len(provider.requests) == 3
        return first, found, plain, back, err

    with redis_server(tmp_path / "redis") as server:
        first, found, plain, back, err = asyncio.run(run(server))
    assert [reply.status_code for reply in found] == [503, 503, 200]
    assert found[0].json()["error"]["retry_after_ms"]
    assert found[0].headers["retry-after"]
    assert found[2].content == first.content
    assert (plain.status_code, back.status_code) == (200, 200)
    assert err.count("are refused until that is mended") == 1
    assert "Traceback" not in err


def test_nothing_is_asked_of_redis_about_keys_before_one_comes(tmp_path, redis: Server) -> None:
    ask(redis, "FLUSHALL")

    async def run():
        async with (
            loopback(provider_answer) as provider,
            two_hosts(tmp_path, provider.url, redis.url) as ((_, a), _),
            fresh() as client,
        ):
            assert (await client.post(a + PATH, json=HELLO)).status_code == 200
            before = ask(redis, "CLIENT", "LIST")
            assert (await client.post(a + PATH, **keyed())).status_code == 200
            return names(before), names(ask(redis, "CLIENT", "LIST"))

    def names(listed: bytes) -> int:
        return listed.count(b"-once ")

    assert asyncio.run(run()) == (0, 1)
