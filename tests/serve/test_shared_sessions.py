"""Real workers that share sessions: an agent whose calls meet each in turn stays with its lab and arm.

The cheaper lab would be chosen by who does not know the session; the agent's first call went to the dearer.
"""

import asyncio
import os
import signal
import sqlite3
import time
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import httpx
import orjson

from tests.serve.redis.cluster_server import ask as ask_redis
from tests.serve.redis.server import Server, redis_server
from tests.serve.test_command import gateway, stopped
from tests.serve.test_kill import verify
from tests.serve.upstream.loopback import loopback

CONFIG = """
[server]
port = 0
workers = {workers}
state = "sqlite:///{folder}/state.db"
log = "{folder}/log"
store = "{folder}/store"
registry = "{folder}/registry"
{more}
[tenants.default]
requests_per_hour = 1_000_000
max_in_flight = 1_000
exploration = false
[providers.dear]
base_url = "{url}"
api_key = "sk-1"
[[providers.dear.models]]
id = "first"
family = "lab"
context_window = 100000
output_limit = 1000
capabilities = ["chat", "function_calling"]
input_usd_per_mtok = 1.1
output_usd_per_mtok = 2.2
[providers.cheap]
base_url = "{url}"
api_key = "sk-2"
[[providers.cheap.models]]
id = "second"
family = "other"
context_window = 100000
output_limit = 1000
capabilities = ["chat", "function_calling"]
input_usd_per_mtok = 1
output_usd_per_mtok = 2
"""
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
ASKED = [{"role": "user", "content": "What is on the shelf?"}]
CALLS = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
]}  # fmt: skip
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "a pen"}


async def answer(exchange) -> None:
    """A provider whose models call a tool."""
    choice = {"index": 0, "message": CALLS, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 2_000, "completion_tokens": 5}
    await exchange.json({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage})


def configured(folder: Path, url: str, workers: int = 1, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "p402.toml").write_text(CONFIG.format(folder=folder, url=url, workers=workers, more=more))
    return folder


class Agent:
    """One session of tool calls; `client` says whom a call goes to."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.messages = list(ASKED)

    async def turns(self, count: int, clients: list[httpx.AsyncClient]) -> list[dict]:
        """So many calls, to each client in turn."""
        return [await self.turn(clients[n % len(clients)]) for n in range(count)]

    async def turn(self, client: httpx.AsyncClient) -> dict:
        """The next call of the loop: its metadata. The first goes to the dear lab."""
        p402 = {"session_id": self.session, "mode": "cost"}
        if self.messages == ASKED:
            p402["exclude_providers"] = ["cheap"]
        body = {"messages": self.messages, "tools": [TOOL], "max_tokens": 50, "p402": p402}
        reply = await client.post("/v1/chat/completions", json=body)
        assert reply.status_code == 200, reply.text
        self.messages += [CALLS, RESULT]
        return reply.json()["p402_metadata"]


def decisions(folder: Path) -> dict[str, dict]:
    """Every decision by its request's id, torn lines of the killed left out."""
    found = {}
    for path in (folder / "log").glob("*/*.jsonl"):
        for line in path.read_bytes().splitlines():
            if line.startswith(b"{") and line.endswith(b"}"):
                row = orjson.loads(line)
                if row["kind"] == "decision":
                    found[row["id"]] = row
    return found


def worker_of(folder: Path, metadata: dict) -> str:
    return decisions(folder)[metadata["request_id"]]["worker"]


@asynccontextmanager
async def one_client_for_each_worker(folder: Path, url: str, known: set[str] = frozenset(), count: int = 2):
    """Clients by worker, each on a connection of its own, but those of `known` workers."""
    async with AsyncExitStack() as stack:
        found: dict[str, httpx.AsyncClient] = {}
        end = time.monotonic() + 30
        while len(found) < count and time.monotonic() < end:
            limits = httpx.Limits(max_connections=1)
            client = httpx.AsyncClient(base_url=url, timeout=30, limits=limits)
            await stack.enter_async_context(client)
            hello = await client.post("/v1/chat/completions", json={"messages": ASKED, "max_tokens": 5})
            worker = worker_of(folder, hello.json()["p402_metadata"])
            if worker not in known:
                found.setdefault(worker, client)
        assert len(found) == count, "one worker takes all connections"
        yield found


def at_home(told: list[dict], folders: list[Path], workers: list[str]) -> None:
    """All calls went to the first's arm, each decided where it was said, by what was known of the last."""
    rows = {made: row for folder in folders for made, row in decisions(folder).items()}
    assert [one["model"] for one in told] == ["first"] * len(told)
    mine = [rows[one["request_id"]] for one in told]
    assert [row["worker"] for row in mine] == workers
    for row in mine[1:]:
        assert row["inputs"]["family"] == "lab"
        assert row["inputs"]["previous_arm"] == "dear/first"
        assert row["inputs"]["warm_tokens"] == min(2_000, row["inputs"]["prompt_tokens"])


def replays(folder: Path) -> None:
    done = verify(folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_tool_loop_over_two_workers_stays_at_home_though_one_is_killed(tmp_path: Path) -> None:
    async def run():
        async with loopback(answer) as provider:
            configured(tmp_path, provider.url, workers=2)
            async with gateway(tmp_path) as (process, url):
                agent, told, by = Agent("agent"), [], []
                async with one_client_for_each_worker(tmp_path, url) as clients:
                    first, second = clients
                    await Agent("stranger").turn(clients[first])
                    for turn in range(10):
                        by.append((first, second)[turn % 2])
                        told.append(await agent.turn(clients[by[-1]]))
                    os.kill(int(by[-1].partition("-")[0][1:]), signal.SIGKILL)  # the one that answered last
                    by.append(first)
                    told.append(await agent.turn(clients[first]))
                async with one_client_for_each_worker(tmp_path, url, {first, second}, 1) as others:
                    ((third, client),) = others.items()
                    by.append(third)
                    told.append(await agent.turn(client))
                    unknown = Agent("never seen")
                    unknown.messages += [CALLS, RESULT]
                    assert (await unknown.turn(client))["model"] == "second"
                status, _, err = await stopped(process)
        assert "Traceback" not in err
        return told, by, status

    told, by, status = asyncio.run(run())
    assert status == 0
    at_home(told, [tmp_path], by)
    assert len(set(by)) == 3
    replays(tmp_path)
    with closing(sqlite3.connect(tmp_path / "state.sessions.db")) as db:
        assert db.execute("SELECT count(*) FROM session").fetchone() == (3,)
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("state.sessions.db*"))
    assert b"agent" not in raw
    assert b"default" not in raw


def test_short_chats_and_a_single_worker_leave_no_word(tmp_path: Path) -> None:
    async def run():
        async with loopback(answer) as provider:
            alone, two = tmp_path / "alone", tmp_path / "two"
            configured(alone, provider.url)
            configured(two, provider.url, workers=2)
            async with gateway(alone) as (process, url), httpx.AsyncClient(base_url=url) as client:
                await Agent("agent").turns(3, [client])
                await stopped(process)
            async with gateway(two) as (process, url), httpx.AsyncClient(base_url=url) as client:
                chat = [*ASKED, {"role": "assistant", "content": "A pen."}, *ASKED]
                for messages in (ASKED, chat):
                    reply = await client.post("/v1/chat/completions", json={"messages": messages})
                    assert reply.status_code == 200
                await stopped(process)
        return alone, two

    alone, two = asyncio.run(run())
    assert not (alone / "state.sessions.db").exists()
    with closing(sqlite3.connect(two / "state.sessions.db")) as db:
        assert db.execute("SELECT count(*) FROM session").fetchone() == (0,)


def test_a_damaged_file_costs_affinity_and_one_line_for_each_worker(tmp_path: Path) -> None:
    async def run():
        async with loopback(answer) as provider:
            configured(tmp_path, provider.url, workers=2)
            (tmp_path / "state.sessions.db").write_bytes(b"no database at all" * 100)
            async with (
                gateway(tmp_path) as (process, url),
                one_client_for_each_worker(tmp_path, url) as clients,
            ):
                await Agent("agent").turns(12, list(clients.values()))
                return await stopped(process)

    status, _, err = asyncio.run(run())
    assert status == 0
    assert err.count("sessions of other workers are not known") <= 2
    assert 1 <= err.count("do not hear of this one's sessions") <= 2
    assert "Traceback" not in err
    replays(tmp_path)


def test_a_tool_loop_over_two_hosts_stays_at_home_and_goes_on_while_redis_is_frozen(tmp_path: Path) -> None:
    async def run(server: Server):
        async with loopback(answer) as provider, AsyncExitStack() as stack:
            shared = f'redis = "{server.url}"\nhosts = 2\n'
            folders = [configured(tmp_path / name, provider.url, more=shared) for name in "ab"]
            processes, clients = [], []
            for folder in folders:
                process, url = await stack.enter_async_context(gateway(folder))
                client = httpx.AsyncClient(base_url=url, timeout=30)
                clients.append(await stack.enter_async_context(client))
                processes.append(process)
            await leased(clients)
            agent = Agent("agent")
            told = await agent.turns(10, clients)
            keys = ask_redis(server, "KEYS", "p402:session:*")
            server.freeze()
            told += await agent.turns(10, clients)
            server.thaw()
            told += await agent.turns(4, clients)
            ends = [await stopped(process) for process in processes]
        return folders, told, keys, ends

    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        folders, told, keys, ends = asyncio.run(run(server))
    workers = [worker_of(folders[turn % 2], one) for turn, one in enumerate(told)]
    assert len(set(workers)) == 2
    at_home(told, folders, workers)
    assert len(keys) == 1
    for folder, (status, _, err) in zip(folders, ends, strict=True):
        assert status == 0
        assert "Traceback" not in err
        assert err.count("sessions of other workers are not known") == 1
        replays(folder)


async def leased(clients: list[httpx.AsyncClient]) -> None:
    """Wait until every host has what it may spend while Redis is away."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for client in clients:
            await client.post("/v1/chat/completions", json={"messages": ASKED, "max_tokens": 5})
        told = [(await client.get("/v1/budgets/explain")).json() for client in clients]
        if all(len(t.get("leases", ())) == len(clients) for t in told):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("not every host has a lease")
