"""Failure modes 28 to 30: what must not reach another tenant, another host, or a reader."""

import asyncio

import orjson
import pytest

from tests.serve.failure_modes.whole import Says, until, whole_gateway
from tests.serve.redis.cluster_server import ask
from tests.serve.test_command import answer
from tests.serve.test_mutated_bodies import provider as speaks
from tests.serve.upstream.loopback import Exchange

DIALECTS = ("openai", "anthropic")
KEY = "sk-of-the-tests-0123456789"


@pytest.mark.parametrize("shared", [False, True])
def test_failure_mode_28_a_kept_answer_reaches_its_own_tenant_alone(tmp_path, redis, shared):
    keys = "".join(
        f'[tenants.t{i}]\n[[keys]]\nname = "k{i}"\ntenant = "t{i}"\nkey_env = "K{i}"\n' for i in range(2)
    )
    environ = {"K0": "p402_live_of-tenant-0", "K1": "p402_live_of-tenant-1"}
    ask(redis, "FLUSHALL")
    with whole_gateway(
        tmp_path, answer, redis=redis.url if shared else None, more=keys, environ=environ
    ) as gateway:

        def asked(key: str) -> dict:
            headers = {"authorization": f"Bearer {key}"}
            reply = gateway.ask(headers=headers, p402={"cache": True})
            assert reply.headers["cache-control"] == "no-store"
            metadata = reply.json()["p402_metadata"]
            assert reply.headers["x-p402-cached"] == str(metadata["cached"]).lower()
            return metadata

        entries: dict[str, str] = {}
        for key in environ.values():
            assert not asked(key)["cached"], "the other tenant's answer is there by now"
            until(lambda key=key: asked(key)["cached"])
            entries[key] = asked(key)["cache_entry_id"]
        called = gateway.called()
        assert {key: asked(key)["cache_entry_id"] for key in environ.values()} == entries
        assert len(set(entries.values())) == len(entries)
        assert gateway.called() == called


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "307 Temporary Redirect", "308 Permanent Redirect"]
)
def test_failure_mode_29_a_redirect_takes_the_key_nowhere(tmp_path, dialect, status):
    elsewhere: list[bytes] = []

    async def scene() -> tuple[asyncio.Server, int]:
        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            elsewhere.append(await reader.read(100))
            writer.close()

        server = await asyncio.start_server(hear, "127.0.0.1", 0)
        return server, server.sockets[0].getsockname()[1]

    loop = asyncio.new_event_loop()
    server, port = loop.run_until_complete(scene())

    async def redirects(x: Exchange) -> None:
        await x.json({}, status, headers=f"location: http://127.0.0.1:{port}/v1/take\r\n")

    with whole_gateway(tmp_path, Says(redirects, dialect=dialect)) as gateway:
        reply = gateway.ask()
        assert (reply.status_code, reply.json()["error"]["code"]) == (502, "PROVIDER_ERROR")
        assert "location" not in reply.headers
        assert gateway.called() == {"a": 1}
    loop.run_until_complete(asyncio.sleep(0.05))
    server.close()
    loop.run_until_complete(server.wait_closed())
    loop.close()
    assert elsewhere == []


STEERS = {
    "api_base": "http://169.254.169.254/v1",
    "base_url": "http://evil.example",
    "api_key": "sk-of-the-client-000000",
    "extra_headers": {"host": "evil.example"},
    "extra_body": {"api_base": "http://evil.example"},
    "custom_llm_provider": "http://evil.example",
    "litellm_params": {"api_base": "http://evil.example"},
    "webhook": "http://evil.example",
    "plugins": [{"id": "web", "url": "http://evil.example"}],
    "route": "fallback",
    "models": ["dear"],
    "service_tier": "priority",
    "mcp_servers": [{"url": "http://evil.example"}],
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_failure_mode_29_no_field_of_a_client_names_where_a_call_goes(tmp_path, dialect):
    headers = {
        "x-api-base": "http://evil.example",
        "x-forwarded-host": "evil.example",
        "cookie": "session=private",
        "x-api-key": "sk-of-the-client-000000",
        "anthropic-beta": "evil",
        "openai-organization": "evil",
        "helicone-target-url": "http://evil.example",
    }
    with whole_gateway(tmp_path, Says(speaks, dialect=dialect)) as gateway:
        reply = gateway.ask(headers=headers, **STEERS)
        assert reply.status_code == 200
        (seen,) = gateway.providers["a"].requests
    sent = orjson.dumps(seen.body)
    assert b"evil" not in sent
    assert b"169.254" not in sent
    assert not STEERS.keys() & seen.body.keys()
    assert b"evil" not in seen.head
    assert b"private" not in seen.head
    assert b"client-0" not in seen.head + sent
    assert seen.head.count(KEY.encode()) == 1


ECHOES = {
    "400": ("400 Bad Request", "bad request to https://user:{key}@internal.example/v1?key={key} with {key}"),
    "401": ("401 Unauthorized", "Incorrect API key provided: {key}."),
    "403": ("403 Forbidden", "key {key} may not"),
    "404": ("404 Not Found", "no model for {key}"),
    "429": ("429 Too Many Requests", "{key} is too fast"),
    "500": ("500 Internal Server Error", "Traceback (most recent call last): {key}"),
    "200": ("200 OK", "{key}"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("status", ECHOES)
def test_failure_mode_30_a_provider_that_says_its_key_aloud_is_not_repeated(tmp_path, capfd, dialect, status):
    line, message = ECHOES[status]

    async def echoes(x: Exchange) -> None:
        error = {"type": "invalid_request_error", "message": message.format(key=KEY)}
        await x.json({"type": "error", "error": error}, line, headers=f"x-key: {KEY}\r\n")

    with whole_gateway(tmp_path, Says(echoes, dialect=dialect)) as gateway:
        replies = [gateway.ask(), gateway.ask(stream=True)]
    for reply in replies:
        assert reply.status_code >= 400
        assert KEY not in reply.text
        assert KEY[3:] not in reply.text
        assert "internal.example" not in reply.text
        assert "Traceback" not in reply.text
        assert KEY not in str(reply.headers)
    if status in ("401", "403"):
        assert {reply.status_code for reply in replies} == {502}
        assert {reply.json()["error"]["code"] for reply in replies} == {"PROVIDER_AUTH"}
    printed = capfd.readouterr()
    assert KEY not in printed.out + printed.err
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "p402.toml":
            assert KEY.encode() not in path.read_bytes(), path
