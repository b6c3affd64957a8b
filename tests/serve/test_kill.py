"""The whole gateway is killed under load: what it had acknowledged is on disk, and it starts again."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import httpx
import orjson

from p402.guard.daily import State
from p402.units import usd_to_nano
from tests.serve.test_command import HELLO, WHOLE, environment
from tests.serve.upstream.loopback import DONE, ROLE, USAGE, chunk_of, loopback

CLIENTS = 12
HANGING = 2
LOAD_S = 2.0
STUCK = "never answer this"
TORN = b'{"kind":"decision","v":1,"ts_ms":17900000000'
CONFIG = """
[server]
port = 0
workers = 2
state = "sqlite:///{folder}/state.db"
log = "{folder}/log"
store = "{folder}/store"
registry = "{folder}/registry"
[tenants.default]
requests_per_hour = 1_000_000
max_in_flight = 1_000
[providers.acme]
base_url = "{url}"
api_key = "sk-1"
[[providers.acme.models]]
id = "small"
context_window = 8000
output_limit = 1000
input_usd_per_mtok = 1
output_usd_per_mtok = 2
[[providers.acme.models]]
id = "large"
context_window = 8000
output_limit = 1000
input_usd_per_mtok = 5
output_usd_per_mtok = 20
[providers.flaky]
base_url = "{url}"
api_key = "sk-1"
[[providers.flaky.models]]
id = "third"
context_window = 8000
output_limit = 1000
input_usd_per_mtok = 0.9
output_usd_per_mtok = 1.9
"""


@dataclass
class Told:
    """What clients were told before the gateway died."""

    named: set[str] = field(default_factory=set)
    """Requests whose id was in the head of an answer, ended or not."""
    costs: dict[str, Decimal] = field(default_factory=dict)
    """Answered to the end, with `p402_metadata`: what each cost, USD."""
    streamed: set[str] = field(default_factory=set)
    rewarded: set[str] = field(default_factory=set)
    cut: int = 0
    """Exchanges that the death broke off."""
    killed: bool = False


async def provider(exchange) -> None:
    """Answers within some milliseconds, fails at times, and hangs where it is asked to."""
    if exchange.body["messages"][-1]["content"] == STUCK:
        await exchange.left()
        return
    await asyncio.sleep(random.uniform(0, 0.03))
    if exchange.body["model"] == "third" and random.random() < 0.3:
        await exchange.json({"error": {"message": "busy"}}, "503 Service Unavailable")
    elif exchange.body.get("stream"):
        await exchange.begin()
        for event in (ROLE, chunk_of("h"), chunk_of("i"), chunk_of(finish="stop"), USAGE, DONE):
            await exchange.send(event)
            await asyncio.sleep(0.002)
        await exchange.end()
    else:
        await exchange.json(WHOLE)


async def chat(client: httpx.AsyncClient, told: Told, fields: dict) -> str | None:
    """One chat, whole or streamed; gives the id if it was answered to the end."""
    metadata = None
    async with client.stream("POST", "/v1/chat/completions", json=fields) as reply:
        if reply.status_code != 200:
            return None  # every provider refused: no answer was promised
        told.named.add(reply.headers["x-p402-request-id"])
        if fields.get("stream"):
            async for line in reply.aiter_lines():
                if '"p402_metadata"' in line:
                    metadata = orjson.loads(line.removeprefix("data: "))["p402_metadata"]
        else:
            metadata = orjson.loads(await reply.aread())["p402_metadata"]
    if metadata is None:
        return None
    made = metadata["request_id"]
    told.costs[made] = Decimal(str(metadata["cost_usd"]))
    if fields.get("stream"):
        told.streamed.add(made)
    return made


async def caller(url: str, told: Told, *, streams: bool, content: str = "Hi") -> None:
    """Chats and says how they went, one after another, until the gateway is dead."""
    fields = {"messages": [{"role": "user", "content": content}], "stream": streams}
    limits = httpx.Limits(max_keepalive_connections=0)  # so that both workers are met
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
        try:
            while not told.killed:
                made = await chat(client, told, fields)
                if made is None:
                    continue
                said = await client.post("/v1/outcomes", json={"request_id": made, "status": "accepted"})
                assert said.status_code == 200
                told.rewarded.add(made)
        except httpx.TransportError:
            assert told.killed, "an exchange broke while the gateway lived"
            told.cut += 1


@contextmanager
def group(folder: Path, ready: str) -> Iterator[subprocess.Popen]:
    """`p402 serve` with its workers, in a process group of its own that is gone after the block."""
    argv = (sys.executable, "-m", "p402.cli", "serve", "--config", str(folder / "p402.toml"))
    with (folder / "said").open("ab") as said:
        process = subprocess.Popen(
            [*argv, "--ready-file", str(folder / ready), "--max-seconds", "60"],
            stdout=said,
            stderr=said,
            env=environment(),
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen) -> None:
    """SIGKILL for the command and every worker of it; a group that was waited for is left alone."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def url_of(process: subprocess.Popen, folder: Path, ready: str) -> str:
    """Root URL, once requests are taken."""
    deadline = time.monotonic() + 30
    while not (folder / ready).exists():
        waiting = process.poll() is None and time.monotonic() < deadline
        assert waiting, (folder / "said").read_text()
        time.sleep(0.02)
    return (folder / ready).read_text().strip()


def lines(folder: Path) -> list[dict]:
    """Every whole line of the log, whatever state its segment is in; each must be sound."""
    found = [path for state in ("live", "sealed") for path in (folder / "log" / state).glob("*.jsonl")]
    return [orjson.loads(line) for path in found for line in path.read_bytes().split(b"\n")[:-1]]


def ids(rows: list[dict], kind: str) -> set[str]:
    return {row["id"] for row in rows if row["kind"] == kind}


def books(folder: Path) -> tuple[int, dict[str, tuple[int, int, int]]]:
    """What the days' books say is gone, nano-USD, and every hold: amount, state, charged."""
    db = sqlite3.connect(folder / "state.db")
    try:
        (gone,) = db.execute("SELECT sum(spent_nano + held_nano) FROM day").fetchone()
        holds = db.execute("SELECT id, amount_nano, state, charged_nano FROM hold").fetchall()
    finally:
        db.close()
    return gone, {made: (amount, state, charged) for made, amount, state, charged in holds}


async def until_both_worked(folder: Path) -> None:
    """Load for `LOAD_S`, and until both workers have decided something."""
    await asyncio.sleep(LOAD_S)
    for _ in range(100):
        if len(decided_by(folder)) == 2:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("one worker took all the load")


def decided_by(folder: Path) -> set[str]:
    return {row["worker"] for row in lines(folder) if row["kind"] == "decision"}


async def load_and_kill(folder: Path, process: subprocess.Popen, url: str) -> Told:
    told = Told()
    async with asyncio.TaskGroup() as tasks:
        for i in range(CLIENTS):
            tasks.create_task(caller(url, told, streams=i % 2 == 1))
        for _ in range(HANGING):
            tasks.create_task(caller(url, told, streams=False, content=STUCK))
        await until_both_worked(folder)
        told.killed = True
        kill(process)
    return told


def verify(folder: Path) -> subprocess.CompletedProcess:
    argv = ("replay", "--verify", "--log", str(folder / "log"), "--store", str(folder / "store"))
    return subprocess.run(
        [sys.executable, "-m", "p402.cli", *argv],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env=environment(),
        check=False,
    )


def check_rows(rows: list[dict], told: Told) -> None:
    """Everything that a client was told is in the log."""
    assert told.named | told.costs.keys() <= ids(rows, "decision")
    ended = {row["id"]: row for row in rows if row["kind"] == "outcome"}
    assert told.costs.keys() <= ended.keys()
    assert {made: ended[made]["cost_nano"] for made in told.costs} == {
        made: usd_to_nano(cost) for made, cost in told.costs.items()
    }
    assert told.rewarded <= ids(rows, "reward")


def check_books(folder: Path, rows: list[dict], told: Told) -> None:
    """Whatever was answered is paid or held, and what hung in the air is held."""
    gone, holds = books(folder)
    assert gone >= sum(usd_to_nano(cost) for cost in told.costs.values())
    assert ids(rows, "decision") <= holds.keys()
    for made, cost in told.costs.items():
        amount, state, charged = holds[made]
        assert (amount if state == State.HELD else charged) >= usd_to_nano(cost)
    dead = ids(rows, "decision") - ids(rows, "outcome")
    assert len(dead) >= HANGING
    assert {holds[made][1] for made in dead} <= {State.HELD, State.EXPIRED}


async def works_again(folder: Path, told: Told) -> Told:
    """A gateway on the state of the dead one: it answers, takes a word on an old round, and stops well."""
    again = Told()
    with group(folder, "ready-again") as process:
        url = await asyncio.to_thread(url_of, process, folder, "ready-again")
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            for streams in (False, True):
                for _ in range(20):  # some are refused by all providers
                    if await chat(client, again, {**HELLO, "stream": streams}) is not None:
                        break
            late = {"request_id": min(told.costs), "status": "rejected", "source": "judge"}
            assert (await client.post("/v1/outcomes", json=late)).status_code == 200
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0, (folder / "said").read_text()
    assert len(again.costs) == 2
    return again


def test_kill_9_of_the_gateway_under_load_loses_no_acknowledged_row(tmp_path):
    async def run() -> tuple[Told, list[dict], Told]:
        async with loopback(provider) as upstream:
            (tmp_path / "p402.toml").write_text(CONFIG.format(folder=tmp_path, url=upstream.url))
            with group(tmp_path, "ready") as process:
                url = await asyncio.to_thread(url_of, process, tmp_path, "ready")
                told = await load_and_kill(tmp_path, process, url)
            found = lines(tmp_path)
            check_rows(found, told)
            check_books(tmp_path, found, told)
            torn = max((tmp_path / "log" / "live").glob("*.jsonl"), key=lambda path: path.stat().st_size)
            with torn.open("ab") as segment:  # as a power cut would leave it
                segment.write(TORN)
            replayed = await asyncio.to_thread(verify, tmp_path)
            assert replayed.returncode == 0, replayed.stdout + replayed.stderr
            return told, found, await works_again(tmp_path, told)

    told, found, again = asyncio.run(run())
    assert len(told.costs) >= 20
    assert told.streamed
    assert told.costs.keys() - told.streamed
    assert told.rewarded
    assert told.cut >= HANGING

    after = lines(tmp_path)
    check_rows(after, told)
    check_rows(after, again)
    check_books(tmp_path, after, told)
    kept = {orjson.dumps(row) for row in after}
    assert {orjson.dumps(row) for row in found} <= kept
    assert list((tmp_path / "log" / "live").iterdir()) == []
