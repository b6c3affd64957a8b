"""`GET /v1/budgets/explain` and `p402 limits explain`: the same words, from the same ledger."""

import asyncio
import json
import sqlite3
from contextlib import closing

import httpx
import openai
import pytest

from p402.guard.daily import Day
from p402.guard.explain import Standing
from p402.guard.ledger import Account
from p402.guard.scopes import Totals
from serve import limits_command
from serve.keys import hash_key
from serve.limits_command import main
from tests.serve.test_command import WHOLE, answer, gateway, loopback, stopped, write_config

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


CI, APP = "p402_live_ci", "p402_live_app"
BUDGETS = f"""
[tenants.other]
[policies.team]
daily_cap_usd = 3
[[keys]]
name = "ci"
key_sha256 = "{hash_key(CI)}"
monthly_cap_usd = 0.0003
policy = "team"
[[keys]]
name = "app"
key_sha256 = "{hash_key(APP)}"
policy = "team"
[[keys]]
name = "elsewhere"
tenant = "other"
key_sha256 = "{hash_key("x")}"
"""


def with_budgets(folder, url, session_cap="session_cap_usd = 0.0002"):
    path = write_config(folder, url, BUDGETS)
    path.write_text(path.read_text().replace("[tenants.default]\n", f"[tenants.default]\n{session_cap}\n"))
    return path


def test_p19_a_key_over_its_monthly_cap_is_refused_by_a_real_gateway_and_the_operator_sees_why(
    tmp_path, capsys
):
    async def at(exchange) -> None:
        output = 300 if exchange.body["messages"][-1]["content"] == "much" else 3
        await exchange.json({**WHOLE, "usage": {"prompt_tokens": 11, "completion_tokens": output}})

    async def until_refused(api, **more):
        told = []
        while len(told) < 50:
            try:
                reply = await api.chat.completions.create(model="auto", **HELLO, **more)
            except openai.APIStatusError as error:
                return told, error
            told.append(reply.p402_metadata)
            await asyncio.sleep(0.05)  # a settlement waits up to 10 ms; until then its hold refuses
        raise AssertionError("nothing was refused")

    async def run():
        async with loopback(at) as provider:
            path = with_budgets(tmp_path, provider.url)
            async with (
                gateway(tmp_path) as (process, url),
                openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=CI, max_retries=0) as ci,
                openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=APP, max_retries=0) as app,
                httpx.AsyncClient(base_url=url, timeout=20) as client,
            ):
                keyed = await until_refused(ci)
                much = {"messages": [{"role": "user", "content": "much"}], "max_tokens": 1}
                last = await ci.chat.completions.create(model="auto", **much)
                keyed[0].append(last.p402_metadata)
                spoken = await until_refused(app, extra_body={"p402": {"session_id": "s-1"}})
                other = await app.chat.completions.create(model="auto", **HELLO)
                assert other.choices[0].message.content == "hi"
                await asyncio.sleep(0.1)
                headers = {"authorization": f"Bearer {CI}"}
                told = (await client.get("/v1/budgets/explain?session_id=s-1", headers=headers)).json()
                asked = ["explain", "--config", str(path), "--key", "ci", "--session", "s-1"]
                assert main([*asked, "--json"]) == 0
                printed = json.loads(capsys.readouterr().out)
                assert main(asked) == 0
                table = capsys.readouterr().out
                assert (await stopped(process))[0] == 0
        return keyed, spoken, told, printed, table

    (of_key, by_key), (of_session, by_session), told, printed, table = asyncio.run(run())
    assert (by_key.status_code, by_key.code) == (402, "API_KEY_BUDGET_EXCEEDED")
    assert (by_session.status_code, by_session.code) == (402, "SESSION_BUDGET_EXCEEDED")
    assert told["would_refuse"] == printed["would_refuse"] == "API_KEY_BUDGET_EXCEEDED"
    month, team, session = told["scopes"]
    assert (month["scope"], month["name"], month["period"]) == ("key", "ci", "month")
    assert month["spent_usd"] == pytest.approx(sum(metadata["cost_usd"] for metadata in of_key))
    assert (team["scope"], team["name"], team["period"]) == ("policy", "team", "day")
    assert session["spent_usd"] == pytest.approx(sum(metadata["cost_usd"] for metadata in of_session))
    assert session["left_usd"] == of_session[-1]["session_remaining_usd"]
    for scope in (*told["scopes"], *printed["scopes"]):  # times have moved on
        for name in ("resets_in_ms", "retry_after_ms"):
            scope[name] = scope[name] is not None
    assert told["scopes"] == printed["scopes"]
    assert [scope["resets_in_ms"] for scope in told["scopes"]] == [True, True, False]
    assert "key ci" in table
    assert "policy team" in table


def stand_in(monkeypatch, spent_nano=0):
    """The ledger's file, played: every scope has spent so much."""

    def read(state, tenant, scopes=()):
        accounts = tuple((scope, Totals(spent_nano, 0)) for scope in scopes)
        return Standing(1_000, Day(0), Account(), 0, (), accounts)

    monkeypatch.setattr(limits_command, "read", read)


def test_the_table_shows_the_budgets_that_were_asked_for(tmp_path, capsys, monkeypatch):
    stand_in(monkeypatch, spent_nano=300_000)
    path = with_budgets(tmp_path, "http://127.0.0.1:9/v1")
    assert main(["explain", "--config", str(path)]) == 0
    assert "budgets within it" not in capsys.readouterr().out
    assert main(["explain", "--config", str(path), "--key", "ci", "--session", "s"]) == 0
    table = capsys.readouterr().out
    assert "key ci" in table
    assert "refuses for" in table
    assert "policy team" in table
    assert "session" in table
    assert main(["explain", "--config", str(path), "--key", "ci", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["would_refuse"] == "API_KEY_BUDGET_EXCEEDED"
    assert [(s["name"], s["refuses"]) for s in printed["scopes"]] == [("ci", True), ("team", False)]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--key", "co"], ["--key: found 'co'", "did you mean `ci`"]),
        (["--key", "elsewhere"], ["speaks for tenant other", "add `--tenant other`"]),
        (["--key", "ci", "--tenant", "other"], ["speaks for tenant default", "add `--tenant default`"]),
        (["--session", "s"], ["--session", "no `session_cap_usd` of tenant default"]),
        (["--session", ""], ["--session"]),
    ],
)
def test_a_key_or_session_that_cannot_be_shown_is_said_in_one_line(
    tmp_path, capsys, monkeypatch, argv, words
):
    stand_in(monkeypatch)
    path = with_budgets(tmp_path, "http://127.0.0.1:9/v1", session_cap="")
    assert main(["explain", "--config", str(path), *argv]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_a_session_without_a_name_is_none(tmp_path, capsys, monkeypatch):
    stand_in(monkeypatch)
    path = with_budgets(tmp_path, "http://127.0.0.1:9/v1")
    assert main(["explain", "--config", str(path), "--session", ""]) == 1
    assert "expected a session's id" in capsys.readouterr().err


def test_p16_a_single_request_over_the_ceiling_is_refused_whatever_state_the_ledger_is_in(tmp_path):
    async def run():
        async with loopback(answer) as provider:
            path = write_config(tmp_path, provider.url)
            path.write_text(
                path.read_text().replace(
                    "[tenants.default]\n", "[tenants.default]\nmax_request_usd = 0.00001\n"
                )
            )
            async with (
                gateway(tmp_path) as (process, url),
                httpx.AsyncClient(base_url=url, timeout=20) as client,
            ):
                said = []
                for state in ("well", "locked"):
                    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as db:
                        if state == "locked":
                            db.execute("BEGIN EXCLUSIVE")
                        reply = await client.post("/v1/chat/completions", json=HELLO)
                        said.append((reply.status_code, reply.json()["error"]["code"]))
                await stopped(process)
                return said, len(provider.requests)

    said, calls = asyncio.run(run())
    assert said == [(402, "REQUEST_COST_EXCEEDED")] * 2
    assert calls == 0


def test_an_operator_who_has_none_of_the_gateways_secrets_is_told_all_the_same(tmp_path, capsys, monkeypatch):
    stand_in(monkeypatch)
    path = with_budgets(tmp_path, "http://127.0.0.1:9/v1")
    text = path.read_text().replace('api_key = "sk-1"', 'api_key_env = "NOT_HERE"')
    path.write_text(text + '[[keys]]\nname = "late"\nkey_env = "NOT_HERE_EITHER"\ndaily_cap_usd = 1\n')
    assert main(["explain", "--config", str(path), "--key", "late", "--json"]) == 0
    assert [scope["name"] for scope in json.loads(capsys.readouterr().out)["scopes"]] == ["late"]
