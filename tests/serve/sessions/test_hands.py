"""Every hand that shares sessions passes the suite; what is left is bounded, and says nothing in clear."""

import asyncio
import sqlite3
import stat
import time
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from p402.errors import StoreError
from p402.ports import SESSION_MS
from serve.redis.connect import way_to
from serve.sessions.code import key_of
from serve.sessions.file import FileShelf
from serve.sessions.redis_shelf import RECALL, RedisShelf, name_of
from serve.sessions.shared import SharedSessions
from tests.conformance.sessions import NOW, HandTime, SessionsConformance, warmth, what
from tests.serve.redis.cluster_server import Cluster, ask
from tests.serve.redis.server import Server

PATIENT_S = 20.0


class RealTime:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def elapse(self, ms: int) -> None:
        await asyncio.sleep(ms / 1_000)


@asynccontextmanager
async def opened(time, shelves):
    hands = [SharedSessions(shelf, time.now_ms, bound_s=PATIENT_S) for shelf in shelves]
    try:
        for hand in hands:
            await hand.open()
        yield time, hands
    finally:
        for hand in hands:
            await hand.close()


def redis_shelf(url: str, kept_ms: int = SESSION_MS, patience_ms: int | None = 20_000) -> RedisShelf:
    return RedisShelf(lambda: way_to(url, scripts=(RECALL,), patience_ms=patience_ms), kept_ms)


class TestFile(SessionsConformance):
    @pytest.fixture
    def open_some(self, tmp_path: Path):
        path = tmp_path / "var" / "state.sessions.db"

        def some(kept_ms, count):
            time = HandTime()
            return opened(time, [FileShelf(path, time.now_ms, kept_ms=kept_ms) for _ in range(count)])

        return some


class TestRedis(SessionsConformance):
    @pytest.fixture
    def open_some(self, redis: Server):
        ask(redis, "FLUSHALL")
        return lambda kept_ms, n: opened(RealTime(), [redis_shelf(redis.url, kept_ms) for _ in range(n)])


class TestRedisCluster(SessionsConformance):
    @pytest.fixture
    def open_some(self, cluster: Cluster):
        for node in cluster.masters:
            ask(node, "FLUSHALL")
        return lambda kept_ms, n: opened(RealTime(), [redis_shelf(cluster.url, kept_ms) for _ in range(n)])


# Redis


def test_hosts_whose_clocks_differ_by_hours_agree_on_how_long_ago_it_was(redis: Server):
    ask(redis, "FLUSHALL")
    real = RealTime()

    async def run() -> None:
        early = SharedSessions(redis_shelf(redis.url), lambda: real.now_ms() - 7_200_000)
        late = SharedSessions(redis_shelf(redis.url), lambda: real.now_ms() + 7_200_000, bound_s=PATIENT_S)
        early.note("t", "s", warmth(at_ms=real.now_ms() - 7_200_000))
        await early.settled()
        began = real.now_ms()
        await real.elapse(50)
        found = await late.recall("t", "s", 0)
        ended = real.now_ms()
        age = ended + 7_200_000 - found.at_ms
        assert 49 <= age <= ended - began + 5_000
        await early.close()
        await late.close()

    asyncio.run(run())


def test_redis_holds_digests_arms_and_counts_alone_and_lets_go_of_each_by_itself(redis: Server):
    ask(redis, "FLUSHALL")

    async def run() -> None:
        hand = SharedSessions(redis_shelf(redis.url), RealTime().now_ms)
        hand.note("acme", "Bob's divorce", warmth("a/one", 1_234, answers=3))
        await hand.close()

    asyncio.run(run())
    keys = ask(redis, "KEYS", "*")
    assert keys == [name_of(key_of("acme", "Bob's divorce"))]
    assert ask(redis, "GET", keys[0]) == b"1234 3 a/one"
    assert SESSION_MS - 60_000 < int(ask(redis, "PTTL", keys[0])) <= SESSION_MS
    assert b"acme" not in keys[0]
    assert b"Bob" not in keys[0]


@pytest.mark.parametrize(
    "said", [b"", b"x", b"1", b"1 2", b"1 2 ", b"-1 2 a", b"1 2 \xff", b"9" * 9_999 + b" 1 a"]
)
def test_what_is_no_word_is_not_known(redis: Server, said):
    ask(redis, "FLUSHALL")
    ask(redis, "SET", name_of(key_of("t", "s")), said, "PX", "60000")

    async def run() -> None:
        hand = SharedSessions(redis_shelf(redis.url), RealTime().now_ms, bound_s=PATIENT_S)
        assert await hand.recall("t", "s", 0) is None
        assert hand.collect()["p402_sessions_failed_total"] == 0
        await hand.close()

    asyncio.run(run())


def test_a_key_that_never_ends_is_not_ours(redis: Server):
    ask(redis, "FLUSHALL")
    ask(redis, "SET", name_of(key_of("t", "s")), b"1 1 a/one")

    async def run() -> None:
        hand = SharedSessions(redis_shelf(redis.url), RealTime().now_ms, bound_s=PATIENT_S)
        assert await hand.recall("t", "s", 0) is None
        await hand.close()

    asyncio.run(run())


# The file


def test_the_file_is_its_owners_and_holds_digests_arms_and_counts_alone(tmp_path: Path):
    path = tmp_path / "x.db"

    async def run() -> None:
        hand = SharedSessions(FileShelf(path, lambda: NOW), lambda: NOW)
        hand.note("acme", "Bob's divorce", warmth("a/one", 1_234, answers=3))
        await hand.close()

    asyncio.run(run())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM session").fetchall() == [
            (key_of("acme", "Bob's divorce"), NOW, b"1234 3 a/one")
        ]
    raw = b"".join(found.read_bytes() for found in tmp_path.iterdir())
    assert b"acme" not in raw
    assert b"Bob" not in raw


def test_the_file_has_so_many_rows_and_no_more_and_forgets_the_oldest(tmp_path: Path):
    path, time = tmp_path / "x.db", HandTime()

    async def run() -> list[int]:
        hands = [SharedSessions(FileShelf(path, time.now_ms, rows=50), time.now_ms) for _ in range(2)]
        most = []
        for n in range(200):
            hands[n % 2].note("t", f"s{n}", warmth(tokens=n))
            if n % 7 == 0:
                hands[n % 2].note("t", "kept", warmth(tokens=n))
            await hands[n % 2].settled()
            time.ms += 1
            with closing(sqlite3.connect(path)) as db:
                counted, told = db.execute(
                    "SELECT (SELECT count(*) FROM session), rows FROM tally"
                ).fetchone()
            assert counted == told
            most.append(counted)
        assert await hands[0].recall("t", "s140", 0) is None
        assert what(await hands[0].recall("t", "s180", 0)) == ("a/one", 180, 1)
        assert what(await hands[0].recall("t", "kept", 0)) == ("a/one", 196, 1)
        for hand in hands:
            await hand.close()
        return most

    assert max(asyncio.run(run())) == 50


def test_what_is_old_or_of_a_clock_that_went_back_is_removed_from_the_file(tmp_path: Path):
    path, time = tmp_path / "x.db", HandTime()

    async def run() -> None:
        hand = SharedSessions(FileShelf(path, time.now_ms), time.now_ms)
        hand.note("t", "s", warmth())
        await hand.settled()
        time.ms -= 60_000
        assert await hand.recall("t", "s", 0) is None
        hand.note("t", "other", warmth())
        await hand.settled()
        time.ms += 120_000
        assert await hand.recall("t", "s", 0) is None
        time.ms += SESSION_MS
        hand.note("t", "third", warmth())
        await hand.close()

    asyncio.run(run())
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT key FROM session").fetchall() == [(key_of("t", "third"),)]


def fails(shelf: FileShelf, match: str) -> None:
    async def run() -> None:
        for call in (shelf.get(b"k"), shelf.keep({b"k": b"1 1 a"}), shelf.open()):
            with pytest.raises(StoreError, match=match):
                await call
        await shelf.close()

    asyncio.run(run())


def test_a_file_that_is_another_programs_is_left_alone(tmp_path: Path):
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    fails(FileShelf(path, lambda: NOW), "expected .* move it away")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


def test_a_folder_that_cannot_be_written_says_so():
    fails(FileShelf(Path("/proc/nowhere/x.db"), lambda: NOW), "mend that")


def test_a_damaged_file_is_a_store_error_until_it_is_gone(tmp_path: Path):
    path = tmp_path / "x.db"
    path.write_bytes(b"no database at all" * 100)

    async def run() -> None:
        shelf = FileShelf(path, lambda: NOW)
        with pytest.raises(StoreError, match="move the file away"):
            await shelf.get(b"k")
        with pytest.raises(StoreError, match="move the file away"):
            await shelf.keep({b"k": b"1"})
        path.unlink()
        assert await shelf.get(b"k") is None
        await shelf.keep({b"k": b"1"})
        assert (await shelf.get(b"k")).data == b"1"
        await shelf.close()

    asyncio.run(run())


def test_a_look_waits_for_no_other_processs_transaction(tmp_path: Path):
    path = tmp_path / "x.db"

    async def run() -> None:
        shelf = FileShelf(path, lambda: NOW)
        await shelf.keep({b"k": b"1"})
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert (await shelf.get(b"k")).data == b"1"
        with pytest.raises(StoreError, match="locked"):
            await shelf.keep({b"k": b"2"})
        assert (await shelf.get(b"k")).data == b"1"
        other.execute("ROLLBACK")
        other.close()
        await shelf.keep({b"k": b"3"})
        assert (await shelf.get(b"k")).data == b"3"
        await shelf.close()

    asyncio.run(run())


def test_a_disk_that_is_full_loses_the_word_and_nothing_else(tmp_path: Path):
    path = tmp_path / "x.db"

    async def run() -> None:
        shelf = FileShelf(path, lambda: NOW)
        await shelf.keep({b"k": b"1"})
        db = shelf._writer._db
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="full"):
            await shelf.keep({b"%d" % n: b"x" * 1_000 for n in range(100)})
        assert (await shelf.get(b"k")).data == b"1"
        await shelf.keep({b"k": b"2"})  # opened anew, without the bound
        assert (await shelf.get(b"k")).data == b"2"
        await shelf.close()

    asyncio.run(run())


def test_a_start_forgets_what_is_too_old(tmp_path: Path):
    path, time = tmp_path / "x.db", HandTime()

    async def run() -> None:
        shelf = FileShelf(path, time.now_ms)
        await shelf.keep({b"k": b"1"})
        await shelf.close()
        time.ms += SESSION_MS + 1
        await shelf.open()
        await shelf.close()

    asyncio.run(run())
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT (SELECT count(*) FROM session), rows FROM tally").fetchone() == (0, 0)
