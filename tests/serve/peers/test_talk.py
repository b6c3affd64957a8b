"""Real workers on a real board: what one finds the other decides by, and neither waits for the other."""

import asyncio
import logging
import sqlite3
from pathlib import Path

import orjson
import pytest

from p402.errors import StoreError
from p402.flow.state import WorkerState
from p402.routing.breaker import OPEN_AFTER
from p402.store.config import configure
from p402.store.task_head import load_head
from serve.handlers.chat import chat
from serve.handlers.front import answer
from serve.http import HttpRequest
from serve.metrics.text import HELP, exposition
from serve.peers import talk as talks
from serve.peers.file import FileBoard
from serve.peers.shared import SharedBoard
from serve.peers.talk import Talk, board_path, make_board
from serve.worker import Worker
from tests.p402.flow.world import World
from tests.serve.redis.cluster_server import ask
from tests.serve.redis.server import Server
from tests.serve.test_command import HELLO
from tests.serve.test_command import answer as provider_answer
from tests.serve.test_worker import MODEL, configuration
from tests.serve.upstream.loopback import loopback

NOW = 1_800_000_000_000


class Board:
    """A board that is away for some exchanges."""

    def __init__(self, away: list[bool], error: type[Exception] = StoreError) -> None:
        self.away, self.error, self.closed = away, error, 0

    async def exchange(self, worker, data):
        if self.away.pop(0):
            raise self.error("the board is away")
        return []

    async def close(self):
        self.closed += 1


def a_talk(board) -> Talk:
    return Talk(WorkerState("w", World().snapshot, load_head()), board, lambda: NOW)


@pytest.mark.parametrize("error", [StoreError, ZeroDivisionError])
def test_a_board_that_is_away_is_told_once_and_counted_each_time(error, caplog, capsys):
    board = Board([False, True, True, True, False, True], error)
    talk = a_talk(board)

    async def run() -> None:
        for _ in range(6):
            await talk.once(board)
        await talk.close()

    with caplog.at_level(logging.WARNING, "p402.peers"):
        asyncio.run(run())
    said = [record.getMessage() for record in caplog.records if record.name == "p402.peers"]
    assert len(said) == 3
    assert "this worker goes by what it sees itself" in said[0]
    assert "heard again" in said[1]
    assert talk.collect() == {
        "p402_peers_exchanges_total": 6,
        "p402_peers_failed_total": 4,
        "p402_peers_heard_total": 0,
    }
    assert set(talk.collect()) <= set(HELP)
    assert b"p402_peers_failed_total 4\n" in exposition(talk.collect())
    assert board.closed == 1


def test_a_worker_that_is_alone_talks_to_nobody(tmp_path: Path):
    assert make_board(configuration(tmp_path).settings, lambda: NOW, "w") is None
    talk = a_talk(None)
    asyncio.run(asyncio.wait_for(talk.run(), 5))
    asyncio.run(talk.close())
    assert talk.collect() == {}


def test_workers_of_a_host_meet_in_its_file_and_hosts_in_redis(tmp_path: Path):
    pair = configuration(tmp_path, workers=2).settings
    assert isinstance(make_board(pair, lambda: NOW, "w"), FileBoard)
    assert board_path(pair) == tmp_path / "state.peers.db"
    many = configuration(tmp_path, redis="redis://127.0.0.1:1").settings
    assert isinstance(make_board(many, lambda: NOW, "w"), SharedBoard)
    assert not list(tmp_path.iterdir())


def test_the_event_loop_goes_on_while_another_process_keeps_the_file(tmp_path: Path):
    path = tmp_path / "x.db"

    async def run() -> None:
        board = FileBoard(path, lambda: NOW)
        await board.exchange("a", b"1")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(board.exchange("a", b"2"))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        other.execute("ROLLBACK")
        other.close()
        await waiting
        await board.close()

    asyncio.run(run())


def two_providers(folder: Path, alive: str, **server):
    """A provider that nobody listens at and one that answers; the dead one is the cheaper."""
    document = {
        "server": {
            "state": f"sqlite:///{folder}/state.db", "log": f"{folder}/log", "store": f"{folder}/store",
            "registry": f"{folder}/registry", **server,
        },
        "tenants": {"default": {"exploration": False}},
        "providers": {
            "dead": {
                "base_url": "http://127.0.0.1:1/v1",
                "models": [MODEL | {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.2}],
            },
            "live": {"base_url": alive, "models": [MODEL]},
        },
    }  # fmt: skip
    return configure(document, {})


async def attempts(worker: Worker) -> list[str]:
    body = HELLO | {"p402": {"mode": "cost", "cache": False}}
    reply = await answer(
        worker.front, chat, HttpRequest("POST", "/v1/chat/completions", {}, orjson.dumps(body))
    )
    assert reply.status == 200
    return [tried["provider"] for tried in orjson.loads(reply.body)["p402_metadata"]["attempts"]]


async def found_dead(folders: tuple[Path, Path], **server) -> None:
    """One worker finds a provider dead; another, which never called it, leaves it alone from then on."""
    async with loopback(provider_answer) as provider:
        one, other = (Worker(two_providers(folder, provider.url, **server)) for folder in folders)
        await one.start()
        await other.start()
        try:
            assert await attempts(one) == ["dead", "live"]
            # The others at once: on a slow machine a second goes by, and its failures alone keep calls away.
            for _ in range(OPEN_AFTER - 1):
                seen_ms = one.front.clock.now_ms()
                one.front.flow.state.health.observe("dead/m", seen_ms, failed=True, of_provider=True)
            table = other.front.flow.state.health
            for _ in range(400):
                other.front.flow._publish_live(other.front.clock.now_ms())
                if (live := table.table.get("dead/m")) is not None and live.open_circuit:
                    break
                await asyncio.sleep(0.02)
            else:
                raise AssertionError("the other worker was not told")
            assert await attempts(other) == ["live"]
        finally:
            await one.stop()
            await other.stop()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(talks, "EVERY_S", 0.05)


@pytest.mark.usefixtures("quick")
def test_two_workers_of_a_host_learn_of_a_dead_provider_from_each_other(tmp_path: Path):
    asyncio.run(found_dead((tmp_path, tmp_path), workers=2))


@pytest.mark.usefixtures("quick")
def test_two_hosts_learn_of_a_dead_provider_by_redis(tmp_path: Path, redis: Server):
    ask(redis, "FLUSHALL")
    asyncio.run(found_dead((tmp_path / "a", tmp_path / "b"), redis=redis.url, hosts=2))
