"""The security of the data plane, on a whole gateway; `failure_modes/README.md` names what others prove."""

import ast
import asyncio
import re
import socket
from contextlib import closing
from pathlib import Path

import httpx
import orjson
import pytest

from p402.errors import ConfigError
from p402.settings import read_settings
from serve.command import refuse_open_door
from serve.wire.json import MAX_BODY_BYTES
from tests.serve.failure_modes.whole import HELLO, PATH, Says, until, whole_gateway
from tests.serve.gateway import KEY, OTHER_KEY, Gateway, exchange
from tests.serve.test_command import SERVE, answer, environment, free_port, gateway, stopped, write_config
from tests.serve.test_mutated_bodies import provider as speaks
from tests.serve.upstream.loopback import DONE, USAGE, Exchange, chunk_of, loopback

ROOT = Path(__file__).parents[2]
MARK = "the-words-of-the-prompt-7d1f"
REPLIED = "the-words-of-the-answer-93ab"
SECRETS = {
    "P402_PROVIDERS_ACME_API_KEY": "sk-provider-2f8c11aa",
    "P402_SERVER_KEY_PEPPER": "pepper-77aa0c31",
    "P402_SERVER_ADMIN_KEY": "admin-9911bc0d",
    "P402_TENANTS_DEFAULT_ALERT_SECRET": "alert-55ee7f20",
    "CLIENT_KEY": "p402_live_client-12ab34cd",
}
ALLOWED = {
    "content-type", "content-length", "cache-control", "date", "x-p402-request-id", "x-p402-provider",
    "x-p402-model", "x-p402-cached", "x-p402-cost-usd", "x-p402-latency-ms", "transfer-encoding",
    "x-accel-buffering", "retry-after", "connection", "allow", "x-request-id",
}  # fmt: skip


# Who calls


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "narrow.example"},
        {"x-forwarded-host": "narrow", "x-forwarded-for": "10.0.0.1", "forwarded": "for=narrow"},
        {
            "x-tenant": "narrow",
            "x-tenant-id": "narrow",
            "p402-tenant": "narrow",
            "openai-organization": "narrow",
        },
        {"x-api-key": OTHER_KEY, "api-key": OTHER_KEY, "cookie": f"key={OTHER_KEY}"},
    ],
)
def test_the_tenant_is_the_bearer_keys_whatever_else_is_said(headers):
    with Gateway().served() as port:
        body = {"model": "small", "messages": HELLO, "user": "narrow", "metadata": {"tenant": "narrow"}}
        path = f"{PATH}?tenant=narrow&key={OTHER_KEY}"
        found = orjson.loads(exchange(port, "POST", path, orjson.dumps(body), headers).body)
        assert found["p402_metadata"]["tenant_id"] == "default"
        without = exchange(port, "POST", path, orjson.dumps(body), {**headers, "authorization": ""})
        assert without.status == 401


def test_a_key_that_comes_twice_is_one_key_and_never_both():
    with Gateway().served() as port, closing(socket.create_connection(("127.0.0.1", port), 20)) as client:
        body = orjson.dumps({"messages": HELLO})
        client.sendall(
            f"POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {KEY}\r\n"
            f"authorization: Bearer p402_live_nobodys\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        raw = b"".join(iter(lambda: client.recv(65536), b""))
    assert raw.startswith(b"HTTP/1.1 401")


def test_it_listens_on_loopback_unless_it_is_told_and_then_only_with_keys():
    least = {"providers": {"a": {"base_url": "http://127.0.0.1/v1"}}}
    found = read_settings(least, {})
    assert found.server.host == found.server.admin_host == "127.0.0.1"
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.com"):
        open_door = read_settings({**least, "server": {"host": host}}, {})
        with pytest.raises(ConfigError, match="keys"):
            refuse_open_door(open_door, None)


# What is taken in


def test_choices_beyond_eight_are_refused_and_eight_are_held_for_and_priced(tmp_path):
    one_nano = 1_000 * 1_000 + 100 * 1_000  # the output cap at the cheapest price, and room for the prompt
    with whole_gateway(tmp_path, answer, tenant={"max_request_usd": one_nano / 1e9}) as served:
        assert served.ask(max_tokens=1_000).status_code == 200
        eight = served.ask(max_tokens=1_000, n=8)
        assert (eight.status_code, eight.json()["error"]["code"]) == (402, "REQUEST_COST_EXCEEDED")
        assert served.ask(max_tokens=120, n=8).status_code == 200
        for n in (0, -1, 9, 10**9, 1.5, "2", True):
            refused = served.ask(n=n)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "n")
        assert served.called() == {"a": 2}
        assert [x.body.get("n") for x in served.providers["a"].requests] == [None, 8]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_url_deep_in_a_body_is_the_clients_words_and_never_called(tmp_path, dialect):
    heard: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(10))
        writer.close()

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(elsewhere, "127.0.0.1", 0))
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    part = {"type": "image_url", "image_url": {"url": f"{url}.png"}}
    body = {
        "messages": [
            {"role": "user", "name": url, "content": [{"type": "text", "text": url}]},
            {"role": "assistant", "content": "a", "metadata": {"api_base": url}},
            {"role": "user", "content": url},
        ],
        "metadata": {"callback": url, "nested": {"api_base": url}},
        "p402": {"tags": {"webhook": url}, "session_id": url},
        "user": url,
    }
    with whole_gateway(tmp_path, Says(speaks, dialect=dialect)) as served:
        assert served.ask(**body).status_code == 200
        # An image is the provider's to fetch; no arm here can see, so nobody is even asked.
        assert served.ask(messages=[{"role": "user", "content": [part]}]).status_code == 503
        assert served.called() == {"a": 1}
    loop.run_until_complete(asyncio.sleep(0.05))
    server.close()
    loop.run_until_complete(server.wait_closed())
    loop.close()
    assert heard == []


def test_a_proxy_of_the_environment_is_not_asked(tmp_path, monkeypatch):
    """No call goes where a variable says, on either transport."""
    heard: list[bytes] = []

    async def run() -> list[int]:
        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(100))
            writer.close()

        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        there = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, there)
        statuses = []
        async with loopback(answer) as provider:
            for transport in ("http1", "httpx"):
                folder = tmp_path / transport
                folder.mkdir()
                path = write_config(folder, provider.url)
                path.write_text(path.read_text().replace("api_key", f'transport = "{transport}"\napi_key'))
                async with (
                    gateway(folder) as (process, url),
                    httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client,
                ):
                    statuses.append((await client.post(PATH, json={"messages": HELLO})).status_code)
                    await stopped(process)
        server.close()
        await server.wait_closed()
        return statuses

    assert "HTTP_PROXY" not in environment()
    assert asyncio.run(run()) == [200, 200]
    assert heard == []


# What is given out


async def talkative(x: Exchange) -> None:
    """A provider whose headers and names would split ours."""
    headers = (
        "set-cookie: session=of-the-provider\r\nserver: secret-engine/1.2\r\nx-p402-model: evil\r\n"
        "x-request-id: of-the-provider\r\nopenai-organization: the-operators\r\nlocation: http://evil.example\r\n"
        "access-control-allow-origin: *\r\ncontent-security-policy: x\r\nrefresh: 0\r\n"
    )
    whole = {
        "id": "c\r\nx-evil: 1",
        "model": "m\r\nx-evil: 1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3},
    }
    if x.body.get("stream"):
        event = chunk_of("hi").replace(b'"id":"c"', b'"id":"c\\r\\nx-evil: 1","model":"m\\r\\nx-evil: 1"')
        body = event + chunk_of(finish="stop") + USAGE + DONE
        x.writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%bcontent-length: %d\r\n\r\n%b"
            % (headers.encode(), len(body), body)
        )
        await x.writer.drain()
    else:
        await x.json(whole, headers=headers)


@pytest.mark.parametrize("stream", [False, True])
def test_headers_of_an_answer_are_ours_alone(tmp_path, stream):
    with whole_gateway(tmp_path, talkative) as served:
        reply = served.ask(stream=stream)
    assert reply.status_code == 200
    assert {name.lower() for name in reply.headers} <= ALLOWED
    assert reply.headers["x-p402-model"] == "m"
    assert reply.headers["x-request-id"] == reply.headers["x-p402-request-id"]


CRLF = "m\r\nx-evil: 1\r\n\r\n<html>"


@pytest.mark.parametrize(
    "fields",
    [
        {"model": CRLF},
        {"model": "m\u2028x-evil: 1"},
        {"p402": {"session_id": CRLF}},
        {"p402": {"tags": {CRLF: CRLF}}},
        {"p402": {"action_type": CRLF}},
        {"p402": {"prefer_providers": [CRLF]}},
        {"p402": {"task": CRLF}},
        {"p402": {CRLF: 1}},
        {"user": CRLF, "metadata": {CRLF: CRLF}, CRLF: CRLF},
    ],
)
def test_line_ends_in_a_clients_words_make_no_header_and_no_line(tmp_path, capfd, fields):
    with whole_gateway(tmp_path, answer) as served:
        for stream in (False, True):
            reply = served.ask(stream=stream, **fields)
            assert reply.status_code in (200, 400, 404)
            assert {name.lower() for name in reply.headers} <= ALLOWED
        for path in (tmp_path / "log").rglob("*.jsonl"):
            for line in path.read_bytes().split(b"\n")[:-1]:
                assert "kind" in orjson.loads(line)
    assert "x-evil" not in capfd.readouterr().err


def test_line_ends_in_a_providers_words_are_cleaned_before_they_are_quoted(tmp_path, capfd):
    async def refuses(x: Exchange) -> None:
        await x.json(
            {"error": {"message": "bad\r\nx-evil: 1\r\n\x1b[31m\u202e", "code": CRLF}}, "400 Bad Request"
        )

    with whole_gateway(tmp_path, refuses) as served:
        reply = served.ask()
        outcome = served.until_quiet(1)[0]
    assert reply.status_code == 400
    assert {name.lower() for name in reply.headers} <= ALLOWED
    message = reply.json()["error"]["message"]
    assert message.isprintable()
    assert "\x1b" not in str(outcome) + capfd.readouterr().err


def test_no_answer_whatever_it_is_may_be_stored(tmp_path):
    big = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (PATH.encode(), MAX_BODY_BYTES + 1)
    hello = orjson.dumps({"messages": HELLO})
    asked = {
        b"200": b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"404": b"GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"405": b"PUT /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"400": b"nonsense\r\n\r\n",
        b"413": big,
        b"431": b"GET / HTTP/1.1\r\nx: " + b"a" * 200_000,
    }
    with whole_gateway(tmp_path, answer) as served:
        replies = [served.ask(), served.ask(stream=True), served.ask(model="nobody's"), served.ask(n=99)]
        replies += [
            httpx.post(f"http://127.0.0.1:{served.port}/v1/route", content=hello),
            httpx.post(f"http://127.0.0.1:{served.port}/v1/outcomes", content=b"{}"),
            httpx.get(f"http://127.0.0.1:{served.port}/v1/models"),
            httpx.get(f"http://127.0.0.1:{served.port}/v1/budgets/explain"),
        ]
        assert {reply.headers["cache-control"] for reply in replies} == {"no-store"}
        for status, sent in asked.items():
            with closing(socket.create_connection(("127.0.0.1", served.port), 20)) as client:
                try:
                    client.sendall(sent)
                    head = client.recv(65536)
                except ConnectionError:  # it had heard enough before all was sent
                    assert status == b"431"
                    continue
            assert head.startswith(b"HTTP/1.1 " + status), head
            assert b"cache-control: no-store\r\n" in head


@pytest.mark.parametrize("path", ["/metrics", "/dashboard", "/admin", "/admin/keys", "/debug/pprof", "/docs",
                                  "/openapi.json", "/v1/keys", "/v1/policies", "//metrics", "/v1/../metrics",
                                  "/%6detrics", "/v1/%2e%2e/metrics", "/.git/config",
                                  "/v1/chat/completions/../keys"])  # fmt: skip
def test_nothing_of_the_admin_plane_is_on_the_data_port(path):
    with Gateway().served() as port:
        for method in ("GET", "POST"):
            reply = exchange(port, method, path)
            assert reply.status == 404
            assert b"p402_requests_total" not in reply.body


# What is kept and printed


async def told(x: Exchange) -> None:
    """Answers with words of its own, as a chat, a stream or a refusal that quotes the prompt."""
    if x.body.get("user") == "refuse":
        said = x.body["messages"][-1]["content"]
        await x.json({"error": {"message": f"unsupported: {said}", "code": "bad"}}, "400 Bad Request")
    elif x.body.get("stream"):
        await x.begin()
        for event in (chunk_of(REPLIED), chunk_of(finish="stop"), USAGE, DONE):
            await x.send(event)
        await x.end()
    else:
        message = {"role": "assistant", "content": REPLIED}
        await x.json({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def test_neither_prompts_nor_answers_are_in_the_log_the_state_or_what_is_printed(tmp_path, capfd):
    prompt = [{"role": "system", "content": f"{MARK} system"}, {"role": "user", "content": f"{MARK} user"}]
    tool = {
        "type": "function",
        "function": {"name": "f", "description": MARK, "parameters": {"type": "object"}},
    }
    with whole_gateway(tmp_path, told) as served:
        for fields in (
            {},
            {"stream": True},
            {"tools": [tool]},
            {"user": "refuse"},
            {"model": MARK},
            {"p402": {"explain": True}},
            {"p402": {"dry_run": True}},
            {"p402": {"mode": MARK}},
            {"max_tokens": MARK},
            {"n": 9},
        ):
            served.ask(messages=prompt, **fields)
        served.ask(messages=[{"role": MARK, "content": MARK}])
        httpx.post(f"http://127.0.0.1:{served.port}/v1/route", content=orjson.dumps({"messages": prompt}))
        served.leave(0.2, messages=prompt, stream=True)
        until(lambda: served.calls_open == 0)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".jsonl" for path in files)
    assert any(path.name.startswith("state.db") for path in files)
    for path in files:
        raw = path.read_bytes()
        assert MARK.encode() not in raw, path
        assert REPLIED.encode() not in raw, path
    printed = capfd.readouterr()
    assert MARK not in printed.out + printed.err
    assert REPLIED not in printed.out + printed.err


BREAKS = SERVE.replace(
    "from serve.command import main;",
    "from serve.command import main; import serve.handlers.chat as c; real = c.parse_chat;\n"
    "def parse(body):\n    if b'break here' in body: raise RuntimeError('a fault of ours')\n"
    "    return real(body)\n"
    "c.parse_chat = parse;",
)


def test_no_secret_is_in_what_p402_serve_prints_measures_keeps_or_answers(tmp_path, monkeypatch):
    async def run() -> tuple[str, str]:
        admin = free_port()
        async with loopback(told) as provider:
            path = write_config(tmp_path, provider.url)
            path.write_text(
                path.read_text()
                .replace("port = 0\n", f"port = 0\nadmin_port = {admin}\n")
                .replace('api_key = "sk-1"\n', "")
                .replace(
                    "[tenants.default]\n",
                    '[tenants.default]\nalert_webhook = "https://127.0.0.1:1/hook-c0ffee"\n',
                )
                + '[[keys]]\nname = "client"\nkey_env = "CLIENT_KEY"\n'
            )
            bearer = {"authorization": f"Bearer {SECRETS['CLIENT_KEY']}"}
            async with (
                gateway(tmp_path, code=BREAKS) as (process, url),
                httpx.AsyncClient(base_url=url, timeout=20, headers=bearer) as client,
            ):
                texts = []
                for body in ({}, {"stream": True}, {"user": "refuse"}, {"user": "break here"}, {"n": 99}):
                    reply = await client.post(PATH, json={"messages": HELLO, **body})
                    texts.append(reply.text + str(reply.headers))
                    assert (reply.status_code == 500) == (body.get("user") == "break here")
                wrong = await client.post(
                    PATH, json={}, headers={"authorization": "Bearer p402_live_wrong-4242"}
                )
                texts.append(wrong.text)
                page = await client.get(
                    f"http://127.0.0.1:{admin}/metrics",
                    headers={"authorization": f"Bearer {SECRETS['P402_SERVER_ADMIN_KEY']}"},
                )
                assert page.status_code == 200
                assert "p402_requests_total" in page.text
                status, out, err = await stopped(process)
        assert status == 0
        assert "a fault of ours" in err, "the operator is told"
        return "".join(texts) + page.text, out + err

    real = environment
    monkeypatch.setattr("tests.serve.test_command.environment", lambda: {**real(), **SECRETS})
    answered, printed = asyncio.run(run())
    assert "a fault of ours" not in answered
    kept = b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".toml"
    )
    for secret in (*SECRETS.values(), "hook-c0ffee", "wrong-4242"):
        assert secret not in answered
        assert secret not in printed
        assert secret.encode() not in kept


# What the code may not do

_NEVER = re.compile(
    r"^(eval|exec|compile|pickle|marshal|shelve|yaml|jinja2|subprocess|os\.system|os\.popen)$"
)


def test_the_gateway_evaluates_unpickles_and_runs_nothing():
    """By the syntax of every module of it: no call of `eval` or `exec`, no import of what runs data."""
    for path in sorted((ROOT / "serve").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name.partition(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").partition(".")[0]]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = [node.func.id]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                names = [ast.unparse(node.func)]
            assert not [name for name in names if _NEVER.match(name)], f"{path}:{getattr(node, 'lineno', 0)}"


def test_every_dependency_is_locked_to_the_bytes_it_had():
    text = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^[\w.\[\]-]+==\S+", text, re.MULTILINE)
    entries = re.split(r"\n(?=[\w.\[\]-]+==)", text)
    assert len(pinned) > 20
    assert all("--hash=sha256:" in entry for entry in entries if re.match(r"[\w.\[\]-]+==", entry))
