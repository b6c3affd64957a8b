"""Signatures as AWS checks them: computed again, by the law as published, from what the server received."""

import asyncio
import hashlib
import hmac
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.credentials import Credentials, RefreshableCredentials

from p402.errors import ConfigError
from p402.ports import Call, Completion, Failure
from p402.settings import Secret
from serve.upstream.aws import sigv4
from serve.upstream.aws.sigv4 import SigV4
from serve.upstream.client import HttpUpstream
from serve.upstream.provider import Provider
from serve.upstream.sign import Unsigned
from serve.upstream.signers import signer_of
from serve.upstream.transport import Head
from tests.serve.upstream import loopback as scenes
from tests.serve.upstream.dialects.conformance.bedrock_speaker import BedrockSpeaker
from tests.serve.upstream.dialects.conformance.values import Said
from tests.serve.upstream.loopback import Exchange, loopback, run

NOW_MS = 1_795_651_200_000
ID, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjEXAMPLE=="
ARN = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123"
MODELS = ["eu.anthropic.claude-sonnet-4-5-20250929-v1:0", ARN]
SAID = Said(texts=("hi",))


def quoted(path: str) -> str:
    """Percent-encoding of a path's segments, once more, as the law has it for every service but S3."""
    plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"
    return "".join(chr(b) if b in plain else f"%{b:02X}" for b in path.encode())


def signature(head: bytes, body: bytes, secret: str) -> tuple[str, str, set[str]]:
    """The signature that a request should have, the one it has, and the names of the signed headers."""
    line, *rest = head.decode().strip().split("\r\n")
    method, path, _ = line.split(" ")
    headers = {k.strip().lower(): v.strip() for k, _, v in (x.partition(":") for x in rest)}
    kind, _, said = headers["authorization"].partition(" ")
    assert kind == "AWS4-HMAC-SHA256"
    fields = dict(part.strip().split("=", 1) for part in said.split(","))
    names = fields["SignedHeaders"].split(";")
    scope = fields["Credential"].split("/", 1)[1]
    canonical = "\n".join([
        method, quoted(path), "", *(f"{n}:{headers[n]}" for n in names), "", ";".join(names),
        hashlib.sha256(body).hexdigest(),
    ])  # fmt: skip
    stamp = headers["x-amz-date"]
    assert stamp.startswith(scope.split("/")[0])
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return hmac.new(key, to_sign.encode(), "sha256").hexdigest(), fields["Signature"], set(names)


class Door:
    """A Bedrock on loopback that answers a good signature, and refuses any other as AWS does."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []

    async def __call__(self, x: Exchange) -> None:
        import orjson

        raw = orjson.dumps(x.body)  # the gateway's own writer, so the same bytes
        wanted, found, names = signature(x.head, raw, SECRET)
        self.heads.append(x.head)
        if wanted != found:
            reply = {"message": "The request signature we calculated does not match."}
            await x.json(reply, "403 X", "x-amzn-errortype: InvalidSignatureException\r\n")
            return
        assert {"host", "x-amz-date", "content-type"} <= names
        if b"converse-stream" in x.head:
            speaker = BedrockSpeaker()
            x.writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n"
                b"transfer-encoding: chunked\r\n\r\n"
            )
            for piece in speaker.pieces(SAID):
                await x.send(piece)
            await x.end()
        else:
            await x.json(BedrockSpeaker().whole(SAID))


def call(model: str, *, stream: bool = False, text: str = "grüezi") -> Call:
    body = {"messages": [{"role": "user", "content": text}]}
    return Call(
        request_id="req_1", provider="aws", model=model, body=body,
        output_cap=9, stream=stream, include_usage=False, prompt_tokens=7,
    )  # fmt: skip


def upstream(url: str) -> HttpUpstream:
    found = Provider(
        "aws", "bedrock", url.removesuffix("/v1"), region="eu-west-1", transport=scenes.TRANSPORT
    )
    return HttpUpstream({"aws": found}, lambda: NOW_MS)


async def asked(door: Door, *calls: Call) -> list[Completion | Failure | bytes]:
    found: list[Completion | Failure | bytes] = []
    async with loopback(door) as server:
        client = upstream(server.url)
        try:
            for one in calls:
                if not one.stream:
                    found.append(await client.complete(one))
                    continue
                stream = await client.open_stream(one)
                found.append(stream if isinstance(stream, Failure) else b"".join([e async for e in stream]))
        finally:
            await client.aclose()
    return found


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path) -> pytest.MonkeyPatch:
    """Credentials of the environment, and nothing else to find them in."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return monkeypatch


@pytest.mark.usefixtures("environment", "hand")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_sent_is_what_was_signed(model: str, stream: bool) -> None:
    door = Door()
    (found,) = run(asked(door, call(model, stream=stream)))
    assert isinstance(found, bytes if stream else Completion), found
    path = door.heads[0].split(b" ")[1].decode()
    assert path.count("/") == 3, "colons and slashes of an id are escaped"
    assert b"x-amz-security-token" not in door.heads[0]


@pytest.mark.usefixtures("hand")
def test_a_session_token_is_sent_and_signed(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_SESSION_TOKEN", TOKEN)
    door = Door()
    (found,) = run(asked(door, call(MODELS[0])))
    assert isinstance(found, Completion), found
    assert f"x-amz-security-token: {TOKEN}".encode() in door.heads[0]
    assert signature(door.heads[0], b"", SECRET)[2] >= {"x-amz-security-token"}


@pytest.mark.usefixtures("environment")
def test_a_large_body_is_signed_too() -> None:
    (found,) = asyncio.run(asked(Door(), call(MODELS[0], text="x" * (sigv4.LARGE + 1))))
    assert isinstance(found, Completion), found


def test_a_wrong_secret_is_the_operators(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_SECRET_ACCESS_KEY", "another")
    (found,) = asyncio.run(asked(Door(), call(MODELS[0])))
    assert isinstance(found, Failure)
    assert (found.code, found.status, found.fail_over, found.of_provider) == (
        "PROVIDER_AUTH",
        502,
        True,
        True,
    )
    assert "another" not in found.message


def test_without_credentials_nothing_is_sent_and_where_to_put_them_is_told(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    door = Door()
    first, second = asyncio.run(asked(door, call(MODELS[0]), call(MODELS[0], stream=True)))
    for found in (first, second):
        assert isinstance(found, Failure)
        assert (found.code, found.fail_over, found.counts) == ("PROVIDER_AUTH", True, True)
        assert "AWS_ACCESS_KEY_ID" in found.message
    assert door.heads == []


HEAD = Head(
    "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse", {"content-type": "application/json"}
)


def temporary(left: timedelta, fetch) -> RefreshableCredentials:
    ends = datetime.now(UTC) + left
    return RefreshableCredentials(ID, SECRET, "old", ends, fetch, "test")


def fresh(token: str = "new") -> dict:
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    return {"access_key": ID, "secret_key": SECRET, "token": token, "expiry_time": ends}


def token_of(head: Head) -> str | None:
    return head.headers.get("x-amz-security-token")


def test_credentials_that_will_end_are_renewed_while_calls_go_on() -> None:
    """A botocore source in its advisory window gives the old ones at once; the new ones come in a thread."""
    import threading

    let = threading.Event()
    fetched: list[int] = []

    def fetch() -> dict:
        let.wait(10)
        fetched.append(1)
        return fresh()

    async def scene() -> None:
        signer = SigV4("eu-west-1", lambda: temporary(timedelta(hours=1), fetch))
        assert token_of(await signer.signed(HEAD, b"{}")) == "old"
        signer._source._expiry_time = datetime.now(UTC) + timedelta(minutes=12)
        tokens = {token_of(await signer.signed(HEAD, b"{}")) for _ in range(20)}
        assert tokens == {"old"}, "nobody waits for a renewal that can wait"
        let.set()
        await asyncio.wait([signer._looking])
        assert token_of(await signer.signed(HEAD, b"{}")) == "new"
        assert fetched == [1]
        await signer.aclose()

    asyncio.run(scene())


def test_calls_that_need_credentials_wait_for_one_look_together() -> None:
    looks: list[int] = []

    def find() -> Credentials:
        looks.append(1)
        return Credentials(ID, SECRET)

    async def scene() -> None:
        signer = SigV4("eu-west-1", find)
        heads = await asyncio.gather(*(signer.signed(HEAD, b"{}") for _ in range(20)))
        assert all("AWS4-HMAC-SHA256" in head.headers["authorization"] for head in heads)
        assert looks == [1]
        await signer.aclose()

    asyncio.run(scene())


def test_ended_credentials_that_cannot_be_renewed_sign_nothing() -> None:
    def fetch() -> dict:
        raise OSError("the instance's role cannot be asked")

    async def scene() -> None:
        signer = SigV4("eu-west-1", lambda: temporary(timedelta(seconds=30), fetch))
        for _ in range(2):
            with pytest.raises(Unsigned, match="cannot be asked"):
                await signer.signed(HEAD, b"{}")
        await signer.aclose()

    asyncio.run(scene())


def test_a_look_that_failed_is_made_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [None, None, Credentials(ID, SECRET)]
    monkeypatch.setattr(sigv4, "RETRY_S", 0.0)

    async def scene() -> None:
        signer = SigV4("eu-west-1", lambda: answers.pop(0))
        for _ in range(2):
            with pytest.raises(Unsigned):
                await signer.signed(HEAD, b"{}")
        assert "authorization" in (await signer.signed(HEAD, b"{}")).headers
        await signer.aclose()

    asyncio.run(scene())


def test_a_bedrock_key_needs_no_signature() -> None:
    keyed = Provider("aws", "bedrock", "https://h", Secret("bedrock-key"), region="eu-west-1")
    assert signer_of(keyed) is None
    assert isinstance(signer_of(replace(keyed, api_key=Secret(""))), SigV4)


def test_without_the_extra_the_start_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['botocore'] = None\n"
        "from serve.upstream.client import HttpUpstream\n"
        "from serve.upstream.provider import Provider\n"
        "HttpUpstream({'a': Provider('a', 'bedrock', 'https://h', region='eu-west-1')}, lambda: 0)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert ConfigError.__name__ in found.stderr
    assert "pip install 'p402[bedrock]'" in found.stderr


def test_a_gateway_without_bedrock_never_loads_botocore() -> None:
    code = (
        "import sys\n"
        "from serve.upstream.client import HttpUpstream\n"
        "from serve.upstream.provider import Provider\n"
        "others = ('openai', 'anthropic', 'azure')\n"
        "HttpUpstream({d: Provider(d, d, 'https://h') for d in others}, lambda: 0)\n"
        "import serve.worker\n"
        "print('botocore' in sys.modules)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "False"
