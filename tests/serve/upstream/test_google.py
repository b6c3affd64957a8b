"""Signing in to Google Cloud: a real key file, and a real token server on loopback."""

import asyncio
import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from p402.errors import ConfigError
from p402.ports import Call, Completion, Failure
from p402.settings import Secret
from serve.upstream import renewal
from serve.upstream.client import HttpUpstream
from serve.upstream.google import GoogleAccount
from serve.upstream.provider import Provider
from serve.upstream.renewal import Granted, RenewingSigner
from serve.upstream.sign import Unsigned
from serve.upstream.signers import signer_of
from serve.upstream.transport import Head
from tests.serve.upstream.dialects.conformance.gemini_speaker import GeminiSpeaker
from tests.serve.upstream.dialects.conformance.values import Said
from tests.serve.upstream.loopback import Exchange, loopback

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
HEAD = Head("http://h/v1/x", {"accept": "application/json"})
GONE = (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError)
PATHS = ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "HOME")


@dataclass
class TokenServer:
    """Answers with token-1, token-2, ..., each good for `lasts_s`."""

    url: str = ""
    lasts_s: int = 3600
    status: int = 200
    error: dict | None = None
    wait_s: float = 0.0
    asked: list[dict] = field(default_factory=list)

    def has_heard(self, times: int) -> "Callable[[], Awaitable[bool]]":
        async def ready() -> bool:
            return len(self.asked) >= times

        return ready


@contextlib.asynccontextmanager
async def token_server(**settings: object) -> AsyncIterator[TokenServer]:
    state = TokenServer(**settings)
    tasks: set[asyncio.Task] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.closing(writer), contextlib.suppress(*GONE):
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                (size,) = [int(x.split(b":")[1]) for x in lines if x.startswith(b"content-length")]
                asked = parse_qs((await reader.readexactly(size)).decode())
                state.asked.append({name: values[0] for name, values in asked.items()})
                await asyncio.sleep(state.wait_s)
                token = {"access_token": f"token-{len(state.asked)}", "expires_in": state.lasts_s,
                         "token_type": "Bearer"}  # fmt: skip
                body = json.dumps(state.error or token).encode()
                writer.write(
                    f"HTTP/1.1 {state.status} X\r\ncontent-type: application/json\r\n"
                    f"content-length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
    try:
        yield state
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def key_file(folder: Path, token_uri: str, **over: object) -> Path:
    path = folder / "key.json"
    info = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k1",
        "private_key": PEM,
        "client_email": "robot@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
        **over,
    }
    path.write_text(json.dumps(info))
    return path


class Watch:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@contextlib.asynccontextmanager
async def signing(folder: Path, server: TokenServer) -> AsyncIterator[tuple[RenewingSigner, Watch]]:
    watch = Watch()
    signer = RenewingSigner(GoogleAccount(key_file(folder, server.url), "providers.v"), watch)
    try:
        yield signer, watch
    finally:
        await signer.aclose()


async def until(ready: Callable[[], Awaitable[bool]]) -> None:
    while not await ready():  # noqa: ASYNC110 (it is a thread that gets there)
        await asyncio.sleep(0.005)


async def bearer(signer: RenewingSigner, head: Head = HEAD) -> str:
    return (await signer.signed(head, b"{}")).headers["authorization"]


def sends(signer: RenewingSigner, token: str) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        return await bearer(signer) == token

    return ready


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_service_account_asks_by_its_key_for_the_cloud_and_signs_every_head(tmp_path) -> None:
    async def scene() -> None:
        async with token_server() as server, signing(tmp_path, server) as (signer, _):
            first = await signer.signed(HEAD, b"{}")
            assert first.headers == {"accept": "application/json", "authorization": "Bearer token-1"}
            assert b"authorization: Bearer token-1\r\n" in first.wire
            assert await signer.signed(HEAD, b"other") is first, "made once, sent often"
            assert await bearer(signer, Head("http://h/v1/y", {})) == "Bearer token-1"
            (asked,) = server.asked
            head, claims, signature = asked["assertion"].split(".")
            KEY.public_key().verify(
                unpadded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            said = json.loads(unpadded(claims))
            assert said["iss"] == "robot@p.iam.gserviceaccount.com"
            assert said["scope"] == "https://www.googleapis.com/auth/cloud-platform"

    asyncio.run(scene())


def test_a_hundred_callers_fetch_one_token_and_one_that_leaves_takes_it_from_nobody(tmp_path) -> None:
    async def scene() -> None:
        async with token_server(wait_s=0.1) as server, signing(tmp_path, server) as (signer, _):
            callers = [asyncio.create_task(bearer(signer)) for _ in range(100)]
            await until(server.has_heard(1))
            callers[0].cancel()
            said = await asyncio.gather(*callers, return_exceptions=True)
            assert isinstance(said[0], asyncio.CancelledError)
            assert set(said[1:]) == {"Bearer token-1"}
            assert len(server.asked) == 1

    asyncio.run(scene())


def test_the_event_loop_turns_while_a_token_is_fetched(tmp_path) -> None:
    async def scene() -> None:
        async with token_server(wait_s=0.2) as server, signing(tmp_path, server) as (signer, _):
            waiting, turns = asyncio.create_task(bearer(signer)), 0
            while not waiting.done():
                await asyncio.sleep(0.01)
                turns += 1
            assert turns > 3

    asyncio.run(scene())


def test_a_token_is_renewed_ahead_while_the_old_one_serves(tmp_path) -> None:
    async def scene() -> None:
        async with token_server() as server, signing(tmp_path, server) as (signer, watch):
            assert await bearer(signer) == "Bearer token-1"
            watch.ahead_s = 3600 - renewal.AHEAD_S + 5
            assert await bearer(signer) == "Bearer token-1"
            await until(sends(signer, "Bearer token-2"))
            assert len(server.asked) == 2

    asyncio.run(scene())


def test_a_token_at_its_end_is_waited_for(tmp_path) -> None:
    async def scene() -> None:
        async with token_server() as server, signing(tmp_path, server) as (signer, watch):
            assert await bearer(signer) == "Bearer token-1"
            watch.ahead_s = 3600 - renewal.LEAST_S + 1
            server.lasts_s = 7200
            assert await bearer(signer) == "Bearer token-2"

    asyncio.run(scene())


def test_a_renewal_that_fails_leaves_the_old_token_and_is_tried_again_later(tmp_path) -> None:
    async def scene() -> None:
        async with token_server() as server, signing(tmp_path, server) as (signer, watch):
            await bearer(signer)
            server.status, server.error = 400, {"error": "invalid_grant"}
            watch.ahead_s = 3600 - 100
            assert await bearer(signer) == "Bearer token-1"
            await until(server.has_heard(2))
            await asyncio.sleep(0.05)
            for _ in range(5):
                assert await bearer(signer) == "Bearer token-1"
            assert len(server.asked) == 2, "not with every call"
            server.status, server.error = 200, None
            watch.ahead_s += renewal.PAUSE_S + 1
            await bearer(signer)
            await until(sends(signer, "Bearer token-3"))
            assert len(server.asked) == 3

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (400, {"error": "invalid_grant", "error_description": f"bad {PEM}"}, "(invalid_grant)"),
        (401, {"error": {"message": PEM}}, "(no reason given)"),
        (200, {"token_type": "Bearer"}, "gave no token"),
        (200, {"access_token": "a\r\nb: c", "expires_in": 3600}, "ValueError"),
    ],
)
def test_a_token_server_that_refuses_is_told_without_what_was_sent(tmp_path, status, error, said) -> None:
    async def scene() -> str:
        async with (
            token_server(status=status, error=error) as server,
            signing(tmp_path, server) as (signer, _),
        ):
            with pytest.raises(Unsigned) as found:
                await bearer(signer)
            return str(found.value)

    text = asyncio.run(scene())
    assert said in text
    assert "PRIVATE" not in text
    assert "127.0.0.1" not in text


def vertex(url: str, path: Path | None, **over: object) -> HttpUpstream:
    fields = {"dialect": "vertex-gemini", "credentials": None if path is None else str(path), **over}
    return HttpUpstream({"v": Provider("v", base_url=url, **fields)}, lambda: 0)


def call() -> Call:
    body = {"messages": [{"role": "user", "content": "hi"}]}
    return Call("req_1", "v", "gemini-3.1-pro-preview", body, None, False, False, 7)


async def answered(x: Exchange) -> None:
    await x.json(GeminiSpeaker("vertex-gemini", "gemini-3.1-pro-preview", "").whole(Said(texts=("hi",))))


def test_a_call_to_vertex_carries_the_token_and_no_key(tmp_path) -> None:
    async def scene() -> None:
        async with token_server() as server, loopback(answered) as provider:
            client = vertex(provider.url, key_file(tmp_path, server.url))
            assert isinstance(await client.complete(call()), Completion)
            await client.aclose()
            (request,) = provider.requests
            assert b"\r\nauthorization: Bearer token-1\r\n" in request.head
            assert b"x-goog-api-key" not in request.head
            path = b"POST /v1/publishers/google/models/gemini-3.1-pro-preview:generateContent HTTP/1.1"
            assert request.head.startswith(path)

    asyncio.run(scene())


def test_a_token_server_that_is_down_sends_the_call_elsewhere_unsent(tmp_path) -> None:
    async def scene() -> tuple[Completion | Failure, int]:
        async with token_server() as server:
            path = key_file(tmp_path, server.url)
        async with loopback(answered) as provider:
            client = vertex(provider.url, path)
            found = await client.complete(call())
            await client.aclose()
            return found, len(provider.requests)

    found, asked = asyncio.run(scene())
    assert isinstance(found, Failure)
    assert (found.code, found.status, found.fail_over, found.of_provider) == (
        "PROVIDER_AUTH",
        502,
        True,
        True,
    )
    assert "cannot be reached" in found.message
    assert asked == 0


def test_the_machines_own_account_is_looked_for_and_missing_it_is_said(tmp_path, monkeypatch) -> None:
    for name in PATHS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")

    async def scene(found: bool) -> str:
        async with token_server() as server:
            if found:
                path = key_file(tmp_path, server.url)
                monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
            signer = RenewingSigner(GoogleAccount(None, "providers.v"))
            try:
                return await bearer(signer)
            except Unsigned as error:
                return str(error)
            finally:
                await signer.aclose()

    assert asyncio.run(scene(found=False)).startswith("this machine has no application default credentials")
    assert asyncio.run(scene(found=True)) == "Bearer token-1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"{", "no whole key file"),
        (b"[]", "no service account's key file"),
        (b'{"type": "authorized_user", "refresh_token": "s3cret"}', "no service account's key file"),
        (b'{"type": "service_account", "private_key": "s3cret"}', "no whole key file"),
        (
            b'{"type": "service_account", "private_key": "s3cret", "client_email": "a@b", "token_uri": "x"}',
            "no whole key file",
        ),
    ],
)
def test_a_file_that_cannot_sign_is_an_error_of_the_configuration(tmp_path, content, said) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as found:
        vertex("http://127.0.0.1:1", path)
    assert said in str(found.value)
    assert str(found.value).startswith("providers.v.credentials: ")
    assert "s3cret" not in str(found.value)


def test_a_key_signs_nothing_and_other_dialects_ask_for_no_account(tmp_path) -> None:
    express = Provider("v", "vertex-gemini", "http://h/v1", Secret("k"), credentials=str(tmp_path / "none"))
    assert signer_of(express) is None
    assert signer_of(Provider("g", "gemini", "http://h/v1")) is None
    assert signer_of(Provider("v", "vertex-anthropic", "http://h/v1")) is not None


def test_google_is_imported_only_where_it_is_configured_and_missed_with_a_word() -> None:
    code = """
import sys
from serve.upstream.client import HttpUpstream
from serve.upstream.provider import Provider
from p402.errors import ConfigError
HttpUpstream({"g": Provider("g", "gemini", "http://h/v1")}, lambda: 0)
assert not {"google", "serve.upstream.google", "requests"} & set(sys.modules), sorted(sys.modules)
sys.modules["google"] = None
try:
    HttpUpstream({"v": Provider("v", "vertex-gemini", "http://h/v1")}, lambda: 0)
except ConfigError as error:
    print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120, env=os.environ
    )
    assert "install it with `pip install 'p402[vertex]'`" in ran.stdout


def test_a_grant_of_another_account_is_signed_alike() -> None:
    class Fixed:
        closed = False

        def granted(self) -> Granted:
            return Granted({"authorization": "Bearer a", "x-goog-user-project": "q"}, time.time() + 900)

        def close(self) -> None:
            self.closed = True

    async def scene() -> None:
        account = Fixed()
        signer = RenewingSigner(account)
        signed = await signer.signed(HEAD, b"")
        assert signed.headers["x-goog-user-project"] == "q"
        await signer.aclose()
        assert account.closed

    asyncio.run(scene())
