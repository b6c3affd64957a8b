"""`GET /v1/budgets/explain` and `p402 limits explain`: the same words, from the same ledger."""

import asyncio
import json

import httpx

from serve.limits_command import main
from tests.serve.test_command import WHOLE, gateway, loopback, stopped, write_config

HELLO = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}


def test_p19_a_caller_reads_from_the_ledger_why_it_was_refused_and_so_does_the_operator(tmp_path, capsys):
    async def run():
        release = asyncio.Event()

        async def answer(exchange) -> None:
            await release.wait()
            await exchange.json(WHOLE)

        async with loopback(answer) as provider:
            write_config(tmp_path, provider.url)
            path = tmp_path / "p402.toml"
            path.write_text(path.read_text().replace("max_in_flight = 1_000", "max_in_flight = 2"))
            async with (
                gateway(tmp_path) as (process, url),
                httpx.AsyncClient(base_url=url, timeout=20) as client,
            ):
                calls = [
                    asyncio.create_task(client.post("/v1/chat/completions", json=HELLO)) for _ in range(2)
                ]
                while len(provider.requests) < 2:  # noqa: ASYNC110 - the provider's own list
                    await asyncio.sleep(0.01)
                refused = await client.post("/v1/chat/completions", json=HELLO)
                told = (await client.get("/v1/budgets/explain")).json()
                assert main(["explain", "--config", str(path), "--json"]) == 0
                printed = json.loads(capsys.readouterr().out)
                assert main(["explain", "--config", str(path)]) == 0
                table = capsys.readouterr().out
                release.set()
                answers = await asyncio.gather(*calls)
                await asyncio.sleep(0.1)
                after = (await client.get("/v1/budgets/explain")).json()
                assert (await stopped(process))[0] == 0
        return refused, told, printed, table, answers, after

    refused, told, printed, table, answers, after = asyncio.run(run())
    assert refused.status_code == 429
    code = refused.json()["error"]["code"]
    assert code == told["would_refuse"] == printed["would_refuse"] == "CONCURRENCY_LIMIT_EXCEEDED"
    assert refused.headers["retry-after"] == "1"
    assert {call["request_id"] for call in told["calls"]} == {
        answer.json()["p402_metadata"]["request_id"] for answer in answers
    }
    assert all(call["in_flight"] and call["held_usd"] > 0 for call in told["calls"])
    assert [layer["used"] for layer in told["layers"]] == [layer["used"] for layer in printed["layers"]]
    assert "refuses for 1.0 s" in table
    assert after["would_refuse"] is None
    assert after["calls"] == []
    assert after["layers"][1]["used"] > 0


def test_a_ledger_that_is_not_there_or_a_tenant_that_nobody_named_is_said_in_one_line(tmp_path, capsys):
    path = write_config(tmp_path, "http://127.0.0.1:9/v1")
    assert main(["explain", "--config", str(path)]) == 1
    assert "no gateway has kept a ledger" in capsys.readouterr().err
    assert main(["explain", "--config", str(path), "--tenant", "defualt"]) == 1
    assert "did you mean `default`" in capsys.readouterr().err
    (tmp_path / "state.db").write_bytes(b"no database" * 100)
    assert main(["explain", "--config", str(path)]) == 1
    assert "cannot be read" in capsys.readouterr().err
