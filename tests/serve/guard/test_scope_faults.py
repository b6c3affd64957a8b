"""Scopes over hosts where Redis is away or forgets, and where workers and files are lost."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from p402.errors import Refusal
from p402.guard.daily import DAY_MS, HOLD_TTL_MS
from p402.guard.lease import GRACE_MS, wanted_nano
from p402.guard.scopes import LIFE_DAYS, session
from p402.limits import Kind, Period, Scope
from p402.ports import Guard, Hold
from serve.guard import file as guard_file
from serve.guard.sqlite import SqliteGuard
from tests.conformance.guard import NOON
from tests.limits import capped
from tests.serve.guard.test_shared import PATIENT, Host, no_lease, tell
from tests.serve.guard.test_shared_faults import CAP, LEASE, drawn, story
from tests.serve.redis.server import Server

KEY_CAP = CAP // 2
KEY = Scope(Kind.KEY, "ci", Period.DAY, KEY_CAP)
SESSION = session("s", KEY_CAP)
LENT = wanted_nano(KEY_CAP, 1)
Hosts = Callable[..., Host]


async def scoped(guard: Guard, *scopes: Scope) -> list[tuple[int, int]]:
    return [(t.spent_nano, t.held_nano) for _, t in (await guard.standing("t", scopes)).scoped]


async def held(guard: Guard, name: str, amount: int, *scopes: Scope) -> Hold:
    hold = await guard.reserve("t", name, amount, scopes=scopes)
    assert isinstance(hold, Hold), hold
    return hold


async def spend(guard: Guard, name: str, amount: int, *scopes: Scope) -> None:
    guard.settle(await held(guard, name, amount, *scopes), amount)


def rows(host: Host) -> dict[str, tuple[int, int, int]]:
    """Spent, held and lent of each account in a host's ledger."""
    with closing(sqlite3.connect(host.own.path)) as db:
        found = db.execute("SELECT account, spent_nano, held_nano, lent_nano FROM scope").fetchall()
    return {name: (spent, held, lent) for name, spent, held, lent in found}


def test_p18_p19_while_redis_is_away_a_scope_lends_what_was_set_aside_and_no_more(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Hosts) -> None:
        a = host()
        await a.start()
        await drawn(a)
        assert LENT < LEASE
        server.freeze()
        first = await held(a.guard, "1", LENT - 10, KEY)
        refused = await a.guard.reserve("t", "2", 11, scopes=(KEY,))
        assert isinstance(refused, Refusal)
        assert (refused.code, refused.status) == ("BUDGET_RESERVATION_FAILED", 503)
        assert refused.retry_after_ms
        await held(a.guard, "3", 11, session("other", KEY_CAP))
        a.guard.settle(first, 100)
        await held(a.guard, "4", LENT - 110, KEY)
        assert isinstance(await a.guard.reserve("t", "5", 11, scopes=(KEY,)), Refusal)
        server.thaw()
        await until_told(a)
        assert await scoped(a.guard, KEY) == [(100, LENT - 110)]

    story(tmp_path, tell_it)


async def until_told(host: Host) -> None:
    """Have Redis told of everything; the breaker may be open for a moment more."""
    for _ in range(200):
        await host.guard._watch.look()
        if not any(told.dirty for told in await host.guard._settling.settled()):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("Redis was never told")


def test_p19_a_scopes_cap_holds_over_hosts_whatever_each_spent_without_redis(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Hosts) -> None:
        a, b = host("a", hosts=2), host("b", hosts=2)
        for each in (a, b, a):
            await (each.start() if not each.guard.open else each.guard._watch.look())
        lent, granted = wanted_nano(KEY_CAP, 2), 0
        for i in range(50):
            verdict = await (a, b)[i % 2].guard.reserve("t", f"r{i}", KEY_CAP // 40, scopes=(KEY,))
            if isinstance(verdict, Hold):
                granted += verdict.amount_nano
                (a, b)[i % 2].guard.settle(verdict, verdict.amount_nano)
        for each in (a, b):
            await drawn_of(each)
        server.freeze()
        for each in (a, b):
            for i in range(20):
                name = f"{each.own.path.parent.name}{i}"
                verdict = await each.guard.reserve("t", name, lent // 10, scopes=(KEY,))
                if isinstance(verdict, Hold):
                    granted += verdict.amount_nano
                    each.guard.settle(verdict, verdict.amount_nano)
        server.thaw()
        for each in (a, b):
            await until_told(each)
        assert await scoped(a.guard, KEY) == [(granted, 0)]
        assert (await a.guard.standing("t", (KEY,))).scoped[0][1].aside_nano == 2 * lent
        assert granted > KEY_CAP * 39 // 40, "each host could spend what it was lent"
        assert granted <= KEY_CAP

    story(tmp_path, tell_it)


async def drawn_of(host: Host) -> None:
    """A lease drawn by a host among several."""
    hold = await host.guard.reserve("t", f"first{host.own.path.parent.name}", 0)
    assert isinstance(hold, Hold)
    host.guard.settle(hold, 0)
    await host.guard.spent("t")
    host.guard._watch.report_s = 0
    await host.guard._watch.look()


def test_p18_p19_a_redis_that_forgot_is_told_what_scopes_spent_and_hold(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Hosts) -> None:
        a, b = (host(name, hosts=2, lease_nano=no_lease, link=PATIENT) for name in "ab")
        for each in (a, b, a):
            await (each.start() if not each.guard.open else each.guard._watch.look())
        await spend(a.guard, "a1", 100, KEY, SESSION)
        await spend(b.guard, "b1", 30, KEY)
        under_way = await held(b.guard, "b2", 7, SESSION)
        for each in (a, b):
            await each.guard._watch.look()  # told once already, so that nothing has moved since
        before = await scoped(a.guard, KEY, SESSION)
        assert before == [(130, 0), (100, 7)]
        for _ in range(2):
            await tell(server, "FLUSHALL")
            for each in (a, b, a):
                await each.guard._watch.look()
            assert await scoped(b.guard, KEY, SESSION) == before
        b.guard.settle(under_way, 5)
        assert await scoped(b.guard, KEY, SESSION) == [(130, 0), (105, 0)]
        full = await a.guard.reserve("t", "a2", KEY_CAP - 104, scopes=(SESSION,))
        assert isinstance(full, Refusal)
        assert full.code == "SESSION_BUDGET_EXCEEDED"

    story(tmp_path, tell_it)


def test_a_report_tells_only_of_scopes_that_moved_since_the_last(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Hosts) -> None:
        a = host(lease_nano=no_lease, link=PATIENT)
        await a.start()
        for i in range(5):
            await spend(a.guard, f"a{i}", 1, session(f"s{i}", 100))
        await a.guard._settling.settled()
        await a.guard._reporter.report("t")
        await a.guard._reporter.report("t")
        await spend(a.guard, "again", 1, session("s3", 100))
        await a.guard._settling.settled()
        sent: list[tuple] = []
        call = a.guard._redis.call

        def spied(*parts):
            sent.append(parts)
            return call(*parts)

        a.guard._redis.call = spied  # type: ignore[method-assign]
        await a.guard._reporter.report("t")
        a.guard._redis.call = call  # type: ignore[method-assign]
        (report,) = (parts for parts in sent if parts[0] == "EVALSHA")
        assert report[-4:] == (1, session("s3", 100).account(NOON // DAY_MS), 2, 0)
        assert await scoped(a.guard, session("s3", 100), session("s0", 100)) == [(2, 0), (1, 0)]

    story(tmp_path, tell_it)


def test_p17_p19_a_killed_workers_calls_cost_their_maximum_in_their_scopes_too(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Hosts) -> None:
        clock = [NOON]
        a = host("a", clock=clock, lease_nano=no_lease, link=PATIENT)
        await a.start()
        await held(a.guard, "orphan", 60, KEY, SESSION)
        await a.die()
        clock[0] += HOLD_TTL_MS
        again = host("a", clock=clock, lease_nano=no_lease, link=PATIENT)
        await again.start()
        assert await scoped(again.guard, KEY, SESSION) == [(60, 0), (60, 0)]
        assert rows(again)[KEY.account(NOON // DAY_MS)] == (60, 0, 0)

    story(tmp_path, tell_it)


def test_a_lost_ledger_leaves_its_scopes_charged_under_the_old_name(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Hosts) -> None:
        a = host("a", lease_nano=no_lease, link=PATIENT)
        await a.start()
        await spend(a.guard, "a1", 60, KEY)
        await a.guard.spent("t")
        await a.close()
        for file in (tmp_path / "a").iterdir():
            file.unlink()
        again = host("a", lease_nano=no_lease, link=PATIENT)
        await again.start()
        await spend(again.guard, "a2", 5, KEY)
        assert await scoped(again.guard, KEY) == [(65, 0)]

    story(tmp_path, tell_it)


def test_a_host_that_is_absent_after_redis_forgot_counts_at_its_share_of_a_scope(tmp_path: Path) -> None:
    async def tell_it(server: Server, host: Hosts) -> None:
        clock = [NOON]
        more = {"clock": clock, "hosts": 2, "lease_nano": no_lease, "link": PATIENT}
        a, b = host("a", **more), host("b", **more)
        for each in (a, b, a):
            await (each.start() if not each.guard.open else each.guard._watch.look())
        await spend(b.guard, "b1", 40, KEY)
        await b.guard.spent("t")
        await b.die()
        await tell(server, "FLUSHALL")
        a.guard.patience_s = 0.01
        assert isinstance(await a.guard.reserve("t", "a0", 1, scopes=(KEY,)), Refusal)
        clock[0] += GRACE_MS
        await spend(a.guard, "a1", 1, KEY)
        assert await scoped(a.guard, KEY) == [(1 + KEY_CAP // 2, 0)]
        back = host("b", **more)
        await back.start()
        assert await scoped(back.guard, KEY) == [(41, 0)]

    story(tmp_path, tell_it)


def test_a_ledger_forgets_a_scope_that_nobody_can_need(tmp_path: Path) -> None:
    clock = [NOON]

    async def tell_it() -> None:
        guard = SqliteGuard(tmp_path / "state.db", lambda _: capped(CAP), lambda: clock[0])
        guard.start()
        await spend(guard, "a", 5, KEY, SESSION)
        await guard.spent("t")
        kept = []
        for days in (2, 3, LIFE_DAYS, LIFE_DAYS + 1):
            clock[0] = NOON + days * DAY_MS
            await guard.spent("t")
            with closing(sqlite3.connect(guard.path)) as db:
                kept.append(db.execute("SELECT count(*) FROM scope").fetchone()[0])
        assert kept == [2, 1, 1, 0]
        await guard.close()

    asyncio.run(tell_it())


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_a_file_of_an_earlier_schema_is_taken_over_and_its_calls_have_no_scopes(
    tmp_path: Path, schema: int
) -> None:
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("".join(guard_file._STEPS[:schema]))
        db.execute(f"PRAGMA application_id = {guard_file.APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {schema}")
        db.execute("INSERT INTO day VALUES ('t', ?, 3, 40)", (NOON // DAY_MS,))
        db.execute(
            "INSERT INTO hold (tenant, id, day, amount_nano, expires_ms, state, charged_nano) "
            "VALUES ('t', 'old', ?, 40, ?, 0, 0)",
            (NOON // DAY_MS, NOON + HOLD_TTL_MS),
        )
        db.commit()

    async def tell_it() -> None:
        guard = SqliteGuard(path, lambda _: capped(CAP), lambda: NOON)
        guard.start()
        await spend(guard, "new", 5, KEY)
        guard.settle(Hold("old", "t", 40, NOON // DAY_MS, scopes=(KEY,)), 30)
        assert await guard.spent("t") == (38, 0)
        assert await scoped(guard, KEY) == [(5, 0)]
        await guard.close()

    asyncio.run(tell_it())
