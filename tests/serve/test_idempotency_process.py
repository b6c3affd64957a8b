"""`Idempotency-Key` over whole processes: two workers, kill -9, restarts, lost connections, real clients."""

import asyncio
import os
import signal
import sqlite3
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import openai
import pytest

from tests.serve.test_command import HELLO, gateway, rows, stopped, write_config
from tests.serve.test_command import answer as provider_answer
from tests.serve.upstream.loopback import Loopback, loopback

PATH = "/v1/chat/completions"


def keyed(name: str = "k-1", stream: bool = False) -> dict:
    return {"json": {**HELLO, "stream": stream}, "headers": {"idempotency-key": name}}


def fresh() -> httpx.AsyncClient:
    """A client whose every request is a connection of its own, so that every worker is met."""
    return httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0), timeout=30)


async def slow_answer(exchange) -> None:
    await asyncio.sleep(0.3)
    await provider_answer(exchange)


def test_fifty_at_once_over_two_workers_make_one_call(tmp_path):
    async def run():
        async with loopback(slow_answer) as provider:
            write_config(tmp_path, provider.url)
            async with gateway(tmp_path, "--workers", "2") as (process, url), fresh() as client:
                for stream in (False, True):
                    ask = keyed(f"k-{stream}", stream)
                    found = await asyncio.gather(*(client.post(url + PATH, **ask) for _ in range(50)))
                    assert {reply.status_code for reply in found} <= {200, 409}
                    again = [await client.post(url + PATH, **ask) for _ in range(10)]
                    assert len({reply.content for reply in (*found, *again) if reply.status_code == 200}) == 1
                    assert all(reply.headers["x-p402-idempotent-replay"] == "true" for reply in again)
                code, _, err = await stopped(process)
                assert (code, err.count("Traceback")) == (0, 0), err
            assert len(provider.requests) == 2
        logged = rows(tmp_path)
        assert [row["kind"] for row in logged].count("outcome") == 2

    asyncio.run(run())


def test_an_answer_is_given_again_after_a_restart(tmp_path):
    async def run():
        async with loopback(provider_answer) as provider:
            write_config(tmp_path, provider.url)
            found = []
            for _ in range(2):
                async with gateway(tmp_path) as (process, url), fresh() as client:
                    found.append(
                        [(await client.post(url + PATH, **keyed(str(s), s))).content for s in (False, True)]
                    )
                    assert (await stopped(process))[0] == 0
                (tmp_path / "ready").unlink()
            assert found[0] == found[1]
            assert len(provider.requests) == 2
        assert (tmp_path / "state.answers.db").exists()

    asyncio.run(run())


async def hanging_answer(exchange) -> None:
    await exchange.left()


def test_kill_9_in_flight_neither_blocks_a_key_for_ever_nor_bills_it_twice(tmp_path):
    async def run():
        async with loopback(hanging_answer) as provider:
            write_config(tmp_path, provider.url)
            async with gateway(tmp_path) as (process, url), fresh() as client:
                asked = asyncio.create_task(client.post(url + PATH, **keyed()))
                await called(provider, 1)
                process.send_signal(signal.SIGKILL)
                with pytest.raises(httpx.TransportError):
                    await asked
                await process.wait()
            (tmp_path / "ready").unlink()
            async with gateway(tmp_path) as (process, url), fresh() as client:
                early = await client.post(url + PATH, **keyed())
                pass_a_minute(tmp_path)
                late = [await client.post(url + PATH, **keyed()) for _ in range(2)]
                assert len(provider.requests) == 1
                another = asyncio.create_task(client.post(url + PATH, **keyed("k-2")))
                await called(provider, 2)
                another.cancel()
        assert (early.status_code, early.json()["error"]["code"]) == (409, "IDEMPOTENCY_IN_FLIGHT")
        for reply in late:
            error = reply.json()["error"]
            assert (reply.status_code, error["code"]) == (409, "IDEMPOTENCY_NO_REPLAY")
            assert error["retry_after_ms"] is None
            assert "new key" in error["message"]

    asyncio.run(run())


async def called(provider: Loopback, times: int) -> None:
    """Wait until the provider has been called so often."""
    for _ in range(1_000):
        if len(provider.requests) == times:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(provider.requests)} calls came, expected {times}")


def pass_a_minute(folder: Path) -> None:
    """Age every lease, as waiting would."""
    db = sqlite3.connect(folder / "state.answers.db")
    with db:
        assert db.execute("UPDATE entry SET lease_ms = lease_ms - 60000").rowcount == 1
    db.close()


@asynccontextmanager
async def dropping(url: str, times: int):
    """A proxy on loopback that loses its first connections once their request has gone through."""
    host, port = url.removeprefix("http://").split(":")
    lost = [0]

    async def pipe(reader, writer) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader, writer) -> None:
        to_reader, to_writer = await asyncio.open_connection(host, int(port))
        try:
            if lost[0] < times:
                lost[0] += 1
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
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", lost
    finally:
        server.close()


@pytest.mark.parametrize("stream", [False, True])
def test_the_openai_clients_own_retry_after_a_lost_connection_gets_the_answer_and_is_billed_once(
    tmp_path, stream
):
    async def slowly(exchange) -> None:
        await asyncio.sleep(1.0)
        await provider_answer(exchange)

    async def run():
        async with loopback(slowly) as provider:
            write_config(tmp_path, provider.url)
            async with (
                gateway(tmp_path, "--workers", "2") as (process, url),
                dropping(url, times=2) as (proxy, lost),
                openai.AsyncOpenAI(
                    base_url=f"{proxy}/v1", api_key="any", max_retries=6, timeout=20
                ) as client,
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
                assert text == "hi"
                assert lost[0] == 2
                await client.close()
                assert (await stopped(process))[0] == 0
            assert len(provider.requests) == 1
        (outcome,) = [row for row in rows(tmp_path) if row["kind"] == "outcome"]
        assert outcome["status"] == "ok"

    asyncio.run(run())


def test_a_worker_that_dies_leaves_the_keys_of_the_other_alone(tmp_path):
    """One worker of two is killed; the answer of what it had ended is still given."""

    async def run():
        async with loopback(provider_answer) as provider:
            write_config(tmp_path, provider.url)
            async with gateway(tmp_path, "--workers", "2") as (process, url), fresh() as client:
                first = await client.post(url + PATH, **keyed())
                for worker in workers_of(process.pid)[:1]:
                    os.kill(worker, signal.SIGKILL)
                await asyncio.sleep(0.5)
                for _ in range(6):
                    try:
                        again = await client.post(url + PATH, **keyed())
                    except httpx.TransportError:
                        continue  # it was taken by the one that died
                    assert again.content == first.content
                await stopped(process)
            assert len(provider.requests) == 1

    asyncio.run(run())


def workers_of(parent: int) -> list[int]:
    """Worker processes of a gateway, by its process id."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
