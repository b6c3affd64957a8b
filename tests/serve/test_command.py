"""`p402 serve` as a process: it starts, says what it serves, stops without loss, and is light."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import httpx
import orjson
import pytest

from p402.errors import ConfigError, P402Error
from p402.settings import read_settings
from serve.command import main, refuse_open_door
from tests.serve.upstream.loopback import DONE, ROLE, USAGE, chunk_of, loopback

WHOLE = {
    "id": "c",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 3},
}
HELLO = {"messages": [{"role": "user", "content": "Hi"}]}
MODEL = """
[[providers.acme.models]]
id = "m"
context_window = 8000
output_limit = 1000
input_usd_per_mtok = 1
output_usd_per_mtok = 2
"""
HEAVY = (
    "botocore",
    "duckdb",
    "google",
    "matplotlib",
    "mlflow",
    "pandas",
    "polars",
    "prometheus_client",
    "pyarrow",
    "scipy",
    "sklearn",
    "torch",
    "pydantic",
    "typer",
)
SERVE = "import sys; from serve.command import main; sys.exit(main(sys.argv[1:]))"


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("P402_")}
    return {**kept, **extra}


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def write_config(folder: Path, url: str, more: str = "") -> Path:
    path = folder / "p402.toml"
    path.write_text(
        f'[server]\nport = 0\nstate = "sqlite:///{folder}/state.db"\nlog = "{folder}/log"\n'
        f'store = "{folder}/store"\nregistry = "{folder}/registry"\n'
        "[tenants.default]\nrequests_per_hour = 1_000_000\nmax_in_flight = 1_000\n"
        f'[providers.acme]\nbase_url = "{url}"\napi_key = "sk-1"\n{MODEL}{more}'
    )
    return path


async def answer(exchange) -> None:
    """A provider that answers at once, streamed or not."""
    if exchange.body.get("stream"):
        await exchange.begin()
        for event in (ROLE, chunk_of("hi"), chunk_of(finish="stop"), USAGE, DONE):
            await exchange.send(event)
        await exchange.end()
    else:
        await exchange.json(WHOLE)


@asynccontextmanager
async def gateway(folder: Path, *argv: str, code: str = SERVE):
    """A `p402 serve` process that is stopped, hard if it must be, when the block ends."""
    ready = folder / "ready"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-c",
        code,
        "--config",
        str(folder / "p402.toml"),
        "--ready-file",
        str(ready),
        "--max-seconds",
        "60",
        *argv,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
        cwd=folder,
    )
    try:
        async with asyncio.timeout(30):
            while not ready.exists():
                if process.returncode is not None:
                    out, err = await process.communicate()
                    raise AssertionError(f"the gateway ended: {out.decode()} {err.decode()}")
                await asyncio.sleep(0.02)
        yield process, ready.read_text().strip()
    finally:
        if process.returncode is None:
            with suppress(TimeoutError):  # killed at once, it would leave its workers behind, with our pipes
                await stopped(process)
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def stopped(process, sig: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    process.send_signal(sig)
    async with asyncio.timeout(40):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def rows(folder: Path) -> list[dict]:
    """Every event of the log; all of it must be sealed."""
    assert list((folder / "log" / "live").iterdir()) == []
    sealed = sorted((folder / "log" / "sealed").iterdir())
    return [orjson.loads(line) for path in sealed for line in path.read_bytes().splitlines()]


def test_a_stop_ends_well_and_leaves_a_sealed_log(tmp_path):
    async def run():
        async with loopback(answer) as provider:
            write_config(tmp_path, provider.url)
            async with gateway(tmp_path) as (process, url), httpx.AsyncClient(base_url=url) as client:
                whole = await client.post("/v1/chat/completions", json=HELLO)
                assert whole.status_code == 200
                streamed = await client.post("/v1/chat/completions", json={**HELLO, "stream": True})
                assert streamed.text.endswith("data: [DONE]\n\n")
                asked = {"stream": True, "stream_options": {"include_usage": True}}
                counted = await client.post("/v1/chat/completions", json={**HELLO, **asked})
                assert counted.text.count('"usage":{') == 1
                request_id = whole.json()["p402_metadata"]["request_id"]
                told = await client.post(
                    "/v1/outcomes", json={"request_id": request_id, "status": "accepted"}
                )
                assert told.status_code == 200
                status, out, err = await stopped(process)
        assert status == 0
        assert f"P402 serves {url}/v1 with 1 worker(s)" in out
        assert err == "p402 serve: no keys are configured: every caller is tenant default\n"
        return request_id

    request_id = asyncio.run(run())
    kinds = [row["kind"] for row in rows(tmp_path)]
    assert kinds.count("decision") == kinds.count("outcome") == 3
    assert [row["id"] for row in rows(tmp_path) if row["kind"] == "reward"] == [request_id]


def test_an_answer_under_way_ends_before_the_gateway_does(tmp_path):
    begun = asyncio.Event()
    go_on = asyncio.Event()

    async def slow(exchange) -> None:
        await exchange.begin()
        await exchange.send(ROLE)
        await exchange.send(chunk_of("first"))
        begun.set()
        await go_on.wait()
        for event in (chunk_of("last"), chunk_of(finish="stop"), DONE):
            await exchange.send(event)
        await exchange.end()

    async def run():
        async with loopback(slow) as provider:
            write_config(tmp_path, provider.url)
            async with gateway(tmp_path) as (process, url), httpx.AsyncClient(base_url=url) as client:
                call = asyncio.create_task(
                    client.post("/v1/chat/completions", json={**HELLO, "stream": True})
                )
                await asyncio.wait_for(begun.wait(), 10)
                process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.5)
                assert process.returncode is None
                go_on.set()
                reply = await asyncio.wait_for(call, 10)
                async with asyncio.timeout(20):
                    await process.communicate()
                assert process.returncode == 0
        return reply.text

    text = asyncio.run(run())
    assert "last" in text
    assert text.endswith("data: [DONE]\n\n")
    assert [row["status"] for row in rows(tmp_path) if row["kind"] == "outcome"] == ["ok"]


@pytest.mark.parametrize(
    ("workers", "setting", "on"),
    [("1", "", True), ("2", "", True), ("1", "cache_by_meaning = false\n", False)],
)
def test_a_gateway_compares_prompts_where_the_extra_is_installed_and_it_is_not_told_otherwise(
    tmp_path, workers, setting, on
):
    async def run():
        async with loopback(answer) as provider:
            path = write_config(tmp_path, provider.url)
            path.write_text(path.read_text().replace("[server]\n", f"[server]\n{setting}", 1))
            async with (
                gateway(tmp_path, "--workers", workers) as (process, url),
                httpx.AsyncClient(base_url=url) as client,
            ):
                meaning = (await client.get("/v1/cache/stats")).json()["by_meaning"]
                status, _, _ = await stopped(process)
        return meaning, status

    meaning, status = asyncio.run(run())
    assert status == 0
    assert meaning["on"] is on
    if on:
        assert meaning["model"].startswith("minilm-l6-v2-")
        assert meaning["why_not"] is None
    else:
        assert meaning["model"] is None
        assert "cache_by_meaning" in meaning["why_not"]


def test_workers_share_one_port_and_all_end_with_sealed_logs(tmp_path):
    async def run():
        async with loopback(answer) as provider:
            write_config(tmp_path, provider.url)
            async with gateway(tmp_path, "--workers", "2") as (process, url):
                seen = set()
                deadline = time.monotonic() + 20
                while len(seen) < 2 and time.monotonic() < deadline:
                    async with httpx.AsyncClient(base_url=url) as client:
                        replies = await asyncio.gather(
                            *(client.post("/v1/chat/completions", json=HELLO) for _ in range(16))
                        )
                        assert {reply.status_code for reply in replies} == {200}
                    live = (tmp_path / "log" / "live").glob("*.jsonl")
                    seen = {path.name.split("-")[0] for path in live if b"decision" in path.read_bytes()}
                assert len(seen) == 2
                status, out, _ = await stopped(process)
                assert status == 0
                assert "with 2 worker(s)" in out

    asyncio.run(run())
    decisions = [row for row in rows(tmp_path) if row["kind"] == "decision"]
    assert len({row["worker"] for row in decisions}) == 2
    assert len({row["id"] for row in decisions}) == len(decisions)


@pytest.mark.parametrize(("compares", "most_mib"), [("false", 150), ("true", 250)])
def test_the_gateway_process_carries_nothing_heavy(tmp_path, compares, most_mib):
    """150 MiB is the promise without the embedder, which takes 63 more here."""
    at_end = (
        f"print('HEAVY', sorted(set({HEAVY!r}) & {{name.partition('.')[0] for name in sys.modules}}));"
        "lines = open('/proc/self/status').read().splitlines();"
        "print(*(line for line in lines if line.startswith('VmHWM')))"
    )
    code = SERVE.replace(
        "sys.exit(main(sys.argv[1:]))", f"status = main(sys.argv[1:]); {at_end}; sys.exit(status)"
    )

    async def run():
        async with loopback(answer) as provider:
            path = write_config(tmp_path, provider.url)
            path.write_text(  # metrics and alerts, too
                path.read_text()
                .replace(
                    "port = 0\n", f"port = 0\nadmin_port = {free_port()}\ncache_by_meaning = {compares}\n"
                )
                .replace("[tenants.default]\n", '[tenants.default]\nalert_webhook = "https://127.0.0.1:1/"\n')
            )
            async with (
                gateway(tmp_path, code=code) as (process, url),
                httpx.AsyncClient(base_url=url) as client,
            ):
                for path in ("/v1/models", "/healthz", "/readyz"):
                    assert (await client.get(path)).status_code == 200
                for fields in (
                    {},
                    {"stream": True},
                    {"p402": {"explain": True}},
                    {"p402": {"cache": True}},
                    {"p402": {"dry_run": True}},
                ):
                    reply = await client.post("/v1/chat/completions", json={**HELLO, **fields})
                    assert reply.status_code == 200
                status, out, _ = await stopped(process)
                assert status == 0
                return out

    out = asyncio.run(run())
    assert "HEAVY []" in out
    assert int(re.search(r"VmHWM:\s+(\d+) kB", out)[1]) < most_mib * 1024


def test_a_development_key_is_printed_and_needed(tmp_path):
    async def run():
        async with loopback(answer) as provider:
            write_config(tmp_path, provider.url)
            async with (
                gateway(tmp_path, "--dev-key") as (process, url),
                httpx.AsyncClient(base_url=url) as client,
            ):
                refused = await client.post("/v1/chat/completions", json=HELLO)
                assert refused.status_code == 401
                line = b""
                while b"dev key" not in line:
                    line = await asyncio.wait_for(process.stdout.readline(), 10)
                key = line.split()[2].decode()
                reply = await client.post(
                    "/v1/chat/completions", json=HELLO, headers={"authorization": f"Bearer {key}"}
                )
                assert reply.status_code == 200
                assert (await stopped(process, signal.SIGINT))[0] == 0

    asyncio.run(run())


def run_here(folder: Path, *argv: str) -> subprocess.CompletedProcess:
    """`p402 serve` to its end, as a user calls it."""
    return subprocess.run(
        [sys.executable, "-m", "p402.cli", "serve", *argv],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env=environment(),
        check=False,
    )


def test_without_configuration_it_says_so_and_offers_the_simulated_providers(tmp_path):
    ended = run_here(tmp_path)
    assert ended.returncode == 1
    assert "there is no such file" in ended.stderr
    assert "api_key_env" in ended.stderr
    assert "p402 sim providers --config-out p402-sim.toml" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def clean_environment(monkeypatch):
    for name in tuple(os.environ):
        if name.startswith("P402_"):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("clean_environment")
def test_a_broken_configuration_ends_with_its_path_and_the_nearest_name(tmp_path):
    path = write_config(tmp_path, "http://127.0.0.1:1/v1", "[tenants.other]\ndaily_cap = 3\n")
    with pytest.raises(ConfigError, match=r"tenants\.other\.daily_cap: unknown setting.*`daily_cap_usd`"):
        main(["--config", str(path)])


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.usefixtures("clean_environment")
def test_state_that_cannot_be_used_ends_before_anything_is_served(tmp_path, workers):
    path = write_config(tmp_path, "http://127.0.0.1:1/v1")
    (tmp_path / "state.db").write_bytes(
        b"this is no database, it only looks like a file of some length" * 100
    )
    with pytest.raises(P402Error, match=r"state\.db"):
        main(["--config", str(path), "--workers", workers, "--max-seconds", "20"])


@pytest.mark.usefixtures("clean_environment")
def test_a_port_that_is_taken_ends_with_a_reason(tmp_path):
    path = write_config(tmp_path, "http://127.0.0.1:1/v1")
    with (
        taken() as port,
        pytest.raises(ConfigError, match=rf"server\.port: cannot listen on 127\.0\.0\.1:{port}"),
    ):
        main(["--config", str(path), "--port", str(port)])


@pytest.mark.usefixtures("clean_environment")
def test_an_open_door_without_keys_is_refused(tmp_path):
    path = write_config(tmp_path, "http://127.0.0.1:1/v1")
    path.write_text(path.read_text().replace("[server]", '[server]\nhost = "0.0.0.0"'))
    with pytest.raises(ConfigError, match=r"server\.host.*\[\[keys\]\]"):
        main(["--config", str(path)])


@pytest.mark.parametrize(
    ("host", "open_door"),
    [("localhost", False), ("::1", False), ("127.8.8.8", False), ("example.com", True), ("::", True)],
)
def test_only_loopback_may_go_without_keys(tmp_path, host, open_door):
    document = {"server": {"host": host}, "providers": {"a": {"base_url": "http://127.0.0.1/v1"}}}
    found = read_settings(document, {})
    if open_door:
        with pytest.raises(ConfigError):
            refuse_open_door(found, None)
        refuse_open_door(found, "a development key")
    else:
        refuse_open_door(found, None)


@pytest.mark.parametrize(
    "argv", [["--port", "x"], ["--port", "70000"], ["--workers", "0"], ["--nope"], ["--max-seconds", "0"]]
)
def test_a_wrong_call_is_two(argv, capsys):
    assert main(argv) == 2
    assert "usage: p402 serve" in capsys.readouterr().err


def test_help_is_zero(capsys):
    assert main(["--help"]) == 0
    assert "--ready-file" in capsys.readouterr().out


@contextmanager
def taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        yield other.getsockname()[1]
