"""The SQLite hand: the suite every hand passes, exactness across processes, and every way a file can fail."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from p402.errors import ConfigError, Refusal, StoreError
from p402.guard.daily import DAY_MS, HOLD_TTL_MS
from p402.guard.slots import SLOT_LEASE_MS
from p402.limits import Limits
from p402.ports import Hold
from serve.guard.sqlite import SqliteGuard
from tests.conformance.guard import NOON, GuardConformance
from tests.conformance.guard_history import LIMITS, GuardHistory
from tests.limits import capped


@asynccontextmanager
async def opened(
    path: Path, cap: int = 100, clock: list[int] | None = None, **more
) -> AsyncIterator[SqliteGuard]:
    guard = SqliteGuard(path, lambda _: capped(cap), lambda: (clock or [NOON])[0], **more)
    guard.start()
    try:
        yield guard
    finally:
        await guard.close()


class TestSqliteGuard(GuardConformance):
    @pytest.fixture
    def open_guard(self, tmp_path: Path):
        @asynccontextmanager
        async def open_it(limits: Callable[[str], Limits], clock: list[int]) -> AsyncIterator[SqliteGuard]:
            guard = SqliteGuard(tmp_path / "deep" / "state.db", limits, lambda: clock[0])
            guard.start()
            yield guard
            await guard.close()

        return open_it


class SqliteHistory(GuardHistory):
    def open(self) -> None:
        self.folder = TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.guard = SqliteGuard(Path(self.folder.name) / "s.db", lambda _: LIMITS, lambda: self.clock[0])
        self.guard.start()

    def close(self) -> None:
        self.loop.run_until_complete(self.guard.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()

    def call(self, name: str, *args):
        value = getattr(self.guard, name)(*args)
        if name != "settle":
            return self.loop.run_until_complete(value)
        # A queued settlement is booked at the time the group runs: let it run before the clock moves.
        self.loop.run_until_complete(self.guard.spent("t"))
        return None


TestSqliteHistory = SqliteHistory.TestCase
TestSqliteHistory.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_everything_queued_at_the_moment_is_one_transaction(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "s.db", cap=10**9) as guard:
            holds = await asyncio.gather(*(guard.reserve("t", str(i), 10) for i in range(400)))
            for hold in holds:
                assert isinstance(hold, Hold)
                guard.settle(hold, 1)
            assert await guard.spent("t") == (400, 0)
            assert guard.counters.operations == 801
            assert guard.counters.groups < 80

    asyncio.run(story())


def test_settlements_are_drained_on_close_and_outlive_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "s.db", cap=10**9) as guard:
            holds = await asyncio.gather(*(guard.reserve("t", str(i), 10) for i in range(100)))
            for hold in holds:
                assert isinstance(hold, Hold)
                guard.settle(hold, 3)
        async with opened(tmp_path / "s.db", cap=10**9) as again:
            assert await again.spent("t") == (300, 0)

    asyncio.run(story())


def test_settlements_share_the_next_reservations_transaction_and_precede_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "s.db", cap=100) as guard:
            for i in range(50):
                hold = await guard.reserve("t", str(i), 100)  # needs all that the one before gives back
                assert isinstance(hold, Hold), hold
                guard.settle(hold, 0)
            assert guard.counters.operations == 99
            assert guard.counters.groups <= 60  # but for those that the machine kept waiting for long

    asyncio.run(story())


def test_a_settlement_is_booked_although_nothing_is_asked_after_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "s.db") as guard:
            hold = await guard.reserve("t", "a", 60)
            assert isinstance(hold, Hold)
            guard.settle(hold, 20)
            for _ in range(500):
                await asyncio.sleep(0.01)
                db = sqlite3.connect(tmp_path / "s.db")
                rows = db.execute("SELECT spent_nano, held_nano FROM day").fetchall()
                db.close()
                if rows == [(20, 0)]:
                    return
            raise AssertionError(rows)

    asyncio.run(story())


def test_what_is_asked_as_the_guard_closes_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "s.db", cap=10**9) as guard:
            asked = [asyncio.create_task(guard.reserve(t, "a", 10)) for t in "tuv"]
            await asyncio.sleep(0)
            await guard.close()
            assert all(isinstance(v, Hold | Refusal) for v in await asyncio.gather(*asked))

    asyncio.run(story())


def test_a_cancelled_reserve_leaves_no_hold(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "s.db", cap=10**9) as guard:
            for i in range(60):
                task = asyncio.create_task(guard.reserve("t", str(i), 10))
                for _ in range(i % 4):
                    await asyncio.sleep(0.0002)
                task.cancel()
                result = (await asyncio.gather(task, return_exceptions=True))[0]
                if isinstance(result, Hold):
                    guard.settle(result, 0)
            await guard.spent("t")
            await asyncio.sleep(0)
            assert await guard.spent("t") == (0, 0)

    asyncio.run(story())


def stand_still_until_granted(guard: SqliteGuard) -> None:
    """Block the event loop, so that the verdict waits in it before whatever is called next."""
    deadline = time.monotonic() + 5
    while guard.counters.operations == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)


def test_a_reserve_cancelled_between_its_grant_and_its_waking_leaves_no_hold(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "s.db", cap=10**9) as guard:
            task = asyncio.create_task(guard.reserve("t", "a", 10))
            await asyncio.sleep(0)
            stand_still_until_granted(guard)
            asyncio.get_running_loop().call_soon(task.cancel)
            assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
            assert await guard.spent("t") == (0, 0)

    asyncio.run(story())


def test_a_locked_file_refuses_and_keeps_settlements_until_it_is_free(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "s.db", busy_s=0.1) as guard:
            hold = await guard.reserve("t", "a", 60)
            assert isinstance(hold, Hold)
            other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            guard.settle(hold, 20)
            refusal = await guard.reserve("t", "b", 1)
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.status) == ("BUDGET_RESERVATION_FAILED", 503)
            assert refusal.retry_after_ms is not None
            assert guard.counters.refused_by_state == 1
            with pytest.raises(StoreError, match="locked"):
                await guard.spent("t")
            other.execute("ROLLBACK")
            other.close()
            assert await guard.spent("t") == (20, 0)
            assert isinstance(await guard.reserve("t", "b", 1), Hold)

    asyncio.run(story())


def test_a_settlement_that_never_reaches_the_file_is_counted_and_its_hold_expires_as_charged(
    tmp_path: Path,
) -> None:
    clock = [NOON]

    async def story() -> None:
        guard = SqliteGuard(tmp_path / "s.db", lambda _: capped(100), lambda: clock[0], busy_s=0.05)
        guard.start()
        hold = await guard.reserve("t", "a", 60)
        assert isinstance(hold, Hold)
        other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        guard.settle(hold, 20)
        await guard.close()
        assert guard.counters.unsettled == 1
        refusal = await guard.reserve("t", "b", 1)
        assert isinstance(refusal, Refusal)
        assert refusal.status == 503
        other.execute("ROLLBACK")
        other.close()
        clock[0] += HOLD_TTL_MS
        async with opened(tmp_path / "s.db", clock=clock) as again:
            assert await again.spent("t") == (60, 0)

    asyncio.run(story())


def test_a_worker_renews_the_slots_and_holds_of_its_own_calls_for_as_long_as_it_lives(
    tmp_path: Path,
) -> None:
    clock = [NOON]

    async def story() -> None:
        one = SqliteGuard(tmp_path / "s.db", lambda _: capped(100, max_in_flight=1), lambda: clock[0])
        one.beat_s = 0.01
        one.start()
        hold = await one.reserve("t", "a", 60)
        assert isinstance(hold, Hold)
        for _ in range(8):
            clock[0] += SLOT_LEASE_MS - 1
            await asyncio.sleep(0.05)
            assert isinstance(await one.reserve("t", "b", 1), Refusal)
        assert await one.spent("t") == (0, 60)
        await one.close()  # a worker that ends without settling renews nothing any more
        clock[0] += SLOT_LEASE_MS
        async with opened(tmp_path / "s.db", clock=clock) as other:
            assert isinstance(await other.reserve("t", "b", 1), Hold)
            assert await other.spent("t") == (0, 61)
            clock[0] += HOLD_TTL_MS
            assert await other.spent("t") == (61, 0)

    asyncio.run(story())


FIRST_SCHEMA = """
CREATE TABLE day (
  tenant TEXT NOT NULL, day INTEGER NOT NULL, spent_nano INTEGER NOT NULL, held_nano INTEGER NOT NULL,
  PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE hold (
  tenant TEXT NOT NULL, id TEXT NOT NULL, day INTEGER NOT NULL, amount_nano INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL, state INTEGER NOT NULL, charged_nano INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hold_live ON hold (expires_ms) WHERE state = 0;
PRAGMA application_id = 0x70343032;
PRAGMA user_version = 1;
"""


def test_a_file_of_the_first_schema_is_taken_over_with_its_books(tmp_path: Path) -> None:
    path, day = tmp_path / "s.db", NOON // DAY_MS
    db = sqlite3.connect(path)
    db.executescript(FIRST_SCHEMA)
    db.execute("INSERT INTO day VALUES ('t', ?, 20, 30)", (day,))
    db.execute("INSERT INTO hold VALUES ('t', 'a', ?, 30, ?, 0, 0)", (day, NOON + 1_000))
    db.commit()
    db.close()

    async def story() -> None:
        async with opened(path) as guard:
            assert await guard.spent("t") == (20, 30)
            assert isinstance(await guard.reserve("t", "b", 51), Refusal)
            guard.settle(Hold("a", "t", 30, day), 5)
            assert isinstance(await guard.reserve("t", "b", 51), Hold)
            assert await guard.spent("t") == (25, 51)

    asyncio.run(story())


def test_what_cannot_be_booked_is_given_up_alone_and_the_ledger_goes_on(tmp_path: Path, caplog) -> None:
    async def story() -> None:
        async with opened(tmp_path / "s.db", cap=1 << 61) as guard:
            holds = [await guard.reserve("t", name, 1) for name in "abc"]
            assert all(isinstance(hold, Hold) for hold in holds)
            for hold, spent in zip(holds, ((1 << 62) - 1, 3, (1 << 62) - 1), strict=True):
                guard.settle(hold, spent)  # the first and the third are more together than a row can hold
            other = await guard.reserve("u", "d", 7)
            assert isinstance(other, Hold)
            assert guard.open
            assert await guard.spent("u") == (0, 7)
            assert await guard.spent("t") == ((1 << 62) + 2, 1)
            assert guard.counters.unsettled == 1

    asyncio.run(story())
    assert "could not be booked" in caplog.text


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from p402.errors import Refusal
from p402.limits import Limits, Rate
from p402.ports import Hold
from serve.guard.sqlite import SqliteGuard

async def main():
    limits = Limits(10**12, Rate(10**9, 10**6), 10**6)
    guard = SqliteGuard(Path(sys.argv[1]), lambda _: limits, lambda: 1_728_043_200_000)
    guard.start()
    first = await guard.reserve("t", "first", 50)
    assert isinstance(first, Hold)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    for i in range(1_000):
        verdict = await guard.reserve("t", f"r{i}", 0)
        if isinstance(verdict, Refusal):
            break
    else:
        raise SystemExit("the disk never filled")
    assert verdict.status == 503, verdict
    guard.settle(first, 7)
    assert isinstance(await guard.reserve("t", "no", 0), Refusal)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await asyncio.sleep(0.3)
    assert isinstance(await guard.reserve("t", "yes", 0), Hold)
    assert await guard.spent("t") == (7, 0), await guard.spent("t")
    await guard.close()

asyncio.run(main())
"""


def test_a_full_disk_refuses_and_the_process_lives_to_see_room_again(tmp_path: Path) -> None:
    script = [sys.executable, "-c", FULL_DISK, str(tmp_path / "s.db")]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_file_damaged_while_it_is_open_refuses_and_does_not_crash(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "s.db"
        async with opened(path, cap=10**9) as guard:
            assert isinstance(await guard.reserve("t", "a", 1), Hold)
            db = sqlite3.connect(path)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.close()
            raw = path.read_bytes()
            path.write_bytes(raw[:4096] + os.urandom(len(raw) - 4096))
            with sqlite3.connect(path, isolation_level=None) as toucher:
                toucher.execute("PRAGMA user_version = 1")  # makes the open connection read its pages anew
            toucher.close()
            refusal = await guard.reserve("t", "b", 1)
            assert isinstance(refusal, Refusal)
            assert refusal.status == 503

    asyncio.run(story())


def test_a_file_that_cannot_be_used_is_a_clear_error_at_start(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"not a database" * 1_000)
    stranger = tmp_path / "stranger.db"
    with sqlite3.connect(stranger) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    later = tmp_path / "later.db"
    SqliteGuard(later, lambda _: capped(1), lambda: NOON)
    with sqlite3.connect(later) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("PRAGMA application_id = 0x70343032")
        db.execute("PRAGMA user_version = 99")
    db.close()
    folder = tmp_path / "folder"
    folder.mkdir()
    for path, error, words in (
        (garbage, StoreError, "not a database"),
        (stranger, StoreError, "another program"),
        (later, StoreError, "schema 99"),
        (folder, ConfigError, "cannot be opened"),
        (garbage / "below.db", ConfigError, "cannot be opened"),
    ):
        with pytest.raises(error, match=words):
            SqliteGuard(path, lambda _: capped(1), lambda: NOON).start()


def test_old_entries_are_pruned_and_totals_kept(tmp_path: Path) -> None:
    clock = [NOON]

    async def story() -> None:
        async with opened(tmp_path / "s.db", cap=10**9, clock=clock) as guard:
            for day in range(8):
                clock[0] = NOON + day * DAY_MS
                hold = await guard.reserve("t", f"d{day}", 5)
                assert isinstance(hold, Hold)
                guard.settle(hold, 2)
            await guard.spent("t")
        db = sqlite3.connect(tmp_path / "s.db")
        assert db.execute("SELECT count(*) FROM hold").fetchone() == (3,)
        assert db.execute("SELECT count(*), sum(spent_nano), sum(held_nano) FROM day").fetchone() == (
            8,
            16,
            0,
        )
        db.close()

    asyncio.run(story())


WORKER = """
import asyncio, random, sys, time
from pathlib import Path
from p402.limits import Limits, Rate
from p402.ports import Hold
from serve.guard.sqlite import SqliteGuard

path, name, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
limits = Limits(37_000_000_000, Rate(10**9, 10**6), 10**6)

async def one(guard, rng, i):
    hold = await guard.reserve("t", f"{name}.{i}", rng.randrange(1, 2_000_000_001))
    if not isinstance(hold, Hold):
        return 0
    actual = rng.randrange(hold.amount_nano + 1)
    await asyncio.sleep(rng.random() * 0.01)
    guard.settle(hold, actual)
    guard.settle(hold, actual)
    return actual

async def main():
    guard = SqliteGuard(path, lambda _: limits, lambda: 1_728_043_200_000, busy_s=10)
    guard.start()
    rng = random.Random(name)
    if mode == "die":
        assert isinstance(await guard.reserve("t", name, 5_000_000_000), Hold)
        print("held", flush=True)
        time.sleep(60)
    spent = sum(await asyncio.gather(*(one(guard, rng, i) for i in range(50))))
    await guard.close()
    assert guard.counters.refused_by_state == guard.counters.unsettled == 0
    print(spent, flush=True)

asyncio.run(main())
"""


def start_worker(path: Path, name: str, mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path), name, mode],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_four_processes_of_fifty_concurrent_reserves_never_pass_the_cap_by_one_nano_dollar(
    tmp_path: Path,
) -> None:
    path, cap = tmp_path / "s.db", 37_000_000_000
    workers = [start_worker(path, f"w{i}", "run") for i in range(4)]
    seen = []
    while any(w.poll() is None for w in workers):
        if path.exists():
            try:
                db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
                row = db.execute("SELECT sum(spent_nano + held_nano) FROM day").fetchone()
                db.close()
                seen.append(row[0] or 0)
            except sqlite3.OperationalError:
                pass  # the tables are just being made
        time.sleep(0.002)
    outputs = [w.communicate(timeout=30) for w in workers]
    assert [w.returncode for w in workers] == [0] * 4, outputs
    told = sum(int(out) for out, _ in outputs)
    db = sqlite3.connect(path)
    spent, held = db.execute("SELECT sum(spent_nano), sum(held_nano) FROM day").fetchone()
    db.close()
    assert (spent, held) == (told, 0)
    assert max(seen, default=0) <= cap
    assert cap // 4 < spent <= cap  # the cap was really fought over


def test_p17_kill_9_of_a_worker_leaves_a_hold_that_expires_as_charged(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    worker = start_worker(path, "dead", "die")
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "held\n"
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.communicate(timeout=30)
    clock = [1_728_043_200_000]

    async def story() -> None:
        async with opened(path, cap=10**11, clock=clock) as guard:
            assert await guard.spent("t") == (0, 5_000_000_000)
            clock[0] += HOLD_TTL_MS
            assert await guard.spent("t") == (5_000_000_000, 0)

    asyncio.run(story())
