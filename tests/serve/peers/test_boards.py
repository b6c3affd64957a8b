"""Every hand of the board passes the suite; a hand that is away says so, and is back when it is back."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from p402.errors import StoreError
from p402.ports import WORD_MS
from serve.peers.file import FileBoard
from serve.peers.shared import EXCHANGE, KEY, SharedBoard
from serve.redis.connect import way_to
from tests.conformance.board import NOW, BoardConformance, told
from tests.serve.redis.cluster_server import Cluster, ask
from tests.serve.redis.server import Server, redis_server


@asynccontextmanager
async def opened(make, count):
    """Hands that are closed at the end."""
    hands = [make() for _ in range(count)]
    try:
        yield hands
    finally:
        for hand in hands:
            await hand.close()


def shared(url: str, clock: list[int], patience_ms: int | None = 20_000) -> SharedBoard:
    return SharedBoard(lambda: way_to(url, scripts=(EXCHANGE,), patience_ms=patience_ms), lambda: clock[0])


class TestFileBoard(BoardConformance):
    @pytest.fixture
    def open_some(self, tmp_path: Path):
        path = tmp_path / "var" / "s.peers.db"
        return lambda clock, count: opened(lambda: FileBoard(path, lambda: clock[0]), count)


class TestSharedBoard(BoardConformance):
    @pytest.fixture
    def open_some(self, redis: Server):
        ask(redis, "FLUSHALL")
        return lambda clock, count: opened(lambda: shared(redis.url, clock), count)


class TestSharedBoardOverACluster(BoardConformance):
    @pytest.fixture
    def open_some(self, cluster: Cluster):
        for node in cluster.masters:
            ask(node, "FLUSHALL")
        return lambda clock, count: opened(lambda: shared(cluster.url, clock), count)


def test_redis_forgets_all_words_when_their_workers_have_died(redis: Server):
    ask(redis, "FLUSHALL")

    async def run() -> None:
        board = SharedBoard(lambda: way_to(redis.url, scripts=(EXCHANGE,), patience_ms=20_000))
        await board.exchange("a", b"x")
        await board.exchange("b", b"y")
        await board.close()

    asyncio.run(run())
    assert 0 < int(ask(redis, "PTTL", KEY)) <= WORD_MS


def test_without_a_clock_of_ours_ages_are_by_the_servers(redis: Server):
    ask(redis, "FLUSHALL")

    async def run() -> None:
        board = SharedBoard(lambda: way_to(redis.url, scripts=(EXCHANGE,), patience_ms=20_000))
        await board.exchange("a", b"x")
        await asyncio.sleep(0.05)
        ((_, age_ms),) = (await told(board, "b", b"y")).items()
        assert 50 <= age_ms < WORD_MS
        await board.close()

    asyncio.run(run())


def test_what_is_no_word_in_the_hash_is_removed(redis: Server):
    ask(redis, "FLUSHALL")
    ask(redis, "HSET", KEY, "stranger", "no word", "other", ":", "third", "x:y")

    async def run() -> None:
        board = shared(redis.url, [NOW])
        assert await told(board, "a", b"1") == {}
        await board.close()

    asyncio.run(run())
    assert int(ask(redis, "HLEN", KEY)) == 1


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_a_redis_that_is_away_is_a_store_error_at_once_and_asked_again_when_it_is_back(tmp_path: Path, fault):
    with redis_server(tmp_path) as server:

        async def run() -> None:
            board = shared(server.url, [NOW], patience_ms=None)
            await board.exchange("a", b"1")
            getattr(server, fault)()
            for _ in range(3):
                with pytest.raises(StoreError, match="words of all hosts' workers"):
                    async with asyncio.timeout(5):
                        await board.exchange("a", b"2")
            server.thaw() if fault == "freeze" else server.start()
            for _ in range(200):
                try:
                    await board.exchange("a", b"3")
                    break
                except StoreError:
                    await asyncio.sleep(0.05)
            else:
                raise AssertionError("it was not found back")
            await board.close()

        asyncio.run(run())


def fails(board: FileBoard, match: str) -> None:
    async def run() -> None:
        with pytest.raises(StoreError, match=match):
            await board.exchange("a", b"1")

    asyncio.run(run())


def test_a_file_that_is_another_programs_is_left_alone(tmp_path: Path):
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    board = FileBoard(path, lambda: NOW)
    fails(board, "expected .* move it away")
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    db.close()


def test_a_damaged_file_is_a_store_error_until_it_is_gone(tmp_path: Path):
    path = tmp_path / "x.db"
    path.write_bytes(b"no database at all" * 100)

    async def run() -> None:
        board = FileBoard(path, lambda: NOW)
        with pytest.raises(StoreError, match="move the file away"):
            await board.exchange("a", b"1")
        path.unlink()
        assert await told(board, "a", b"1") == {}
        await board.close()

    asyncio.run(run())


def test_a_file_that_another_process_keeps_locked_is_a_store_error_and_then_free(tmp_path: Path):
    path = tmp_path / "x.db"

    async def run() -> None:
        board = FileBoard(path, lambda: NOW)
        await board.exchange("a", b"1")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await board.exchange("a", b"2")
        other.execute("ROLLBACK")
        other.close()
        assert await told(board, "b", b"3") == {b"1": 0}
        await board.close()

    asyncio.run(run())
