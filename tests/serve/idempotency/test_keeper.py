"""The file of kept answers: the suite every hand passes; bounded, private; and every way it can fail."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from p402.errors import StoreError
from serve.idempotency import file, rows
from serve.idempotency.keeper import Keeper
from serve.idempotency.law import GONE, KEPT_MS, LEASE_MS, OTHER_BODY, Claim
from serve.idempotency.rows import Holder
from tests.conformance.answers import NOW, SMALL, AnswersConformance, held, key, reply


@asynccontextmanager
async def opened(path: Path, clock: list[int] | None = None, **more):
    keeper = Keeper(path, lambda: (clock or [NOW])[0], **more)
    try:
        yield keeper
    finally:
        await keeper.close()


class TestKeeper(AnswersConformance):
    @pytest.fixture
    def open_two(self, tmp_path):
        @asynccontextmanager
        async def open_them(clock: list[int], **more):
            path = tmp_path / "a.db"
            async with opened(path, clock, **more) as one, opened(path, clock, **more) as other:
                yield one, other

        return open_them


def test_nothing_is_opened_before_a_key_comes(tmp_path):
    async def run():
        async with opened(tmp_path / "deep" / "a.db"):
            pass

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


def test_answers_survive_the_process_and_are_readable_by_their_owner_only(tmp_path):
    path = tmp_path / "a.db"

    async def run():
        async with opened(path) as keeper:
            await keeper.claim(key("k"), held("k"))
            await keeper.keep(held("k"), reply())
            assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o600}
        async with opened(path) as keeper:
            assert (await keeper.claim(key("k"), held("k", b"2"))).status == 200

    asyncio.run(run())


def test_the_oldest_answers_make_room_and_their_keys_are_not_sent_again(tmp_path):
    path = tmp_path / "a.db"

    async def run():
        async with opened(path, limits=SMALL) as keeper:
            for i in range(400):
                await keeper.claim(key(f"k{i}"), held(f"k{i}"))
                await keeper.keep(held(f"k{i}"), reply(1_900))
            assert await keeper.claim(key("k0"), held("k0", b"2")) is GONE
            assert (await keeper.claim(key("k399"), held("k399", b"2"))).status == 200
            await keeper.prune()

    asyncio.run(run())
    assert path.stat().st_size < 2 * SMALL.total_bytes + 400 * 300 + 50_000
    entries, size = sizes(path)
    assert entries == SMALL.entries
    assert 0 < size <= SMALL.total_bytes


def sizes(path: Path) -> tuple[int, int]:
    db = sqlite3.connect(path)
    found = db.execute(
        "SELECT (SELECT count(*) FROM entry), (SELECT sum(length(content)) FROM answer)"
    ).fetchone()
    assert db.execute("SELECT entries, bytes FROM tally").fetchone() == found
    db.close()
    return found


def test_what_is_older_than_a_day_is_forgotten_without_being_asked_for(tmp_path):
    clock = [NOW]

    async def run():
        async with opened(tmp_path / "a.db", clock) as keeper:
            for i in range(1_500):  # more than one transaction's worth
                await keeper.claim(key(f"k{i}"), held(f"k{i}"))
                await keeper.keep(held(f"k{i}"), reply())
            clock[0] += KEPT_MS
            await keeper.prune()
            assert sizes(tmp_path / "a.db") == (0, None)

    def sizes(path):
        db = sqlite3.connect(path)
        found = db.execute("SELECT entries, (SELECT sum(bytes) FROM answer) FROM tally").fetchone()
        db.close()
        return found

    asyncio.run(run())


FULL = """
import asyncio, resource, sys
from pathlib import Path
from p402.errors import StoreError
from tests.conformance.answers import held, key, reply
from tests.serve.idempotency.test_keeper import opened

async def main():
    async with opened(Path(sys.argv[1])) as keeper:
        await keeper.claim(key("before"), held("before"))
        await keeper.keep(held("before"), reply(30_000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
        refused = 0
        for i in range(200):
            try:
                await keeper.claim(key(str(i)), held(str(i)))
                await keeper.keep(held(str(i)), reply(30_000))
            except StoreError:
                refused += 1
        assert refused > 100, refused
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await keeper.claim(key("after"), held("after"))
        assert (await keeper.claim(key("before"), held("before", b"2"))).status == 200

import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
"""


def test_a_full_disk_is_refused_and_is_seen_to_have_room_again(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "a.db")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 1 <= done.stderr.count("are refused until that is mended") <= 10  # small writes still fit at times


def test_a_file_that_cannot_be_used_is_refused_and_works_once_it_is_mended(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"this is no database, but long enough to be looked at as one" * 20)

    async def run():
        async with opened(path) as keeper:
            for _ in range(2):
                with pytest.raises(StoreError, match="move the file away"):
                    await keeper.claim(key("k"), held("k"))
            path.unlink()
            assert isinstance(await keeper.claim(key("k"), held("k")), Claim)

    asyncio.run(run())


def test_another_programs_file_is_left_alone(tmp_path):
    path = tmp_path / "a.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (x)")
    db.commit()
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="expected 0x70343069"):
        file.connect(path)
    db = sqlite3.connect(path)
    assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    db.close()
    assert len(before) == path.stat().st_size


def test_a_file_damaged_while_it_is_open_is_refused(tmp_path):
    path = tmp_path / "a.db"

    async def run():
        async with opened(path) as keeper:
            for i in range(50):
                await keeper.claim(key(str(i)), held(str(i)))
                await keeper.keep(held(str(i)), reply(1_000))
            await keeper.close()
            size = path.stat().st_size
            with path.open("r+b") as raw:
                raw.seek(4096)
                raw.write(b"\xff" * (size - 4096))
            with pytest.raises(StoreError):
                await keeper.claim(key("0"), held("0", b"2"))

    asyncio.run(run())


def test_a_lock_that_is_held_is_waited_for_and_then_refused(tmp_path):
    path = tmp_path / "a.db"

    async def run():
        async with opened(path, busy_s=0.2) as keeper:
            await keeper.claim(key("k"), held("k"))
            other = file.connect(path)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked"):
                await keeper.claim(key("l"), held("l"))
            asyncio.get_running_loop().call_later(0.05, other.execute, "ROLLBACK")
            assert isinstance(await keeper.claim(key("l"), held("l")), Claim)
            other.close()

    asyncio.run(run())


class History(RuleBasedStateMachine):
    """Requests, ends and deaths in any order on two keys, with time between: none is paid for twice a day."""

    NAMES = st.sampled_from("ab")

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.db = file.connect(Path(self.folder.name) / "h.db")
        self.now = NOW
        self.number = 0
        self.under_way: list[tuple[Holder, str]] = []
        self.paid: dict[str, tuple[int, bytes]] = {}
        """By key: when it was last claimed and not given back, and with which body."""

    def teardown(self) -> None:
        self.db.close()
        self.folder.cleanup()

    @rule(name=NAMES, body=st.sampled_from([b"1", b"2"]))
    def request(self, name: str, body: bytes) -> None:
        self.number += 1
        holder = Holder(key(name).scope, b"%d" % self.number)
        found = rows.claim(self.db, holder, body, self.now)
        known = self.paid.get(name)
        if isinstance(found, Claim):
            assert known is None or self.now - known[0] >= KEPT_MS
            self.paid[name] = (self.now, body)
            self.under_way.append((holder, name))
        else:
            assert known is not None
            assert (found is OTHER_BODY) == (known[1] != body)
            if isinstance(found, bytes):
                assert found.startswith(name.encode() + body)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), size=st.sampled_from([10, 1_900, 3_000]))
    def end(self, data, size: int) -> None:
        holder, name = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        mine = self.paid.get(name)
        body = b"" if mine is None else mine[1]
        rows.keep(self.db, holder, (name.encode() + body).ljust(size, b"."), SMALL)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def release(self, data) -> None:
        holder, name = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        rows.release(self.db, holder)
        if not any(other == name for _, other in self.under_way):
            self.paid.pop(name)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def die(self, data) -> None:
        self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))

    @rule(ms=st.sampled_from([1, LEASE_MS // 2, LEASE_MS, KEPT_MS // 2]))
    def wait(self, ms: int) -> None:
        for _ in range(ms // (LEASE_MS // 2) if ms <= LEASE_MS else 0):
            rows.renew(self.db, [holder for holder, _ in self.under_way], self.now + LEASE_MS)
        self.now += ms
        rows.renew(self.db, [holder for holder, _ in self.under_way], self.now + LEASE_MS)

    @rule()
    def prune(self) -> None:
        rows.prune(self.db, SMALL, self.now)

    @invariant()
    def the_tally_is_true(self) -> None:
        query = "SELECT count(*), (SELECT coalesce(sum(length(content)), 0) FROM answer) FROM entry"
        (entries, size) = self.db.execute(query).fetchone()
        assert self.db.execute("SELECT entries, bytes FROM tally").fetchone() == (entries, size)
        assert size <= SMALL.total_bytes
        query = "SELECT count(*) FROM entry WHERE (state = 1) <> (scope IN (SELECT scope FROM answer))"
        assert self.db.execute(query).fetchone() == (0,)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
